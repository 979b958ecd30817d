//! What is personal in a record, and the record without it. Pure.
//!
//! The catalogue says of each event which fields are personal data. Whatever shows what a record says, or what a text says
//! that may quote it (an error, a header, a key), shows it as [`Personal`] masks it, unless somebody who may has asked to
//! see it, with a reason that is written down before. That is one function for all: [`Personal::record`] for a record of
//! a topic or of a dead letter topic, [`Personal::text`] for what quotes it.
//!
//! A value that is no envelope, or of an event or a version that the catalogue does not know, can't be judged field by
//! field: all of it is personal.

mod json;
mod words;

use std::collections::{BTreeSet, HashMap};

use bytes::Bytes;
use serde_json::Value;

use crate::catalogue::{Catalogue, Event};
use crate::dead_letters::Letter;
use crate::envelope::Envelope;
use crate::headers::{self, Header};
use crate::kafka::Record;
use crate::names::{EventId, EventName, ServiceName, TenantId};
use words::Words;

/// What stands in the place of what is personal. In a list each has a number, so that an edit can keep it: `‹personal 2›`.
pub const MASK: &str = "‹personal›";
/// Each mask begins so.
const BEGINS: &str = "‹personal";
/// In a pointer of the catalogue: each item of a list, or each field of a map.
const ANY: &str = "*";
/// A word of a value that is no JSON has so many characters.
const WORD: usize = 3;
/// The names of an envelope's fields, which say nothing of anybody.
const FIELDS: [&str; 7] =
    ["event_id", "event", "version", "occurred_at", "service", "tenant_id", "payload"];

/// Headers of a dead letter that say where it is from, and quote nothing.
const PLACES: [&str; 15] = [
    headers::EVENT_ID,
    headers::DLQ_ID,
    headers::DLQ_REASON,
    headers::DLQ_SERVICE,
    headers::DLQ_FINGERPRINT,
    headers::DLQ_FIRST_FAILED_AT,
    headers::DLQ_FAILED_AT,
    headers::DLQ_REPLAYS,
    headers::DLQ_CHAIN_SEQ,
    headers::DLQ_PREVIOUS,
    headers::DLQ_ERRORS_TOPIC,
    headers::DLQ_ERRORS_PARTITION,
    headers::DLQ_ERRORS_OFFSET,
    headers::DLQ_ERRORS_GROUP,
    headers::DLQ_ERRORS_DELIVERY_COUNT,
];

/// What is personal in one record.
#[derive(Clone, Debug)]
pub struct Personal {
    reach: Reach,
    /// What is hidden, in the order in which it stands there.
    hidden: Vec<Hidden>,
    words: Words,
    hides_key: bool,
    /// Whether the value itself has a text that looks like a mask.
    has_mask: bool,
}

#[derive(Clone, Debug)]
enum Reach {
    /// Nothing is.
    Nothing,
    /// What stands at these places.
    Below(Vec<Vec<String>>),
    /// All of the value.
    Everything,
}

#[derive(Clone, Debug)]
struct Hidden {
    place: Vec<String>,
    /// What stands for it.
    mask: String,
    /// As it is written.
    text: String,
}

/// A mask stands where nothing was masked, so it is not known what it stands for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a mask of personal data stands where there was none, or for another: leave each where it was, or reveal the dead letter \
     and write the value out"
)]
pub struct Misplaced;

impl Personal {
    /// What is personal in a value of this topic: the original one, where it is a dead letter's.
    #[must_use]
    pub fn of(catalogue: &Catalogue, topic: &str, value: Option<&[u8]>) -> Self {
        let event = catalogue.event_of_topic(topic);
        let Some(value) = value else { return Self::nothing(event.map(|event| &**event)) };
        let envelope = Envelope::parse(value).ok();
        let known = event.zip(envelope.as_ref()).filter(|(event, envelope)| {
            event.name == envelope.event && event.schema_for(&envelope.version).is_ok()
        });
        match (known, std::str::from_utf8(value)) {
            (Some((event, _)), _) if event.personal_data.is_empty() => Self::nothing(Some(event)),
            (Some((event, _)), Ok(text)) => Self::below(event, text),
            _ => Self::everything(event.map(|event| &**event), value),
        }
    }

    /// What is personal in a record of a topic, or of a dead letter topic.
    #[must_use]
    pub fn of_record(catalogue: &Catalogue, record: &Record) -> Self {
        let event = catalogue.event_of_dead_letter_topic(&record.topic);
        let topic = event.map_or(&record.topic, |event| &event.topic);
        Self::of(catalogue, topic.as_str(), record.value.as_deref())
    }

