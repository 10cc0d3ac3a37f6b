//! What hostfxr has to say about a failure.
//!
//! hostfxr reports through a callback without user data, one per thread; so the text is collected
//! per thread, between the registration of the callback and its removal.

use std::cell::RefCell;
use std::ffi::{CStr, c_char};

use crate::raw;

/// The first part of a text that is kept, as much as the module keeps.
const MOST_CHARACTERS: usize = 30_000;

thread_local! {
    static COLLECTED: RefCell<String> = const { RefCell::new(String::new()) };
}

/// Runs `call` with hostfxr's errors of this thread going into the returned text.
pub(crate) fn collecting<T>(
    set_error_writer: raw::SetErrorWriter,
    call: impl FnOnce() -> T,
) -> (T, String) {
    COLLECTED.with_borrow_mut(String::clear);
    let restore = Restore {
        set_error_writer,
        // SAFETY: `set_error_writer` is hostfxr's export of that name (its type is established
        // where the library is loaded), and `collect` has the type that it asks for.
        previous: unsafe { set_error_writer(Some(collect)) },
    };
    let result = call();
    drop(restore);
    (result, COLLECTED.with_borrow_mut(std::mem::take).trim_end().to_owned())
}

/// Puts the former writer back, also when the call unwinds.
struct Restore {
    set_error_writer: raw::SetErrorWriter,
    previous: Option<raw::ErrorWriter>,
}

impl Drop for Restore {
    fn drop(&mut self) {
        // SAFETY: as above; the previous writer came from hostfxr itself a moment ago.
        unsafe { (self.set_error_writer)(self.previous) };
    }
}

/// Must not unwind: there are frames of hostfxr above. Nothing here panics, a text that cannot be
/// kept is dropped.
unsafe extern "C" fn collect(message: *const c_char) {
    if message.is_null() {
        return;
    }
    // SAFETY: hostfxr passes a text that ends with NUL and lives until this function returns.
    let message = unsafe { CStr::from_ptr(message) }.to_string_lossy();
    let _ = COLLECTED.try_with(|collected| {
        if let Ok(mut collected) = collected.try_borrow_mut() {
            let room = MOST_CHARACTERS.saturating_sub(collected.len());
            collected.extend(message.chars().take(room));
            collected.push('\n');
        }
    });
}
