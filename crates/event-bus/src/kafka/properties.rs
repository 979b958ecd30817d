//! Properties of the Kafka client. Those that are secrets are never shown.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::{Deref, DerefMut};

/// Properties whose values nobody is to see.
const SECRETS: [&str; 6] = [
    "sasl.oauthbearer.client.secret",
    "sasl.oauthbearer.config",
    "sasl.password",
    "ssl.key.password",
    "ssl.key.pem",
    "ssl.keystore.password",
];

/// What is shown in a secret's place.
const REDACTED: &str = "[redacted]";

/// Properties of librdkafka, by name. As debug output, secrets are redacted.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Properties(BTreeMap<String, String>);

impl Properties {
    /// The properties whose values are secrets.
    #[must_use]
    pub fn secrets() -> &'static [&'static str] {
        &SECRETS
    }

    /// Whether the property of that name is a secret.
    #[must_use]
    pub fn is_secret(name: &str) -> bool {
        SECRETS.contains(&name)
    }
}

impl Deref for Properties {
    type Target = BTreeMap<String, String>;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl DerefMut for Properties {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.0
    }
}

impl FromIterator<(String, String)> for Properties {
    fn from_iter<I: IntoIterator<Item = (String, String)>>(properties: I) -> Self {
        Self(properties.into_iter().collect())
    }
}

impl fmt::Debug for Properties {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = self.0.iter().map(|(name, value)| {
            (name, if Self::is_secret(name) { REDACTED } else { value.as_str() })
        });
        f.debug_map().entries(shown).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_not_shown() {
        let properties = [("sasl.username", "shop"), ("sasl.password", "canary")];
        let properties = properties.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let properties: Properties = properties.into_iter().collect();
        let shown = format!("{properties:?}");
        assert_eq!(shown, r#"{"sasl.password": "[redacted]", "sasl.username": "shop"}"#);
        assert_eq!(properties.get("sasl.password").map(String::as_str), Some("canary"));
    }
}
