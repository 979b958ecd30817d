//! What a consumer is sent in the first round, and what is to become of each. Pure, but for random names.

use bytes::Bytes;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::{Trial, TrialError};
use crate::catalogue::{Event, SchemaVersion, Subscription};
use crate::dead_letter::Reason;
use crate::envelope::{Draft, OutgoingRecord, Payload, SealError};
use crate::headers::{self, Header};
use crate::limits::{MAX_KEY_BYTES, MAX_NESTING, MAX_RECORD_BYTES};
use crate::names::{EventId, TenantId};
use crate::partition::partition_for;

/// Names that are tried for one whose key is in a certain partition.
const NAMES_TRIED: u32 = 10_000;

/// A record, and what is to become of it.
pub(super) struct Case {
    pub(super) name: &'static str,
    pub(super) what: &'static str,
    pub(super) record: OutgoingRecord,
    /// How often it is sent.
    pub(super) times: u32,
    pub(super) wanted: Wanted,
}

/// What is to become of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    /// One effect, and no dead letter. `None`: under the id of its position.
    Effect(Option<EventId>),
    /// No effect, and a dead letter that tells so many attempts, or any.
    Dead { reason: Reason, attempts: Option<u32> },
}

/// Makes the records of a trial.
pub(super) struct Maker<'a> {
    pub(super) event: &'a Event,
    /// The highest version that the consumer handles.
    newest: &'a SchemaVersion,
    /// Sets this trial's tenants apart from others'.
    run: u32,
    made: u32,
    payload: Payload,
    poison: Option<Payload>,
}

impl<'a> Maker<'a> {
    pub(super) fn of(trial: &Trial<'a>) -> Result<Self, TrialError> {
        let event = trial.subscription.event;
        let newest = newest(trial.subscription);
        let parsed = |which, text: String| {
            let refused = |why: String| TrialError::Payload { which, why };
            let payload = Payload::parse(text).map_err(|error| refused(error.to_string()))?;
            newest.schema.check(&payload).map_err(|violations| {
                let all: Vec<String> = violations.iter().map(ToString::to_string).collect();
                refused(all.join("; "))
            })?;
            Ok::<_, TrialError>(payload)
        };
        let payload = match &trial.payload {
            Some(text) => text.clone(),
            None => {
                sample(newest).ok_or_else(|| TrialError::NoSample { event: event.name.clone() })?
            }
        };
        let poison = trial.poison.clone().map(|text| parsed("poison", text)).transpose()?;
        let payload = parsed("payload", payload)?;
        Ok(Self { event, newest, run: rand::random(), made: 0, payload, poison })
    }

    /// A record of the payload, for a tenant of its own.
    pub(super) fn good(&mut self) -> Result<OutgoingRecord, TrialError> {
        self.made += 1;
        self.sealed(&self.payload, self.made)
    }

    /// As [`Self::good`], under another key in the partition of this one. Where tenants make no key there is none.
    fn beside(
        &mut self,
        key: &[u8],
        partitions: i32,
    ) -> Result<Option<OutgoingRecord>, TrialError> {
        let wanted = partition_for(key, partitions);
        for _ in 0..NAMES_TRIED {
            let record = self.good()?;
            let other = record.key.as_deref().unwrap_or_default();
            if other == key {
                break;
            }
            if partition_for(other, partitions) == wanted {
                return Ok(Some(record));
            }
        }
        Ok(None)
    }

    fn sealed(&self, payload: &Payload, number: u32) -> Result<OutgoingRecord, TrialError> {
        let tenant = format!("conform-{:08x}-{number}", self.run);
        let tenant: TenantId = tenant.parse().expect("letters and digits name a tenant");
        let draft =
            Draft::new(self.event, self.newest.version, &tenant, payload.clone(), Timestamp::now());
        let which = "payload";
        draft
            .seal()
            .map_err(|error: SealError| TrialError::Payload { which, why: error.to_string() })
    }

    /// A good record whose envelope is changed.
    fn changed(&mut self, change: impl FnOnce(&mut Value)) -> Result<OutgoingRecord, TrialError> {
        let mut record = self.good()?;
        let mut envelope = envelope(&record);
        change(&mut envelope);
        record.value = Some(Bytes::from(envelope.to_string()));
        Ok(record)
    }

    /// A good record with another value.
    fn with_value(&mut self, value: Option<Bytes>) -> Result<OutgoingRecord, TrialError> {
        Ok(OutgoingRecord { value, ..self.good()? })
    }

