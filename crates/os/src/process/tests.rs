use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::os::unix::process::ExitStatusExt;
use std::time::Duration;

use super::*;
use crate::signal::Signal;

fn shell(script: &str) -> Command {
    Command::new("/bin/sh").args(["-c", script]).stdout(Stream::Pipe)
}

fn output(command: Command) -> (String, std::process::ExitStatus) {
    let mut child = command.spawn().unwrap();
    let mut text = String::new();
    File::from(child.stdout.take().unwrap()).read_to_string(&mut text).unwrap();
    (text, child.wait().unwrap())
}

#[test]
fn a_child_gets_exactly_what_was_described() {
    let command = shell("pwd; echo $A$B; read line; echo \"[$line]\"; exit 7")
        .envs([("A", "1"), ("B", "2"), ("A", "3")])
        .current_dir("/usr");
    let (text, status) = output(command);
    assert_eq!(text, "/usr\n32\n[]\n");
    assert_eq!(status.code(), Some(7));

    let (text, _) = output(Command::new("env").stdout(Stream::Pipe).envs([("X", "y")]));
    assert_eq!(text, "X=y\n");
}

#[test]
fn descriptors_are_mapped_even_when_numbers_collide() {
    let (reader_a, writer_a) = crate::pipe::open().unwrap();
    let (reader_b, writer_b) = crate::pipe::open().unwrap();
    File::from(writer_a).write_all(b"a").unwrap();
    File::from(writer_b).write_all(b"b").unwrap();
    use std::os::fd::AsRawFd;
    // Each asks for the number that the other has now.
    let (at_a, at_b) = (reader_b.as_raw_fd(), reader_a.as_raw_fd());
    // Not `<&`, whose number has one digit in some shells.
    // Not `ls`, which has a descriptor of its own; the shell has closed its own by the time it looks.
    let list = "for fd in /proc/self/fd/*; do [ -e $fd ] && echo ${fd##*/}; done";
    let script = format!("cat /proc/self/fd/{at_a} /proc/self/fd/{at_b}; {list}");
    let command = shell(&script)
        .envs([("PATH", "/usr/bin:/bin")])
        .descriptor(reader_a, at_a)
        .descriptor(reader_b, at_b);
    let (text, _) = output(command);
    assert!(text.starts_with("ab"), "{text}");
    // Below there may be what the parent of this process left open for it.
    let is_above = |number: &&str| number.parse::<i32>().unwrap() > at_a.max(at_b);
    assert_eq!(text[2..].lines().filter(is_above).count(), 0, "{text}");
}

#[test]
fn the_step_that_failed_is_named() {
    let error = Command::new("no-such-program").envs([("PATH", "/bin")]).spawn().unwrap_err();
    assert_eq!(error.to_string(), "there is no program no-such-program in PATH (/bin)");
    let plain = std::env::temp_dir().join(format!("ancm-os-plain-{}", std::process::id()));
    std::fs::write(&plain, "no program").unwrap();
    let error = Command::new(&plain).spawn().unwrap_err();
    std::fs::remove_file(&plain).unwrap();
    assert!(matches!(error, SpawnError::Permission { .. }), "{error}");
    let error = shell("true").current_dir("/no/such").spawn().unwrap_err();
    assert_eq!(error.to_string(), "cannot enter the directory /no/such");
    let error = Command::new("/bin/sh").args(["a\0b"]).spawn().unwrap_err();
    assert_eq!(error.to_string(), "an argument contains a NUL character");
}

#[test]
fn the_end_is_told_by_status_and_signal() {
    let mut child = shell("kill -9 $$").spawn().unwrap();
    assert_eq!(child.wait().unwrap().signal(), Some(9));
    assert_eq!(child.wait().unwrap().signal(), Some(9));

    let mut child = shell("sleep 100").envs([("PATH", "/usr/bin:/bin")]).spawn().unwrap();
    assert!(child.try_wait().unwrap().is_none());
    assert!(!child.has_ended());
    child.kill_group(Signal::TERM).unwrap();
    assert_eq!(child.wait().unwrap().signal(), Some(15));
    child.kill(Signal::KILL).unwrap();
}

#[test]
fn the_cpu_time_of_a_child_has_that_of_whom_it_has_waited_for() {
    let mut child = shell("(while :; do :; done)").spawn().unwrap();
    let spinner = || tree::family(&tree::all(), child.pid().number()).pop().unwrap();
    while spinner().cpu_time() < Duration::from_millis(50) {
        std::thread::yield_now();
    }
    assert_eq!(child.cpu_time(), Duration::ZERO);
    spinner().signal(Signal::TERM).unwrap();
    child.wait().unwrap();
    assert!(child.cpu_time() >= Duration::from_millis(50), "{:?}", child.cpu_time());
}

#[test]
fn a_group_ends_with_its_grandchildren() {
    let mut child =
        shell("sleep 100 & echo up; wait").envs([("PATH", "/usr/bin:/bin")]).spawn().unwrap();
    let mut out = File::from(child.stdout.take().unwrap());
    let mut up = [0; 3];
    out.read_exact(&mut up).unwrap();
    child.kill_group(Signal::KILL).unwrap();
    // The pipe ends only when the grandchild is gone too.
    assert_eq!(out.read_to_end(&mut Vec::new()).unwrap(), 0);
    child.wait().unwrap();
}

#[test]
fn signals_begin_unblocked_and_at_their_defaults() {
    crate::signal::ignore_pipe();
    crate::signal::block(&[Signal::TERM]).unwrap();
    let (text, _) =
        output(shell("grep -E 'Sig(Blk|Ign)' /proc/self/status").envs([("PATH", "/usr/bin:/bin")]));
    for line in text.lines() {
        let (_, set) = line.split_once('\t').unwrap();
        // The C library keeps signal 32 and above to itself.
        assert_eq!(u64::from_str_radix(set, 16).unwrap() & 0x7fff_ffff, 0, "{text}");
    }
    assert_eq!(text.lines().count(), 2, "{text}");
}

#[test]
fn parent_death_is_tied_to_the_thread() {
    let spawn = || {
        let command = shell("sleep 100").envs([("PATH", "/usr/bin:/bin")]);
        command.signal_on_parent_death(Signal::KILL).spawn().unwrap()
    };
    let mut child = std::thread::spawn(spawn).join().unwrap();
    assert_eq!(child.wait().unwrap().signal(), Some(9));
    assert!(
        crate::poll::poll(&[(child.as_fd(), crate::poll::Readiness::READ)], None).unwrap()[0]
            .readable
    );
}