    /// What is personal in the value of a dead letter.
    #[must_use]
    pub fn of_letter(catalogue: &Catalogue, letter: &Letter, value: Option<&[u8]>) -> Self {
        // Most events have nothing personal, and then there is no need to read the value once more.
        if let Some(event) = catalogue.event_of_topic(letter.topic.as_str())
            && event.personal_data.is_empty()
            && letter.event.as_deref() == Some(event.name.as_str())
            && let Some(Ok(version)) = letter.version.as_deref().map(str::parse)
            && event.schema_for(&version).is_ok()
        {
            return Self::nothing(Some(event));
        }
        Self::of(catalogue, letter.topic.as_str(), value)
    }

    fn nothing(event: Option<&Event>) -> Self {
        Self {
            reach: Reach::Nothing,
            hidden: Vec::new(),
            words: Words::default(),
            hides_key: event.is_some_and(has_personal_key),
            has_mask: false,
        }
    }

    fn below(event: &Event, text: &str) -> Self {
        let places: Vec<Vec<String>> =
            event.personal_data.iter().map(|pointer| tokens(pointer)).collect();
        let (mut hidden, mut numbered) = (Vec::<Hidden>::new(), 0_usize);
        json::rewritten(text, &mut |place, text| {
            let pattern = hiding(&places, place, text)?;
            let is_listed = pattern.iter().any(|token| token == ANY);
            numbered += usize::from(is_listed);
            let mask = if is_listed { format!("{BEGINS} {numbered}›") } else { MASK.to_owned() };
            hidden.push(Hidden { place: place.to_vec(), mask, text: text.to_owned() });
            Some(String::new())
        });
        let (mut words, names) = (Words::default(), names_of(event));
        for one in &hidden {
            if let Ok(value) = serde_json::from_str(&one.text) {
                add_leaves(&mut words, &value, &names);
            }
            add_written(&mut words, &one.text);
        }
        let hides_key = has_personal_key(event);
        Self { reach: Reach::Below(places), hidden, words, hides_key, has_mask: has_mask(text) }
    }

    fn everything(event: Option<&Event>, value: &[u8]) -> Self {
        let text = String::from_utf8_lossy(value);
        let names = event.map(names_of).unwrap_or_default();
        let mut words = Words::default();
        match serde_json::from_str::<Value>(&text) {
            Ok(mut json) => {
                without_cover(&mut json);
                add_leaves(&mut words, &json, &names);
            }
            Err(_) => {
                let is_name =
                    |word: &str| FIELDS.contains(&word) || names.iter().any(|name| name == word);
                // A name is one word of a text, and several of `words`.
                let parts = FIELDS.iter().copied().chain(names.iter().map(String::as_str));
                let parts: Vec<&str> = parts.flat_map(words::words).collect();
                for word in
                    words::words(&text).filter(|word| !is_name(word) && !parts.contains(word))
                {
                    words.add_word(word, WORD);
                }
            }
        }
        Self {
            reach: Reach::Everything,
            hidden: Vec::new(),
            words,
            hides_key: event.is_some_and(has_personal_key),
            has_mask: has_mask(&text),
        }
    }

    /// Whether anything is hidden.
    #[must_use]
    pub fn hides(&self) -> bool {
        !self.hidden.is_empty() || self.hides_key || self.is_all()
    }

    /// Whether all of the value is personal, because it can't be judged field by field.
    #[must_use]
    pub fn is_all(&self) -> bool {
        matches!(self.reach, Reach::Everything)
    }

    /// The value without what is personal. All else stays byte for byte.
    #[must_use]
    pub fn value(&self, value: &Bytes) -> Bytes {
        let Reach::Below(places) = &self.reach else {
            return if self.is_all() && !value.is_empty() {
                Bytes::from_static(MASK.as_bytes())
            } else {
                value.clone()
            };
        };
        match std::str::from_utf8(value) {
            Ok(text) if json::is_json(text) => Bytes::from(self.masked_at(places, text)),
            // One that was edited into no JSON.
            _ => Bytes::from_static(MASK.as_bytes()),
        }
    }

    fn masked_at(&self, places: &[Vec<String>], text: &str) -> String {
        let mut numbered = 0;
        json::rewritten(text, &mut |place, text| {
            let pattern = hiding(places, place, text)?;
            if !pattern.iter().any(|token| token == ANY) {
                return Some(format!("\"{MASK}\""));
            }
            numbered += 1;
            Some(format!("\"{BEGINS} {numbered}›\""))
        })
    }

    /// A text that may quote the record, with a mask wherever it quotes what is personal.
    #[must_use]
    pub fn text(&self, text: &str) -> String {
        self.words.masked(text)
    }

