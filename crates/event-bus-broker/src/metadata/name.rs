//! Names of topics, as Kafka allows them.

use std::fmt;

/// The longest name, in bytes: Kafka's bound, from the length of file names.
const MAX_NAME_BYTES: usize = 249;

/// Why a name is none. The texts are Kafka's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NameError {
    #[error("Topic name is invalid: the empty string is not allowed")]
    Empty,
    #[error("Topic name is invalid: '{0}' cannot be \".\" or \"..\"")]
    Dots(String),
    #[error(
        "Topic name is invalid: the length of '{0}' is longer than the max allowed length {MAX_NAME_BYTES}"
    )]
    Long(String),
    #[error(
        "Topic name is invalid: '{0}' contains one or more characters other than ASCII alphanumerics, '.', '_' and '-'"
    )]
    Characters(String),
}

/// A topic's name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct TopicName(String);

impl TopicName {
    /// # Errors
    /// When Kafka would not take it either.
    pub fn new(name: &str) -> Result<Self, NameError> {
        let is_allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        match name {
            "" => Err(NameError::Empty),
            "." | ".." => Err(NameError::Dots(name.to_owned())),
            _ if name.len() > MAX_NAME_BYTES => Err(NameError::Long(name.to_owned())),
            _ if !name.chars().all(is_allowed) => Err(NameError::Characters(name.to_owned())),
            _ => Ok(Self(name.to_owned())),
        }
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether metrics could not tell the two apart: Kafka's replace dots by underscores, so it refuses such pairs.
    pub fn collides_with(&self, other: &str) -> bool {
        self.0 != other && self.0.replace('.', "_") == other.replace('.', "_")
    }
}

impl fmt::Display for TopicName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_that_kafka_takes() {
        for name in ["a", "brand.catalog-updated", "_x", "...", &"a".repeat(249)] {
            assert_eq!(TopicName::new(name).unwrap().as_str(), name);
        }
        for name in ["", ".", "..", "a b", "a/b", "é", "a\0", &"a".repeat(250)] {
            assert!(TopicName::new(name).is_err(), "{name:?}");
        }
    }

    #[test]
    fn dots_and_underscores_collide() {
        let name = TopicName::new("a.b_c").unwrap();
        assert!(name.collides_with("a_b.c") && name.collides_with("a_b_c"));
        assert!(!name.collides_with("a.b_c") && !name.collides_with("a-b_c"));
    }
}
