//! The functions that a loadable handler may call, for the host's table of the contract.
//! One line each through the slot; callable from any thread; none blocks or panics.

use std::sync::atomic::{AtomicU64, Ordering, fence};

use abi::{Block, progress, read, waiting};

use crate::exchange::{Slot, SlotRef};
use crate::ring::End;

/// `notify` of [`abi::Host`].
///
/// # Safety
/// `exchange` must come from the engine, and the caller must have changed its `signal` to 1.
pub unsafe extern "C" fn notify(exchange: *mut abi::Exchange) {
    let slot = exchange.cast::<Slot>();
    // SAFETY: exchanges handed out are slots, which are never freed.
    unsafe { (*slot).home.post(slot) };
}

/// `grow` of [`abi::Host`].
///
/// # Safety
/// `exchange` must be live and the caller its only writer.
pub unsafe extern "C" fn grow(exchange: *mut abi::Exchange, min: u32) -> *mut Block {
    // SAFETY: exchanges handed out are slots.
    unsafe { SlotRef::from_abi(exchange) }.grow(min)
}

/// `grow_head` of [`abi::Host`].
///
/// # Safety
/// `exchange` must be live, its head unpublished, and the caller its only writer.
pub unsafe extern "C" fn grow_head(exchange: *mut abi::Exchange, min: u32) -> *mut u8 {
    // SAFETY: exchanges handed out are slots.
    unsafe { SlotRef::from_abi(exchange) }.grow_head(min)
}

/// `read` of [`abi::Host`].
///
/// # Safety
/// `exchange` must come from the engine, `into` be writable for `len` bytes, and there must be
/// one reader at a time.
pub unsafe extern "C" fn read(
    exchange: *mut abi::Exchange,
    id: u64,
    into: *mut u8,
    len: u32,
) -> i64 {
    let slot = exchange.cast::<Slot>();
    // SAFETY: slots are never freed; the id is an aligned u64 that only ever is replaced whole.
    let current = unsafe { AtomicU64::from_ptr(&raw mut (*slot).shared.id) };
    if current.load(Ordering::Relaxed) != id {
        return read::STALE;
    }
    // SAFETY: slots are never freed, and these parts are for use by several threads.
    let (shared, ring) = unsafe { (&(*slot).shared, &(*slot).ring) };
    // SAFETY: the caller's promise.
    let tell = || unsafe { SlotRef::from_abi(exchange) }.tell_lane();
    let mut wished = false;
    loop {
        // SAFETY: the caller's promise about `into` and about being alone.
        let (count, resume) = unsafe { ring.pop(into, len as usize) };
        if resume {
            tell();
        }
        if count > 0 {
            return count as i64;
        }
        match ring.end() {
            // The end is published after the last bytes; look once more for them.
            End::Open => {}
            // SAFETY: as above.
            end => match unsafe { ring.pop(into, len as usize) } {
                (0, _) => {
                    return match end {
                        End::Disconnected => read::DISCONNECTED,
                        End::Malformed => read::MALFORMED,
                        End::TooSlow => read::TOO_SLOW,
                        End::Open | End::Complete => read::END,
                    };
                }
                (count, _) => return count as i64,
            },
        }
        if wished {
            return read::WOULD_BLOCK;
        }
        // The wish first, then one more look: bytes that came in between are found, bytes that
        // come later find the wish. An event that then comes for nothing is allowed.
        ring.begin_wait();
        shared.waiting.fetch_or(waiting::BODY, Ordering::SeqCst);
        fence(Ordering::SeqCst);
        if shared.progress.fetch_or(progress::READING, Ordering::SeqCst) & progress::READING == 0 {
            tell();
        }
        wished = true;
    }
}
