//! Response heads as handlers encode them ([`abi::head`]).

use super::response::BadHead;

/// Encodes a head as a handler would, replacing what `out` holds: for the host's own pages and for
/// answers of a backend. An empty `reason` takes the standard one. A backend's
/// `Transfer-Encoding` must stay behind: among the fields it says that the body still has its
/// chunks. What the layout's lengths cannot
/// carry (a name or reason of 64 KiB) is cut or left out; [`Limits`](super::request::Limits) keep
/// it from happening.
pub fn encode_head<'f>(
    status: u16,
    reason: impl AsRef<[u8]>,
    content_length: Option<u64>,
    fields: impl Iterator<Item = (&'f [u8], &'f [u8])>,
    out: &mut Vec<u8>,
) {
    out.clear();
    let reason = Some(reason.as_ref()).filter(|reason| u16::try_from(reason.len()).is_ok());
    let reason = reason.unwrap_or_default();
    let length = content_length.and_then(|length| i64::try_from(length).ok()).unwrap_or(-1);
    out.extend_from_slice(&status.to_le_bytes());
    out.extend_from_slice(&[0; 2]);
    out.extend_from_slice(&(reason.len() as u16).to_le_bytes());
    out.extend_from_slice(&[0; 2]);
    out.extend_from_slice(&length.to_le_bytes());
    out.extend_from_slice(reason);
    let mut count = 0u16;
    for (name, value) in fields.take(usize::from(u16::MAX)) {
        let (Ok(name_len), Ok(value_len)) = (u16::try_from(name.len()), u32::try_from(value.len()))
        else {
            continue;
        };
        out.extend_from_slice(&name_len.to_le_bytes());
        out.extend_from_slice(&value_len.to_le_bytes());
        out.extend_from_slice(name);
        out.extend_from_slice(value);
        count += 1;
    }
    out[abi::head::COUNT..abi::head::COUNT + 2].copy_from_slice(&count.to_le_bytes());
}

/// Cursor over an encoded head.
#[derive(Clone, Copy)]
pub(super) struct Input<'e>(pub(super) &'e [u8]);

impl<'e> Input<'e> {
    #[inline]
    pub(super) fn bytes(&mut self, len: usize) -> Result<&'e [u8], BadHead> {
        let (bytes, rest) = self.0.split_at_checked(len).ok_or(BadHead::Encoding)?;
        self.0 = rest;
        Ok(bytes)
    }

    #[inline]
    fn array<const N: usize>(&mut self) -> Result<[u8; N], BadHead> {
        let (bytes, rest) = self.0.split_first_chunk().ok_or(BadHead::Encoding)?;
        self.0 = rest;
        Ok(*bytes)
    }

    pub(super) fn u16(&mut self) -> Result<u16, BadHead> {
        self.array().map(u16::from_le_bytes)
    }

    pub(super) fn u32(&mut self) -> Result<u32, BadHead> {
        self.array().map(u32::from_le_bytes)
    }

    pub(super) fn i64(&mut self) -> Result<i64, BadHead> {
        self.array().map(i64::from_le_bytes)
    }
}

/// Name and value.
type Field<'e> = (&'e [u8], &'e [u8]);

/// The fields of a head that are still to be read.
#[derive(Clone, Copy)]
pub(super) struct Fields<'e> {
    pub(super) input: Input<'e>,
    pub(super) left: u16,
}

impl<'e> Fields<'e> {
    #[inline]
    pub(super) fn next(&mut self) -> Result<Option<Field<'e>>, BadHead> {
        let Some(left) = self.left.checked_sub(1) else { return Ok(None) };
        self.left = left;
        let name_len = usize::from(self.input.u16()?);
        let value_len = usize::try_from(self.input.u32()?).map_err(|_| BadHead::Encoding)?;
        Ok(Some((self.input.bytes(name_len)?, self.input.bytes(value_len)?)))
    }
}

// The cursor above reads the fixed part in order.
const _: () = {
    use abi::head::{CONTENT_LENGTH, COUNT, FIELD_SIZE, FLAGS, REASON, SIZE, STATUS};
    assert!(STATUS == 0 && COUNT == 2 && REASON == 4 && FLAGS == 6);
    assert!(CONTENT_LENGTH == 8 && SIZE == 16 && FIELD_SIZE == 6);
};
