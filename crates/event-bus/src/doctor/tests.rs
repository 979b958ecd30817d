use std::collections::BTreeSet;

use super::*;
use crate::kafka::admin::{Committed, GroupOffsets, Replicas, Span, TopicOffsets};
use crate::topics::{Options, Step, plan};

const NOW: i64 = 1_780_000_000_000;

fn catalogue() -> Catalogue {
    let toml = r#"
        namespace = "corner"
        [services]
        shop = { title = "Shop" }
        billing = { title = "Billing" }
        [defaults]
        partitions = 3
        replication = 3
        min-insync-replicas = 2
        retention = "7d"
        dlq-retention = "14d"
        retry = ["1s"]
        execution = "batched"
        behind-dead-letter = "continue"
        handler-timeout = "30s"
        lag-warning = 10
        lag-critical = 100
        [events.OrderPlaced]
        topic = "order.placed"
        description = "A customer placed an order."
        producer = "shop"
        key = ["/tenant_id", "/payload/order_id"]
        versions = ["1.0"]
        [events.OrderPlaced.consumers.billing]
        reads = ["/order_id"]
    "#;
    let schema = r#"{ "$schema": "https://json-schema.org/draft/2020-12/schema", "type": "object",
        "required": ["order_id"], "properties": { "order_id": { "type": "string" } } }"#;
    Catalogue::parse("corner.toml", toml, |_| Ok(schema.to_owned())).unwrap()
}

const TOPIC: &str = "corner.order.placed";
const GROUP: &str = "corner-billing-order-placed";

fn topic(name: &str) -> TopicName {
    TopicName::new(name).unwrap()
}

fn at(name: &str, partition: i32) -> TopicPartition {
    TopicPartition { topic: topic(name), partition }
}

/// Three brokers on which all is as it should be.
fn good() -> Observed {
    let catalogue = catalogue();
    let mut observed = Observed { acls: Acls::Off, ..Observed::default() };
    observed.client.bootstrap = "localhost:9092".to_owned();
    observed.cluster.brokers = 3;
    observed.layout.brokers = vec![1, 2, 3];
    for id in 1..=3 {
        let configs = [("auto.create.topics.enable".to_owned(), "false".to_owned())];
        observed.broker_configs.insert(id, configs.into());
    }
    for step in plan(&catalogue, &observed.cluster, Options::default()).steps {
        let Step::Create { topic, partitions, replication, configs, .. } = step else { panic!() };
        let configs = configs.into_iter().map(|change| (change.name.to_owned(), change.to));
        let configs = configs.collect();
        for partition in 0..partitions {
            let replicas = Replicas { leader: Some(1), all: 3, in_sync: 3 };
            observed.layout.partitions.insert(at(topic.as_str(), partition), replicas);
        }
        let state =
            crate::kafka::admin::TopicState { partitions, replication, has_leaders: true, configs };
        observed.cluster.topics.insert(topic, state);
    }
    let span = Some(Span { start: 0, stable: 50, end: 50 });
    observed.survey.topics = vec![TopicOffsets { name: topic(TOPIC), partitions: vec![span; 3] }];
    let committed = (0..3).map(|partition| Committed { topic: 0, partition, offset: 40 });
    observed.survey.has_all_groups = true;
    observed.survey.groups = vec![GroupOffsets {
        name: GROUP.to_owned(),
        state: "Stable".to_owned(),
        members: Some(1),
        committed: Some(committed.collect()),
    }];
    for partition in 0..3 {
        observed.newest.insert(at(TOPIC, partition), NOW);
        observed.safe_from.insert(at(TOPIC, partition), Some(10));
    }
    observed
}

/// What is found once the good cluster has been changed like this, as `code subject`.
fn found(change: impl FnOnce(&mut Observed)) -> Vec<String> {
    let mut observed = good();
    change(&mut observed);
    let now = Timestamp::from_millisecond(NOW).unwrap();
    let findings = examine(&catalogue(), &observed, now);
    for finding in &findings {
        assert!(!finding.what.ends_with('.') && !finding.cure.is_empty(), "{finding:?}");
        assert!(!finding.what.contains("  ") && !finding.cure.contains("  "), "{finding:?}");
    }
    findings
        .into_iter()
        .map(|finding| format!("{} {}", finding.code.as_str(), finding.subject))
        .collect()
}

