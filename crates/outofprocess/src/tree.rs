//! A backend with everything that it has started, however that tried to get away.
//!
//! Descendants whose own parents have ended come to this process, which has asked for them
//! (`os::process::tree::adopt_orphans`). Whose they are tells a variable that they inherited, which
//! has another value for each backend; or, of those that have cleared their environment, their brand. What a reader would get wrong: the process group is not
//! enough, since a program may leave it, and many a daemon does.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use os::process::Pid;
use os::process::tree::{self, Seen};

/// How often is looked whether processes have ended that nobody can wait for by descriptor.
pub(crate) const LOOK: Duration = Duration::from_millis(10);

/// How long the kernel may take to end what was killed. What sleeps in a driver takes longer.
const KILL_LIMIT: Duration = Duration::from_secs(2);

/// Backends of this process that nobody has waited for yet. Held while one is forked, so that
/// no child is ever taken for a stray.
pub(crate) static BACKENDS: Mutex<BTreeSet<i32>> = Mutex::new(BTreeSet::new());

/// There was one, ever.
pub(crate) static HAD_BACKENDS: AtomicBool = AtomicBool::new(false);

/// What belongs to one backend.
#[derive(Clone, Debug)]
pub(crate) struct Tree {
    /// The process that was started.
    pub(crate) root: i32,
    /// A variable that it was given, and its value, which no other backend has.
    pub(crate) mark: (&'static str, String),
    /// The same for its brand.
    pub(crate) brand: u32,
}

impl Tree {
    /// Its processes that run.
    pub(crate) fn members(&self) -> Vec<Seen> {
        let all = tree::all();
        let mut members = tree::family(&all, self.root);
        let (name, value) = &self.mark;
        let is_own = |it: &&Seen| {
            it.variable(name).as_deref() == Some(value.as_bytes()) || it.brand() == Some(self.brand)
        };
        for stray in strays(&all).filter(is_own) {
            members.extend(tree::family(&all, stray.pid));
        }
        members.retain(|member| !member.has_ended);
        members
    }

    /// Whether anything of it runs.
    pub(crate) fn is_alive(&self) -> bool {
        !self.members().is_empty()
    }

    /// Ends all of it, and waits until it has ended. The root is left for whoever waits for it.
    pub(crate) fn kill(&self) {
        let deadline = Instant::now() + KILL_LIMIT;
        loop {
            // Again and again: while some are killed others start new ones.
            let members = self.members();
            for member in &members {
                // Only another user's process can refuse, which is none that we could end.
                let _ = member.kill();
            }
            reap_strays();
            if members.is_empty() || Instant::now() > deadline {
                return;
            }
            thread::sleep(Duration::from_millis(1));
        }
    }
}

/// Takes away what came to this process and has ended.
pub(crate) fn reap_strays() {
    let backends = BACKENDS.lock().unwrap_or_else(PoisonError::into_inner);
    // Usually there is none, and looking at every process of the system would be for nothing.
    let children = tree::children();
    if children.is_some_and(|children| children.iter().all(|child| backends.contains(child))) {
        return;
    }
    let all = tree::all();
    let ended = strays_but(&all, &backends).filter(|stray| stray.has_ended);
    ended.for_each(|stray| stray.reap());
}

/// Ends every process below this one, at the end of this one; nothing when it never had a backend, for
/// what others have started is theirs.
pub fn end_everything() {
    if !HAD_BACKENDS.load(Ordering::Relaxed) {
        return;
    }
    let own = Pid::own().number();
    let deadline = Instant::now() + KILL_LIMIT;
    while Instant::now() < deadline {
        let family = tree::family(&tree::all(), own);
        let running = family.iter().filter(|seen| seen.pid != own && !seen.has_ended);
        let running: Vec<&Seen> = running.collect();
        if running.is_empty() {
            return;
        }
        for seen in running {
            let _ = seen.kill();
        }
        thread::sleep(Duration::from_millis(1));
    }
}

fn strays(all: &[Seen]) -> impl Iterator<Item = &Seen> {
    let backends = BACKENDS.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let strays: Vec<&Seen> = strays_but(all, &backends).collect();
    strays.into_iter()
}

/// Children of this process that it has not started: these are in groups of backends, or of their
/// own; what is in our group was started by somebody who waits for it.
fn strays_but<'a>(all: &'a [Seen], backends: &BTreeSet<i32>) -> impl Iterator<Item = &'a Seen> {
    let own = Pid::own().number();
    let group = all.iter().find(|seen| seen.pid == own).map(|seen| seen.group);
    all.iter().filter(move |seen| {
        seen.parent == own && Some(seen.group) != group && !backends.contains(&seen.pid)
    })
}
