//! What a worker that ended leaves behind: backends, and whatever these have started.
//!
//! A worker ends its backends itself. One that was killed cannot; its descendants come to the
//! supervisor, who has asked for them, and go at once. What has ended by itself is taken away.

use std::thread;
use std::time::{Duration, Instant};

use config::HostingModel;
use config::environment::PORT_VARIABLES;
use os::process::Pid;
use os::process::tree::{self, Seen};

/// The site stands still meanwhile. What was killed ends within milliseconds.
const LIMIT: Duration = Duration::from_millis(500);

/// Has descendants of workers come here when nobody else is left. Not those of applications that
/// are hosted in-process: under other servers, too, what they start may outlive them.
pub(super) fn adopt(model: HostingModel) {
    // Without it, what outlives its worker is the system's to deal with.
    let _ = tree::adopt_orphans(model == HostingModel::OutOfProcess);
}

/// Ends what the backends of dead workers have left with this process, and takes it away. `workers`
/// are those that live.
pub(super) fn end(workers: &[i32]) {
    let own = Pid::own().number();
    let deadline = Instant::now() + LIMIT;
    while Instant::now() < deadline {
        let all = tree::all();
        let strays: Vec<_> = all
            .iter()
            .filter(|it| it.parent == own && !workers.contains(&it.pid))
            .filter(|it| it.has_ended || is_of_a_backend(it) || it.is_ending())
            .collect();
        if strays.is_empty() {
            return;
        }
        for stray in strays {
            // Their children come here as they go, and are found by the next look. One that is ending
            // cannot be asked whose it was any more; its end is waited for, to be taken away.
            if is_of_a_backend(stray) {
                let _ = stray.kill();
            }
            stray.reap();
        }
        thread::sleep(Duration::from_millis(1));
    }
}

/// Takes away what has ended of all that came to this process, whoever has started it. The first
/// process of a container is the parent of all that have lost theirs.
pub(super) fn reap(workers: &[i32]) {
    let is_stray = |pid: &i32| !workers.contains(pid);
    match tree::children() {
        Some(children) => {
            let strays = children.into_iter().filter(is_stray);
            strays.filter_map(Seen::look).for_each(|stray| stray.reap());
        }
        None => {
            let strays = tree::all().into_iter().filter(|it| is_stray(&it.pid));
            strays.for_each(|stray| stray.reap());
        }
    }
}

/// A script that executed us may have left us a child that is none of our business.
fn is_of_a_backend(stray: &Seen) -> bool {
    PORT_VARIABLES.iter().any(|name| stray.variable(name).is_some()) || {
        // Who is a backend's process itself has its brand, and so has all that it starts.
        let own = Seen::look(Pid::own().number()).and_then(|own| own.brand());
        own.is_none() && stray.brand().is_some()
    }
}
