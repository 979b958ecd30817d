//! Where to: arithmetic on offsets that somebody else has read.

use std::str::FromStr;

use jiff::Timestamp;

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
    /// So many records before where it is.
    Back(i64),
}

/// The text is no target.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "want earliest, latest, an offset, -N for N records back, or a time such as 2025-06-01T10:30:00Z"
)]
pub struct TargetError;

impl FromStr for Target {
    type Err = TargetError;

    fn from_str(text: &str) -> Result<Self, TargetError> {
        match text {
            "earliest" => Ok(Self::Earliest),
            "latest" => Ok(Self::Latest),
            _ => match (text.parse::<i64>(), text.parse()) {
                (Ok(offset), _) if offset >= 0 && !text.starts_with('-') => {
                    Ok(Self::Offset(offset))
                }
                (Ok(back), _) => back.checked_neg().map(Self::Back).ok_or(TargetError),
                (Err(_), Ok(time)) => Ok(Self::At(time)),
                (Err(_), Err(_)) => Err(TargetError),
            },
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
        let time = "2025-06-01T10:30:00Z";
        assert_eq!(parse(time), Ok(Target::At(time.parse().unwrap())));
        for text in ["", "yesterday", "-9223372036854775808", "1.5"] {
            assert_eq!(parse(text), Err(TargetError), "{text}");
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
