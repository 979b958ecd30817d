//! Versions that came, went, or say something else.

use super::compare::shifts;
use super::shift::{Shift, sees};
use super::{Change, Party};
use crate::catalogue::{Consumer, Event, SchemaVersion, Version};
use crate::names::ServiceName;

/// A service that consumes the event, by either catalogue.
pub(super) struct Reader<'c> {
    pub(super) service: &'c ServiceName,
    pub(super) was: Option<&'c Consumer>,
    pub(super) is: Option<&'c Consumer>,
}

impl Reader<'_> {
    /// Whether it handles this major, today or by the new catalogue.
    fn handles(&self, major: u32) -> bool {
        [self.was, self.is].into_iter().flatten().any(|consumer| consumer.major == major)
    }

    /// Whether it reads what is at, above or below a pointer. Who declares nothing may read anything.
    fn sees(&self, pointer: &str) -> bool {
        [self.was, self.is].into_iter().flatten().any(|consumer| sees_as(consumer, pointer))
    }

    fn will_see(&self, pointer: &str) -> bool {
        self.is.is_some_and(|consumer| sees_as(consumer, pointer))
    }

    fn party(&self) -> Party {
        Party::Consumer(self.service.clone())
    }
}

fn sees_as(consumer: &Consumer, pointer: &str) -> bool {
    consumer.reads.is_empty() || consumer.reads.iter().any(|read| sees(read, pointer))
}

/// Both sides of an event.
pub(super) struct Sides<'c> {
    pub(super) old: &'c Event,
    pub(super) new: &'c Event,
    pub(super) readers: Vec<Reader<'c>>,
}

