//! Events that came and went, and what their topics promise.

use super::versions::{Reader, Sides};
use super::{Change, Party};
use crate::catalogue::{Catalogue, Event, pointers};

pub(super) fn compare(old: &Catalogue, new: &Catalogue, changes: &mut Vec<Change>) {
    if old.namespace() != new.namespace() {
        let what = format!("has the namespace {}, and had {}", new.namespace(), old.namespace());
        let change = Change {
            event: None,
            version: None,
            pointer: None,
            code: "namespace",
            what,
            judged: Vec::new(),
        };
        let cure = "every topic and group is another: leave the namespace as it was";
        changes.push(change.breaks(Party::Everyone, cure));
    }
    for event in old.events() {
        match new.event(event.name.as_str()) {
            Some(after) => Sides::of(event, after).compare(changes),
            None => changes.push(gone(event)),
        }
    }
    for event in new.events().filter(|event| old.event(event.name.as_str()).is_none()) {
        changes
            .push(Change::of(&event.name, "event-added", "is new").safe_for(Party::Everyone, None));
    }
}

fn gone(event: &Event) -> Change {
    let cure =
        "keep it until nobody publishes or consumes it: `event-bus catalogue usage` tells who does";
    let change = Change::of(&event.name, "event-gone", "is gone")
        .breaks(Party::Producer(event.producer.clone()), cure);
    event.consumers.iter().fold(change, |change, consumer| {
        change.breaks(Party::Consumer(consumer.service.clone()), cure)
    })
}

impl<'c> Sides<'c> {
    fn of(old: &'c Event, new: &'c Event) -> Sides<'c> {
        let mut readers: Vec<Reader<'c>> = Vec::new();
        for was in &old.consumers {
            let is = new.consumers.iter().find(|is| is.service == was.service);
            readers.push(Reader { service: &was.service, was: Some(was), is });
        }
        for is in &new.consumers {
            if !old.consumers.iter().any(|was| was.service == is.service) {
                readers.push(Reader { service: &is.service, was: None, is: Some(is) });
            }
        }
        Sides { old, new, readers }
    }
}

