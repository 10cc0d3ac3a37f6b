//! Request target to path base, path and query.

use super::reject::{Cause, Reject};

/// A request target, taken apart. Slices of the target itself or of the scratch space.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Target<'a> {
    /// The application's own part of the path, in the client's spelling; empty at the root or if
    /// the path is outside.
    pub path_base: &'a [u8],
    /// The rest, decoded; valid UTF-8.
    pub path: &'a [u8],
    /// Query with its `?`, as received; empty if there is none.
    pub query: &'a [u8],
}

impl Target<'_> {
    /// What CONNECT has, and `OPTIONS *`.
    pub const EMPTY: Target<'static> = Target { path_base: b"", path: b"", query: b"" };
}

/// Takes a target in origin, absolute or asterisk form apart. `base` is the application's virtual
/// path, empty or like `/app`; `scratch` is overwritten.
pub fn split<'a>(
    target: &'a [u8],
    base: &[u8],
    scratch: &'a mut Vec<u8>,
) -> Result<Target<'a>, Reject> {
    scratch.clear();
    let _ = base;
    if target == b"*" {
        return Ok(Target::EMPTY);
    }
    Err(Cause::TargetForm.into())
}
