//! Dates of header fields (RFC 9110 5.6.7).

const DAYS: [&[u8; 3]; 7] = [b"Thu", b"Fri", b"Sat", b"Sun", b"Mon", b"Tue", b"Wed"];
const MONTHS: [&[u8; 3]; 12] = [
    b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec",
];
/// 9999-12-31T23:59:59Z: years have four digits.
const LAST: u64 = 253_402_300_799;

/// Writes seconds since 1970 as IMF-fixdate.
pub fn format(unix_seconds: u64, out: &mut [u8; 29]) {
    let seconds = unix_seconds.min(LAST);
    let days = seconds / 86_400;
    let of_day = seconds % 86_400;
    // Civil date from days (Hinnant), eras of 400 years that begin on 1 March.
    let shifted = days + 719_468;
    let era = shifted / 146_097;
    let of_era = shifted % 146_097;
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march_month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * march_month + 2) / 5 + 1;
    let month = if march_month < 10 { march_month + 2 } else { march_month - 10 };
    let year = year_of_era + era * 400 + u64::from(month < 2);

    *out = *b"ddd, DD mmm YYYY HH:MM:SS GMT";
    out[0..3].copy_from_slice(DAYS[(days % 7) as usize]);
    out[8..11].copy_from_slice(MONTHS[month as usize]);
    for (at, number) in [
        (5, day),
        (12, year / 100),
        (14, year % 100),
        (17, of_day / 3600),
        (20, of_day / 60 % 60),
        (23, of_day % 60),
    ] {
        out[at] = b'0' + (number / 10) as u8;
        out[at + 1] = b'0' + (number % 10) as u8;
    }
}
