use super::{
    Pointers, Reader,
    fields::{Node, Table},
    settings::{ConsumerSettings, TopicSettings},
    versions,
};
use crate::{
    catalogue::{Consumer, Event, OrderingKey, SchemaVersion, event::source},
    names::{EventName, GroupName, ServiceName, ShortTopic, topic},
};

const PAYLOAD: &str = "/payload";

impl<'t> Reader<'t> {
    /// Reads one event. `None` when something about it is wrong, which is then noted.
    pub(super) fn event(&mut self, name: &str, node: &Node<'t>) -> Option<Event> {
        let name = self.event_name(name, node);
        let mut table = node.table(&mut self.problems)?;
        let description = table.required("description", &mut self.problems);
        let description = description.and_then(|node| node.sentence(&mut self.problems));
        let producer = table.required("producer", &mut self.problems);
        let producer = producer.and_then(|node| {
            let name = node.text(&mut self.problems)?;
            self.service(name, &node)
        });
        let topic_node = table.required("topic", &mut self.problems);
        let key = table.required("key", &mut self.problems);
        let version_list = table.required("versions", &mut self.problems);
        let personal_data = table.optional("personal-data");
        let settings = TopicSettings::read(&mut table, &self.topic_defaults, &mut self.problems);
        let consumers = table.optional("consumers").and_then(|node| node.table(&mut self.problems));
        table.finish(&mut self.problems);

        let Some(name) = name else {
            // The consumers' services have something to do all the same.
            self.consumers(&[], None, consumers);
            return None;
        };
        let short_topic = topic_node.and_then(|node| self.short_topic(&name, &node));
        let versions = version_list
            .and_then(|node| versions::read(&name, &node, self.read_schema, &mut self.problems));
        // Pointers are looked up in all schemas or none: a missing schema is one problem, not many.
        let schemas = versions.as_deref().unwrap_or(&[]);
        let key = key.and_then(|node| self.key(&name, schemas, &node));
        let personal_data =
            personal_data.map_or(Some(Vec::new()), |node| self.pointers(schemas, PAYLOAD, &node));
        let consumers = self.consumers(schemas, short_topic.as_ref(), consumers);

        let (short_topic, producer) = (short_topic?, producer?);
        let topic = topic(&self.namespace, &short_topic);
        Some(Event {
            name,
            description: description?,
            dead_letter_topic: topic.dead_letter(),
            topic,
            short_topic,
            source: source(&self.namespace, &producer),
            producer,
            key: key?,
            versions: versions?,
            personal_data: personal_data?,
            partitions: settings.partitions,
            replication: settings.replication,
            min_insync_replicas: settings.min_insync_replicas,
            retention: settings.retention,
            dlq_retention: settings.dlq_retention,
            lag: settings.lag,
            consumers,
        })
    }

    fn event_name(&mut self, name: &str, node: &Node<'t>) -> Option<EventName> {
        EventName::new(name)
            .map_err(|error| self.problems.add(node, error, "rename the event by that rule"))
            .ok()
    }

    fn short_topic(&mut self, event: &EventName, node: &Node<'t>) -> Option<ShortTopic> {
        let short_topic = node.parsed::<ShortTopic>(&mut self.problems)?;
        if !short_topic.belongs_to(event) {
            let kebab = event.kebab();
            let split = kebab.replacen('-', ".", 1);
            self.problems.add(
                node,
                format_args!(
                    "{short_topic} is not {event} in kebab case with a dot after the domain"
                ),
                format_args!(
                    "name it {split}, or where the domain is another word, {{domain}}.{kebab}"
                ),
            );
            return None;
        }
        if let Some(other) = self.topics.insert(short_topic.to_string(), event.to_string()) {
            self.problems.add(
                node,
                format_args!("{short_topic} is the topic of {other} already"),
                "give each event a topic of its own",
            );
        }
        Some(short_topic)
    }

