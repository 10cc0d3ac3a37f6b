//! What is particular to rings.

use ancm_engine::{Io, Options};

use crate::support::{self, Site};

#[test]
fn this_kernel_gives_a_ring() {
    let site = Site::start(support::echo());
    let refusal = site.engine.ring_refusal();
    assert!(
        refusal.is_none(),
        "io_uring is not permitted here ({refusal:?}); see sysctl \
         kernel.io_uring_disabled, or the seccomp profile of the container"
    );
}

/// As in a container whose seccomp profile forbids io_uring: it is served without, and said.
#[test]
fn where_the_kernel_refuses_a_ring_epoll_does_all() {
    std::thread::spawn(|| {
        refuse_io_uring();
        let site = Site::start(support::echo());
        let refusal = site.engine.ring_refusal().and_then(std::io::Error::raw_os_error);
        assert_eq!(refusal, Some(1), "EPERM is told");
        assert_eq!(site.get("/served").text(), "GET /served");
    })
    .join()
    .unwrap();
}

/// Nobody has to ask for a ring, and who did not is not told that there is none.
#[test]
fn a_ring_is_taken_where_there_is_one() {
    assert_eq!(Options::new(1).io, Io::Auto);
    let before = rings();
    let site = Site::with(support::echo(), 1, |options| options.io = Io::Auto);
    assert_eq!(rings(), before + 1);
    assert_eq!(site.get("/served").text(), "GET /served");
    let site = Site::with(support::echo(), 1, |options| options.io = Io::Epoll);
    assert_eq!(rings(), before + 1);
    assert_eq!(site.get("/served").text(), "GET /served");

    std::thread::spawn(|| {
        refuse_io_uring();
        let site = Site::with(support::echo(), 1, |options| options.io = Io::Auto);
        assert!(site.engine.ring_refusal().is_none());
        assert_eq!(site.get("/served").text(), "GET /served");
    })
    .join()
    .unwrap();
}

/// How many rings this process has open.
fn rings() -> usize {
    let descriptors = std::fs::read_dir("/proc/self/fd").unwrap().flatten();
    let targets = descriptors.filter_map(|entry| std::fs::read_link(entry.path()).ok());
    targets.filter(|target| target.to_string_lossy().contains("io_uring")).count()
}

/// Many requests at once, so that turns have many transfers, and clients that leave among them.
#[test]
fn requests_that_come_together_are_answered_each_by_its_own() {
    let site = Site::with(support::echo(), 1, |_| {});
    let mut clients: Vec<_> = (0..200).map(|_| site.connect()).collect();
    for round in 0..50 {
        for (number, client) in clients.iter_mut().enumerate() {
            client.get(&format!("/{round}/{number}"));
        }
        for (number, client) in clients.iter_mut().enumerate() {
            assert_eq!(client.response().text(), format!("GET /{round}/{number}"));
        }
        // The end of one is among the next round's transfers.
        let mut leaves = clients.swap_remove(round);
        leaves.get("/nobody-hears");
        leaves.reset();
        clients.push(site.connect());
    }
}

/// An answer that is ready does not wait for the call that blocks behind it in the same turn.
#[test]
fn an_answer_does_not_wait_for_a_blocked_one() {
    let door = support::Door::default();
    let (inside, behind) = (support::Door::default(), door.clone());
    let entered = inside.clone();
    let site = Site::with(
        support::Does(move |exchange: &mut ancm_engine::Exchange<'_>| {
            if exchange.request().path() == b"/blocks" {
                entered.open();
                behind.pass();
            }
            support::respond(exchange, 200, "done")
        }),
        1,
        |_| {},
    );
    let mut clients: Vec<_> = (0..8).map(|_| site.connect()).collect();
    let mut blocked = site.connect();
    for client in &mut clients {
        client.get("/");
    }
    blocked.get("/blocks");
    inside.pass();
    for client in &mut clients {
        assert_eq!(client.response().text(), "done");
    }
    door.open();
    assert_eq!(blocked.response().text(), "done");
}

/// A filter of this thread's own, and of those that it starts.
fn refuse_io_uring() {
    #[repr(C)]
    struct Instruction(u16, u8, u8, u32);
    #[repr(C)]
    struct Program {
        len: u16,
        instructions: *const Instruction,
    }
    unsafe extern "C" {
        fn prctl(option: i32, ...) -> i32;
    }
    const IO_URING_SETUP: u32 = 425;
    let instructions = [
        // Load the number of the call; is it ours? If so EPERM, else allow.
        Instruction(0x20, 0, 0, 0),
        Instruction(0x15, 0, 1, IO_URING_SETUP),
        Instruction(0x06, 0, 0, 0x0005_0001),
        Instruction(0x06, 0, 0, 0x7fff_0000),
    ];
    let program = Program { len: 4, instructions: instructions.as_ptr() };
    // SAFETY: the program is alive and of that length; the kernel copies it.
    unsafe {
        assert_eq!(prctl(38, 1_u64, 0_u64, 0_u64, 0_u64), 0, "PR_SET_NO_NEW_PRIVS");
        assert_eq!(prctl(22, 2_u64, &raw const program), 0, "PR_SET_SECCOMP");
    }
}
