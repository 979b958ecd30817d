use std::sync::Arc;

use event_bus::Catalogue;
use event_bus::catalogue::{Event, Violation};
use event_bus::envelope::{
    Draft, Envelope, OutgoingRecord, ParseError, Payload, SealError, seal_bytes,
};
use event_bus::names::{EventName, TenantId};
use jiff::Timestamp;
use serde::Deserialize;
use serde::de::IgnoredAny;

/// A line that can't be published.
#[derive(Debug, thiserror::Error)]
pub enum BadLine {
    #[error("the line is not UTF-8")]
    NotUtf8(#[source] std::str::Utf8Error),
    #[error("the line is a payload, and --tenant is missing")]
    NoTenant,
    #[error("the envelope is of {found}, not of {asked}")]
    OtherEvent { found: EventName, asked: EventName },
    #[error("the envelope is of tenant {found}, not of {asked}")]
    OtherTenant { found: TenantId, asked: TenantId },
    #[error(transparent)]
    Json(#[from] ParseError),
    #[error("the payload violates the schema")]
    Schema { violations: Vec<Violation> },
    #[error(transparent)]
    Seal(SealError),
}

impl BadLine {
    /// The places of the payload that its schema forbids.
    pub fn violations(self) -> Vec<Violation> {
        match self {
            Self::Schema { violations } => violations,
            _ => Vec::new(),
        }
    }
}

impl From<SealError> for BadLine {
    fn from(error: SealError) -> Self {
        match error {
            SealError::Schema { violations, .. } => Self::Schema { violations },
            error => Self::Seal(error),
        }
    }
}

/// Makes records of lines.
pub struct Sealer<'a> {
    catalogue: &'a Catalogue,
    event: &'a Arc<Event>,
    tenant: Option<TenantId>,
}

/// What tells an envelope from a payload.
#[derive(Deserialize)]
struct EnvelopeLike {
    #[serde(rename = "event")]
    _event: IgnoredAny,
    #[serde(rename = "payload")]
    _payload: IgnoredAny,
}

impl<'a> Sealer<'a> {
    pub fn new(catalogue: &'a Catalogue, event: &'a Arc<Event>, tenant: Option<TenantId>) -> Self {
        Self { catalogue, event, tenant }
    }

    /// A line is a whole envelope when it is an object with `event` and `payload`, else a payload at the event's
    /// newest version.
    pub fn seal(&self, line: &[u8]) -> Result<OutgoingRecord, BadLine> {
        // The parser of either kind looks at nesting and duplicates; this one only looks which kind it is.
        if serde_json::from_slice::<EnvelopeLike>(line).is_ok() {
            self.envelope(line)
        } else {
            self.payload(line)
        }
    }

    fn envelope(&self, line: &[u8]) -> Result<OutgoingRecord, BadLine> {
        let Envelope { event: found, tenant_id, .. } = Envelope::parse(line)?;
        if found != self.event.name {
            return Err(BadLine::OtherEvent { found, asked: self.event.name.clone() });
        }
        match &self.tenant {
            Some(asked) if *asked != tenant_id => {
                Err(BadLine::OtherTenant { found: tenant_id, asked: asked.clone() })
            }
            _ => Ok(seal_bytes(self.catalogue, line, Timestamp::now())?),
        }
    }

    fn payload(&self, line: &[u8]) -> Result<OutgoingRecord, BadLine> {
        let text = std::str::from_utf8(line.trim_ascii()).map_err(BadLine::NotUtf8)?;
        let payload = Payload::parse(text)?;
        let tenant = self.tenant.as_ref().ok_or(BadLine::NoTenant)?;
        let newest =
            self.event.versions.last().expect("an event of a catalogue has a version").version;
        Ok(Draft::new(self.event, newest, tenant, payload, Timestamp::now()).seal()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAYLOAD: &str =
        r#"{"organisation_id":"louvolite","reason":"closed","effective_on":"2025-06-01"}"#;

    fn sealed(tenant: Option<&str>, line: &str) -> Result<OutgoingRecord, BadLine> {
        let catalogue = blindstrader::catalogue();
        let event = catalogue.event("OrganisationTerminated").unwrap();
        Sealer::new(&catalogue, event, tenant.map(|tenant| tenant.parse().unwrap()))
            .seal(line.as_bytes())
    }

    fn envelope(event: &str, payload: &str) -> String {
        format!(
            r#"{{"event":"{event}","version":"1.0","occurred_at":"2025-06-01T10:30:00Z","service":"identity","tenant_id":"louvolite","payload":{payload}}}"#
        )
    }

    #[test]
    fn a_payload_needs_a_tenant_and_an_envelope_brings_its_own() {
        let record = sealed(Some("louvolite"), PAYLOAD).unwrap();
        assert!(record.key.is_some());
        assert!(matches!(sealed(None, PAYLOAD), Err(BadLine::NoTenant)));
        sealed(None, &envelope("OrganisationTerminated", PAYLOAD)).unwrap();
    }

    #[test]
    fn an_envelope_of_another_event_or_tenant_is_bad() {
        let other = sealed(None, &envelope("OrderPlaced", PAYLOAD));
        assert!(matches!(other, Err(BadLine::OtherEvent { .. })));
        let other = sealed(Some("decorquip"), &envelope("OrganisationTerminated", PAYLOAD));
        assert!(matches!(other, Err(BadLine::OtherTenant { .. })));
    }

    #[test]
    fn violations_are_named_by_pointer() {
        let bad = sealed(Some("louvolite"), &PAYLOAD.replace("2025-06-01", "soon")).unwrap_err();
        let pointers: Vec<_> =
            bad.violations().into_iter().map(|violation| violation.pointer).collect();
        assert_eq!(pointers, ["/effective_on"]);
    }

    #[test]
    fn what_is_no_json_is_bad() {
        for line in ["", "nonsense", "{", "[1]", "\u{0}"] {
            assert!(sealed(Some("louvolite"), line).is_err(), "{line}");
        }
    }
}
