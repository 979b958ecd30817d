//! Topics and users of a catalogue as resources of Strimzi, which runs Kafka on Kubernetes.
//!
//! A user may do what its service does by the catalogue, and nothing else.

use std::collections::BTreeMap;

use event_bus::Catalogue;
use event_bus::kafka::admin::Cluster;
use event_bus::names::ServiceName;
use event_bus::topics::{self, Step};

use super::Yaml;

const API_VERSION: &str = "kafka.strimzi.io/v1";
/// Says to whom the resources belong.
const CLUSTER_LABEL: &str = "strimzi.io/cluster";

/// The topics and users of this catalogue on a cluster of that name, as a file.
#[must_use]
pub fn file(catalogue: &Catalogue, cluster: &str) -> String {
    let mut text = "# Generated from the catalogue by `event-bus catalogue export strimzi`: change the catalogue instead.\n".to_owned();
    let services =
        catalogue.services().map(|(service, _)| service_user(catalogue, service, cluster));
    let users = services.chain([ops_user(catalogue, cluster), viewer(catalogue, cluster)]);
    for resource in topics_of(catalogue, cluster).into_iter().chain(users) {
        text.push_str("---\n");
        text.push_str(&resource.document());
    }
    text
}

fn resource(kind: &str, name: &str, cluster: &str, spec: Yaml) -> Yaml {
    let labels = Yaml::map([(CLUSTER_LABEL, cluster.into())]);
    Yaml::map([
        ("apiVersion", API_VERSION.into()),
        ("kind", kind.into()),
        ("metadata", Yaml::map([("name", name.into()), ("labels", labels)])),
        ("spec", spec),
    ])
}

/// What `topics apply` would make on a cluster that has none.
fn topics_of(catalogue: &Catalogue, cluster: &str) -> Vec<Yaml> {
    let empty = Cluster { brokers: usize::MAX, topics: BTreeMap::new() };
    let plan = topics::plan(catalogue, &empty, topics::Options::default());
    let topic = |step| match step {
        Step::Create { topic, partitions, replication, configs, .. } => {
            let config =
                configs.into_iter().map(|config| (config.name.to_owned(), typed(config.to)));
            let spec = Yaml::map([
                ("partitions", partitions.into()),
                ("replicas", replication.into()),
                ("config", Yaml::Map(config.collect())),
            ]);
            Some(resource("KafkaTopic", topic.as_str(), cluster, spec))
        }
        Step::Extend { .. } | Step::Configure { .. } => None,
    };
    plan.steps.into_iter().filter_map(topic).collect()
}

/// A number where it is one, as Strimzi compares it with what Kafka says.
fn typed(value: String) -> Yaml {
    value.parse().map_or(Yaml::Text(value), Yaml::Whole)
}

/// What a user may do with the things of a kind that have this name.
struct Acl {
    kind: &'static str,
    name: String,
    is_prefix: bool,
    operations: &'static [&'static str],
}

impl Acl {
    fn on(kind: &'static str, name: &impl ToString, operations: &'static [&'static str]) -> Acl {
        Acl { kind, name: name.to_string(), is_prefix: false, operations }
    }

    fn on_all(kind: &'static str, prefix: String, operations: &'static [&'static str]) -> Acl {
        Acl { kind, name: prefix, is_prefix: true, operations }
    }

    fn yaml(&self) -> Yaml {
        let mut resource = vec![("type".to_owned(), self.kind.into())];
        if self.kind != CLUSTER {
            let pattern = if self.is_prefix { "prefix" } else { "literal" };
            resource.push(("name".to_owned(), self.name.clone().into()));
            resource.push(("patternType".to_owned(), pattern.into()));
        }
        let operations = Yaml::list(self.operations.iter().copied());
        Yaml::map([("resource", Yaml::Map(resource)), ("operations", operations)])
    }
}

const TOPIC: &str = "topic";
const GROUP: &str = "group";
const CLUSTER: &str = "cluster";
const WRITES: &[&str] = &["Describe", "Write"];
const READS: &[&str] = &["Describe", "Read"];
const READS_AND_WRITES: &[&str] = &["Describe", "Read", "Write"];
const LOOKS: &[&str] = &["Describe", "DescribeConfigs"];
const READS_AND_LOOKS: &[&str] = &["Describe", "DescribeConfigs", "Read"];
const DESCRIBES: &[&str] = &["Describe"];

fn user(name: &str, cluster: &str, acls: &[Acl]) -> Yaml {
    let acls = acls.iter().map(Acl::yaml).collect();
    let authorization = Yaml::map([("type", "simple".into()), ("acls", Yaml::List(acls))]);
    let spec = Yaml::map([
        ("authentication", Yaml::map([("type", "tls".into())])),
        ("authorization", authorization),
    ]);
    resource("KafkaUser", name, cluster, spec)
}

/// A service writes its own events and the dead letters of those that it consumes, answers operators, and tells what
/// became of replays.
fn service_user(catalogue: &Catalogue, service: &ServiceName, cluster: &str) -> Yaml {
    let publishes = catalogue.events().filter(|event| event.producer == *service);
    let mut acls: Vec<Acl> = publishes.map(|event| Acl::on(TOPIC, &event.topic, WRITES)).collect();
    for subscription in catalogue.subscriptions_of(service) {
        acls.push(Acl::on(TOPIC, &subscription.event.topic, READS));
        acls.push(Acl::on(TOPIC, &subscription.event.dead_letter_topic, WRITES));
        acls.push(Acl::on(GROUP, &subscription.consumer.group, READS));
    }
    acls.push(Acl::on(TOPIC, &catalogue.outcomes_topic(), WRITES));
    acls.push(Acl::on(TOPIC, &catalogue.commands_topic(), READS_AND_WRITES));
    user(&format!("{}-{service}", catalogue.namespace()), cluster, &acls)
}

/// An ops process reads all, writes replays and what was decided, and moves the offsets of groups.
fn ops_user(catalogue: &Catalogue, cluster: &str) -> Yaml {
    let namespace = catalogue.namespace();
    let mut acls: Vec<Acl> =
        catalogue.events().map(|event| Acl::on(TOPIC, &event.topic, WRITES)).collect();
    acls.extend(catalogue.own_topics().map(|topic| Acl::on(TOPIC, &topic, WRITES)));
    acls.push(Acl::on_all(TOPIC, format!("{namespace}."), READS_AND_LOOKS));
    acls.push(Acl::on_all(GROUP, format!("{namespace}-"), READS));
    acls.push(Acl::on(CLUSTER, &"", LOOKS));
    user(&format!("{namespace}-event-bus-ops"), cluster, &acls)
}

/// Kafbat UI looks, and can do nothing else even where it would let somebody. It reads no records: it would show what is
/// personal in them, which the panel masks.
fn viewer(catalogue: &Catalogue, cluster: &str) -> Yaml {
    let namespace = catalogue.namespace();
    let acls = [
        Acl::on_all(TOPIC, format!("{namespace}."), LOOKS),
        Acl::on_all(GROUP, format!("{namespace}-"), DESCRIBES),
        Acl::on(CLUSTER, &"", LOOKS),
    ];
    user(&format!("{namespace}-event-bus-kafbat"), cluster, &acls)
}
