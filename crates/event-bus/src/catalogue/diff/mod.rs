//! What differs between two catalogues, and for whom that is safe.
//!
//! A difference between schemas is judged by who meets it: a producer by what it may write no more, a consumer by what it may meet at the
//! fields that it declares to read. What can't be told is breaking.

mod branches;
mod compare;
mod consumers;
mod events;
mod flat;
mod shift;
mod values;
mod versions;

#[cfg(test)]
mod tests;

use std::fmt;

use serde::{Serialize, Serializer};

use super::{Catalogue, Version};
use crate::names::{EventName, ServiceName};

/// One difference, judged for everybody who meets it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Change {
    /// The event; `None` for the catalogue as a whole.
    pub event: Option<EventName>,
    /// The version whose schema is another.
    pub version: Option<Version>,
    /// The field, as a pointer from the payload down, with `*` for any item or any field of a map. Empty for the payload itself.
    pub pointer: Option<String>,
    /// Which kind of difference it is, for example `field-gone`.
    pub code: &'static str,
    /// What differs, as the rest of a sentence about the field or the event.
    pub what: String,
    /// For whom it is what.
    pub judged: Vec<Judged>,
}

/// What a difference is to somebody.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Judged {
    /// To whom.
    pub party: Party,
    /// What it is.
    pub verdict: Verdict,
    /// The cure of a breaking one; of a safe one what to mind, where there is something.
    pub advice: Option<String>,
}

/// Who may meet a difference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Party {
    /// All who have to do with the event, or with the catalogue.
    Everyone,
    /// The service that publishes it.
    Producer(ServiceName),
    /// A service that consumes it.
    Consumer(ServiceName),
}

/// Whether somebody who changes nothing goes on as before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// It does.
    Safe,
    /// It may not.
    Breaking,
}

/// What differs between two catalogues, in the order of the older one.
#[must_use]
pub fn diff(old: &Catalogue, new: &Catalogue) -> Vec<Change> {
    let mut changes = Vec::new();
    events::compare(old, new, &mut changes);
    changes
}

impl Change {
    /// About an event as a whole.
    fn of(event: &EventName, code: &'static str, what: impl Into<String>) -> Change {
        Change {
            event: Some(event.clone()),
            version: None,
            pointer: None,
            code,
            what: what.into(),
            judged: Vec::new(),
        }
    }

    fn in_version(self, version: Version) -> Change {
        Change { version: Some(version), ..self }
    }

    fn safe_for(mut self, party: Party, advice: impl Into<Option<String>>) -> Change {
        self.judged.push(Judged { party, verdict: Verdict::Safe, advice: advice.into() });
        self
    }

    fn breaks(mut self, party: Party, cure: impl Into<String>) -> Change {
        self.judged.push(Judged { party, verdict: Verdict::Breaking, advice: Some(cure.into()) });
        self
    }

    /// Whether it is breaking for anybody.
    #[must_use]
    pub fn is_breaking(&self) -> bool {
        self.judged_as(Verdict::Breaking).next().is_some()
    }

    /// For whom it is this.
    pub fn judged_as(&self, verdict: Verdict) -> impl Iterator<Item = &Judged> {
        self.judged.iter().filter(move |judged| judged.verdict == verdict)
    }

    /// Names the change as it is for one party, for those who accept it: `OrderPlaced@1.0:mail:field-gone/customer/email`.
    #[must_use]
    pub fn id(&self, party: &Party) -> String {
        let event = self.event.as_ref().map_or("catalogue", EventName::as_str);
        let version = self.version.map(|version| format!("@{version}")).unwrap_or_default();
        let pointer = self.pointer.as_deref().unwrap_or_default();
        format!("{event}{version}:{party}:{}{pointer}", self.code)
    }
}

impl Party {
    /// What it is to the event.
    #[must_use]
    pub fn role(&self) -> &'static str {
        match self {
            Party::Everyone => "everyone",
            Party::Producer(_) => "producer",
            Party::Consumer(_) => "consumer",
        }
    }

    /// The service, where it is one.
    #[must_use]
    pub fn service(&self) -> Option<&ServiceName> {
        match self {
            Party::Everyone => None,
            Party::Producer(service) | Party::Consumer(service) => Some(service),
        }
    }
}

impl fmt::Display for Party {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.service().map_or("everyone", ServiceName::as_str))
    }
}

impl Serialize for Party {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Written<'a> {
            role: &'static str,
            service: Option<&'a ServiceName>,
        }
        Written { role: self.role(), service: self.service() }.serialize(serializer)
    }
}
