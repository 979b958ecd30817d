//! Reads a catalogue and finds everything that is wrong with it, not only the first thing.

mod event;
mod fields;
mod settings;
mod versions;

use std::collections::{HashMap, HashSet};

use indexmap::IndexMap;
use toml::de::DeTable;

use self::{
    fields::{Node, Problems, Table},
    settings::{ConsumerSettings, TopicSettings},
    versions::ReadSchema,
};
use super::{Catalogue, Event, LoadError};
use crate::names::{Namespace, ServiceName};

/// What has been read so far.
struct Reader<'t> {
    problems: Problems<'t>,
    read_schema: ReadSchema<'t>,
    namespace: Namespace,
    services: IndexMap<ServiceName, String>,
    topic_defaults: TopicSettings,
    consumer_defaults: ConsumerSettings,
    /// Services that publish or consume something.
    busy: HashSet<ServiceName>,
    /// Short topics with their events.
    topics: HashMap<String, String>,
    /// Groups with the entries that have them.
    groups: HashMap<String, String>,
    pointers: Pointers,
}

/// What pointers into payloads may lead to.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Pointers {
    /// What some schema describes.
    Described,
    /// Anything.
    Any,
}

/// Reads a catalogue. Anything that is wrong makes it fail, after everything was looked at.
pub(super) fn read(
    origin: &str,
    text: &str,
    read_schema: ReadSchema<'_>,
    pointers: Pointers,
) -> Result<Catalogue, LoadError> {
    let mut problems = Problems::new(origin, text);
    let table = match DeTable::parse(text) {
        Ok(table) => table,
        Err(error) => {
            let line = problems.line(error.span().map_or(0, |span| span.start));
            problems.add_in(
                line,
                "",
                format_args!("is not TOML: {}", error.message()),
                "correct the file",
            );
            return Err(LoadError { problems: problems.found });
        }
    };
    let mut root = Table::new(Node::root(), table.get_ref());
    let namespace =
        root.required("namespace", &mut problems).and_then(|node| node.parsed(&mut problems));
    let mut reader = Reader {
        problems,
        read_schema,
        // Any will do to go on looking for problems.
        namespace: namespace.unwrap_or_else(|| Namespace::new("unnamed").expect("a slug")),
        services: IndexMap::new(),
        topic_defaults: TopicSettings::default(),
        consumer_defaults: ConsumerSettings::default(),
        busy: HashSet::new(),
        topics: HashMap::new(),
        groups: HashMap::new(),
        pointers,
    };
    let services = root.required("services", &mut reader.problems);
    let services = services.map(|node| reader.services(&node)).unwrap_or_default();
    if let Some(defaults) = root.optional("defaults") {
        reader.defaults(&defaults);
    }
    let events = root
        .required("events", &mut reader.problems)
        .map(|node| reader.events(&node))
        .unwrap_or_default();
    root.finish(&mut reader.problems);
    reader.check_services_are_busy(&services);
    reader.finish(events)
}

impl<'t> Reader<'t> {
    /// Reads the services, and gives back their entries.
    fn services(&mut self, node: &Node<'t>) -> Vec<(&'t str, Node<'t>)> {
        let entries = node.table(&mut self.problems).map(Table::entries).unwrap_or_default();
        for (name, node) in &entries {
            let Some(mut table) = node.table(&mut self.problems) else { continue };
            let title = table.required("title", &mut self.problems);
            let title =
                title.and_then(|node| node.sentence(&mut self.problems)).unwrap_or_default();
            table.finish(&mut self.problems);
            match ServiceName::new(name) {
                Ok(service) => drop(self.services.insert(service, title)),
                Err(error) => self.problems.add(node, error, "rename the service by that rule"),
            }
        }
        entries
    }

    fn defaults(&mut self, node: &Node<'t>) {
        let Some(mut table) = node.table(&mut self.problems) else { return };
        self.topic_defaults =
            TopicSettings::read(&mut table, &self.topic_defaults, &mut self.problems);
        self.consumer_defaults =
            ConsumerSettings::read(&mut table, &self.consumer_defaults, &mut self.problems);
        table.finish(&mut self.problems);
    }

    fn events(&mut self, node: &Node<'t>) -> Vec<Event> {
        let entries = node.table(&mut self.problems).map(Table::entries).unwrap_or_default();
        if entries.is_empty() {
            self.problems.add(node, "has no event", "add one as [events.SomethingHappened]");
        }
        entries.iter().filter_map(|(name, node)| self.event(name, node)).collect()
    }

    fn check_services_are_busy(&mut self, entries: &[(&'t str, Node<'t>)]) {
        for (name, node) in entries {
            if self.services.contains_key(*name) && !self.busy.contains(*name) {
                self.problems.add(
                    node,
                    "neither publishes nor consumes an event",
                    "make it the producer or a consumer of one, or remove it",
                );
            }
        }
    }

    fn finish(self, events: Vec<Event>) -> Result<Catalogue, LoadError> {
        if !self.problems.found.is_empty() {
            return Err(LoadError { problems: self.problems.found });
        }
        Ok(Catalogue::new(self.namespace, self.services, events))
    }
}

#[cfg(test)]
mod tests;