fn configured(name: &str, config: &str, value: &str) -> Vec<String> {
    found(|observed| {
        let state = observed.cluster.topics.get_mut(&topic(name)).unwrap();
        state.configs.insert(config.to_owned(), value.to_owned());
    })
}

#[test]
fn nothing_is_found_where_all_is_well() {
    assert_eq!(found(|_| {}), [""; 0]);
}

#[test]
fn each_config_has_the_code_of_what_it_does() {
    const DAY: i64 = 24 * 60 * 60 * 1000;
    let letters = format!("{TOPIC}.dlq");
    for (name, config, value, code) in [
        (TOPIC, "cleanup.policy", "compact,delete", "compacted"),
        (TOPIC, "retention.ms", "1000", "retention-shorter"),
        (TOPIC, "retention.ms", &(8 * DAY).to_string(), "config-differs"),
        (TOPIC, "retention.bytes", "1000", "retention-by-size"),
        (TOPIC, "max.message.bytes", "1000", "message-size"),
        (TOPIC, "max.message.bytes", "10000000", "config-differs"),
        (TOPIC, "min.insync.replicas", "4", "unwritable"),
        (TOPIC, "unclean.leader.election.enable", "true", "unclean-election"),
        (&letters, "retention.ms", &(10 * DAY).to_string(), "retention-shorter"),
        (&letters, "retention.ms", &(6 * DAY).to_string(), "dead-letters-expire-first"),
        (&letters, "retention.ms", "-1", "config-differs"),
    ] {
        assert_eq!(configured(name, config, value), [format!("{code} topic {name}")], "{value}");
    }
    let both = ["min-insync", "single-copy"].map(|code| format!("{code} topic {TOPIC}"));
    assert_eq!(configured(TOPIC, "min.insync.replicas", "1"), both);
    let both = ["min-insync", "no-spare-replica"].map(|code| format!("{code} topic {TOPIC}"));
    assert_eq!(configured(TOPIC, "min.insync.replicas", "3"), both);
    let both = [
        format!("dead-letters-expire-first topic {letters}"),
        format!("config-differs topic {TOPIC}"),
    ];
    assert_eq!(configured(TOPIC, "retention.ms", "-1"), both);
}

#[test]
fn topics_partitions_and_copies() {
    let letters = format!("{TOPIC}.dlq");
    for name in [TOPIC, "corner.event-bus.audit"] {
        let missing = found(|observed| drop(observed.cluster.topics.remove(&topic(name))));
        assert_eq!(missing, [format!("topic-missing topic {name}")]);
    }
    let missing = found(|observed| drop(observed.cluster.topics.remove(&topic(&letters))));
    assert_eq!(missing, [format!("dead-letter-topic-missing topic {letters}")]);
    let changed = |change: fn(&mut crate::kafka::admin::TopicState)| {
        found(|observed| change(observed.cluster.topics.get_mut(&topic(TOPIC)).unwrap()))
    };
    assert_eq!(
        changed(|state| state.partitions = 2),
        [format!("too-few-partitions topic {TOPIC}")]
    );
    let more = changed(|state| state.partitions = 4);
    // A dead letter keeps its event's partition.
    let wanted =
        [format!("too-few-partitions topic {letters}"), format!("more-partitions topic {TOPIC}")];
    assert_eq!(more, wanted);
    let two = ["replication", "no-spare-replica"].map(|code| format!("{code} topic {TOPIC}"));
    assert_eq!(changed(|state| state.replication = 2), two);
    assert_eq!(changed(|state| state.replication = 4), [format!("config-differs topic {TOPIC}")]);
    let few = found(|observed| {
        observed.cluster.brokers = 2;
        observed.cluster.topics.remove(&topic(TOPIC));
    });
    assert_eq!(few, [format!("topic-missing topic {TOPIC}")]);
    let headless = found(|observed| {
        let replicas = observed.layout.partitions.get_mut(&at(TOPIC, 1)).unwrap();
        (replicas.leader, replicas.in_sync) = (None, 1);
        observed.layout.partitions.get_mut(&at(TOPIC, 2)).unwrap().in_sync = 2;
    });
    let wanted = ["no-leader", "under-replicated"].map(|code| format!("{code} topic {TOPIC}"));
    assert_eq!(headless, wanted);
    let unknown = found(|observed| {
        let state = observed.cluster.topics[&topic(TOPIC)].clone();
        for name in ["corner.order.misspelt", "corner-two.order.placed", "other.order.placed"] {
            observed.cluster.topics.insert(topic(name), state.clone());
        }
    });
    assert_eq!(unknown, ["unknown-topic topic corner.order.misspelt"]);
}

