//! Kinds of configuration values and what is one of them.

use std::fmt;
use std::str::FromStr;

/// What a value may be.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Kind {
    Boolean,
    Int {
        min: i32,
        max: i32,
    },
    Long {
        min: i64,
    },
    /// From 0 to 1.
    Ratio,
    /// One of these.
    OneOf(&'static [&'static str]),
    /// Any of these, separated by commas.
    SomeOf(&'static [&'static str]),
    /// Anything, separated by commas.
    List,
    /// Any text. Only the broker's own settings are.
    Text,
}

/// Why a value is none of its kind.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ValueError {
    #[error("Expected value to be either true or false")]
    Boolean,
    #[error("Not a number of type {0}")]
    Number(&'static str),
    #[error("Value must be at least {0}")]
    Low(i64),
    #[error("Value must be no more than {0}")]
    High(i64),
    #[error("Value must be between 0 and 1")]
    Ratio,
    #[error("String must be one of: {}", .0.join(", "))]
    OneOf(&'static [&'static str]),
}

impl Kind {
    /// Checks a value. Blanks around it don't count.
    ///
    /// # Errors
    /// When it is none of this kind.
    pub fn check(self, value: &str) -> Result<(), ValueError> {
        let value = value.trim();
        match self {
            Self::Boolean => {
                let is_boolean = ["true", "false"].iter().any(|b| value.eq_ignore_ascii_case(b));
                if is_boolean { Ok(()) } else { Err(ValueError::Boolean) }
            }
            Self::Int { min, max } => {
                let number = number::<i32>(value, "INT")?;
                in_range(number.into(), min.into(), max.into())
            }
            Self::Long { min } => in_range(number(value, "LONG")?, min, i64::MAX),
            Self::Ratio => match number::<f64>(value, "DOUBLE")? {
                ratio if (0.0..=1.0).contains(&ratio) => Ok(()),
                _ => Err(ValueError::Ratio),
            },
            Self::OneOf(allowed) if allowed.contains(&value) => Ok(()),
            Self::SomeOf(allowed) if entries(value).all(|entry| allowed.contains(&entry)) => Ok(()),
            Self::OneOf(allowed) | Self::SomeOf(allowed) => Err(ValueError::OneOf(allowed)),
            Self::List | Self::Text => Ok(()),
        }
    }

    /// Whether it is a list, which can be added to and taken from.
    pub fn is_list(self) -> bool {
        matches!(self, Self::SomeOf(_) | Self::List)
    }

    /// The protocol's number for it.
    pub fn number(self) -> i8 {
        match self {
            Self::Boolean => 1,
            Self::OneOf(_) | Self::Text => 2,
            Self::Int { .. } => 3,
            Self::Long { .. } => 5,
            Self::Ratio => 6,
            Self::SomeOf(_) | Self::List => 7,
        }
    }
}

/// The entries of a list.
pub(crate) fn entries(list: &str) -> impl Iterator<Item = &str> {
    list.split(',').map(str::trim).filter(|entry| !entry.is_empty())
}

fn number<N: FromStr>(value: &str, name: &'static str) -> Result<N, ValueError> {
    value.parse().map_err(|_| ValueError::Number(name))
}

fn in_range(number: i64, min: i64, max: i64) -> Result<(), ValueError> {
    match number {
        _ if number < min => Err(ValueError::Low(min)),
        _ if number > max => Err(ValueError::High(max)),
        _ => Ok(()),
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Boolean => "BOOLEAN",
            Self::OneOf(_) | Self::Text => "STRING",
            Self::Int { .. } => "INT",
            Self::Long { .. } => "LONG",
            Self::Ratio => "DOUBLE",
            Self::SomeOf(_) | Self::List => "LIST",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_checked_by_kind_and_range() {
        let int = Kind::Int { min: 1, max: 9 };
        for (kind, good, bad) in [
            (Kind::Boolean, "TRUE", "yes"),
            (int, " 9 ", "10"),
            (int, "1", "0"),
            (int, "1", "1.0"),
            (Kind::Long { min: -1 }, "-1", "-2"),
            (Kind::Long { min: -1 }, "9223372036854775807", "9223372036854775808"),
            (Kind::Ratio, "0.5", "1.1"),
            (Kind::Ratio, "1", "NaN"),
            (Kind::OneOf(&["a", "b"]), "b", "c"),
            (Kind::SomeOf(&["a", "b"]), "b, a", "a,c"),
        ] {
            assert_eq!(kind.check(good), Ok(()), "{kind} {good}");
            assert!(kind.check(bad).is_err(), "{kind} {bad}");
        }
    }
}
