//! What `/proc` knows about a process.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    process::Command,
    thread,
    time::Duration,
};

/// A process by its number. It may have ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Process(pub u32);

impl Process {
    /// Sends a signal, named as `kill` does: `TERM`, `KILL`, `INT`, `HUP`. It may be gone.
    pub fn signal(self, name: &str) {
        let sent = Command::new("sh").args(["-c", &format!("kill -s {name} {}", self.0)]).status();
        let is_sent = sent.is_ok_and(|status| status.success());
        assert!(is_sent || self.is_gone(), "cannot send {name} to {self:?}");
    }

    /// Whether it runs. One that has ended and was not waited for does not.
    pub fn is_alive(self) -> bool {
        self.stat().is_some_and(|stat| !matches!(stat.state, 'Z' | 'X'))
    }

    /// The processes that it has started and that run.
    pub fn children(self) -> Vec<Process> {
        let mut children: Vec<Process> = numbers()
            .map(Process)
            .filter(|process| {
                let stat = process.stat();
                stat.is_some_and(|stat| stat.parent == self.0 && !matches!(stat.state, 'Z' | 'X'))
            })
            .collect();
        children.sort();
        children
    }

    /// Itself and everything below it.
    pub fn tree(self) -> Vec<Process> {
        let mut all = vec![self];
        let mut at = 0;
        while let Some(process) = all.get(at) {
            all.extend(process.children());
            at += 1;
        }
        all
    }

    /// The process that waits for its end, or would.
    pub fn parent(self) -> Option<Process> {
        self.stat().map(|stat| Process(stat.parent))
    }

    /// Whether there is nothing left of it: it has ended, and was taken away.
    pub fn is_gone(self) -> bool {
        self.stat().is_none()
    }

    /// Its number in the innermost name space that it is in.
    pub fn own_number(self) -> Option<u32> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.0)).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("NSpid:"))?;
        line.split_whitespace().next_back()?.parse().ok()
    }

    /// Those below it that have ended and that nobody has taken away.
    pub fn zombies(self) -> Vec<Process> {
        let tree = self.tree();
        let all = numbers().map(Process);
        all.filter(|process| {
            process
                .stat()
                .is_some_and(|stat| stat.state == 'Z' && tree.contains(&Process(stat.parent)))
        })
        .collect()
    }

    /// Every process that was executed with an environment variable of this value, whoever its
    /// parent is now.
    pub fn with_variable(name: &str, value: &str) -> Vec<Process> {
        let entry = format!("{name}={value}").into_bytes();
        let all = numbers().map(Process);
        all.filter(|process| {
            let environment = fs::read(format!("/proc/{}/environ", process.0)).unwrap_or_default();
            environment.split(|byte| *byte == 0).any(|other| other == entry)
        })
        .collect()
    }

    /// The file name of its program.
    pub fn program(self) -> String {
        let path = fs::read_link(format!("/proc/{}/exe", self.0)).unwrap_or_default();
        path.file_name().unwrap_or_default().to_string_lossy().into_owned()
    }

    /// The names of the variables that it was started with.
    pub fn variables(self) -> BTreeSet<String> {
        let block = fs::read(format!("/proc/{}/environ", self.0)).unwrap_or_default();
        let names = block.split(|byte| *byte == 0).filter(|entry| !entry.is_empty());
        let name = |entry: &[u8]| {
            String::from_utf8_lossy(entry.split(|byte| *byte == b'=').next().unwrap_or(entry))
                .into()
        };
        names.map(name).collect()
    }

    /// Bytes of memory that are its own: without files that are merely mapped.
    pub fn own_memory_bytes(self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.0)).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:"));
        let kib = line.and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok());
        kib.unwrap_or(0) * 1024
    }

    /// How many descriptors it has open.
    pub fn descriptors(self) -> usize {
        fs::read_dir(format!("/proc/{}/fd", self.0)).map_or(0, Iterator::count)
    }

    /// How many threads it has.
    pub fn threads(self) -> usize {
        fs::read_dir(format!("/proc/{}/task", self.0)).map_or(0, Iterator::count)
    }

    /// How often each of its threads whose name begins so has waited for something.
    pub fn switches(self, name: &str) -> BTreeMap<u32, u64> {
        let tasks = fs::read_dir(format!("/proc/{}/task", self.0)).into_iter().flatten().flatten();
        let numbers = tasks.filter_map(|task| task.file_name().to_str()?.parse::<u32>().ok());
        let counted = numbers.filter_map(|number| {
            let text = fs::read_to_string(format!("/proc/{}/task/{number}/status", self.0)).ok()?;
            let field = |name| text.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
            let is_meant = field("Name:")?.starts_with(name);
            is_meant.then_some((number, field("voluntary_ctxt_switches:")?.parse().ok()?))
        });
        counted.collect()
    }

    /// Whether a file whose path contains `part` is mapped into it.
    pub fn has_mapped(self, part: &str) -> bool {
        let maps = fs::read_to_string(format!("/proc/{}/maps", self.0)).unwrap_or_default();
        maps.lines().any(|line| line.contains(part))
    }

    fn stat(self) -> Option<Stat> {
        let text = fs::read_to_string(format!("/proc/{}/stat", self.0)).ok()?;
        // The name is in parentheses and may contain anything, parentheses included.
        let mut fields = text.rsplit_once(") ")?.1.split(' ');
        let state = fields.next()?.chars().next()?;
        Some(Stat { state, parent: fields.next()?.parse().ok()? })
    }
}

fn numbers() -> impl Iterator<Item = u32> {
    let entries = fs::read_dir("/proc").expect("there is a /proc").flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

struct Stat {
    state: char,
    parent: u32,
}

/// Watches how much memory processes take while something happens.
#[derive(Debug)]
pub struct MemoryWatch {
    stop: std::sync::mpsc::Sender<()>,
    thread: thread::JoinHandle<u64>,
}

impl MemoryWatch {
    /// Starts to look at these processes, often.
    pub fn start(processes: Vec<Process>) -> Self {
        let (stop, stopped) = std::sync::mpsc::channel();
        let thread = thread::spawn(move || {
            let total = || processes.iter().map(|process| process.own_memory_bytes()).sum();
            let mut most: u64 = total();
            while stopped.recv_timeout(Duration::from_millis(20)).is_err() {
                most = most.max(total());
            }
            most
        });
        Self { stop, thread }
    }

    /// The most that was seen, in bytes.
    pub fn most_bytes(self) -> u64 {
        let _ = self.stop.send(());
        self.thread.join().expect("looking does not fail")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_child_is_seen_until_it_has_ended() {
        let this = Process(std::process::id());
        let mut child = Command::new("sleep").arg("100").spawn().unwrap();
        let process = Process(child.id());
        assert!(this.children().contains(&process) && this.tree().contains(&process));
        assert!(process.is_alive());
        process.signal("KILL");
        child.wait().unwrap();
        assert!(!process.is_alive());
        assert!(this.own_memory_bytes() > 0);
    }
}
