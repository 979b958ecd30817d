//! Who is let in, and what is told to those who are not.

use std::process::Output;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use event_bus_tests::servers;
use tokio::net::{TcpListener, TcpStream};
use tokio::process::Command;

use event_bus_conformance::subject::{self, Kind};

use super::certificates::Authority;
use super::cluster::{ADMIN, CANARY, Cluster, by_certificate, password};

/// Far less than what a request may take that nobody answers.
const AT_ONCE: Duration = Duration::from_secs(10);

/// Runs the program on a broker with these client properties and this environment.
async fn run(bootstrap: &str, words: &[&str], secrets: &[(&str, &str)]) -> Output {
    let mut command = Command::new(servers::program());
    command.env_remove("EVENT_BUS_BOOTSTRAP").args(["--bootstrap", bootstrap]);
    command.args(["--kafka", "security.protocol=sasl_plaintext"]);
    command.args(["--kafka", "sasl.mechanism=SCRAM-SHA-512", "--log", "debug"]).args(words);
    command.envs(secrets.iter().copied()).kill_on_drop(true);
    command.output().await.expect("the program can be run")
}

fn told(output: &Output) -> String {
    let parts = [&output.stdout, &output.stderr].map(|part| String::from_utf8_lossy(part));
    parts.concat()
}

/// Lets clients through to a broker, and counts them.
async fn counted(broker: &str) -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("there is a free port");
    let address = listener.local_addr().expect("it has an address").to_string();
    let (count, broker) = (Arc::new(AtomicUsize::new(0)), broker.to_owned());
    let counter = Arc::clone(&count);
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            counter.fetch_add(1, Ordering::Relaxed);
            let broker = broker.clone();
            tokio::spawn(async move {
                if let Ok(mut broker) = TcpStream::connect(broker).await {
                    drop(tokio::io::copy_bidirectional(&mut client, &mut broker).await);
                }
            });
        }
    });
    (address, count)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_not_let_in_is_told_once_and_does_not_knock_on() {
    let cluster = Cluster::start(&["brand"]).await;
    let user = ["--kafka", "sasl.username=admin", "topics", "plan"];
    let right = [("EVENT_BUS_KAFKA_SASL_PASSWORD", password(ADMIN))];
    let right = right.each_ref().map(|(name, value)| (*name, value.as_str()));
    let planned = run(cluster.address(), &user, &right).await;
    assert_eq!(planned.status.code(), Some(3), "the password is right: {}", told(&planned));
    assert!(!told(&planned).contains(CANARY), "{}", told(&planned));

    let wrong = format!("{CANARY}-wrong");
    let stranger = ["--kafka", "sasl.username=mallory", "topics", "plan"];
    for words in [user, stranger] {
        let (address, connections) = counted(cluster.address()).await;
        let began = Instant::now();
        let refused = run(&address, &words, &[("EVENT_BUS_KAFKA_SASL_PASSWORD", &wrong)]).await;
        let (took, said) = (began.elapsed(), told(&refused));
        assert_eq!(refused.status.code(), Some(1), "{said}");
        let errors = said.lines().filter(|line| line.contains("did not let us in")).count();
        assert!(errors == 1 && said.contains("Check user, password"), "{said}");
        assert!(took < AT_ONCE, "it took {took:?}: {said}");
        let connections = connections.load(Ordering::Relaxed);
        assert!((1..=5).contains(&connections), "{connections} connections");
        assert!(!said.contains(CANARY), "{said}");
    }
}

#[tokio::test]
async fn a_secret_is_no_argument_and_may_be_in_a_file() {
    let argument = format!("sasl.password={CANARY}");
    let refused = run("localhost:1", &["--kafka", &argument, "topics", "plan"], &[]).await;
    let said = told(&refused);
    assert_eq!(refused.status.code(), Some(2), "{said}");
    assert!(said.contains("EVENT_BUS_KAFKA_SASL_PASSWORD") && said.contains("=@FILE"), "{said}");
    assert!(!said.contains(CANARY), "{said}");
}

