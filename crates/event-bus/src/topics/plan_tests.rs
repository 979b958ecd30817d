use super::*;
use crate::kafka::admin::TopicState;

const SCHEMA: &str = r#"{
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "type": "object",
    "required": ["order_id"],
    "properties": { "order_id": { "type": "string" } }
}"#;

const TOPIC: &str = "acme.order.placed";
const DEAD: &str = "acme.order.placed.dlq";

fn catalogue() -> Catalogue {
    let toml = r#"
        namespace = "acme"
        [services]
        shop = { title = "Shop" }
        [defaults]
        partitions = 6
        replication = 3
        min-insync-replicas = 2
        retention = "30d"
        dlq-retention = "unlimited"
        retry = ["500ms"]
        execution = "batched"
        behind-dead-letter = "continue"
        handler-timeout = "30s"
        [events.OrderPlaced]
        topic = "order.placed"
        description = "An order was placed."
        producer = "shop"
        key = ["/tenant_id", "/payload/order_id"]
        versions = ["1.0"]
        [events.OrderPlaced.consumers.shop]
        reads = ["/order_id"]
    "#;
    Catalogue::parse("test.toml", toml, |_| Ok(SCHEMA.to_owned())).unwrap()
}

fn cluster(brokers: usize) -> Cluster {
    Cluster { brokers, topics: BTreeMap::new() }
}

fn accepting() -> Options {
    Options { replication: None, accept_reorder: true }
}

/// The cluster after a plan's steps.
fn applied(mut cluster: Cluster, plan: &Plan) -> Cluster {
    for step in &plan.steps {
        match step {
            Step::Create { topic, partitions, replication, configs, .. } => {
                let configs = configs
                    .iter()
                    .map(|change| (change.name.to_owned(), change.to.clone()))
                    .collect();
                let (partitions, replication) = (*partitions, *replication);
                let state = TopicState { partitions, replication, has_leaders: true, configs };
                assert!(
                    cluster.topics.insert(topic.clone(), state).is_none(),
                    "{topic} created twice"
                );
            }
            Step::Extend { topic, to, .. } => {
                cluster.topics.get_mut(topic).unwrap().partitions = *to;
            }
            Step::Configure { topic, configs, .. } => {
                let changes =
                    configs.iter().map(|change| (change.name.to_owned(), change.to.clone()));
                cluster.topics.get_mut(topic).unwrap().configs.extend(changes);
            }
        }
    }
    cluster
}

fn complete() -> Cluster {
    applied(cluster(3), &plan(&catalogue(), &cluster(3), Options::default()))
}

fn state<'a>(cluster: &'a mut Cluster, topic: &str) -> &'a mut TopicState {
    cluster.topics.get_mut(&TopicName::new(topic).unwrap()).unwrap()
}

fn texts<T: std::fmt::Display>(items: &[T]) -> Vec<String> {
    items.iter().map(T::to_string).collect()
}

#[test]
fn an_empty_cluster_gets_the_dead_letter_topic_first() {
    let plan = plan(&catalogue(), &cluster(3), Options::default());
    assert_eq!(
        texts(&plan.steps),
        [
            "create acme.order.placed.dlq with 6 partitions, replication 3",
            "create acme.order.placed with 6 partitions, replication 3",
            "create acme.event-bus.outcomes with 1 partitions, replication 3",
            "create acme.event-bus.audit with 1 partitions, replication 3",
            "create acme.event-bus.commands with 1 partitions, replication 3",
        ]
    );
}

#[test]
fn topics_are_created_with_the_configs_of_the_catalogue() {
    let mut complete = complete();
    let config =
        |cluster: &mut Cluster, topic, name: &str| state(cluster, topic).configs[name].clone();
    assert_eq!(config(&mut complete, TOPIC, "retention.ms"), "2592000000");
    assert_eq!(config(&mut complete, DEAD, "retention.ms"), "-1");
    assert_eq!(config(&mut complete, TOPIC, "max.message.bytes"), "2000000");
    assert_eq!(config(&mut complete, DEAD, "max.message.bytes"), "4194304");
    for topic in [TOPIC, DEAD] {
        assert_eq!(config(&mut complete, topic, "cleanup.policy"), "delete");
        assert_eq!(config(&mut complete, topic, "retention.bytes"), "-1");
        assert_eq!(config(&mut complete, topic, "min.insync.replicas"), "2");
    }
}

#[test]
fn once_applied_there_is_nothing_to_do() {
    assert_eq!(plan(&catalogue(), &complete(), Options::default()), Plan::default());
}

#[test]
fn a_keyed_topic_gets_no_more_partitions_unless_reordering_is_accepted() {
    let mut cluster = complete();
    state(&mut cluster, TOPIC).partitions = 4;
    let refusing = plan(&catalogue(), &cluster, Options::default());
    assert!(refusing.steps.is_empty() && !refusing.is_empty());
    let from_to = (4, 6);
    assert!(
        matches!(&refusing.refused[..], [Difference::WouldReorder { from, to, .. }] if (*from, *to) == from_to)
    );
    let accepting = plan(&catalogue(), &cluster, accepting());
    assert_eq!(texts(&accepting.steps), ["extend acme.order.placed from 4 to 6 partitions"]);
}

#[test]
fn a_dead_letter_topic_is_extended_before_its_topic_and_without_asking() {
    let mut cluster = complete();
    state(&mut cluster, TOPIC).partitions = 4;
    state(&mut cluster, DEAD).partitions = 4;
    let plan = plan(&catalogue(), &cluster, accepting());
    assert_eq!(
        texts(&plan.steps),
        [
            "extend acme.order.placed.dlq from 4 to 6 partitions",
            "extend acme.order.placed from 4 to 6 partitions",
        ]
    );
}

#[test]
fn a_topic_with_more_partitions_than_the_catalogue_is_left_alone_and_its_dead_letter_topic_follows()
{
    let mut cluster = complete();
    state(&mut cluster, TOPIC).partitions = 12;
    let plan = plan(&catalogue(), &cluster, Options::default());
    assert_eq!(texts(&plan.steps), ["extend acme.order.placed.dlq from 6 to 12 partitions"]);
    assert_eq!(texts(&plan.left_alone), ["acme.order.placed has 12 partitions instead of 6"]);
}

#[test]
fn another_replication_is_told_and_does_not_make_the_topic_unwritable() {
    let options = Options { replication: Some(1), accept_reorder: false };
    let single = applied(cluster(1), &plan(&catalogue(), &cluster(1), options));
    assert!(plan(&catalogue(), &single, options).is_empty());
    let asked_for_three = plan(&catalogue(), &single, Options::default());
    // min.insync.replicas stays 1: with 2 nothing could be written any more.
    assert!(asked_for_three.is_empty());
    assert_eq!(asked_for_three.left_alone.len(), 5);
}

#[test]
fn a_topic_is_not_created_with_more_copies_than_there_are_brokers() {
    let plan = plan(&catalogue(), &cluster(1), Options::default());
    assert!(plan.steps.is_empty());
    assert_eq!(plan.refused.len(), 5);
    assert!(plan.refused[0].cure().contains("--replication 1"));
}

#[test]
fn a_changed_config_is_set_and_others_are_left() {
    let mut cluster = complete();
    let configs = &mut state(&mut cluster, TOPIC).configs;
    configs.insert("retention.ms".to_owned(), "1000".to_owned());
    configs.insert("segment.bytes".to_owned(), "7".to_owned());
    let plan = plan(&catalogue(), &cluster, Options::default());
    assert_eq!(
        texts(&plan.steps),
        ["configure acme.order.placed: retention.ms 1000 -> 2592000000"]
    );
}
