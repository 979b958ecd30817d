//! Faults that the embedded broker can't have: of several brokers, of their settings, and of access control lists.

use std::collections::BTreeSet;

use event_bus::doctor::Code;
use event_bus_conformance::subject::Restartable;
use event_bus_tests::kafka_tools;
use rdkafka::admin::{AdminOptions, NewTopic, TopicReplication};

use super::clinic::{Clinic, of_group, of_topic, toml};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn faults_of_copies() {
    let first = Restartable::start().await;
    let mut second = first.second().await;
    let events = ["copied", "spare", "single"];
    let clinic = Clinic::open(first.address().to_owned(), &toml(&events, &[], 2)).await;
    let mut faults = BTreeSet::new();
    clinic.finds(&faults).await;

    let spare = clinic.topic("spare");
    clinic.configure(&spare, "min.insync.replicas", "2").await;
    faults.extend([Code::MinInsync, Code::NoSpareReplica].map(|code| of_topic(code, &spare)));
    clinic.finds(&faults).await;

    let single = clinic.topic("single");
    clinic.delete(&single).await;
    let assignment: [&[i32]; 2] = [&[1], &[2]];
    let new = NewTopic::new(single.as_str(), 2, TopicReplication::Variable(&assignment));
    let new = new.set("retention.ms", "604800000").set("max.message.bytes", "2000000");
    let made = clinic.tool().create_topics(&[new], &AdminOptions::new()).await;
    for outcome in made.expect("Kafka answers") {
        outcome.expect("it is made");
    }
    faults.insert(of_topic(Code::Replication, &single));
    clinic.finds(&faults).await;

    second.stop().await;
    faults.insert(of_topic(Code::NoLeader, &single));
    let copied = clinic.catalogue.topics().into_iter().filter(|topic| *topic != single);
    faults.extend(copied.map(|topic| of_topic(Code::UnderReplicated, &topic)));
    clinic.finds(&faults).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn faults_of_brokers_and_of_who_may_what() {
    let settings = [
        "auto.create.topics.enable=true",
        "authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "super.users=User:ANONYMOUS",
    ];
    let words: Vec<&str> = settings.iter().flat_map(|setting| ["--set", *setting]).collect();
    let broker = Restartable::start_with(&words).await;
    let clinic =
        Clinic::open(broker.address().to_owned(), &toml(&["written"], &["written"], 1)).await;
    // Of the settings only this one is a fault.
    let mut faults = BTreeSet::from([(Code::AutoCreate.as_str(), "broker 1".to_owned())]);
    clinic.finds(&faults).await;

    let (topic, group) = (clinic.topic("written"), clinic.group("written"));
    let allow = async |user: &str, operation: &str, what: [&str; 2]| {
        let arguments = ["--add", "--allow-principal", user, "--operation", operation];
        let arguments: Vec<&str> = arguments.into_iter().chain(what).collect();
        kafka_tools::run_at(broker.address(), "org.apache.kafka.tools.AclCommand", &arguments).await
    };
    let producer = format!("User:CN={}-ward", clinic.catalogue.namespace());
    allow(&producer, "Write", ["--topic", topic.as_str()]).await;
    allow("User:*", "Describe", ["--topic", "*"]).await;
    clinic.finds(&faults).await;
    allow("User:alice", "Write", ["--topic", topic.as_str()]).await;
    faults.insert(of_topic(Code::AclWrite, &topic));
    clinic.finds(&faults).await;
    allow("User:*", "Delete", ["--topic", topic.as_str()]).await;
    faults.insert(of_topic(Code::AclEveryone, &topic));
    clinic.finds(&faults).await;
    allow("User:*", "Read", ["--group", "*"]).await;
    faults.insert(of_group(Code::AclEveryone, group.as_str()));
    clinic.finds(&faults).await;
}
