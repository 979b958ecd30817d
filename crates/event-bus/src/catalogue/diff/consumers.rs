//! Who consumes an event, and how.

use super::versions::{Reader, Sides};
use super::{Change, Party};
use crate::catalogue::Consumer;

impl Sides<'_> {
    pub(super) fn consumers(&self, changes: &mut Vec<Change>) {
        for reader in &self.readers {
            changes.extend(match (reader.was, reader.is) {
                (Some(was), Some(is)) => self.kept(was, is),
                (Some(_), None) => vec![self.left(reader)],
                (None, _) => vec![self.joined(reader)],
            });
        }
    }

    fn joined(&self, reader: &Reader<'_>) -> Change {
        let change = Change::of(
            &self.new.name,
            "consumer-added",
            format!("is consumed by {}", reader.service),
        );
        let advice = "its group begins with the oldest record that the topic has".to_owned();
        change.safe_for(Party::Consumer(reader.service.clone()), advice)
    }

    fn left(&self, reader: &Reader<'_>) -> Change {
        let service = reader.service;
        let change = Change::of(
            &self.new.name,
            "consumer-gone",
            format!("is not consumed by {service} any more"),
        );
        let cure = format!(
            "{service} refuses to start with a handler that the catalogue does not know: take the handler out of {service} first, and accept this"
        );
        change.breaks(Party::Consumer(service.clone()), cure)
    }

    fn kept(&self, was: &Consumer, is: &Consumer) -> Vec<Change> {
        let event = &self.new.name;
        let party = || Party::Consumer(is.service.clone());
        let mut changes = Vec::new();
        if was.major != is.major {
            let (from, to) = (was.major, is.major);
            let change = Change::of(
                event,
                "consumer-major",
                format!("is consumed in major {to} by {}, and was in {from}", is.service),
            );
            let is_published = self.old.versions.iter().any(|known| known.version.major == to);
            changes.push(if is_published {
                let advice = format!("it passes over events of major {from} from then on: the producer has to publish both already");
                change.safe_for(party(), advice)
            } else {
                let cure = format!(
                    "add major {to} and have {} publish it beside {from} first: until then {} would pass over every event",
                    self.new.producer, is.service
                );
                change.breaks(party(), cure)
            });
        }
        if was.reads != is.reads {
            let change = Change::of(
                event,
                "reads",
                format!("is read by {} at {}", is.service, listed(&is.reads)),
            );
            changes.push(change.safe_for(party(), None));
        }
        let settings = |consumer: &Consumer| {
            (
                consumer.retry.clone(),
                consumer.execution,
                consumer.behind_dead_letter,
                consumer.handler_timeout,
            )
        };
        if settings(was) != settings(is) {
            let change = Change::of(
                event,
                "settings",
                format!("is handled by {} with other settings", is.service),
            );
            changes.push(change.safe_for(party(), None));
        }
        changes
    }
}

fn listed(reads: &[String]) -> String {
    if reads.is_empty() { "nothing that it declares".to_owned() } else { reads.join(" ") }
}
