//! The catalogue: an organisation's events, topics, producers, consumers and schemas, as data.
//!
//! Nothing about any one organisation is compiled in; everything comes from a catalogue file and
//! the schema files beside it.

pub mod diff;
mod event;
mod keyword;
mod load;
mod ordering_key;
mod pointers;
mod problem;
mod schema;
mod version;

use std::{path::Path, sync::Arc, time::Duration};

use indexmap::IndexMap;

pub use event::{BehindDeadLetter, Consumer, Event, Execution, Retention};
pub use keyword::Places;
pub use ordering_key::{MissingKeyField, OrderingKey};
pub use problem::{LoadError, Problem};
pub use schema::{DIALECT, Schema, SchemaError, Violation};
pub use version::{SchemaVersion, UnsupportedVersion, Version, VersionError};

use crate::names::{EventName, Namespace, ServiceName, TopicName};

/// A catalogue without contradictions: loading one checks it.
#[derive(Clone, Debug)]
pub struct Catalogue {
    namespace: Namespace,
    services: IndexMap<ServiceName, String>,
    events: Vec<Arc<Event>>,
    by_name: IndexMap<String, usize>,
    /// Full and short topics.
    by_topic: IndexMap<String, usize>,
}

/// One service consuming one event: what has a consumer group.
#[derive(Clone, Copy, Debug)]
pub struct Subscription<'a> {
    /// What is consumed.
    pub event: &'a Arc<Event>,
    /// Who consumes it, and how.
    pub consumer: &'a Consumer,
}

impl Catalogue {
    /// Loads a catalogue file and the schemas at `schemas/<Event>/<version>.json` beside it, and of each version the first of
    /// `samples/<Event>/<version>/valid-*.json` where there is one.
    ///
    /// # Errors
    /// All problems found, each with the file, the entry and the cure.
    pub fn load(path: &Path) -> Result<Catalogue, LoadError> {
        let origin = path.display().to_string();
        let text = std::fs::read_to_string(path)
            .map_err(|error| LoadError::unreadable(&origin, &error))?;
        let folder = path.parent().unwrap_or(Path::new(""));
        let (schemas, samples) = (folder.join("schemas"), folder.join("samples"));
        let read = |schema: &str| std::fs::read_to_string(schemas.join(schema));
        let catalogue = Catalogue::parse(&origin, &text, read)?;
        Ok(catalogue.with_samples(|event, version| {
            first_sample(&samples.join(event.as_str()).join(version.to_string()))
        }))
    }

    /// The same contract with what events may look like, as far as it is known of each version.
    #[must_use]
    pub fn with_samples(
        mut self,
        sample: impl Fn(&EventName, Version) -> Option<String>,
    ) -> Catalogue {
        for event in &mut self.events {
            let event = Arc::make_mut(event);
            for known in &mut event.versions {
                known.sample = sample(&event.name, known.version).map(Arc::from);
            }
        }
        self
    }

    /// Reads a catalogue from text. `origin` names it in problems; `read_schema` is asked for files
    /// such as `OrderPlaced/1.0.json`.
    ///
    /// # Errors
    /// All problems found, each with the file, the entry and the cure.
    pub fn parse(
        origin: &str,
        toml: &str,
        read_schema: impl Fn(&str) -> std::io::Result<String>,
    ) -> Result<Catalogue, LoadError> {
        load::read(origin, toml, &read_schema, load::Pointers::Described)
    }

    /// Reads a catalogue in order to compare it: what `reads` and `personal-data` point to may be missing, for
    /// [`diff::diff`] says whom that breaks.
    ///
    /// # Errors
    /// All other problems found, each with the file, the entry and the cure.
    pub fn parse_to_compare(
        origin: &str,
        toml: &str,
        read_schema: impl Fn(&str) -> std::io::Result<String>,
    ) -> Result<Catalogue, LoadError> {
        load::read(origin, toml, &read_schema, load::Pointers::Any)
    }

    fn new(
        namespace: Namespace,
        services: IndexMap<ServiceName, String>,
        events: Vec<Event>,
    ) -> Catalogue {
        let mut catalogue = Catalogue {
            namespace,
            services,
            events: events.into_iter().map(Arc::new).collect(),
            by_name: IndexMap::new(),
            by_topic: IndexMap::new(),
        };
        catalogue.index();
        catalogue
    }

    fn index(&mut self) {
        self.by_name.clear();
        self.by_topic.clear();
        for (position, event) in self.events.iter().enumerate() {
            self.by_name.insert(event.name.to_string(), position);
            self.by_topic.insert(event.topic.to_string(), position);
            self.by_topic.insert(event.short_topic.to_string(), position);
        }
    }

