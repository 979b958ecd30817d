//! A panel with a provider of identities before it.

use std::net::SocketAddr;
use std::time::Duration;

use crate::panel::visitor::{Answer, Visitor, exchange};
use crate::workshop::Workshop;
use event_bus::audit::chain::Link;
use event_bus::store::ops::{AuditFilter, OpsStore};
use event_bus_tests::databases::Databases;
use event_bus_tests::eventually::eventually;
use event_bus_tests::openid::{CLIENT_ID, CLIENT_SECRET, Certificate, Identities};
use event_bus_tests::process::Process;
use serde_json::{Value, json};

/// The cookie of an attempt to sign in.
pub const ATTEMPT: &str = "__Host-event-bus-oidc";
const SOON: Duration = Duration::from_secs(60);

/// What opens the panel. Nobody is let in for being one of everybody.
const GRANTS: [&str; 3] =
    ["acme-support=viewer,tenant=acme", "platform-ops=operator", "admins=admin"];

/// Of somebody at the provider.
pub fn claims(subject: &str, name: &str, groups: &[&str]) -> Value {
    json!({ "sub": subject, "preferred_username": name, "groups": groups })
}

pub struct Door {
    pub workshop: Workshop,
    pub identities: Identities,
    pub store: OpsStore,
    pub store_url: String,
    /// What the process printed first.
    pub told: Value,
    address: SocketAddr,
    process: Process,
}

impl Door {
    pub async fn open(databases: &Databases) -> Self {
        Self::before(databases, Identities::start().await, None).await
    }

    /// With a provider that is there already, and a certificate that is trusted.
    pub async fn before(
        databases: &Databases,
        identities: Identities,
        trusted: Option<&Certificate>,
    ) -> Self {
        let workshop = Workshop::open(1, "").await;
        let store_url = databases.url("ops");
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let secret = folder.path().join("secret");
        std::fs::write(&secret, format!("{CLIENT_SECRET}\n")).expect("it can be written");
        let mut command = workshop.command(&["ops", "serve", "--output", "json"]);
        command.args(["--store", &store_url, "--http", "127.0.0.1:0"]);
        command.args(["--oidc-issuer", &identities.issuer(), "--oidc-client-id", CLIENT_ID]);
        command.arg("--oidc-client-secret-file").arg(&secret);
        command.args(GRANTS.iter().flat_map(|grant| ["--oidc-group", grant]));
        if let Some(trusted) = trusted {
            command.env("SSL_CERT_FILE", trusted.path());
        }
        let mut process = Process::spawn(command);
        let told: Value = serde_json::from_str(&process.line().await).expect("it is JSON");
        let panel = told["panel"].as_str().expect("it says where");
        let address = panel.trim_start_matches("http://").parse().expect("an address");
        let store = OpsStore::open(&store_url).await.expect("it opens");
        Self { workshop, identities, store, store_url, told, address, process }
    }

    pub fn visitor(&self) -> Visitor {
        Visitor::new(self.address)
    }

    /// Whoever is signed in at the provider comes to the panel.
    pub async fn comes(&self, visitor: &mut Visitor) -> Answer {
        let begun = visitor.get("/sign-in/oidc").await;
        back_from(self, &begun, visitor).await
    }

    /// And is let in.
    pub async fn signed_in(&self) -> Visitor {
        let mut visitor = self.visitor();
        let came = self.comes(&mut visitor).await;
        assert_eq!(came.status, 303, "{came:?} {}", self.process.errors());
        visitor.get("/account").await;
        visitor
    }

    /// Waits until a page shows a text.
    pub async fn shows(&self, visitor: &mut Visitor, path: &str, text: &str) {
        eventually(SOON, async || {
            let page = visitor.clone().get(path).await;
            if page.shows(text) { Ok(()) } else { Err(page) }
        })
        .await;
    }

    /// What the audit has of somebody, in its order.
    pub async fn audit(&self, actor: &str) -> Vec<Link> {
        let filter = AuditFilter { actor: Some(actor.to_owned()), ..AuditFilter::default() };
        let mut rows = self.store.audit_rows(&filter, 100).await.expect("the store answers");
        rows.reverse();
        rows
    }

    /// What the process wrote into its log.
    pub fn log(&self) -> String {
        self.process.errors()
    }

    pub async fn close(self) {
        self.store.close().await;
        self.process.signal("TERM").await;
        let ended = self.process.ended().await;
        assert!(ended.status.success(), "{}", ended.stderr);
    }
}

/// Where the provider sends the browser back to.
pub async fn callback(door: &Door, begun: &Answer) -> String {
    assert_eq!(begun.status, 303, "{begun:?} {}", door.log());
    let to = begun.header("location").to_owned();
    let address = door.identities.address;
    let page = format!("http://localhost:{}", address.port());
    let path = to.strip_prefix(&page).unwrap_or_else(|| panic!("{to}"));
    let request = format!("GET {path} HTTP/1.0\r\nHost: {address}\r\n\r\n");
    let answer = exchange(address, &request).await;
    assert_eq!(answer.status, 302, "{answer:?}");
    let back = answer.header("location");
    let (_, path) = back.split_once("/sign-in/oidc/callback").unwrap_or_else(|| panic!("{back}"));
    format!("/sign-in/oidc/callback{path}")
}

/// Follows to the provider, and back from it.
pub async fn back_from(door: &Door, begun: &Answer, visitor: &mut Visitor) -> Answer {
    visitor.get(&callback(door, begun).await).await
}
