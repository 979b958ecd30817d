//! Topics and users of a catalogue as resources of Strimzi, which runs Kafka on Kubernetes.
//!
//! A user may do what [`access::users`] says, and nothing else.

use std::collections::BTreeMap;

use event_bus::Catalogue;
use event_bus::access::{self, Grant, Kind, User};
use event_bus::kafka::admin::Cluster;
use event_bus::names::Namespace;
use event_bus::topics::{self, Step};

use super::Yaml;

const API_VERSION: &str = "kafka.strimzi.io/v1";
/// Says to whom the resources belong.
const CLUSTER_LABEL: &str = "strimzi.io/cluster";

/// The topics and users of this catalogue on a cluster of that name, as a file.
#[must_use]
pub fn file(catalogue: &Catalogue, cluster: &str) -> String {
    let mut text = "# Generated from the catalogue by `event-bus catalogue export strimzi`: change the catalogue instead.\n".to_owned();
    let users = access::users(catalogue);
    let users = users.iter().map(|of| user(of, catalogue.namespace(), cluster));
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

fn acl(grant: &Grant) -> Yaml {
    let kind = match grant.kind {
        Kind::Topic => "topic",
        Kind::Group => "group",
        Kind::Cluster => "cluster",
    };
    let mut resource = vec![("type".to_owned(), kind.into())];
    // There is one cluster, and Strimzi wants no name of it.
    if grant.kind != Kind::Cluster {
        let pattern = if grant.is_prefix { "prefix" } else { "literal" };
        resource.push(("name".to_owned(), grant.name.clone().into()));
        resource.push(("patternType".to_owned(), pattern.into()));
    }
    let operations = Yaml::list(grant.operations.iter().map(|operation| operation.name()));
    Yaml::map([("resource", Yaml::Map(resource)), ("operations", operations)])
}

fn user(user: &User, namespace: &Namespace, cluster: &str) -> Yaml {
    let acls = user.grants.iter().map(acl).collect();
    let authorization = Yaml::map([("type", "simple".into()), ("acls", Yaml::List(acls))]);
    let spec = Yaml::map([
        ("authentication", Yaml::map([("type", "tls".into())])),
        ("authorization", authorization),
    ]);
    resource("KafkaUser", &format!("{namespace}-{}", user.name), cluster, spec)
}