impl Sides<'_> {
    pub(super) fn versions(&self, changes: &mut Vec<Change>) {
        for known in &self.new.versions {
            match find(self.old, known.version) {
                Some(before) if before.schema.json() == known.schema.json() => {}
                Some(before) => self.in_place(before, known, changes),
                None => self.added(known, changes),
            }
        }
        for known in &self.old.versions {
            if find(self.new, known.version).is_none() {
                changes.push(self.gone(known));
            }
        }
    }

    fn producer(&self) -> Party {
        Party::Producer(self.old.producer.clone())
    }

    fn shifted(&self, shift: &Shift, version: Version) -> Change {
        let change = Change::of(&self.new.name, shift.code, &*shift.what).in_version(version);
        Change { pointer: Some(shift.pointer.clone()), ..change }
    }

    fn readers_of(&self, major: u32) -> impl Iterator<Item = &Reader<'_>> {
        self.readers.iter().filter(move |reader| reader.handles(major))
    }

    /// The major that nobody has yet.
    fn next_major(&self) -> u32 {
        let versions = self.old.versions.iter().chain(&self.new.versions);
        versions.map(|known| known.version.major).max().unwrap_or(0) + 1
    }

    /// A published schema says something else: producers go on by the old one, and consumers meet both.
    fn in_place(&self, before: &SchemaVersion, after: &SchemaVersion, changes: &mut Vec<Change>) {
        let version = after.version;
        let found = shifts(before.schema.json(), after.schema.json());
        if found.is_empty() {
            let change = Change::of(&self.new.name, "wording", "says the same in other words");
            changes.push(change.in_version(version).safe_for(Party::Everyone, None));
        }
        let next = self.next_major();
        for shift in &found {
            let mut change = self.shifted(shift, version);
            change = if shift.effect.narrows() {
                let cure = format!(
                    "leave {version} as it was: what only adds optional fields is a new minor, anything else major {next} beside it"
                );
                change.breaks(self.producer(), cure)
            } else {
                change.safe_for(self.producer(), None)
            };
            for reader in self.readers_of(version.major) {
                change = if shift.effect.widens() && reader.sees(&shift.pointer) {
                    change.breaks(reader.party(), self.way_out(reader, shift))
                } else {
                    let refused = shift.is_refused_before.then(|| consumers_first(reader.service));
                    let narrowed = shift.effect.narrows().then(|| {
                        "records of before that break it are dead letters where they are read again".to_owned()
                    });
                    change.safe_for(reader.party(), refused.or(narrowed))
                };
            }
            changes.push(change);
        }
    }

    fn added(&self, known: &SchemaVersion, changes: &mut Vec<Change>) {
        let version = known.version;
        let same_major =
            self.old.versions.iter().filter(|before| before.version.major == version.major);
        let Some(base) = same_major.max_by_key(|before| before.version) else {
            return changes.push(self.major_added(version));
        };
        let change =
            Change::of(&self.new.name, "minor-added", format!("is new beside {}", base.version));
        changes.push(change.in_version(version).safe_for(Party::Everyone, None));
        for shift in shifts(base.schema.json(), known.schema.json()) {
            let mut change = self.shifted(&shift, version);
            change = change.safe_for(self.producer(), None);
            for reader in self.readers_of(version.major) {
                let is_widened = shift.effect.widens() && reader.sees(&shift.pointer);
                let is_narrowed = shift.effect.narrows() && reader.will_see(&shift.pointer);
                change = if is_widened {
                    change.breaks(reader.party(), self.way_out(reader, &shift))
                } else if is_narrowed {
                    let (base, next) = (base.version, self.next_major());
                    let cure = format!(
                        "a minor only adds optional fields, and events of {base} stand beside those of {version}: leave it as in {base}, or make \
                         it major {next}"
                    );
                    change.breaks(reader.party(), cure)
                } else {
                    let refused = shift.is_refused_before.then(|| consumers_first(reader.service));
                    change.safe_for(reader.party(), refused)
                };
            }
            changes.push(change);
        }
    }

    fn major_added(&self, version: Version) -> Change {
        let change =
            Change::of(&self.new.name, "major-added", "is a new major").in_version(version);
        let advice = format!(
            "publish it beside the major of before, both of one event in one transaction, until every consumer has `major = {}`",
            version.major
        );
        let change = change.safe_for(self.producer(), advice);
        let untouched = self
            .readers
            .iter()
            .filter(|reader| reader.is.is_some_and(|is| is.major != version.major));
        untouched.fold(change, |change, reader| change.safe_for(reader.party(), None))
    }

    fn gone(&self, known: &SchemaVersion) -> Change {
        let version = known.version;
        let same_major =
            || self.new.versions.iter().filter(|after| after.version.major == version.major);
        let stop_first =
            "stop publishing it first: `event-bus catalogue usage` tells whether anybody does"
                .to_owned();
        let Some(highest) = same_major().max_by_key(|after| after.version) else {
            return self.major_gone(version, stop_first);
        };
        let change = Change::of(&self.new.name, "minor-gone", "is gone").in_version(version);
        let mut change = if highest.version > version {
            change.safe_for(self.producer(), stop_first)
        } else {
            let cure = format!(
                "it was the newest of its major, and whoever publishes it is refused: keep {version} listed"
            );
            change.breaks(self.producer(), cure)
        };
        let narrowed = shifts(known.schema.json(), highest.schema.json())
            .into_iter()
            .find(|shift| shift.effect.narrows());
        for reader in self.readers_of(version.major) {
            change = match &narrowed {
                Some(shift) => {
                    let Shift { pointer, what, .. } = shift;
                    let cure = format!(
                        "keep {version} listed: its records in the topic would be checked by {}, where {} {what}",
                        highest.version,
                        shown(pointer)
                    );
                    change.breaks(reader.party(), cure)
                }
                None => change.safe_for(reader.party(), None),
            };
        }
        change
    }

    fn major_gone(&self, version: Version, stop_first: String) -> Change {
        let major = version.major;
        let change = Change::of(
            &self.new.name,
            "major-gone",
            format!("is gone, and with it all of major {major}"),
        );
        let mut change = change.in_version(version);
        let is_replaced = self.old.versions.iter().any(|before| {
            before.version.major != major
                && self.new.versions.iter().any(|after| after.version.major == before.version.major)
        });
        change = if is_replaced {
            change.safe_for(self.producer(), stop_first)
        } else {
            let cure = format!(
                "list {version} beside the new version, and publish both until every consumer has moved"
            );
            change.breaks(self.producer(), cure)
        };
        for reader in &self.readers {
            change = if reader.handles(major) {
                let service = reader.service;
                let cure = format!(
                    "keep {version} listed and publish both (dual publish) until {service} has another `major`; it handles {major} today"
                );
                change.breaks(reader.party(), cure)
            } else {
                let advice = format!(
                    "records of major {major} in the topic are dead letters to a group that reads from the beginning: keep {version} listed while there are any"
                );
                change.safe_for(reader.party(), advice)
            };
        }
        change
    }

    /// How a consumer that reads what changed can be spared.
    fn way_out(&self, reader: &Reader<'_>, shift: &Shift) -> String {
        let (service, next, pointer) = (reader.service, self.next_major(), shown(&shift.pointer));
        let nothing_declared =
            reader.was.or(reader.is).is_some_and(|consumer| consumer.reads.is_empty());
        if nothing_declared {
            return format!(
                "{service} does not declare what it reads: list it under `reads` first; where {pointer} is among it, make this major {next} and \
                 publish both until {service} has moved"
            );
        }
        format!(
            "{service} reads it: have {service} stop reading {pointer} first, or make this major {next} and publish both until {service} has moved"
        )
    }
}

fn find(event: &Event, version: Version) -> Option<&SchemaVersion> {
    event.versions.iter().find(|known| known.version == version)
}

fn consumers_first(service: &ServiceName) -> String {
    format!(
        "give {service} the new catalogue before the producer has it: until then it refuses what the producer may write"
    )
}

pub(super) fn shown(pointer: &str) -> &str {
    if pointer.is_empty() { "the payload" } else { pointer }
}