fn changed_group(change: impl FnOnce(&mut GroupOffsets)) -> Vec<String> {
    found(|observed| change(&mut observed.survey.groups[0]))
}

fn committed(offset: i64) -> Vec<String> {
    changed_group(|group| group.committed.as_mut().unwrap()[1].offset = offset)
}

#[test]
fn groups_and_their_offsets() {
    let one = |code: &str| vec![format!("{code} group {GROUP}")];
    assert_eq!(found(|observed| observed.survey.groups.clear()), {
        // What it never committed counts from the start, which retention is about to reach.
        let mut both = one("retention-overtakes");
        both.insert(0, format!("group-behind group {GROUP}"));
        both.extend(one("group-without-members"));
        both
    });
    // A broker that did not tell its groups may have it.
    let untold = found(|observed| {
        observed.survey.groups.clear();
        observed.survey.has_all_groups = false;
    });
    assert_eq!(untold, [""; 0]);
    assert_eq!(changed_group(|group| group.members = Some(0)), one("group-without-members"));
    assert_eq!(changed_group(|group| group.members = None), [""; 0]);
    assert_eq!(changed_group(|group| group.committed = None), [""; 0]);
    assert_eq!(committed(51), one("commit-beyond-end"));
    assert_eq!(committed(10), [""; 0]);
    assert_eq!(committed(9), one("retention-overtakes"));
    let all_old = found(|observed| {
        observed.safe_from.insert(at(TOPIC, 1), None);
    });
    assert_eq!(all_old, one("retention-overtakes"));
    let all_old_and_handled = found(|observed| {
        observed.safe_from.insert(at(TOPIC, 1), None);
        observed.survey.groups[0].committed.as_mut().unwrap()[1].offset = 50;
    });
    assert_eq!(all_old_and_handled, [""; 0]);
    let behind = |lag: i64| {
        found(|observed| {
            let end = 40 + lag - 20;
            observed.survey.topics[0].partitions[1] = Some(Span { start: 0, stable: end, end });
        })
    };
    assert_eq!((behind(100), behind(101)), (vec![], one("group-behind")));
    let lost = found(|observed| {
        observed.survey.topics[0].partitions[1] = Some(Span { start: 41, stable: 50, end: 50 });
    });
    assert_eq!(lost, one("events-lost"));
    let unknown = found(|observed| {
        let state = observed.cluster.topics[&topic(TOPIC)].clone();
        observed.cluster.topics.insert(topic("corner-two.order.placed"), state);
        for name in ["corner-two-billing-order-placed", "corner-by-hand"] {
            let group = GroupOffsets {
                name: name.to_owned(),
                state: "Empty".to_owned(),
                members: Some(0),
                committed: Some(Vec::new()),
            };
            observed.survey.groups.push(group);
        }
        observed.survey.groups.sort_by(|a, b| a.name.cmp(&b.name));
    });
    assert_eq!(unknown, ["unknown-group group corner-by-hand"]);
}

#[test]
fn brokers_and_clocks() {
    let ahead = |millis: i64| {
        found(|observed| {
            observed.newest.insert(at(TOPIC, 1), NOW + millis);
        })
    };
    assert_eq!(ahead(60_000), [""; 0]);
    assert_eq!(ahead(60_001), [format!("clock-ahead topic {TOPIC}")]);
    let makes = found(|observed| {
        let configs = observed.broker_configs.get_mut(&2).unwrap();
        configs.insert("auto.create.topics.enable".to_owned(), "true".to_owned());
    });
    assert_eq!(makes, ["auto-create broker 2"]);
}

fn acl(entry: &str) -> Acl {
    let words: Vec<String> = entry.split(' ').map(str::to_owned).collect();
    let [permission, principal, operation, resource_type, pattern, resource] = &words[..] else {
        panic!("{entry}")
    };
    Acl {
        resource_type: resource_type.clone(),
        resource: resource.clone(),
        pattern: pattern.clone(),
        principal: principal.clone(),
        host: "*".to_owned(),
        operation: operation.clone(),
        permission: permission.clone(),
    }
}

