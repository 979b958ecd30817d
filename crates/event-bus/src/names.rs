//! Every name of the bus: what it may look like, and how one follows from another.
//!
//! Names are checked when they are made, so a value of one of these types is valid. Topics, dead
//! letter topics and groups are derived here and nowhere else. The parts are limited in length such
//! that no derived name can exceed Kafka's 249 characters; deriving therefore never fails.

mod event_id;
mod idempotency_key;

use std::{fmt, str::FromStr, sync::Arc};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

pub use event_id::{CONTRACT_ID_NAMESPACE, EventId, EventIdError, derived_id};
pub use idempotency_key::IdempotencyKey;

/// The longest topic name that Kafka takes, in characters. Groups are held to it too.
pub const KAFKA_NAME_CHARS_MAX: usize = 249;
/// What a dead letter topic's name adds to its topic's.
pub const DLT_SUFFIX: &str = ".dlq";
/// The domain of the bus's own topics, which no event may use.
pub const RESERVED_DOMAIN: &str = "event-bus";

const SLUG_CHARS_MAX: usize = 64;
/// 64 (namespace) + 1 + 64 (service) + 1 + 119 = 249: the longest group. Topics are shorter.
const SHORT_TOPIC_CHARS_MAX: usize = 119;
const EVENT_NAME_CHARS_MAX: usize = 119;
const TENANT_BYTES_MAX: usize = 128;
/// How much of a refused value an error shows: enough to find it, whatever was sent.
const SHOWN_CHARS_MAX: usize = 64;

/// A value that breaks the rule of the name it was to be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{value:?} is not a valid {kind}: {rule}")]
pub struct NameError {
    /// Which kind of name was wanted, for example `service name`.
    pub kind: &'static str,
    /// The refused value, cut to 64 characters.
    pub value: String,
    /// The rule that it breaks.
    pub rule: &'static str,
}

/// A string type that is checked when made; clones share the text.
macro_rules! name {
    ($(#[$doc:meta])* $name:ident, $kind:literal, $rule:literal, $is_valid:path) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(Arc<str>);

        impl $name {
            #[doc = concat!("Checks `value` against the rule: ", $rule, ".")]
            pub fn new(value: &str) -> Result<Self, NameError> {
                if $is_valid(value) {
                    return Ok(Self(value.into()));
                }
                let value = value.chars().take(SHOWN_CHARS_MAX).collect();
                Err(NameError { kind: $kind, value, rule: $rule })
            }

            #[doc = concat!("The ", $kind, " as text.")]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl std::borrow::Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&self.0, f)
            }
        }

        impl FromStr for $name {
            type Err = NameError;
            fn from_str(value: &str) -> Result<Self, NameError> {
                Self::new(value)
            }
        }

        impl TryFrom<&str> for $name {
            type Error = NameError;
            fn try_from(value: &str) -> Result<Self, NameError> {
                Self::new(value)
            }
        }

        impl PartialEq<str> for $name {
            fn eq(&self, other: &str) -> bool {
                *self.0 == *other
            }
        }

        impl PartialEq<&str> for $name {
            fn eq(&self, other: &&str) -> bool {
                *self.0 == **other
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Text;
                impl de::Visitor<'_> for Text {
                    type Value = $name;
                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        f.write_str(concat!("a string with a ", $kind))
                    }
                    fn visit_str<E: de::Error>(self, value: &str) -> Result<$name, E> {
                        $name::new(value).map_err(E::custom)
                    }
                }
                deserializer.deserialize_str(Text)
            }
        }
    };
}

name!(
    /// The first part of every topic and group of one organisation or environment.
    Namespace, "namespace",
    "lower-case letters, digits and single hyphens, a letter first, at most 64 characters", is_slug
);
name!(
    /// A service that publishes or consumes.
    ServiceName, "service name",
    "lower-case letters, digits and single hyphens, a letter first, at most 64 characters", is_slug
);
name!(
    /// An event's name, `{ServiceDomain}{Action}`.
    EventName, "event name",
    "two or more words, each a capital followed by lower-case letters or digits (`OrderPlaced`, `SkuAdded`), \
     at most 119 characters",
    is_event_name
);
name!(
    /// A topic's name without namespace, `{domain}.{action}`.
    ShortTopic, "short topic",
    "`domain.action`, both of lower-case letters, digits and single hyphens with a letter first, at most 119 \
     characters, and a domain other than `event-bus`",
    is_short_topic
);
name!(
    /// A topic as Kafka knows it.
    TopicName, "topic name",
    "1 to 249 letters, digits, dots, underscores and hyphens, and neither `.` nor `..`", is_topic_name
);
name!(
    /// A consumer group as Kafka knows it.
    GroupName, "group name", "1 to 249 letters, digits, dots, underscores and hyphens", is_kafka_name
);
name!(
    /// A replica of a service that keeps its name over restarts: Kafka's `group.instance.id`.
    InstanceId, "instance id",
    "1 to 249 letters, digits, dots, underscores and hyphens, and neither `.` nor `..`", is_topic_name
);
name!(
    /// The organisation on whose behalf an event happens.
    TenantId, "tenant id", "1 to 128 bytes without control characters", is_tenant_id
);

