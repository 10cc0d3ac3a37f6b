//! From one process to two, and what the second does before it becomes the program.
//!
//! Between fork and exec only async-signal-safe calls are made, on memory that was prepared before:
//! another thread may have held any lock when the copy was taken.

use std::ffi::{CStr, CString};
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};

use super::command::Group;
use crate::signal::Signal;
use crate::{check, pipe};

/// A child, ready to be forked: nothing is left to allocate.
pub(super) struct Prepared {
    pub(super) program: CString,
    pub(super) argv: Vec<CString>,
    pub(super) envp: Vec<CString>,
    pub(super) directory: Option<CString>,
    pub(super) group: Group,
    pub(super) parent_death: Option<Signal>,
    pub(super) brand: Option<libc::rlim_t>,
    /// Sources, all at `first_free` or above, and their targets below.
    pub(super) descriptors: Vec<(RawFd, RawFd)>,
    pub(super) first_free: RawFd,
}

pub(super) struct Started {
    pub(super) pid: libc::pid_t,
    pub(super) pidfd: OwnedFd,
}

pub(super) struct Failure {
    pub(super) step: Step,
    pub(super) error: io::Error,
}

/// What can fail, in the order in which it is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Step {
    Pipe = 1,
    Fork,
    Group,
    ParentDeath,
    Descriptors,
    Directory,
    Execute,
    Watch,
}

impl Step {
    const ALL: [Self; 8] = [
        Self::Pipe,
        Self::Fork,
        Self::Group,
        Self::ParentDeath,
        Self::Descriptors,
        Self::Directory,
        Self::Execute,
        Self::Watch,
    ];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Pipe => "opening a pipe",
            Self::Fork => "forking",
            Self::Group => "creating its process group",
            Self::ParentDeath => "tying its life to its parent",
            Self::Descriptors => "passing descriptors on",
            Self::Directory => "entering its directory",
            Self::Execute => "executing it",
            Self::Watch => "opening a descriptor for it",
        }
    }
}

/// Forks and executes; answers once the program runs or a step has failed.
pub(super) fn start(prepared: &Prepared) -> Result<Started, Failure> {
    let failed = |step| move |error| Failure { step, error };
    let (reader, writer) = pipe::open().map_err(failed(Step::Pipe))?;
    let argv = pointers(&prepared.argv);
    let envp = pointers(&prepared.envp);
    // SAFETY: asks for our own id.
    let parent = unsafe { libc::getpid() };

    // Handlers of this process must not run in the copy, so every signal waits until the copy has
    // no handlers any more.
    let everything = full_set();
    let mut before = MaybeUninit::uninit();
    // SAFETY: the new set is initialised; the old one is written before it is used below.
    unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &everything, before.as_mut_ptr()) };
    // SAFETY: the child calls `become_program` only, which keeps to async-signal-safe calls on
    // memory prepared above, and never returns.
    let pid = unsafe { libc::fork() };
    if pid == 0 {
        become_program(prepared, &argv, &envp, parent, writer.as_raw_fd());
    }
    let error = io::Error::last_os_error();
    // SAFETY: `before` was written by the first call.
    unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, before.as_ptr(), std::ptr::null_mut()) };
    if pid < 0 {
        return Err(Failure { step: Step::Fork, error });
    }
    drop(writer);

    if let Some(failure) = read_failure(&reader) {
        reap(pid);
        return Err(failure);
    }
    match open_pidfd(pid) {
        Ok(pidfd) => Ok(Started { pid, pidfd }),
        Err(error) => {
            // SAFETY: the child has not been waited for, so the number still means it.
            unsafe { libc::kill(pid, libc::SIGKILL) };
            reap(pid);
            Err(Failure { step: Step::Watch, error })
        }
    }
}

/// The child's side. Async-signal-safe calls only; no allocation, no lock, no unwinding.
fn become_program(
    prepared: &Prepared,
    argv: &[*const libc::c_char],
    envp: &[*const libc::c_char],
    parent: libc::pid_t,
    report: RawFd,
) -> ! {
    let step = match run_steps(prepared, parent) {
        Ok(()) => {
            // SAFETY: the strings live in `prepared`; both lists end with a null pointer.
            unsafe { libc::execve(prepared.program.as_ptr(), argv.as_ptr(), envp.as_ptr()) };
            Step::Execute
        }
        Err(step) => step,
    };
    // SAFETY: reads this thread's errno, which the failed call has set.
    let errno = unsafe { *libc::__errno_location() };
    let [a, b, c, d] = errno.to_ne_bytes();
    let message = [step as u8, a, b, c, d];
    // SAFETY: writes five bytes of a local and ends; fewer than a pipe takes at once.
    unsafe {
        libc::write(report, message.as_ptr().cast(), message.len());
        libc::_exit(127)
    }
}