    /// All topics that the contract needs: of events, of dead letters, and the bus's own.
    #[must_use]
    pub fn topics(&self) -> Vec<TopicName> {
        let of_events = self.events().flat_map(|event| [&event.topic, &event.dead_letter_topic]);
        of_events.cloned().chain(self.own_topics()).collect()
    }

    /// The bus's own: of outcomes, of audit, of commands.
    #[must_use]
    pub fn own_topics(&self) -> [TopicName; 3] {
        [self.outcomes_topic(), self.audit_topic(), self.commands_topic()]
    }

    /// Where services tell what became of replays, see [`replay`](crate::replay).
    ///
    /// # Panics
    /// Never: a namespace is a valid beginning of a topic.
    #[must_use]
    pub fn outcomes_topic(&self) -> TopicName {
        self.internal_topic("outcomes")
    }

    /// Where it is told what operators do.
    ///
    /// # Panics
    /// Never: a namespace is a valid beginning of a topic.
    #[must_use]
    pub fn audit_topic(&self) -> TopicName {
        self.internal_topic("audit")
    }

    /// Where operators ask running services, and are answered, see [`control`](crate::control).
    ///
    /// # Panics
    /// Never: a namespace is a valid beginning of a topic.
    #[must_use]
    pub fn commands_topic(&self) -> TopicName {
        self.internal_topic("commands")
    }

    fn internal_topic(&self, name: &str) -> TopicName {
        let topic = format!("{}.event-bus.{name}", self.namespace);
        topic.parse().expect("a namespace begins a topic")
    }

    /// The same contract under another prefix, for a second environment on one cluster.
    #[must_use]
    pub fn with_namespace(mut self, namespace: Namespace) -> Catalogue {
        for event in &mut self.events {
            Arc::make_mut(event).rename(&namespace);
        }
        self.namespace = namespace;
        self.index();
        self
    }

    /// The same contract with another wait before each retry, of which there are as many: for tests, where nothing gets
    /// better by waiting.
    #[must_use]
    pub fn with_retry_waits(mut self, wait: Duration) -> Catalogue {
        for event in &mut self.events {
            for consumer in &mut Arc::make_mut(event).consumers {
                consumer.retry.fill(wait);
            }
        }
        self
    }

    /// The first part of all its topics and groups.
    pub fn namespace(&self) -> &Namespace {
        &self.namespace
    }

    /// The services and their titles, in the file's order.
    pub fn services(&self) -> impl Iterator<Item = (&ServiceName, &str)> {
        self.services.iter().map(|(service, title)| (service, title.as_str()))
    }

    /// The events, in the file's order.
    pub fn events(&self) -> impl Iterator<Item = &Arc<Event>> {
        self.events.iter()
    }

    /// The event of that name.
    pub fn event(&self, name: &str) -> Option<&Arc<Event>> {
        self.by_name.get(name).map(|position| &self.events[*position])
    }

    /// The event of a topic, given in full or short. A dead letter topic is nobody's.
    pub fn event_of_topic(&self, topic: &str) -> Option<&Arc<Event>> {
        self.by_topic.get(topic).map(|position| &self.events[*position])
    }

    /// The event whose dead letters are in that topic.
    pub fn event_of_dead_letter_topic(&self, topic: &TopicName) -> Option<&Arc<Event>> {
        self.events.iter().find(|event| event.dead_letter_topic == *topic)
    }

    /// Every service's every subscription, by event.
    pub fn subscriptions(&self) -> impl Iterator<Item = Subscription<'_>> {
        self.events.iter().flat_map(|event| {
            event.consumers.iter().map(move |consumer| Subscription { event, consumer })
        })
    }

    /// What one service consumes.
    pub fn subscriptions_of(
        &self,
        service: &ServiceName,
    ) -> impl Iterator<Item = Subscription<'_>> {
        self.subscriptions().filter(move |subscription| subscription.consumer.service == *service)
    }

    /// The subscription of a service to an event, if it has one.
    pub fn subscription(&self, service: &str, event: &str) -> Option<Subscription<'_>> {
        let event = self.event(event)?;
        let consumer = event.consumers.iter().find(|consumer| consumer.service == service)?;
        Some(Subscription { event, consumer })
    }
}

/// The first valid sample of a folder, by its name.
fn first_sample(folder: &Path) -> Option<String> {
    let files = std::fs::read_dir(folder)
        .ok()?
        .filter_map(|file| file.ok()?.file_name().into_string().ok());
    let valid = files.filter(|name| name.starts_with("valid-") && name.ends_with(".json"));
    std::fs::read_to_string(folder.join(valid.min()?)).ok()
}

#[cfg(test)]
pub(crate) mod corner;
#[cfg(test)]
mod tests;