impl EventName {
    /// The name in kebab case: `BrandCatalogUpdated` is `brand-catalog-updated`.
    pub fn kebab(&self) -> String {
        let mut kebab = String::with_capacity(self.0.len() + 8);
        for (position, letter) in self.0.chars().enumerate() {
            if letter.is_ascii_uppercase() && position > 0 {
                kebab.push('-');
            }
            kebab.push(letter.to_ascii_lowercase());
        }
        kebab
    }
}

impl ShortTopic {
    /// The part before the dot.
    pub fn domain(&self) -> &str {
        self.0.split_once('.').map_or(&*self.0, |(domain, _)| domain)
    }

    /// The part after the dot.
    pub fn action(&self) -> &str {
        self.0.split_once('.').map_or("", |(_, action)| action)
    }

    /// The short topic as one slug, the dot a hyphen: `order.placed` is `order-placed`.
    pub fn slug(&self) -> String {
        self.0.replace('.', "-")
    }

    /// Whether this is the short topic of `event` by the naming rule: the event's name in kebab
    /// case, split after its domain; or another word as the domain, and then the whole name.
    pub fn belongs_to(&self, event: &EventName) -> bool {
        let name = event.kebab();
        if self.slug() == name {
            return true;
        }
        let domain_repeated =
            name.strip_prefix(self.domain()).is_some_and(|rest| rest.starts_with('-'));
        self.action() == name && !domain_repeated
    }
}

/// The full topic of a short topic, `{namespace}.{short topic}`.
pub fn topic(namespace: &Namespace, short_topic: &ShortTopic) -> TopicName {
    TopicName(format!("{namespace}.{short_topic}").into())
}

impl TopicName {
    /// The dead letter topic of this topic. It fits Kafka's limit for every topic that [`topic`]
    /// derives.
    pub fn dead_letter(&self) -> TopicName {
        TopicName(format!("{self}{DLT_SUFFIX}").into())
    }
}

impl GroupName {
    /// The group of a service on a topic, `{namespace}-{service}-{topic slug}`.
    pub fn of(namespace: &Namespace, service: &ServiceName, short_topic: &ShortTopic) -> GroupName {
        GroupName(format!("{namespace}-{service}-{}", short_topic.slug()).into())
    }
}

fn is_slug(value: &str) -> bool {
    value.len() <= SLUG_CHARS_MAX && is_unbounded_slug(value)
}

fn is_unbounded_slug(value: &str) -> bool {
    value.starts_with(|first: char| first.is_ascii_lowercase())
        && value.split('-').all(|word| {
            !word.is_empty() && word.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
        })
}

fn is_event_name(value: &str) -> bool {
    let bytes = value.as_bytes();
    let capitals = bytes.iter().filter(|b| b.is_ascii_uppercase()).count();
    let words_are_complete = bytes
        .windows(2)
        .all(|pair| !(pair[0].is_ascii_uppercase() && pair[1].is_ascii_uppercase()))
        && !bytes.last().is_some_and(u8::is_ascii_uppercase);
    bytes.len() <= EVENT_NAME_CHARS_MAX
        && bytes.first().is_some_and(u8::is_ascii_uppercase)
        && bytes.iter().all(u8::is_ascii_alphanumeric)
        && capitals >= 2
        && words_are_complete
}

fn is_short_topic(value: &str) -> bool {
    value.len() <= SHORT_TOPIC_CHARS_MAX
        && value.split_once('.').is_some_and(|(domain, action)| {
            is_unbounded_slug(domain) && is_unbounded_slug(action) && domain != RESERVED_DOMAIN
        })
}

/// Kafka holds ids of instances to the rule of topics.
fn is_topic_name(value: &str) -> bool {
    is_kafka_name(value) && value != "." && value != ".."
}

fn is_kafka_name(value: &str) -> bool {
    (1..=KAFKA_NAME_CHARS_MAX).contains(&value.len())
        && value.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'))
}

fn is_tenant_id(value: &str) -> bool {
    (1..=TENANT_BYTES_MAX).contains(&value.len()) && !value.chars().any(char::is_control)
}

#[cfg(test)]
mod tests;