    /// A record whose payload lacks everything, where the schema forbids that.
    pub(super) fn invalid(&mut self) -> Result<Option<OutgoingRecord>, TrialError> {
        let empty = Payload::parse("{}").expect("it is JSON");
        if self.newest.schema.is_valid(&empty) {
            return Ok(None);
        }
        self.changed(|envelope| envelope["payload"] = json!({})).map(Some)
    }

    /// All of the first round: the poison first, so that others have to get past it.
    pub(super) fn cases(
        &mut self,
        partitions: i32,
        attempts: u32,
    ) -> Result<Vec<Case>, TrialError> {
        let mut cases = Vec::new();
        let neighbour =
            "an event of another key in its partition takes effect while it waits for its retries";
        if let Some(poison) = self.poison.clone() {
            self.made += 1;
            let record = self.sealed(&poison, self.made)?;
            let key = record.key.clone().unwrap_or_default();
            let what = "what fails each time is tried as often as the catalogue says, and becomes a dead letter";
            let wanted =
                Wanted::Dead { reason: Reason::RetriesExhausted, attempts: Some(attempts) };
            cases.push(Case { name: POISON, what, record, times: 1, wanted });
            let record = self.beside(&key, partitions)?;
            cases.extend(record.map(|record| effect(NEIGHBOUR, neighbour, record)));
        }
        self.push_good(&mut cases)?;
        self.push_odd(&mut cases)?;
        self.push_junk(&mut cases)?;
        self.push_broken(&mut cases)?;
        Ok(cases)
    }

    fn push_good(&mut self, cases: &mut Vec<Case>) -> Result<(), TrialError> {
        let good = self.good()?;
        let mut other = good.clone();
        let mut envelope = envelope(&other);
        envelope["conform"] = json!("another event under the same id");
        other.value = Some(Bytes::from(envelope.to_string()));
        cases.push(effect("good", "an event takes effect once", good));
        let what = "an event that comes three times takes effect once";
        cases.push(Case { times: 3, ..effect("duplicate", what, self.good()?) });
        let what = "another event under a known id is not skipped but a dead letter";
        cases.push(dead("id-collision", what, other, Reason::IdCollision, None));
        Ok(())
    }

    fn push_odd(&mut self, cases: &mut Vec<Case>) -> Result<(), TrialError> {
        let mut record = self.changed(|envelope| {
            envelope.as_object_mut().expect("it is an object").remove("event_id");
        })?;
        record.headers.retain(|header| header.name != headers::CE_ID);
        let what = "an event without an id takes effect under the one that its position gives it";
        let wanted = Wanted::Effect(None);
        cases.push(Case { wanted, ..effect("no-event-id", what, record) });
        let record = self.changed(|envelope| envelope["conform"] = json!({ "further": [1, 2] }))?;
        cases.push(effect("further-fields", "fields beyond the envelope's are ignored", record));
        let version = format!("{}.4711", self.newest.version.major);
        let record = self.changed(|envelope| envelope["version"] = json!(version))?;
        cases.push(effect(
            "unknown-minor",
            "a minor version that is not known is accepted",
            record,
        ));
        let record = OutgoingRecord { headers: Vec::new(), ..self.good()? };
        cases.push(effect("no-headers", "an event without any headers is handled", record));
        let record = OutgoingRecord { key: None, ..self.good()? };
        cases.push(effect("no-key", "an event without a key is handled", record));
        let mut record = self.good()?;
        for header in &mut record.headers {
            if [headers::CE_ID, headers::CE_TENANTID, headers::CE_TYPE].contains(&&*header.name) {
                header.value = Some(Bytes::from("somebody else's"));
            }
        }
        let what = "the envelope counts, whatever the headers say";
        cases.push(effect("lying-headers", what, record));
        Ok(())
    }