    /// The record's key, or a mask where it is personal or has what is.
    #[must_use]
    pub fn key(&self, key: Option<&Bytes>) -> Option<Bytes> {
        let key = key?;
        let text = String::from_utf8_lossy(key);
        let is_personal = self.hides_key || self.text(&text) != text;
        Some(if is_personal { Bytes::from_static(MASK.as_bytes()) } else { key.clone() })
    }

    /// The record without what is personal: its key, its value, and what its headers quote.
    #[must_use]
    pub fn record(&self, record: &Record) -> Record {
        let headers = record.headers.iter().map(|header| self.header(header));
        Record {
            key: self.key(record.key.as_ref()),
            value: record.value.as_ref().map(|value| self.value(value)),
            headers: headers.collect(),
            ..record.clone()
        }
    }

    fn header(&self, header: &Header) -> Header {
        let Some(value) = header.value.as_deref() else { return header.clone() };
        let is_place = PLACES.contains(&&*header.name);
        let text = String::from_utf8_lossy(value);
        let masked = self.text(&text);
        if is_place || masked == text {
            header.clone()
        } else {
            Header::text(header.name.clone(), masked)
        }
    }

    /// The dead letter without what is personal.
    #[must_use]
    pub fn letter(&self, letter: Letter) -> Letter {
        Letter {
            message: self.text(&letter.message),
            error_type: self.text(&letter.error_type),
            key: self.key(letter.key.as_ref()),
            ..letter
        }
    }

    /// A pointer into the value, no further than to what is personal: names below it may be.
    #[must_use]
    pub fn pointer(&self, pointer: &str) -> String {
        let Reach::Below(places) = &self.reach else {
            return if self.is_all() { String::new() } else { pointer.to_owned() };
        };
        let tokens = tokens(pointer);
        let hidden = (1..=tokens.len()).find(|len| at(places, &tokens[..*len]).is_some());
        hidden.map_or(pointer.to_owned(), |len| {
            pointer.split('/').take(len + 1).collect::<Vec<_>>().join("/")
        })
    }

    /// An edited value in which each mask is again what it stands for. A mask is taken only where what it stands for is
    /// personal as well, so that nothing shows by being moved.
    ///
    /// # Errors
    /// When a mask stands anywhere else.
    pub fn restored(&self, edited: &str) -> Result<String, Misplaced> {
        if !has_mask(edited) {
            return Ok(edited.to_owned());
        }
        let Reach::Below(places) = &self.reach else {
            return if self.has_mask { Ok(edited.to_owned()) } else { Err(Misplaced) };
        };
        if !json::is_json(edited) {
            return Err(Misplaced);
        }
        // A mask with a number is meant wherever it stands, and another one at its place.
        let of = |mask: String, place: &[String]| {
            let place = if mask == MASK { place.to_vec() } else { Vec::new() };
            (mask, place)
        };
        let meant: HashMap<(String, Vec<String>), &str> =
            self.hidden.iter().map(|one| (of(one.mask.clone(), &one.place), &*one.text)).collect();
        let restored = json::rewritten(edited, &mut |place, text| {
            hiding(places, place, text)?;
            let mask: String = serde_json::from_str(text).ok()?;
            meant.get(&of(mask, place)).map(|text| (*text).to_owned())
        });
        if has_mask(&restored) && !self.has_mask { Err(Misplaced) } else { Ok(restored) }
    }

    /// Where another value has other personal data than this one's: pointers to it.
    #[must_use]
    pub fn changed(&self, other: &Self) -> Vec<String> {
        fn of(hidden: &[Hidden]) -> BTreeSet<(&[String], &str)> {
            hidden.iter().map(|one| (&*one.place, &*one.text)).collect()
        }
        let (was, is) = (of(&self.hidden), of(&other.hidden));
        let places = was.symmetric_difference(&is).map(|(place, _)| pointer_to(place));
        places.collect::<BTreeSet<String>>().into_iter().collect()
    }
}

/// Whether a mask stands in a value, however its characters are written.
fn has_mask(value: &str) -> bool {
    if value.contains(BEGINS) {
        return true;
    }
    if !value.contains('\\') || !json::is_json(value) {
        return false;
    }
    let mut is_there = false;
    json::rewritten(value, &mut |place, text| {
        let is_mask = |text: &str| text.contains(BEGINS);
        is_there |= place.last().is_some_and(|name| is_mask(name))
            || serde_json::from_str::<String>(text).is_ok_and(|text| is_mask(&text));
        None
    });
    is_there
}

/// Whether a pointer into the value of an event leads to what is personal, or to what has it in it.
#[must_use]
pub fn is_touched(event: &Event, pointer: &str) -> bool {
    let pointer = tokens(pointer);
    event.personal_data.iter().any(|personal| {
        let mut pairs = pointer.iter().zip(tokens(personal));
        pairs.all(|(name, token)| token == ANY || *name == token)
    })
}