/// Runs the program as the owner of a certificate, who trusts brokers of an authority.
async fn by(
    cluster: &Cluster,
    (signed, trusted): (&Authority, &Authority),
    user: &str,
    words: &[&str],
) -> Output {
    let mut command = Command::new(servers::program());
    command.env_remove("EVENT_BUS_BOOTSTRAP").args(["--bootstrap", cluster.address()]);
    command.args(["--namespace", cluster.catalogue.namespace().as_str()]);
    for (name, value) in by_certificate((signed, trusted), user) {
        command.args(["--kafka", &format!("{name}={value}")]);
    }
    command.args(words).kill_on_drop(true).output().await.expect("the program can be run")
}

async fn read(cluster: &Cluster, authorities: (&Authority, &Authority), user: &str) -> Output {
    let mut words = vec!["tail", "BrandCatalogUpdated", "--from", "beginning", "--until-end"];
    words.extend(["--output", "json"]);
    by(cluster, authorities, user, &words).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_says_who_somebody_is() {
    let (authority, other) = (Authority::new(), Authority::new());
    for name in ["broker", ADMIN, "brand", "supplier"] {
        authority.sign(name);
    }
    other.sign("supplier");
    let cluster = Cluster::start_with_certificates(&authority, None).await;
    let words =
        ["topics", "apply", "--replication", "1", "--acls", "--principal-prefix", "User:CN="];
    let applied = by(&cluster, (&authority, &authority), ADMIN, &words).await;
    assert!(applied.status.success(), "{}", told(&applied));

    let sample = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../catalogue/samples/BrandCatalogUpdated/1.0/valid-single-product.json"
    );
    let sample = std::fs::read_to_string(sample).expect("the sample can be read");
    let sample: serde_json::Value = serde_json::from_str(&sample).expect("it is JSON");
    let tenant = sample["tenant_id"].as_str().expect("it has a tenant").to_owned();
    let line = tempfile::NamedTempFile::new().expect("a temporary file can be made");
    std::fs::write(line.path(), sample.to_string()).expect("it can be written");
    let sample = line.path().to_str().expect("its name is text");
    let words = ["publish", "BrandCatalogUpdated", "--tenant", &tenant, "--file", sample];
    let published = by(&cluster, (&authority, &authority), "brand", &words).await;
    assert!(published.status.success(), "brand publishes: {}", told(&published));

    let reads = read(&cluster, (&authority, &authority), "supplier").await;
    assert!(reads.status.success(), "supplier reads what it consumes: {}", told(&reads));
    assert_eq!(String::from_utf8_lossy(&reads.stdout).lines().count(), 1, "{}", told(&reads));
    let kept_out = read(&cluster, (&authority, &authority), "brand").await;
    let said = told(&kept_out);
    assert!(kept_out.status.code() == Some(1) && said.contains("authorization"), "{said}");
    let stranger = read(&cluster, (&other, &authority), "supplier").await;
    let said = told(&stranger);
    assert_eq!(stranger.status.code(), Some(1), "{said}");
    assert!(said.contains("did not let us in"), "{said}");
    let wrong_broker = read(&cluster, (&authority, &other), "supplier").await;
    let said = told(&wrong_broker);
    assert!(wrong_broker.status.code() == Some(1) && said.contains("did not let us in"), "{said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_that_was_revoked_is_refused() {
    // Java has its own way to lists of revoked certificates, which is none of Kafka's settings.
    if subject::kind() != Kind::Embedded {
        return;
    }
    let authority = Authority::new();
    for name in ["broker", "supplier", ADMIN] {
        authority.sign(name);
    }
    let revoked = authority.revoked("supplier");
    let cluster = Cluster::start_with_certificates(&authority, Some(&revoked)).await;
    let words = ["topics", "plan"];
    let planned = by(&cluster, (&authority, &authority), ADMIN, &words).await;
    assert_eq!(planned.status.code(), Some(3), "{}", told(&planned));
    let refused = by(&cluster, (&authority, &authority), "supplier", &words).await;
    let said = told(&refused);
    assert!(refused.status.code() == Some(1) && said.contains("did not let us in"), "{said}");
}