    fn push_junk(&mut self, cases: &mut Vec<Case>) -> Result<(), TrialError> {
        let (text, bytes) = (|text: &str| Some(Bytes::from(text.to_owned())), Bytes::from_static);
        let good = self.good()?.value.unwrap_or_default();
        let open = good.strip_suffix(b"}").expect("it is an object");
        let with = |field: String| Some(Bytes::from([open, b",", field.as_bytes(), b"}"].concat()));
        let deep = MAX_NESTING;
        let deep = with(format!("\"deep\":{}{}", "[".repeat(deep), "]".repeat(deep)));
        let twice = with("\"tenant_id\":\"somebody-else\"".to_owned());
        for (name, what, value, reason) in [
            ("null-value", "a record without a value is a dead letter", None, Reason::NullValue),
            (
                "not-json",
                "what is no JSON is a dead letter",
                text("{\"event\":"),
                Reason::Malformed,
            ),
            (
                "not-utf8",
                "what is no UTF-8 is a dead letter",
                Some(bytes(b"{\"\xff\":1}")),
                Reason::Malformed,
            ),
            (
                "not-an-envelope",
                "JSON without the envelope's fields is a dead letter",
                text("{}"),
                Reason::Malformed,
            ),
            (
                "field-twice",
                "a field that occurs twice makes a dead letter",
                twice,
                Reason::Malformed,
            ),
            ("too-deep", "what is nested too deep is a dead letter", deep, Reason::Malformed),
        ] {
            let mut record = self.with_value(value)?;
            // Headers may repeat, and what they hold need not be text.
            record.headers.push(Header::text("conform-twice", "1"));
            record
                .headers
                .push(Header { name: "conform-twice".into(), value: Some(bytes(b"\xff")) });
            cases.push(dead(name, what, record, reason, Some(0)));
        }
        let key = Some(Bytes::from(vec![b'k'; MAX_KEY_BYTES + 1]));
        let record = OutgoingRecord { key, ..self.good()? };
        let what = "a key over the limit makes a dead letter";
        cases.push(dead("long-key", what, record, Reason::Malformed, Some(0)));
        let record =
            self.changed(|envelope| envelope["conform"] = json!("x".repeat(MAX_RECORD_BYTES)))?;
        let what = "a record over the limit is a dead letter, whole";
        cases.push(dead("too-large", what, record, Reason::TooLarge, Some(0)));
        Ok(())
    }

    fn push_broken(&mut self, cases: &mut Vec<Case>) -> Result<(), TrialError> {
        let record = self.changed(|envelope| envelope["tenant_id"] = json!(""))?;
        let what = "an event without a tenant is a dead letter";
        cases.push(dead("no-tenant", what, record, Reason::Malformed, Some(0)));
        let record = self.changed(|envelope| envelope["event"] = json!("ConformTrialBegun"))?;
        let what = "an event that does not belong to the topic is a dead letter";
        cases.push(dead("wrong-topic", what, record, Reason::WrongTopic, Some(0)));
        let major = self.event.versions.last().expect("an event has a version").version.major;
        let version = format!("{}.0", major + 1);
        let record = self.changed(|envelope| envelope["version"] = json!(version))?;
        let what = "a major version that is not known makes a dead letter";
        cases.push(dead("unknown-major", what, record, Reason::UnsupportedVersion, Some(0)));
        for name in [SCHEMA_INVALID, SCHEMA_INVALID_AGAIN] {
            let Some(record) = self.invalid()? else { continue };
            let what = "a payload that breaks the schema makes a dead letter";
            cases.push(dead(name, what, record, Reason::SchemaInvalid, Some(0)));
        }
        Ok(())
    }
}

/// What fails each time.
pub(super) const POISON: &str = "poison";
/// What comes behind it under another key.
pub(super) const NEIGHBOUR: &str = "poison-neighbour";
/// The dead letter whose replays are edited.
pub(super) const SCHEMA_INVALID: &str = "schema-invalid";
/// The dead letter whose replay dies again.
pub(super) const SCHEMA_INVALID_AGAIN: &str = "schema-invalid-again";

/// The envelope that a record of [`Maker::good`] holds.
pub(super) fn envelope(record: &OutgoingRecord) -> Value {
    let value = record.value.as_deref().unwrap_or_default();
    serde_json::from_slice(value).expect("it was sealed")
}

fn effect(name: &'static str, what: &'static str, record: OutgoingRecord) -> Case {
    let wanted = Wanted::Effect(Some(record.event_id));
    Case { name, what, record, times: 1, wanted }
}

fn dead(
    name: &'static str,
    what: &'static str,
    record: OutgoingRecord,
    reason: Reason,
    attempts: Option<u32>,
) -> Case {
    Case { name, what, record, times: 1, wanted: Wanted::Dead { reason, attempts } }
}

/// The highest version of the major that the consumer handles.
fn newest(subscription: Subscription<'_>) -> &SchemaVersion {
    let Subscription { event, consumer } = subscription;
    let handled = event.versions.iter().filter(|known| known.version.major == consumer.major);
    handled.max_by_key(|known| known.version).expect("a consumer's major has a version")
}

/// The payload of a version's sample.
fn sample(newest: &SchemaVersion) -> Option<String> {
    let sample: Value = serde_json::from_str(newest.sample.as_deref()?).ok()?;
    sample.get("payload").map(Value::to_string)
}
