//! Where to: arithmetic on offsets that somebody else has read.

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// Where a group is to go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// With the first record that is still there.
    Earliest,
    /// Behind the last record.
    Latest,
    /// With the first record at or after a time; behind the last one where there is none.
    At(Timestamp),
    /// With this offset.
    Offset(i64),
    /// So many records before where it is; behind it where they are less than none.
    Back(i64),
}

/// The text is no target.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "want earliest, latest, an offset, -N or +N for N records back or on, or a time such as 2025-06-01T10:30:00Z"
)]
pub struct TargetError;

impl FromStr for Target {
    type Err = TargetError;

    fn from_str(text: &str) -> Result<Self, TargetError> {
        match text {
            "earliest" => Ok(Self::Earliest),
            "latest" => Ok(Self::Latest),
            _ => match (text.parse::<i64>(), text.parse()) {
                (Ok(offset), _) if !text.starts_with(['-', '+']) => Ok(Self::Offset(offset)),
                (Ok(back), _) => back.checked_neg().map(Self::Back).ok_or(TargetError),
                (Err(_), Ok(time)) => Ok(Self::At(time)),
                (Err(_), Err(_)) => Err(TargetError),
            },
        }
    }
}

/// As it is read.
impl fmt::Display for Target {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Earliest => formatter.write_str("earliest"),
            Self::Latest => formatter.write_str("latest"),
            Self::At(time) => time.fmt(formatter),
            Self::Offset(offset) => offset.fmt(formatter),
            Self::Back(records) if *records < 0 => write!(formatter, "+{}", records.unsigned_abs()),
            Self::Back(records) => write!(formatter, "-{records}"),
        }
    }
}

/// The offsets of one partition and of one group in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Known {
    /// What the group has committed.
    pub committed: Option<i64>,
    /// The first offset that is still there.
    pub log_start: i64,
    /// The offset behind the last record.
    pub log_end: i64,
    /// The first offset at or after the time of [`Target::At`]; `None` for others, and where there is no such record.
    pub at: Option<i64>,
}

/// The offset that the group is to commit, never outside of the log. `None` for [`Target::Back`] where the group has
/// committed nothing: it is nowhere, so nothing is before that.
#[must_use]
pub fn offset(target: Target, known: Known) -> Option<i64> {
    let wanted = match target {
        Target::Earliest => known.log_start,
        Target::Latest => known.log_end,
        Target::At(_) => known.at.unwrap_or(known.log_end),
        Target::Offset(offset) => offset,
        Target::Back(records) => known.committed?.saturating_sub(records),
    };
    Some(wanted.clamp(known.log_start, known.log_end.max(known.log_start)))
}

/// What becomes of events when a group goes on from elsewhere.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Effect {
    /// So many that it has settled come again. What its inbox knows of takes no effect again.
    pub again: u64,
    /// So many that it has not settled it passes over.
    pub skipped: u64,
}

/// What becomes of them where the group is to go on with this offset. Without a commit it stands before the first record.
#[must_use]
pub fn effect(known: Known, to: i64) -> Effect {
    let end = known.log_end.max(known.log_start);
    let within = |offset: i64| offset.clamp(known.log_start, end);
    let (from, to) = (within(known.committed.unwrap_or(known.log_start)), within(to));
    let between = |less: i64, more: i64| u64::try_from(more.saturating_sub(less)).unwrap_or(0);
    Effect { again: between(to, from), skipped: between(from, to) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_a_word_an_offset_a_step_back_or_a_time() {
        let parse = |text: &str| text.parse::<Target>();
        assert_eq!(parse("earliest"), Ok(Target::Earliest));
        assert_eq!(parse("latest"), Ok(Target::Latest));
        assert_eq!(parse("17"), Ok(Target::Offset(17)));
        assert_eq!(parse("-17"), Ok(Target::Back(17)));
        assert_eq!(parse("+17"), Ok(Target::Back(-17)));
        let time = "2025-06-01T10:30:00Z";
        assert_eq!(parse(time), Ok(Target::At(time.parse().unwrap())));
        for text in ["", "yesterday", "-9223372036854775808", "1.5"] {
            assert_eq!(parse(text), Err(TargetError), "{text}");
        }
    }

    #[test]
    fn a_target_is_read_as_it_is_shown() {
        for text in ["earliest", "latest", "17", "0", "-17", "+17", "2025-06-01T10:30:00Z"] {
            assert_eq!(text.parse::<Target>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn events_come_again_or_are_passed_over() {
        let known = Known { committed: Some(20), log_start: 10, log_end: 30, at: None };
        let new = Known { committed: None, ..known };
        let lost = Known { committed: Some(4), ..known };
        for (known, to, again, skipped) in [
            (known, 12, 8, 0),
            (known, 30, 0, 10),
            (known, 20, 0, 0),
            (new, 15, 0, 5),
            (lost, 10, 0, 0),
        ] {
            assert_eq!(effect(known, to), Effect { again, skipped }, "{known:?} {to}");
        }
    }

    #[test]
    fn an_offset_stays_inside_of_the_log() {
        let known = Known { committed: Some(20), log_start: 10, log_end: 30, at: Some(25) };
        let at = Target::At(Timestamp::UNIX_EPOCH);
        for (target, expected) in [
            (Target::Earliest, 10),
            (Target::Latest, 30),
            (at, 25),
            (Target::Offset(12), 12),
            (Target::Offset(3), 10),
            (Target::Offset(99), 30),
            (Target::Back(5), 15),
            (Target::Back(15), 10),
            (Target::Back(-100), 30),
        ] {
            assert_eq!(offset(target, known), Some(expected), "{target:?}");
        }
        let new = Known { committed: None, at: None, ..known };
        assert_eq!(offset(Target::Back(1), new), None);
        assert_eq!(offset(at, new), Some(30));
    }
}
