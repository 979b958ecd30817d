//! `event-bus broker` as a user starts and stops it.

use std::net::TcpListener;

use event_bus::KafkaConfig;
use event_bus::kafka::admin::{Admin, NewTopic};
use event_bus::names::TopicName;
use event_bus_tests::process::{Ended, Process};

const FREE: &str = "127.0.0.1:0";

/// Starts a broker and waits for its first line. Gives where it is.
async fn started(arguments: &[&str]) -> (Process, String) {
    let mut broker = Process::start(&[&["broker"], arguments].concat());
    let line = broker.line().await;
    let address = line.strip_prefix("Kafka protocol on ").unwrap_or_else(|| panic!("{line}"));
    (broker, address.to_owned())
}

async fn failed(arguments: &[&str]) -> String {
    let Ended { status, stdout, stderr } =
        Process::start(&[&["broker"], arguments].concat()).ended().await;
    assert_eq!(status.code(), Some(1), "{stderr}");
    assert!(stdout.is_empty(), "{stdout}");
    stderr
}

fn admin(address: &str) -> Admin {
    Admin::connect(&KafkaConfig::plain(address)).expect("a client can be made")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_broker_keeps_in_a_directory_is_there_at_its_next_start() {
    let dir = tempfile::tempdir().expect("a temporary folder can be made");
    let data = dir.path().join("new").to_str().expect("the path is text").to_owned();
    let topic: TopicName = "orders".parse().expect("the name is a topic's");
    let (broker, address) = started(&["--data", &data, "--listen", FREE]).await;
    let new = NewTopic {
        name: topic.clone(),
        partitions: 3,
        replication: 1,
        configs: Default::default(),
    };
    for (_, outcome) in admin(&address).create_topics(&[new]).await.expect("it answers") {
        outcome.expect("the topic is made");
    }
    // Nobody else may use the directory meanwhile.
    let said = failed(&["--data", &data, "--listen", FREE]).await;
    assert!(said.contains(&data) && said.contains("stop it"), "{said}");

    broker.signal("INT").await;
    let Ended { status, stderr, .. } = broker.ended().await;
    assert_eq!(status.code(), Some(0), "{stderr}");
    let (broker, address) = started(&["--data", &data, "--listen", FREE]).await;
    let cluster = admin(&address).cluster().await.expect("it answers");
    assert_eq!(cluster.topics.get(&topic).map(|topic| topic.partitions), Some(3));
    broker.signal("TERM").await;
    assert_eq!(broker.ended().await.status.code(), Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_address_that_cannot_be_had_is_told_with_the_cure() {
    let holder = TcpListener::bind(FREE).expect("a port is free");
    let address = holder.local_addr().expect("it has an address").to_string();
    let said = failed(&["--memory", "--listen", &address]).await;
    assert!(said.contains(&address) && said.contains("port 0"), "{said}");
    let said = failed(&["--memory", "--listen", "0.0.0.0:0"]).await;
    assert!(said.contains("--allow-remote"), "{said}");
    let (broker, _) = started(&["--memory", "--listen", "0.0.0.0:0", "--allow-remote"]).await;
    broker.signal("TERM").await;
    assert_eq!(broker.ended().await.status.code(), Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_script_of_faults_is_played_and_one_that_can_not_be_is_refused() {
    let dir = tempfile::tempdir().expect("a temporary folder can be made");
    let path = dir.path().join("faults.toml");
    let file = path.to_str().expect("the path is text");
    let write = |text: &str| std::fs::write(&path, text).expect("the file can be written");
    write("[[request]]\napi = \"CreateTopics\"\nnth = 1\nerror = \"POLICY_VIOLATION\"\n");
    let (broker, address) = started(&["--memory", "--listen", FREE, "--faults", file]).await;
    let name: TopicName = "orders".parse().expect("the name is a topic's");
    let topic = [NewTopic { name, partitions: 1, replication: 1, configs: Default::default() }];
    for is_refused in [true, false] {
        let outcome = admin(&address).create_topics(&topic).await.expect("it answers");
        assert_eq!(outcome[0].1.is_err(), is_refused, "{outcome:?}");
    }
    broker.signal("TERM").await;
    assert_eq!(broker.ended().await.status.code(), Some(0));

    write("[[request]]\napi = \"Nonsense\"\nnth = 1\ndelay-ms = 1\n");
    let ended = Process::start(&["broker", "--memory", "--listen", FREE, "--faults", file]);
    let Ended { status, stderr, .. } = ended.ended().await;
    assert_eq!(status.code(), Some(2), "{stderr}");
    assert!(stderr.contains(file) && stderr.contains("Nonsense"), "{stderr}");
}
