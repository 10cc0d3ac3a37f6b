//! Applications that take more memory than their control group has.

use std::fs;
use std::path::PathBuf;

use testkit::{App, Start, both_models};

/// A control group with a limit of memory; its end removes it.
struct Group(PathBuf);

impl Group {
    /// `None` where this machine lets nobody make one.
    fn new(name: &str, limit: &str) -> Option<Self> {
        let places =
            [("/sys/fs/cgroup/memory", "memory.limit_in_bytes"), ("/sys/fs/cgroup", "memory.max")];
        places.iter().find_map(|(root, file)| {
            let dir = PathBuf::from(root).join(format!("ancm-{name}-{}", std::process::id()));
            fs::create_dir(&dir).ok()?;
            let group = Self(dir);
            // Where memory is not controlled there is no such file, and none can be made.
            let file = group.0.join(file);
            (file.exists() && fs::write(file, limit).is_ok()).then_some(group)
        })
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        let _ = fs::remove_dir(&self.0);
    }
}

both_models! {
    fn a_process_that_the_system_kills_for_lack_of_memory_is_known(model: Model) {
        let Some(group) = Group::new(&model.to_string(), "300000000") else {
            eprintln!("not tested: no control group can be made here");
            return;
        };
        // Both memory and what is swapped count, where there is swap.
        let _ = fs::write(group.0.join("memory.memsw.limit_in_bytes"), "300000000");
        let _ = fs::write(group.0.join("memory.swap.max"), "0");
        let join = format!("echo $$ > {}/cgroup.procs && exec \"$@\" --url http://127.0.0.1:0", group.0.display());
        let app = App::misbehaving("FillNative").model(model);
        let site = Start::of(app).through("sh", &["-c", &join, "sh"]).run();
        assert!(site.get("/").status() >= 500);
        site.wait_for_log("was ended by SIGKILL (killed by the system for lack of memory");
        site.stop();
    }
}
