//! A condition on what an event says, in the Common Expression Language.
//!
//! It knows `envelope`, `payload` (the envelope's), `key` and `headers`. Of an event that has no such field it is not true;
//! an event of which it can't be said makes it an error, so that nothing is left out, or taken, by a mistake.
//!
//! Source: <https://cel.dev>.

use std::collections::HashMap;
use std::thread;

use cel::{Context, ExecutionError, Program, Value};
use event_bus::Catalogue;
use event_bus::dead_letters::{Filter, Found, each_original};
use event_bus::kafka::Record;
use event_bus::kafka::admin::Admin;
use event_bus::kafka::reader::ReadError;
use event_bus::personal::Personal;
use uuid::Uuid;

/// A condition has at most so many bytes.
const MAX_BYTES: usize = 4 * 1024;
/// Characters that may begin another level, of which each takes stack while a condition is read and judged.
const LEVELS: &[u8] = b"([{!-+*/%?:<>=&|.,";
/// The stack for [`MAX_LEVELS`], of which only what is used takes memory.
const DEEP_STACK: usize = 64 * 1024 * 1024;
/// So many events are judged at once.
const AT_ONCE: usize = 64;
/// It has at most so many of those, in texts or not.
const MAX_LEVELS: usize = 128;

/// A condition that can't be judged.
#[derive(Debug, thiserror::Error)]
pub enum ConditionError {
    /// It is no CEL.
    #[error("the condition is no CEL: {0}")]
    Syntax(String),
    /// It is too long.
    #[error("the condition has {0} bytes; at most {MAX_BYTES} are allowed")]
    TooLong(usize),
    /// It is too deep.
    #[error("the condition has {0} brackets, operators and dots; at most {MAX_LEVELS} are allowed")]
    TooDeep(usize),
    /// What it says can't be said of an event.
    #[error(
        "the condition can't be judged of the dead letter {letter}: {why}; it knows envelope, payload, key and headers"
    )]
    Undecided {
        /// The dead letter.
        letter: Uuid,
        /// Why.
        why: String,
    },
    /// The events could not be read.
    #[error("the dead letters could not be read")]
    Read(#[from] ReadError),
}

/// What a condition is judged by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sight {
    /// The events without what is personal: for those who may not see that, and so must not find it out either.
    Masked,
    /// The events as they are.
    AsItIs,
}

/// What waits to be judged.
struct Waiting {
    letter: Uuid,
    record: Record,
    personal: Personal,
}

/// A condition.
#[derive(Debug)]
pub struct Condition(Program);

impl Condition {
    fn parse(text: &str) -> Result<Self, ConditionError> {
        if text.len() > MAX_BYTES {
            return Err(ConditionError::TooLong(text.len()));
        }
        let levels = text.bytes().filter(|byte| LEVELS.contains(byte)).count();
        if levels > MAX_LEVELS {
            return Err(ConditionError::TooDeep(levels));
        }
        let program = on_deep_stack(|| Program::compile(text));
        program.map(Self).map_err(|error| ConditionError::Syntax(error.to_string()))
    }

    /// Takes the condition out of a filter, if it has one. [`Self::ids`] belong in its place.
    ///
    /// # Errors
    /// When it is too long or no CEL.
    pub fn of(filter: &mut Filter) -> Result<Option<Self>, ConditionError> {
        filter.condition.take().map(|text| Self::parse(&text)).transpose()
    }

    /// The ids of those dead letters whose events this is true of, or one that nobody has: no id would leave nothing out.
    /// What retention took is none of them.
    ///
    /// # Errors
    /// When Kafka does not answer, or what it says can't be said of one of the events.
    pub async fn ids(
        &self,
        admin: &Admin,
        catalogue: &Catalogue,
        letters: &[&Found],
        sight: Sight,
    ) -> Result<Vec<Uuid>, ConditionError> {
        let (mut chosen, mut waiting) = (Ok(Vec::new()), Vec::with_capacity(AT_ONCE));
        each_original(admin, letters, |found, record| {
            let value = record.value.as_deref();
            let personal = Personal::of_letter(catalogue, &found.letter, value);
            let record = match sight {
                Sight::Masked => personal.record(&record),
                Sight::AsItIs => record,
            };
            waiting.push(Waiting { letter: found.letter.id, record, personal });
            if waiting.len() == AT_ONCE {
                self.judge(&mut chosen, &mut waiting);
            }
        })
        .await?;
        self.judge(&mut chosen, &mut waiting);
        let mut chosen = chosen?;
        if chosen.is_empty() {
            chosen.push(Uuid::nil());
        }
        Ok(chosen)
    }

    /// Judges what waits, unless one could not be judged before.
    fn judge(&self, chosen: &mut Result<Vec<Uuid>, ConditionError>, waiting: &mut Vec<Waiting>) {
        let judged = on_deep_stack(|| {
            waiting
                .drain(..)
                .map(|Waiting { letter, record, personal }| {
                    // Why it can't be judged may quote what is personal.
                    (letter, self.holds(&record).map_err(|why| personal.text(&why)))
                })
                .collect::<Vec<_>>()
        });
        for (letter, holds) in judged {
            match (&mut *chosen, holds) {
                (Ok(chosen), Ok(true)) => chosen.push(letter),
                (Ok(_), Err(why)) => *chosen = Err(ConditionError::Undecided { letter, why }),
                _ => {}
            }
        }
    }

