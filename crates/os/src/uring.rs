//! Many transfers in one system call: a batch of receives and sends through io_uring.
//!
//! Nothing is in flight when a call returns. Every transfer is told not to wait, so the kernel does
//! it, or says that it would block, while it takes it; readiness stays with [`crate::epoll`]. So
//! buffers are borrowed for one call, a connection can be closed at any time, and a ring may be used
//! by whichever thread has it. What a ring that receives by itself would give beyond this, and what
//! it would cost, is in `docs/decisions/0006-io-uring-as-batches.md`.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd};

use io_uring::{IoUring, opcode, squeue, types};

use crate::socket::{Socket, Transfer};

/// Most transfers of one call.
pub const MOST: usize = 64;

/// One transfer.
#[derive(Debug)]
pub enum Operation<'a> {
    /// As [`Socket::receive_uninit`].
    Receive(&'a Socket, &'a mut [MaybeUninit<u8>]),
    /// As [`Socket::send`].
    Send(&'a Socket, &'a [u8]),
}

/// A ring of a lane.
pub struct Batches {
    /// `None` once the kernel has refused what it promised.
    ring: Option<IoUring>,
}

impl Batches {
    /// Asks the kernel for a ring.
    ///
    /// # Errors
    /// The kernel has none (`ENOSYS`), forbids it (`EPERM`), lacks the operations (`EOPNOTSUPP`), or
    /// is out of memory or descriptors.
    pub fn new() -> io::Result<Self> {
        // When a ring is closed, the kernel interrupts the system calls of the threads that have
        // used it, and of the one that made it. The caller has no part in it, so a thread that ends
        // right away makes it.
        let maker = std::thread::Builder::new().name("ancm-ring".into()).spawn(Self::make)?;
        maker.join().unwrap_or_else(|_| Err(io::Error::other("no ring was made")))
    }

    fn make() -> io::Result<Self> {
        let ring = IoUring::new(MOST as u32)?;
        let mut probe = io_uring::Probe::new();
        ring.submitter().register_probe(&mut probe)?;
        let has_all =
            probe.is_supported(opcode::Recv::CODE) && probe.is_supported(opcode::Send::CODE);
        if !has_all {
            return Err(io::Error::from_raw_os_error(libc::EOPNOTSUPP));
        }
        Ok(Self { ring: Some(ring) })
    }

    /// Does the first [`MOST`] of the transfers, each with a number; `on_outcome` gets number and
    /// outcome of those that were done. One that is not among them was not tried: there were too
    /// many, or the kernel has refused what it promised.
    pub fn run<'a>(
        &mut self,
        operations: impl Iterator<Item = (usize, Operation<'a>)>,
        on_outcome: impl FnMut(usize, io::Result<Transfer>),
    ) {
        // Away while it has entries: a panic of the caller's must not leave any for the next call.
        let Some(mut ring) = self.ring.take() else { return };
        if run_all(&mut ring, operations.take(MOST), on_outcome) {
            self.ring = Some(ring);
        }
    }
}

/// Returns with nothing in flight. `false`: the ring is of no more use.
fn run_all<'a>(
    ring: &mut IoUring,
    operations: impl Iterator<Item = (usize, Operation<'a>)>,
    mut on_outcome: impl FnMut(usize, io::Result<Transfer>),
) -> bool {
    let mut all = 0;
    for (number, operation) in operations {
        let entry = entry(operation).user_data(number as u64);
        // SAFETY: descriptors and buffers are borrowed for `'a`, which lasts until this function has
        // returned, and it returns only when the kernel has completed, or has never seen, each of
        // the entries.
        if unsafe { ring.submission().push(&entry) }.is_err() {
            // A ring of `MOST` entries that is empty between calls has room. What it has taken is
            // not submitted, and goes with it.
            return false;
        }
        all += 1;
    }
    let mut completed = 0;
    while completed < all {
        let result = ring.submit_and_wait(all - completed);
        let unseen = ring.submission().len();
        for completion in ring.completion() {
            let number = completion.user_data() as usize;
            completed += 1;
            on_outcome(number, outcome(completion.result()));
        }
        if let Err(error) = result {
            let passing =
                matches!(error.raw_os_error(), Some(libc::EINTR | libc::EAGAIN | libc::EBUSY));
            // What the kernel has taken must complete first; it does so on its own.
            if !passing && completed + unseen >= all {
                return false;
            }
        }
    }
    true
}