/// The pattern that leads to this place.
fn at<'a>(places: &'a [Vec<String>], place: &[String]) -> Option<&'a Vec<String>> {
    places.iter().find(|pattern| {
        pattern.len() == place.len()
            && pattern.iter().zip(place).all(|(token, name)| token == ANY || token == name)
    })
}

/// The pattern by which this value is hidden, as far as it leads to it: where a pattern leads to, and where one would lead
/// on and can't, for what stands there is not what its schema says.
fn hiding<'a>(places: &'a [Vec<String>], place: &[String], text: &str) -> Option<&'a [String]> {
    let leads_here = |pattern: &[String]| {
        let mut pairs = pattern.iter().zip(place);
        pattern.len() >= place.len() && pairs.all(|(token, name)| token == ANY || token == name)
    };
    let ends = |pattern: &[String]| match pattern.get(place.len()) {
        None => true,
        Some(next) => match text.as_bytes().first() {
            // A field that may be left out is often there as null, which tells nothing.
            Some(b'{' | b'n') => false,
            Some(b'[') => next != ANY,
            _ => true,
        },
    };
    let pattern = places.iter().find(|pattern| leads_here(pattern) && ends(pattern))?;
    Some(&pattern[..place.len()])
}

/// The JSON pointer that goes through these names.
fn pointer_to(place: &[String]) -> String {
    place.iter().map(|name| format!("/{}", name.replace('~', "~0").replace('/', "~1"))).collect()
}

/// The names that a JSON pointer goes through.
fn tokens(pointer: &str) -> Vec<String> {
    let names = pointer.split('/').skip(1);
    names.map(|name| name.replace("~1", "/").replace("~0", "~")).collect()
}

/// Whether a key is made of what is personal.
fn has_personal_key(event: &Event) -> bool {
    let places: Vec<Vec<String>> =
        event.personal_data.iter().map(|pointer| tokens(pointer)).collect();
    event.key.pointers().any(|pointer| {
        let tokens = tokens(pointer);
        (1..=tokens.len()).any(|len| at(&places, &tokens[..len]).is_some())
    })
}

/// The names of the fields that the schemas of an event describe: they say nothing of anybody.
fn names_of(event: &Event) -> Vec<String> {
    fn collect(schema: &Value, names: &mut Vec<String>) {
        match schema {
            Value::Object(fields) => {
                if let Some(Value::Object(properties)) = fields.get("properties") {
                    names.extend(properties.keys().cloned());
                }
                fields.values().for_each(|value| collect(value, names));
            }
            Value::Array(items) => items.iter().for_each(|item| collect(item, names)),
            _ => {}
        }
    }
    let mut names = Vec::new();
    event.versions.iter().for_each(|known| collect(known.schema.json(), &mut names));
    names
}

/// What a JSON value says: its texts and numbers, and names that no schema has.
fn add_leaves(words: &mut Words, value: &Value, names: &[String]) {
    match value {
        Value::String(text) => words.add(text),
        Value::Number(number) => words.add(&number.to_string()),
        Value::Array(items) => items.iter().for_each(|item| add_leaves(words, item, names)),
        Value::Object(fields) => {
            for (name, value) in fields {
                if !FIELDS.contains(&name.as_str()) && !names.contains(name) {
                    words.add_name(name);
                }
                add_leaves(words, value, names);
            }
        }
        Value::Null | Value::Bool(_) => {}
    }
}

/// A text or number as it is written, which may be quoted so, too.
fn add_written(words: &mut Words, json: &str) {
    json::rewritten(json, &mut |_, text| {
        let is_leaf = !text.starts_with(['{', '[', 't', 'f', 'n']);
        if is_leaf {
            words.add_form(text.trim_matches('"'));
        }
        None
    });
}

/// Takes out what an envelope says of itself, where it says that in the right way.
fn without_cover(json: &mut Value) {
    let Value::Object(fields) = json else { return };
    fields.retain(|name, value| {
        let Some(text) = value.as_str() else { return true };
        match name.as_str() {
            "event" => text.parse::<EventName>().is_err(),
            "event_id" => text.parse::<EventId>().is_err(),
            "version" => text.parse::<crate::catalogue::Version>().is_err(),
            "service" => text.parse::<ServiceName>().is_err(),
            "tenant_id" => text.parse::<TenantId>().is_err(),
            "occurred_at" => text.parse::<jiff::Timestamp>().is_err(),
            _ => true,
        }
    });
}

#[cfg(test)]
mod tests;