impl Sides<'_> {
    fn compare(&self, changes: &mut Vec<Change>) {
        self.topic(changes);
        self.keeping(changes);
        self.personal_data(changes);
        self.versions(changes);
        self.consumers(changes);
    }

    fn change(&self, code: &'static str, what: String) -> Change {
        Change::of(&self.new.name, code, what)
    }

    fn breaks_all(&self, change: Change, cure: &str) -> Change {
        let change = change.breaks(Party::Producer(self.old.producer.clone()), cure);
        self.breaks_consumers(change, cure)
    }

    fn breaks_consumers(&self, change: Change, cure: &str) -> Change {
        let consumers = self.old.consumers.iter();
        consumers.fold(change, |change, consumer| {
            change.breaks(Party::Consumer(consumer.service.clone()), cure)
        })
    }

    fn topic(&self, changes: &mut Vec<Change>) {
        let (old, new) = (self.old, self.new);
        if old.description != new.description {
            changes.push(
                self.change("wording", "is described in other words".to_owned())
                    .safe_for(Party::Everyone, None),
            );
        }
        if old.short_topic != new.short_topic {
            let change = self.change(
                "topic",
                format!("is on {}, and was on {}", new.short_topic, old.short_topic),
            );
            let cure = "what is published goes where nobody reads yet, and what stands in the old topic stays there: leave it, or make it a new event and \
                        publish both until all have moved";
            changes.push(self.breaks_all(change, cure));
        }
        if old.producer != new.producer {
            let change = self.change(
                "producer",
                format!("is published by {}, and was by {}", new.producer, old.producer),
            );
            let cure = format!(
                "{} is refused from then on: have {} publish it first under another event, or hand over in one deployment and accept this",
                old.producer, new.producer
            );
            let change = change.breaks(Party::Producer(old.producer.clone()), cure);
            let consumers = new.consumers.iter();
            changes.push(consumers.fold(change, |change, consumer| {
                change.safe_for(Party::Consumer(consumer.service.clone()), None)
            }));
        }
        let key = |event: &Event| event.key.pointers().collect::<Vec<_>>().join(" ");
        if key(old) != key(new) {
            let change =
                self.change("key", format!("has the key {}, and had {}", key(new), key(old)));
            let cure = "events of before and after are in other partitions, and their order is lost: leave the key, or make it a new event and publish both \
                        until all have moved";
            changes.push(self.breaks_all(change, cure));
        }
        self.partitions(changes);
    }

    fn partitions(&self, changes: &mut Vec<Change>) {
        let (was, is) = (self.old.partitions, self.new.partitions);
        let change = self.change("partitions", format!("has {is} partitions, and had {was}"));
        if is > was {
            let cure = "keys move, so that a later event may overtake an earlier one: stop the producer, let the groups settle all, `event-bus topics apply \
                        --accept-reorder` (docs/OPERATIONS.md), and accept this";
            changes.push(self.breaks_consumers(change, cure));
        } else if is < was {
            let advice = "Kafka takes no partition away: the topic stays as it is".to_owned();
            changes.push(change.safe_for(Party::Everyone, advice));
        }
    }

    /// How long and how safely records are kept.
    fn keeping(&self, changes: &mut Vec<Change>) {
        let (old, new) = (self.old, self.new);
        for (code, was, is, what) in [
            ("retention", old.retention, new.retention, "events"),
            ("dlq-retention", old.dlq_retention, new.dlq_retention, "dead letters"),
        ] {
            let change =
                |how: &str| self.change(code, format!("keeps its {what} {how} than before"));
            if is < was {
                let cure = "a group that is behind, a new one, or one that is reset finds them gone: leave it, or make sure that nobody needs the older ones and \
                            accept this";
                changes.push(self.breaks_consumers(change("shorter"), cure));
            } else if is > was {
                changes.push(change("longer").safe_for(Party::Everyone, None));
            }
        }
        let copies = |event: &Event| (event.replication, event.min_insync_replicas);
        if copies(old) != copies(new) {
            let (replication, in_sync) = copies(new);
            let what = format!(
                "has {replication} copies of which {in_sync} acknowledge, and had {} and {}",
                old.replication, old.min_insync_replicas
            );
            let change = self.change("copies", what);
            changes.push(if replication < old.replication || in_sync < old.min_insync_replicas {
                let cure = "an acknowledged event may be lost with fewer brokers than before: leave it, or accept this";
                change.breaks(Party::Producer(old.producer.clone()), cure)
            } else {
                change.safe_for(Party::Everyone, None)
            });
        }
        if old.lag != new.lag {
            changes.push(
                self.change("lag", "has other thresholds of lag".to_owned())
                    .safe_for(Party::Everyone, None),
            );
        }
    }

    fn personal_data(&self, changes: &mut Vec<Change>) {
        let (old, new) = (&self.old.personal_data, &self.new.personal_data);
        for pointer in old.iter().filter(|pointer| !covers(new, pointer)) {
            let in_payload = pointer.trim_start_matches("/payload");
            let is_there = self
                .new
                .versions
                .iter()
                .any(|known| pointers::describes(known.schema.json(), in_payload));
            let change = self.change("personal-data", "is not personal data any more".to_owned());
            let change = Change { pointer: Some(in_payload.to_owned()), ..change };
            changes.push(if is_there {
                let cure = "panel, API and logs would show what they mask: leave it, or have whoever answers for personal data accept this";
                change.breaks(Party::Everyone, cure)
            } else {
                change.safe_for(Party::Everyone, None)
            });
        }
        for pointer in new.iter().filter(|pointer| !covers(old, pointer)) {
            let change = self.change("personal-data", "is personal data now".to_owned());
            let pointer = Some(pointer.trim_start_matches("/payload").to_owned());
            changes.push(Change { pointer, ..change }.safe_for(Party::Everyone, None));
        }
    }
}

/// Whether a pointer is one of these, or below one.
fn covers(pointers: &[String], pointer: &str) -> bool {
    pointers.iter().any(|known| {
        pointer
            .strip_prefix(known.as_str())
            .is_some_and(|below| below.is_empty() || below.starts_with('/'))
    })
}