fn run_steps(prepared: &Prepared, parent: libc::pid_t) -> Result<(), Step> {
    let result = |code: libc::c_int, step| if code < 0 { Err(step) } else { Ok(()) };
    // SAFETY: all calls below are plain system calls on numbers and prepared strings.
    unsafe {
        match prepared.group {
            Group::Inherit => {}
            Group::New => result(libc::setpgid(0, 0), Step::Group)?,
            Group::Session => result(libc::setsid(), Step::Group)?,
        }
        if let Some(signal) = prepared.parent_death {
            let number = libc::c_long::from(signal.number());
            result(libc::prctl(libc::PR_SET_PDEATHSIG, number), Step::ParentDeath)?;
            // The parent may have ended before the call above; then no signal will come.
            if libc::getppid() != parent {
                libc::_exit(127);
            }
        }
        if let Some(brand) = prepared.brand {
            let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
            let code = libc::getrlimit(libc::RLIMIT_RTTIME, &raw mut limit);
            // A limit that somebody has set stays; the process then has no brand.
            if code == 0 && limit.rlim_cur == libc::RLIM_INFINITY {
                limit.rlim_cur = brand;
                libc::setrlimit(libc::RLIMIT_RTTIME, &raw const limit);
            }
        }
        for (source, target) in &prepared.descriptors {
            result(libc::dup2(*source, *target), Step::Descriptors)?;
        }
        // A library in this process may have opened something without the close-on-exec flag.
        let first = libc::c_ulong::from(prepared.first_free.unsigned_abs());
        let last = libc::c_ulong::from(u32::MAX);
        let flag = libc::c_ulong::from(libc::CLOSE_RANGE_CLOEXEC);
        libc::syscall(libc::SYS_close_range, first, last, flag);
        if let Some(directory) = &prepared.directory {
            result(libc::chdir(directory.as_ptr()), Step::Directory)?;
        }
        reset_signals();
    }
    Ok(())
}

/// Default dispositions, empty mask: programs expect to begin that way, and an ignored `SIGPIPE`
/// would be inherited through exec.
///
/// # Safety
///
/// For the child of a fork only: it removes handlers that others rely on.
unsafe fn reset_signals() {
    const LAST: libc::c_int = 64;
    for signal in 1..=LAST {
        // SAFETY: SIG_DFL is no function; numbers that cannot be changed are refused.
        unsafe { libc::signal(signal, libc::SIG_DFL) };
    }
    let mut none = MaybeUninit::uninit();
    // SAFETY: `sigemptyset` initialises the set that the next call reads.
    unsafe {
        libc::sigemptyset(none.as_mut_ptr());
        libc::sigprocmask(libc::SIG_SETMASK, none.as_ptr(), std::ptr::null_mut());
    }
}

fn full_set() -> libc::sigset_t {
    let mut set = MaybeUninit::uninit();
    // SAFETY: `sigfillset` initialises the set.
    unsafe {
        libc::sigfillset(set.as_mut_ptr());
        set.assume_init()
    }
}

fn pointers(strings: &[CString]) -> Vec<*const libc::c_char> {
    let list = strings.iter().map(CString::as_c_str).map(CStr::as_ptr);
    list.chain(std::iter::once(std::ptr::null())).collect()
}

/// What the child wrote before it gave up; nothing when the pipe was closed by exec.
fn read_failure(reader: &OwnedFd) -> Option<Failure> {
    let mut message = [0; 5];
    let mut filled = 0;
    while filled < message.len() {
        match pipe::read(reader, &mut message[filled..]) {
            Ok(0) => return None,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => return None,
        }
    }
    let [step, a, b, c, d] = message;
    let step = Step::ALL.into_iter().find(|other| *other as u8 == step)?;
    let error = io::Error::from_raw_os_error(i32::from_ne_bytes([a, b, c, d]));
    Some(Failure { step, error })
}

fn open_pidfd(pid: libc::pid_t) -> io::Result<OwnedFd> {
    // SAFETY: plain system call; the child has not been waited for, so the number means it.
    let fd = unsafe { libc::syscall(libc::SYS_pidfd_open, libc::c_long::from(pid), 0) };
    let fd = check(i32::try_from(fd).unwrap_or(-1))?;
    // SAFETY: the descriptor was opened by the call above, close-on-exec, and has no other owner.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Waits for a child that is known to end.
fn reap(pid: libc::pid_t) {
    let mut status = 0;
    // SAFETY: waits for this one child of ours; `status` outlives the call.
    while unsafe { libc::waitpid(pid, &mut status, 0) } < 0 {
        if io::Error::last_os_error().kind() != io::ErrorKind::Interrupted {
            return;
        }
    }
}
