//! Zones as timestamps name them: offsets, abbreviations, IANA names.

use jiff::civil::DateTime;
use jiff::tz::{Offset, TimeZone};

/// A zone that stands in a timestamp.
#[derive(Clone, Debug)]
pub(super) enum Zone {
    /// `Z`, `+02:00`, `GMT+2`.
    Fixed(Offset),
    /// `Europe/Berlin`.
    Named(TimeZone),
    /// `CST`: the letters, and what they mean in practice.
    Abbreviation([u8; MAX_ABBREVIATION], Offset),
}

/// Letters of the longest abbreviation.
pub(super) const MAX_ABBREVIATION: usize = 5;

impl Zone {
    /// The offset of a local time. An abbreviation that `assumed`, the zone of the user's choice, has at that time is
    /// that zone's: `CST` is China's with `--log-tz Asia/Shanghai`.
    pub(super) fn offset(&self, local: DateTime, assumed: &TimeZone) -> Option<Offset> {
        match self {
            Self::Fixed(offset) => Some(*offset),
            Self::Named(zone) => Some(zone.to_offset(zone.to_ambiguous_timestamp(local).compatible().ok()?)),
            Self::Abbreviation(letters, usual) => {
                let ambiguous = || assumed.to_ambiguous_timestamp(local);
                let own = [ambiguous().earlier(), ambiguous().later()].into_iter().flatten().find_map(|at| {
                    let info = assumed.to_offset_info(at);
                    let same = info.abbreviation().as_bytes() == trimmed(letters);
                    same.then(|| info.offset())
                });
                Some(own.unwrap_or(*usual))
            }
        }
    }
}

fn trimmed(letters: &[u8; MAX_ABBREVIATION]) -> &[u8] {
    let end = letters.iter().position(|letter| *letter == 0).unwrap_or(letters.len());
    &letters[..end]
}

/// An abbreviation, with the offset that it means in practice: where several places share one, the one whose logs are
/// met most.
pub(super) fn abbreviation(letters: &[u8]) -> Option<Zone> {
    // What follows a time is mostly a level.
    let is = |name: &str| name.as_bytes().first() == letters.first() && name.as_bytes() == letters;
    let minutes = MINUTES.iter().find(|(name, _)| is(name)).map(|(_, minutes)| *minutes)?;
    let mut kept = [0; MAX_ABBREVIATION];
    kept.get_mut(..letters.len())?.copy_from_slice(letters);
    Some(Zone::Abbreviation(kept, Offset::from_seconds(minutes * 60).ok()?))
}

/// Minutes east of Greenwich. `MEZ` and `MESZ` are what German systems print for CET and CEST.
const MINUTES: &[(&str, i32)] = &[
    ("PST", -480),
    ("PDT", -420),
    ("MST", -420),
    ("MDT", -360),
    ("CST", -360),
    ("CDT", -300),
    ("EST", -300),
    ("EDT", -240),
    ("AST", -240),
    ("ADT", -180),
    ("AKST", -540),
    ("AKDT", -480),
    ("HST", -600),
    ("BRT", -180),
    ("ART", -180),
    ("WET", 0),
    ("WEST", 60),
    ("BST", 60),
    ("CET", 60),
    ("MEZ", 60),
    ("WAT", 60),
    ("CEST", 120),
    ("MESZ", 120),
    ("EET", 120),
    ("SAST", 120),
    ("CAT", 120),
    ("EEST", 180),
    ("MSK", 180),
    ("EAT", 180),
    ("TRT", 180),
    ("GST", 240),
    ("PKT", 300),
    ("IST", 330),
    ("WIB", 420),
    ("ICT", 420),
    ("SGT", 480),
    ("HKT", 480),
    ("AWST", 480),
    ("KST", 540),
    ("JST", 540),
    ("ACST", 570),
    ("AEST", 600),
    ("ACDT", 630),
    ("AEDT", 660),
    ("NZST", 720),
    ("NZDT", 780),
];