    fn key(
        &mut self,
        event: &EventName,
        schemas: &[SchemaVersion],
        node: &Node<'t>,
    ) -> Option<OrderingKey> {
        let items = node.list(&mut self.problems)?;
        if items.is_empty() {
            self.problems.add(
                node,
                "is empty",
                "list at least one pointer: what has the same key stays in order",
            );
        }
        let mut texts = Vec::new();
        for item in &items {
            let text = item.text(&mut self.problems)?;
            texts.push(text);
            if let Err(pointer) = OrderingKey::new([text]) {
                self.problems.add(
                    item,
                    format_args!("{pointer:?} is no pointer to a key field"),
                    "write `/tenant_id`, or a pointer that begins with `/payload/`",
                );
            } else if let Some(in_payload) = text.strip_prefix(PAYLOAD) {
                versions::check_key_field(event, schemas, in_payload, item, &mut self.problems);
            }
        }
        OrderingKey::new(texts).ok()
    }

    /// A list of pointers that begin with `prefix`, each of which some schema describes.
    fn pointers(
        &mut self,
        schemas: &[SchemaVersion],
        prefix: &str,
        node: &Node<'t>,
    ) -> Option<Vec<String>> {
        let items = node.list(&mut self.problems)?;
        for item in &items {
            let text = item.text(&mut self.problems)?;
            match text.strip_prefix(prefix).filter(|below| below.starts_with('/')) {
                None => self.problems.add(
                    item,
                    format_args!("{text:?} is no pointer that begins with `{prefix}/`"),
                    format_args!("write one, such as `{prefix}/customer/email`"),
                ),
                Some(_) if schemas.is_empty() || self.pointers == Pointers::Any => {}
                Some(in_payload) => {
                    versions::check_described(schemas, in_payload, item, &mut self.problems);
                }
            }
        }
        Some(
            items
                .iter()
                .filter_map(|item| item.text(&mut self.problems))
                .map(str::to_owned)
                .collect(),
        )
    }

    fn consumers(
        &mut self,
        schemas: &[SchemaVersion],
        short_topic: Option<&ShortTopic>,
        table: Option<Table<'t>>,
    ) -> Vec<Consumer> {
        let mut consumers = Vec::new();
        for (name, node) in table.map(Table::entries).unwrap_or_default() {
            let service = self.service(name, &node);
            let Some(mut table) = node.table(&mut self.problems) else { continue };
            let reads = table.optional("reads");
            let major = table.optional("major");
            let major = versions::major(schemas, major.as_ref(), &node, &mut self.problems);
            let handled: Vec<SchemaVersion> = schemas
                .iter()
                .filter(|known| major.is_none_or(|major| known.version.major == major))
                .cloned()
                .collect();
            let reads = reads.and_then(|node| self.pointers(&handled, "", &node));
            let settings =
                ConsumerSettings::read(&mut table, &self.consumer_defaults, &mut self.problems);
            table.finish(&mut self.problems);
            let (Some(service), Some(short_topic), Some(major)) = (service, short_topic, major)
            else {
                continue;
            };
            let group = self.group(&service, short_topic, &node);
            consumers.push(Consumer {
                service,
                group,
                retry: settings.retry,
                execution: settings.execution,
                behind_dead_letter: settings.behind_dead_letter,
                handler_timeout: settings.handler_timeout,
                reads: reads.unwrap_or_default(),
                major,
            });
        }
        consumers
    }

    /// The group of a subscription. Hyphens join its parts and occur in them, so two may come out
    /// the same.
    fn group(
        &mut self,
        service: &ServiceName,
        short_topic: &ShortTopic,
        node: &Node<'t>,
    ) -> GroupName {
        let group = GroupName::of(&self.namespace, service, short_topic);
        if let Some(other) = self.groups.insert(group.to_string(), node.entry.clone()) {
            self.problems.add(
                node,
                format_args!("its group {group} is that of {other} too"),
                "rename the service or the event, so that the two share no offsets",
            );
        }
        group
    }

    /// A service by its name, which must be one of the catalogue's.
    fn service(&mut self, name: &str, node: &Node<'t>) -> Option<ServiceName> {
        let Some((service, _)) = self.services.get_key_value(name) else {
            let known =
                self.services.keys().map(ServiceName::as_str).collect::<Vec<_>>().join(", ");
            self.problems.add(
                node,
                format_args!("{name:?} is not a service of this catalogue"),
                format_args!("add it to [services], or name one of: {known}"),
            );
            return None;
        };
        self.busy.insert(service.clone());
        Some(service.clone())
    }
}
