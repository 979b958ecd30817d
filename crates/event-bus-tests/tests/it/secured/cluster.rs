//! A broker that knows its users, with Blindstrader's topics and access control lists.

use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Output;
use std::sync::Arc;

use event_bus::{Catalogue, KafkaConfig};
use event_bus_conformance::subject::{self, Kind, Restartable};
use event_bus_tests::servers;
use tempfile::TempDir;
use tokio::process::Command;

use super::certificates::Authority;

/// Who may do everything.
pub const ADMIN: &str = "admin";
/// The part of every password that is to be seen nowhere.
pub const CANARY: &str = "canary-7d1f";

/// The broker.
pub struct Cluster {
    folder: TempDir,
    address: String,
    pub catalogue: Arc<Catalogue>,
    _broker: Restartable,
}

/// The password of a user.
pub fn password(user: &str) -> String {
    format!("{CANARY}-{user}")
}

impl Cluster {
    /// With these users and the one who may do everything. Nobody else may do anything yet.
    pub async fn start(users: &[&str]) -> Self {
        let folder = tempfile::tempdir().expect("a temporary directory can be made");
        let mut text = String::new();
        for user in users.iter().chain([&ADMIN]) {
            writeln!(text, "{user}:{}", password(user)).expect("writing to a String cannot fail");
        }
        let file = folder.path().join("users");
        fs::write(&file, text).expect("the file can be written");
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).expect("it is ours");
        let file = file.to_str().expect("its name is text");
        let (broker, address) = match subject::kind() {
            Kind::Kafka => kafka(file).await,
            Kind::Embedded => embedded(file).await,
        };
        let catalogue = blindstrader::catalogue().with_namespace(servers::namespace());
        Self { folder, address, catalogue: Arc::new(catalogue), _broker: broker }
    }

    /// One that knows its users by certificates of this authority, but those on the list of revoked ones.
    pub async fn start_with_certificates(authority: &Authority, revoked: Option<&str>) -> Self {
        let folder = tempfile::tempdir().expect("a temporary directory can be made");
        let (broker, address) = match subject::kind() {
            Kind::Kafka => kafka_with_certificates(authority).await,
            Kind::Embedded => embedded_with_certificates(authority, revoked).await,
        };
        let catalogue = blindstrader::catalogue().with_namespace(servers::namespace());
        Self { folder, address, catalogue: Arc::new(catalogue), _broker: broker }
    }

    /// How this user reaches it.
    pub fn kafka(&self, user: &str) -> KafkaConfig {
        servers::kafka_at(self.address.clone(), &credentials(user, &password(user)))
    }

    /// Where it listens to users.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Runs the program as this user.
    pub async fn program(&self, user: &str, arguments: &[&str]) -> Output {
        let config = self.folder.path().join(format!("{user}.toml"));
        let mut text = format!("bootstrap = \"{}\"\n[kafka]\n", self.address);
        for (name, value) in credentials(user, &password(user)) {
            writeln!(text, "\"{name}\" = \"{value}\"").expect("writing to a String cannot fail");
        }
        fs::write(&config, text).expect("the file can be written");
        let mut command = Command::new(servers::program());
        command.env_remove("EVENT_BUS_BOOTSTRAP").arg("--config").arg(&config);
        command.args(["--namespace", self.catalogue.namespace().as_str()]).args(arguments);
        command.kill_on_drop(true).output().await.expect("the program can be run")
    }
}

/// The properties by which a client logs in.
pub fn credentials<'a>(user: &'a str, password: &'a str) -> [(&'static str, &'a str); 4] {
    [
        ("security.protocol", "sasl_plaintext"),
        ("sasl.mechanism", "SCRAM-SHA-256"),
        ("sasl.username", user),
        ("sasl.password", password),
    ]
}

/// The properties by which a client shows a certificate that one authority signed, and trusts brokers of another.
pub fn by_certificate(
    (signed, trusted): (&Authority, &Authority),
    user: &str,
) -> [(&'static str, String); 4] {
    [
        ("security.protocol", "ssl".to_owned()),
        ("ssl.ca.location", trusted.file("ca.pem")),
        ("ssl.certificate.location", signed.file(&format!("{user}.pem"))),
        ("ssl.key.location", signed.file(&format!("{user}.key"))),
    ]
}

async fn kafka_with_certificates(authority: &Authority) -> (Restartable, String) {
    let port = servers::free_port();
    let settings = [
        "authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer".to_owned(),
        "super.users=User:ANONYMOUS;User:CN=admin".to_owned(),
        "listener.name.secured.ssl.client.auth=required".to_owned(),
        "listener.name.secured.ssl.keystore.type=PEM".to_owned(),
        format!(
            "listener.name.secured.ssl.keystore.location={}",
            authority.file("broker.both.pem")
        ),
        "listener.name.secured.ssl.truststore.type=PEM".to_owned(),
        format!("listener.name.secured.ssl.truststore.location={}", authority.file("ca.pem")),
    ];
    let listener = format!("SECURED=SSL:{port}");
    let mut words = vec!["--listener", &listener];
    words.extend(settings.iter().flat_map(|setting| ["--set", setting.as_str()]));
    (Restartable::start_with(&words).await, format!("127.0.0.1:{port}"))
}

async fn embedded_with_certificates(
    authority: &Authority,
    revoked: Option<&str>,
) -> (Restartable, String) {
    let files = ["broker.pem", "broker.key", "ca.pem"].map(|name| authority.file(name));
    let mut words = vec!["--acls", "--super-user", "User:CN=admin", "--tls-certificate", &files[0]];
    words.extend(["--tls-key", &files[1], "--tls-client-ca", &files[2]]);
    words.extend(revoked.into_iter().flat_map(|list| ["--tls-revoked", list]));
    let broker = Restartable::start_with(&words).await;
    let address = broker.address().to_owned();
    (broker, address)
}

async fn kafka(users: &str) -> (Restartable, String) {
    let port = servers::free_port();
    let listener = format!("SECURED=SASL_PLAINTEXT:{port}");
    let mut words = vec!["--scram", users, "--listener", &listener];
    let settings = [
        "authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "super.users=User:ANONYMOUS;User:admin",
        "listener.name.secured.sasl.enabled.mechanisms=SCRAM-SHA-256,SCRAM-SHA-512",
        "listener.name.secured.scram-sha-256.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;",
        "listener.name.secured.scram-sha-512.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;",
    ];
    words.extend(settings.iter().flat_map(|setting| ["--set", *setting]));
    (Restartable::start_with(&words).await, format!("127.0.0.1:{port}"))
}

async fn embedded(users: &str) -> (Restartable, String) {
    let words = ["--users", users, "--acls", "--super-user", "User:admin"];
    let broker = Restartable::start_with(&words).await;
    let address = broker.address().to_owned();
    (broker, address)
}
