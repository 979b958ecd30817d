//! The last warnings, for a view that shows them itself: log lines would tear it.

use std::collections::VecDeque;
use std::fmt::{self, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;

/// More than any screen has room for.
const KEPT: usize = 20;

/// A warning or an error: what of it fits on a line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Note {
    pub is_error: bool,
    pub what: String,
    /// The group, service or topic that it is about.
    pub who: Option<String>,
    pub why: Option<String>,
}

/// The last of them. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct Notes {
    kept: Arc<Mutex<VecDeque<Note>>>,
}

impl Notes {
    /// The last notes, the oldest first.
    pub fn last(&self, most: usize) -> Vec<Note> {
        let kept = self.kept();
        kept.iter().skip(kept.len().saturating_sub(most)).cloned().collect()
    }

    fn push(&self, note: Note) {
        let mut kept = self.kept();
        if kept.len() == KEPT {
            kept.pop_front();
        }
        kept.push_back(note);
    }

    fn kept(&self) -> MutexGuard<'_, VecDeque<Note>> {
        // Each change is whole before the next, so a panic leaves nothing half done.
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<S: Subscriber> Layer<S> for Notes {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let level = *event.metadata().level();
        if level > Level::WARN {
            return;
        }
        let mut note = Note { is_error: level == Level::ERROR, ..Note::default() };
        event.record(&mut note);
        self.push(note);
    }
}

impl Note {
    fn note(&mut self, field: &Field, text: String) {
        match field.name() {
            "message" => self.what = text,
            "group" | "service" => self.who = Some(text),
            "topic" => drop(self.who.get_or_insert(text)),
            "error" | "why" | "reason" => {
                let why = self.why.get_or_insert_default();
                if !why.is_empty() {
                    why.push_str(": ");
                }
                why.push_str(&text);
            }
            _ => {}
        }
    }
}

impl Visit for Note {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.note(field, value.to_owned());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let mut text = String::new();
        write!(text, "{value:?}").expect("writing to a String cannot fail");
        self.note(field, text);
    }

    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        self.note(field, event_bus::dead_letter::error_chain(value));
    }
}

#[cfg(test)]
mod tests {
    use tracing_subscriber::layer::SubscriberExt;

    use super::*;

    #[test]
    fn a_warning_is_told_in_a_line_and_what_is_no_warning_is_not() {
        let notes = Notes::default();
        let subscriber = tracing_subscriber::registry().with(notes.clone());
        tracing::subscriber::with_default(subscriber, || {
            tracing::info!(service = "brand", "running");
            tracing::warn!(
                group = "acme-brand",
                topic = "acme.x",
                offset = 7,
                error = "no price",
                "an attempt failed"
            );
            tracing::error!(topic = %"acme.x", reason = %"malformed", error = "EOF", "dead letter");
        });
        let note = |is_error, what: &str, who: &str, why: &str| Note {
            is_error,
            what: what.to_owned(),
            who: Some(who.to_owned()),
            why: Some(why.to_owned()),
        };
        let wanted = [
            note(false, "an attempt failed", "acme-brand", "no price"),
            note(true, "dead letter", "acme.x", "malformed: EOF"),
        ];
        assert_eq!(notes.last(9), wanted);
        assert_eq!(notes.last(1), wanted[1..]);
    }

    #[test]
    fn only_the_last_are_kept() {
        let notes = Notes::default();
        for number in 0..=KEPT {
            notes.push(Note { what: number.to_string(), ..Note::default() });
        }
        let last = notes.last(KEPT + 9);
        assert_eq!((last.len(), last[0].what.as_str()), (KEPT, "1"));
    }
}