fn entry(operation: Operation<'_>) -> squeue::Entry {
    let len = |len: usize| u32::try_from(len).unwrap_or(u32::MAX);
    match operation {
        Operation::Receive(socket, into) => opcode::Recv::new(
            types::Fd(socket.as_fd().as_raw_fd()),
            into.as_mut_ptr().cast(),
            len(into.len()),
        )
        .flags(libc::MSG_DONTWAIT)
        .build(),
        Operation::Send(socket, bytes) => opcode::Send::new(
            types::Fd(socket.as_fd().as_raw_fd()),
            bytes.as_ptr(),
            len(bytes.len()),
        )
        .flags(libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL)
        .build(),
    }
}

fn outcome(result: i32) -> io::Result<Transfer> {
    match usize::try_from(result) {
        Ok(count) => Ok(Transfer::Bytes(count)),
        Err(_) if matches!(-result, libc::EAGAIN | libc::EINTR) => Ok(Transfer::WouldBlock),
        Err(_) => Err(io::Error::from_raw_os_error(-result)),
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::os::unix::net::UnixStream;

    use super::*;

    fn pair() -> (Socket, UnixStream) {
        let (ours, theirs) = UnixStream::pair().unwrap();
        ours.set_nonblocking(true).unwrap();
        (Socket::from_fd(ours.into()), theirs)
    }

    fn outcomes<'a>(
        batches: &mut Batches,
        operations: impl IntoIterator<Item = Operation<'a>>,
    ) -> Vec<String> {
        let operations: Vec<_> = operations.into_iter().enumerate().collect();
        let mut all = vec![String::new(); operations.len()];
        batches.run(operations.into_iter(), |index, outcome| {
            assert!(all[index].is_empty(), "two outcomes of one transfer");
            all[index] = match outcome {
                Ok(transfer) => format!("{transfer:?}"),
                Err(error) => format!("{:?}", error.kind()),
            };
        });
        all
    }

    /// Every outcome at once: bytes, nothing yet, the end, a peer that is gone, a full socket.
    fn a_batch_has_the_outcomes_of_plain_calls(mut batches: Batches) {
        let (first, mut with_bytes) = pair();
        let (second, _silent) = pair();
        let (third, ended) = pair();
        drop(ended);
        let (fourth, gone) = pair();
        drop(gone);
        let (full, _never_reads) = pair();
        while full.send(&[0; 65_536]).unwrap() != Transfer::WouldBlock {}
        let (sixth, mut reads) = pair();
        with_bytes.write_all(b"hello").unwrap();
        let mut into = [[MaybeUninit::uninit(); 16]; 3];
        let [a, b, c] = &mut into;
        let operations = [
            Operation::Receive(&first, a),
            Operation::Receive(&second, b),
            Operation::Receive(&third, c),
            Operation::Send(&fourth, b"lost"),
            Operation::Send(&full, b"no room"),
            Operation::Send(&sixth, b"arrives"),
        ];
        let all = outcomes(&mut batches, operations);
        assert_eq!(
            all,
            ["Bytes(5)", "WouldBlock", "Bytes(0)", "BrokenPipe", "WouldBlock", "Bytes(7)"]
        );
        // SAFETY: five bytes were received.
        let text: Vec<u8> = into[0][..5].iter().map(|byte| unsafe { byte.assume_init() }).collect();
        assert_eq!(text, b"hello");
        let mut arrived = [0; 7];
        reads.read_exact(&mut arrived).unwrap();
        assert_eq!(&arrived, b"arrives");
    }

    #[test]
    fn a_batch_is_a_batch_of_plain_calls() {
        match Batches::new() {
            Ok(batches) => a_batch_has_the_outcomes_of_plain_calls(batches),
            Err(error) => println!("not tried: this kernel has no io_uring for us ({error})"),
        }
    }

    #[test]
    fn what_is_too_much_or_has_no_ring_is_not_tried() {
        let (ours, mut theirs) = pair();
        let sends = || (0..=MOST).map(|_| Operation::Send(&ours, b"a"));
        if let Ok(mut batches) = Batches::new() {
            let all = outcomes(&mut batches, sends());
            assert_eq!(all.iter().filter(|it| *it == "Bytes(1)").count(), MOST);
            assert_eq!(all[MOST], "");
        }
        theirs.set_nonblocking(true).unwrap();
        let mut arrived = Vec::new();
        let _ = theirs.read_to_end(&mut arrived);
        let none = outcomes(&mut Batches { ring: None }, sends());
        assert!(none.iter().all(String::is_empty));
        assert!(theirs.read(&mut [0; 1]).is_err(), "nothing was sent");
    }

    #[test]
    fn a_panic_leaves_nothing_for_the_next_batch() {
        let Ok(mut batches) = Batches::new() else { return };
        let (ours, _theirs) = pair();
        let all = (0..3).map(|number| {
            assert!(number < 2, "as a caller might");
            (number, Operation::Send(&ours, b"a"))
        });
        let call = std::panic::AssertUnwindSafe(|| batches.run(all, |_, _| ()));
        assert!(std::panic::catch_unwind(call).is_err());
        assert!(batches.ring.is_none());
    }

    #[test]
    fn the_end_of_a_ring_interrupts_nobody_else() {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        theirs.set_read_timeout(Some(std::time::Duration::from_secs(20))).unwrap();
        for _ in 0..20 {
            let Ok(mut batches) = Batches::new() else { return };
            let user = std::thread::spawn({
                let socket = Socket::from_fd(ours.try_clone().unwrap().into());
                move || {
                    let first = Operation::Send(&socket, b"a");
                    outcomes(&mut batches, [first, Operation::Send(&socket, b"b")])
                }
            });
            // The second of these waits while the ring is closed.
            let mut byte = [0; 1];
            theirs.read_exact(&mut byte).unwrap();
            theirs.read_exact(&mut byte).unwrap();
            let waits = std::thread::spawn({
                let mut ours = ours.try_clone().unwrap();
                move || {
                    user.join().unwrap();
                    ours.write_all(b"c")
                }
            });
            // `read`, since `read_exact` hides an interruption.
            assert_eq!(theirs.read(&mut byte).unwrap(), 1);
            waits.join().unwrap().unwrap();
        }
    }

    #[test]
    fn a_ring_serves_full_batches_again_and_again() {
        let Ok(mut batches) = Batches::new() else { return };
        let pairs: Vec<_> = (0..MOST).map(|_| pair()).collect();
        for round in 0..100_u8 {
            let bytes = [round; 3];
            let sends = pairs.iter().map(|(ours, _)| Operation::Send(ours, &bytes));
            assert!(outcomes(&mut batches, sends).iter().all(|it| it == "Bytes(3)"));
            for (_, theirs) in &pairs {
                let mut got = [0; 3];
                (&*theirs).read_exact(&mut got).unwrap();
                assert_eq!(got, bytes);
            }
        }
    }

    /// As in a container whose seccomp profile forbids it. Filters are a thread's own.
    #[test]
    fn a_refusal_by_the_kernel_is_an_error_that_says_so() {
        let refused = std::thread::spawn(|| {
            refuse_io_uring();
            Batches::new().err().and_then(|error| error.raw_os_error())
        });
        assert_eq!(refused.join().unwrap(), Some(libc::EPERM));
    }

    fn refuse_io_uring() {
        let step = |code: u32, jt, jf, k| libc::sock_filter { code: code as u16, jt, jf, k };
        let mut program = [
            step(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0, 0),
            step(
                libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K,
                0,
                1,
                libc::SYS_io_uring_setup as u32,
            ),
            step(libc::BPF_RET | libc::BPF_K, 0, 0, libc::SECCOMP_RET_ERRNO | libc::EPERM as u32),
            step(libc::BPF_RET | libc::BPF_K, 0, 0, libc::SECCOMP_RET_ALLOW),
        ];
        let filter = libc::sock_fprog { len: program.len() as u16, filter: program.as_mut_ptr() };
        // SAFETY: the filter points to a live program of its length; the kernel copies it.
        unsafe {
            assert_eq!(libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
            let mode = libc::SECCOMP_MODE_FILTER;
            assert_eq!(libc::prctl(libc::PR_SET_SECCOMP, mode, &raw const filter), 0);
        }
    }
}