    fn holds(&self, record: &Record) -> Result<bool, String> {
        let value = record.value.as_deref().unwrap_or_default();
        let Ok(envelope) = serde_json::from_slice::<serde_json::Value>(value) else {
            return Ok(false);
        };
        let mut context = Context::default();
        let payload = envelope.get("payload").cloned().unwrap_or_default();
        context.add_variable_from_value("payload", value_of(payload));
        context.add_variable_from_value("envelope", value_of(envelope));
        let key = record.key.as_deref().map(|key| String::from_utf8_lossy(key).into_owned());
        context.add_variable_from_value("key", key.map_or(Value::Null, Value::from));
        let headers = record.headers.iter().filter(|header| !header.is_added()).map(|header| {
            let value = header.value.as_deref().unwrap_or_default();
            (header.name.to_string(), String::from_utf8_lossy(value).into_owned())
        });
        context.add_variable_from_value("headers", headers.collect::<HashMap<_, _>>());
        match self.0.execute(&context) {
            Ok(Value::Bool(holds)) => Ok(holds),
            Ok(other) => Err(format!("it is {other:?}, which is neither true nor false")),
            Err(ExecutionError::NoSuchKey(_)) => Ok(false),
            Err(error) => Err(error.to_string()),
        }
    }
}

/// Runs it where a deep condition has room: reading and judging take some tens of kilobytes for each of its levels.
fn on_deep_stack<T: Send>(run: impl FnOnce() -> T + Send) -> T {
    thread::scope(|scope| {
        let ended = thread::Builder::new()
            .stack_size(DEEP_STACK)
            .spawn_scoped(scope, run)
            .expect("the system has a thread")
            .join();
        ended.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

/// A JSON value in CEL. Whole numbers are `int` wherever that can hold them, as those of an expression are.
fn value_of(json: serde_json::Value) -> Value {
    use serde_json::Value as Json;
    match json {
        Json::Null => Value::Null,
        Json::Bool(bool) => bool.into(),
        Json::String(text) => text.into(),
        Json::Array(items) => items.into_iter().map(value_of).collect::<Vec<_>>().into(),
        Json::Object(fields) => {
            let fields = fields.into_iter().map(|(name, value)| (name, value_of(value)));
            fields.collect::<HashMap<_, _>>().into()
        }
        Json::Number(number) => match (number.as_i64(), number.as_u64(), number.as_f64()) {
            (Some(whole), ..) => whole.into(),
            (_, Some(large), _) => large.into(),
            (.., real) => real.unwrap_or(f64::NAN).into(),
        },
    }
}

#[cfg(test)]
mod tests {
    use event_bus::headers::Header;

    use super::*;

    fn judged(condition: &str) -> Result<bool, String> {
        let value = r#"{"event":"OrderPlaced","version":"1.2","payload":{
            "total":{"amount":"12.50","minor":1250},"lines":[{"quantity":1},{"quantity":7}],"note":null}}"#;
        let record = Record {
            topic: "shop.order.placed.dlq".parse().unwrap(),
            partition: 0,
            offset: 1,
            timestamp_ms: 0,
            key: Some("acme/o-1".into()),
            value: Some(value.into()),
            headers: vec![Header::text("trace", "abc")],
        };
        let condition = Condition::parse(condition).map_err(|error| error.to_string())?;
        on_deep_stack(|| condition.holds(&record))
    }

    #[test]
    fn a_condition_is_judged_by_what_the_event_says() {
        for holds in [
            "payload.total.minor > 1000 && payload.total.minor % 2 == 0",
            "payload.lines.exists(line, line.quantity > 5)",
            "envelope.event == 'OrderPlaced' && envelope.version.startsWith('1.')",
            "key.endsWith('o-1') && headers.trace == 'abc' && payload.note == null",
            "payload.total.amount.matches('^[0-9]+[.][0-9]{2}$')",
            "!has(payload.discount)",
            "double(payload.total.amount) > 12.0",
        ] {
            assert_eq!(judged(holds), Ok(true), "{holds}");
        }
        for fails in ["payload.discount > 5", "payload.lines.all(line, line.quantity > 5)"] {
            assert_eq!(judged(fails), Ok(false), "{fails}");
        }
    }

    #[test]
    fn what_can_not_be_judged_is_an_error() {
        for (condition, told) in [
            ("payload.total.minor >", "no CEL"),
            ("payload.total.minor", "neither true nor false"),
            ("paylod.total > 1", "paylod"),
            ("payload.total.amount > 12", "overload"),
        ] {
            let error = judged(condition).unwrap_err();
            assert!(error.contains(told), "{condition}: {error}");
        }
        assert!(judged(&"(".repeat(MAX_LEVELS + 1)).unwrap_err().contains("brackets"));
        assert!(judged(&"1".repeat(MAX_BYTES + 1)).unwrap_err().contains("bytes"));
    }

    #[test]
    fn the_deepest_condition_takes_no_more_stack_than_there_is() {
        for (open, middle, close) in [
            ("(", "true", ")"),
            ("[", "1", "]"),
            ("{1:", "1", "}"),
            ("!", "true", ""),
            ("-", "1", ""),
            ("1+", "1", ""),
            ("true?1:", "1", ""),
            ("true&&", "true", ""),
            ("true||!", "true", ""),
            ("[1].map(x,", "1", ")"),
            ("size(", "''", ")"),
        ] {
            let levels = open.bytes().filter(|byte| LEVELS.contains(byte)).count();
            let times = MAX_LEVELS / levels;
            let condition = format!("{}{middle}{}", open.repeat(times), close.repeat(times));
            assert!(condition.len() < MAX_BYTES);
            drop(judged(&condition));
        }
        drop(judged(&format!("payload{}", ".a".repeat(MAX_LEVELS))));
    }
}
