//! Where the frames of a WebSocket end: what following them finds, in pieces, beside a second reading.

use engine::websocket::{Follower, Place};

/// The first byte says how the others are cut.
pub fn frames(data: &[u8]) {
    let Some((cut, stream)) = data.split_first() else { return };
    let mut follower = Follower::default();
    let (mut rest, mut seed) = (stream, *cut);
    let mut seen = 0;
    while !rest.is_empty() {
        let (piece, behind) = rest.split_at(usize::from(seed % 17).min(rest.len()));
        follower.follow(piece);
        seen += piece.len();
        assert_eq!(follower.place(), read(&stream[..seen]), "{seen} of {stream:x?}");
        (rest, seed) = (behind, seed.wrapping_mul(5).wrapping_add(7));
    }
}

/// Reads whole frames from the start.
fn read(mut bytes: &[u8]) -> Place {
    loop {
        let [first, second, more @ ..] = bytes else {
            return if bytes.is_empty() { Place::Between } else { Place::Within };
        };
        let size = match second & 127 {
            126 => 2,
            127 => 8,
            _ => 0,
        };
        let is_masked = second & 128 != 0;
        let Some((size, more)) = more.split_at_checked(if is_masked { 0 } else { size }) else {
            return Place::Within;
        };
        let length = match size {
            [] => u64::from(second & 127),
            _ => size.iter().fold(0, |all, byte| all * 256 + u64::from(*byte)),
        };
        let (opcode, is_control, is_last) = (first & 15, first & 8 != 0, first & 128 != 0);
        let is_known = matches!(opcode, 0..=2 | 8..=10);
        if is_masked
            || !is_known
            || length >= 1 << 63
            || (is_control && (!size.is_empty() || !is_last))
        {
            return Place::Lost;
        }
        let Some(behind) = usize::try_from(length).ok().and_then(|length| more.get(length..))
        else {
            return Place::Within;
        };
        if opcode == 8 {
            return Place::Closed;
        }
        bytes = behind;
    }
}