/// What is found with these access control lists.
fn listed_acls(entries: &[&str]) -> Vec<String> {
    found(|observed| observed.acls = Acls::On(entries.iter().map(|entry| acl(entry)).collect()))
}

#[test]
fn those_whose_topic_it_is_may_write_and_others_are_told() {
    let letters = format!("{TOPIC}.dlq");
    let none: [&str; 0] = [];
    for user in ["shop", "corner-shop", "CN=corner-shop,O=Corner", "CN=corner-event-bus-ops"] {
        let own = format!("ALLOW User:{user} WRITE TOPIC LITERAL {TOPIC}");
        assert_eq!(listed_acls(&[&own]), none, "{user}");
    }
    let own = format!("ALLOW User:billing WRITE TOPIC LITERAL {letters}");
    let reads = format!("ALLOW User:* READ TOPIC LITERAL {TOPIC}");
    assert_eq!(listed_acls(&[&own, &reads]), none);
    let told = [format!("acl-write topic {TOPIC}")];
    for user in ["billing", "CN=corner-billing", "alice", "corner-shopping"] {
        let other = format!("ALLOW User:{user} WRITE TOPIC LITERAL {TOPIC}");
        assert_eq!(listed_acls(&[&other]), told, "{user}");
        let denied = format!("DENY User:{user} ALL TOPIC PREFIXED corner.");
        assert_eq!(listed_acls(&[&other, &denied]), none, "{user}");
    }
    let all = "ALLOW User:alice ALL TOPIC PREFIXED corner.";
    assert_eq!(listed_acls(&[all, "DENY User:alice WRITE TOPIC PREFIXED corner."]), none);
    let both = [TOPIC, &letters].map(|topic| format!("acl-write topic {topic}"));
    assert_eq!(listed_acls(&[all]), both);
    assert_eq!(listed_acls(&["ALLOW User:alice ALL TOPIC PREFIXED other."]), none);
}

#[test]
fn what_everybody_may_do_is_told_of_each_thing() {
    let everything: BTreeSet<String> =
        catalogue().topics().iter().map(|topic| format!("acl-everyone topic {topic}")).collect();
    let told: BTreeSet<String> =
        listed_acls(&["ALLOW User:* DELETE TOPIC LITERAL *"]).into_iter().collect();
    assert_eq!(told, everything);
    let told = listed_acls(&["ALLOW User:* READ GROUP PREFIXED corner-"]);
    assert_eq!(told, [format!("acl-everyone group {GROUP}")]);
}

#[test]
fn a_cluster_without_lists_is_told_where_users_have_names() {
    let named = found(|observed| {
        observed.client.properties.insert("security.protocol".to_owned(), "SSL".to_owned());
    });
    assert_eq!(named, ["no-authorizer cluster"]);
}

#[test]
fn an_inbox_that_begins_behind_what_was_handled() {
    let group: crate::names::GroupName = GROUP.parse().unwrap();
    let inbox = |first, purged_below| {
        found(|observed| {
            let inbox = Inbox { group: group.clone(), at: at(TOPIC, 1), first, purged_below };
            observed.inboxes.push(inbox);
            observed.survey.topics[0].partitions[1] = Some(Span { start: 5, stable: 50, end: 50 });
        })
    };
    let told = [format!("inbox-gap group {GROUP}")];
    assert_eq!(inbox(Some(5), 0), [""; 0]);
    assert_eq!(inbox(Some(6), 0), told);
    assert_eq!(inbox(None, 39), told);
    assert_eq!(inbox(None, 40), [""; 0]);
    assert_eq!(inbox(Some(41), 20), told);
    assert_eq!(inbox(Some(20), 20), [""; 0]);
}

#[test]
fn the_worst_comes_first_and_partitions_are_listed_as_people_do() {
    let told = found(|observed| {
        observed.survey.groups[0].members = Some(0);
        observed.cluster.topics.remove(&topic(TOPIC));
    });
    assert_eq!(
        told,
        [format!("topic-missing topic {TOPIC}"), format!("group-without-members group {GROUP}")]
    );
    let texts = [&[][..], &[1], &[1, 2], &[1, 2, 5]].map(listed);
    assert_eq!(texts, ["", "partition 1", "partitions 1 and 2", "partitions 1, 2 and 5"]);
}
