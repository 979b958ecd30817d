use std::{fmt, str::FromStr, sync::Arc};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::schema::Schema;
use crate::names::EventName;

/// The version of a payload's schema. A higher minor only adds; a higher major may change anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Version {
    /// Raised by a change that readers of the version before can't read.
    pub major: u32,
    /// Raised by a change that only adds.
    pub minor: u32,
}

/// A text that is no version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a version: two whole numbers with a dot, such as `1.0`, without leading zeros")]
pub struct VersionError;

/// One version of an event and its payload's schema.
#[derive(Clone, Debug)]
pub struct SchemaVersion {
    /// Which one.
    pub version: Version,
    /// What its payloads obey.
    pub schema: Arc<Schema>,
    /// What one may look like, for those who read the contract.
    pub sample: Option<Arc<str>>,
}

/// An event of a major version that the catalogue does not have.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("version {version} of {event} is not supported; known: {}", listed(.known))]
pub struct UnsupportedVersion {
    /// The event.
    pub event: EventName,
    /// The version that was asked for.
    pub version: Version,
    /// The versions that the catalogue has, ascending.
    pub known: Vec<Version>,
}

fn listed(versions: &[Version]) -> String {
    versions.iter().map(Version::to_string).collect::<Vec<_>>().join(", ")
}

impl FromStr for Version {
    type Err = VersionError;

    fn from_str(text: &str) -> Result<Version, VersionError> {
        let (major, minor) = text.split_once('.').ok_or(VersionError)?;
        Ok(Version { major: number(major)?, minor: number(minor)? })
    }
}

/// One spelling per version, so that two texts are the same version only when they are equal.
fn number(text: &str) -> Result<u32, VersionError> {
    let digits_only = text.bytes().all(|b| b.is_ascii_digit());
    if !digits_only || (text.len() > 1 && text.starts_with('0')) {
        return Err(VersionError);
    }
    text.parse().map_err(|_| VersionError)
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

impl Serialize for Version {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Version {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Version, D::Error> {
        struct Text;
        impl de::Visitor<'_> for Text {
            type Value = Version;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string with a version such as \"1.0\"")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Version, E> {
                text.parse().map_err(E::custom)
            }
        }
        deserializer.deserialize_str(Text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_has_one_spelling() {
        assert_eq!("1.0".parse(), Ok(Version { major: 1, minor: 0 }));
        assert_eq!("12.34".parse::<Version>().unwrap().to_string(), "12.34");
        for text in ["", "1", "1.", ".1", "1.0.0", "01.0", "1.00", "+1.0", "v1.0", "1.4294967296"] {
            assert_eq!(text.parse::<Version>(), Err(VersionError), "{text}");
        }
    }

    #[test]
    fn minors_sort_by_number() {
        assert!("1.9".parse::<Version>().unwrap() < "1.10".parse::<Version>().unwrap());
    }
}
