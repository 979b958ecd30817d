//! A panel that answers, of a workshop's dead letters, in this process.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use event_bus::audit::Mirror;
use event_bus::dead_letters::guarded::Worker;
use event_bus::dead_letters::{Indexer, Scope};
use event_bus::kafka::admin::Admin;
use event_bus::store::ops::{OpsStore, Role, UserName};
use event_bus_ops::access::password;
use event_bus_ops::desk::Desk;
use event_bus_ops::{Watch, http, panel};
use event_bus_tests::chromium::Chromium;
use event_bus_tests::databases::Databases;
use event_bus_tests::kafka::publisher;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::visitor::Visitor;
use crate::workshop::Workshop;

/// Everybody's.
pub const PASSWORD: &str = "correct horse battery staple";

/// All services' and all tenants'.
pub const ALL: Scope = Scope { services: None, tenants: None };

/// The pause between two looks at topics and groups.
const LOOK: Duration = Duration::from_millis(200);
/// How long relays are waited for, where there may be some, and where there is none.
const SOON: Duration = Duration::from_secs(20);
const IMPATIENT: Duration = Duration::from_millis(200);

pub struct Served {
    pub store: Arc<OpsStore>,
    pub address: SocketAddr,
    stop: watch::Sender<bool>,
    running: JoinSet<()>,
}

impl Served {
    pub async fn start(workshop: &Workshop, databases: &Databases) -> Self {
        Self::start_with(workshop, databases, None).await
    }

    /// One that waits longer for relays, where there are some.
    pub async fn start_patiently(workshop: &Workshop, databases: &Databases) -> Self {
        Self::of(workshop, databases, None, SOON).await
    }

    /// One in which more dead letters at once than this take two.
    pub async fn start_with(
        workshop: &Workshop,
        databases: &Databases,
        above: Option<u64>,
    ) -> Self {
        Self::of(workshop, databases, above, IMPATIENT).await
    }

    async fn of(
        workshop: &Workshop,
        databases: &Databases,
        above: Option<u64>,
        patience: Duration,
    ) -> Self {
        let store = OpsStore::open(&databases.url("ops")).await;
        let store = Arc::new(store.expect("the ops store opens"));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let address = listener.local_addr().expect("it is bound");
        let (catalogue, kafka) = (Arc::clone(&workshop.catalogue), workshop.kafka.clone());
        let publisher = Arc::new(publisher(&catalogue));
        let indexer = Indexer::new(Arc::clone(&store), kafka.clone(), Arc::clone(&catalogue));
        indexer.catch_up(|_| ()).await.expect("Kafka answers");
        let worker = Worker::new(Arc::clone(&store), kafka.clone(), Arc::clone(&publisher));
        let admin = Admin::connect(&kafka).expect("one can be made");
        let looks = Watch::new(Arc::clone(&catalogue));
        let (watch, asks) = (looks.clone(), admin.clone());
        let mirror = Mirror::new(Arc::clone(&store), Arc::clone(&publisher));
        let desk = Desk::new(Arc::clone(&store), catalogue, kafka, publisher, watch, asks);
        let desk = desk.with_second_person_above(above).with_patience(patience);
        let (stop, stopping) = watch::channel(false);
        let mut running = JoinSet::new();
        let mut of_looks = stopping.clone();
        running.spawn(async move {
            let stopped = async { drop(of_looks.wait_for(|stop| *stop).await) };
            looks.run(admin, LOOK, stopped).await;
        });
        let of_index = stopping.clone();
        running.spawn(async move { indexer.run(of_index).await });
        let of_mirror = stopping.clone();
        running.spawn(async move { mirror.run(of_mirror).await });
        let of_worker = stopping.clone();
        running.spawn(async move { worker.run(of_worker).await });
        running.spawn(async move {
            let answered =
                http::answer(listener, panel::router(&desk, http::Router::new()), stopping).await;
            answered.expect("it can be listened");
        });
        Self { store, address, stop, running }
    }

    /// A user with the password of all.
    pub async fn user(&self, name: &str, role: Role, scope: &Scope) -> UserName {
        user(&self.store, name, role, scope).await
    }

    /// A new token.
    pub async fn token(&self, name: &str, role: Role, scope: &Scope) -> String {
        token(&self.store, name, role, scope).await
    }

    /// Somebody new at the panel.
    pub fn visitor(&self) -> Visitor {
        Visitor::new(self.address)
    }

    /// A new user, who is signed in.
    pub async fn signed_in(&self, name: &str, role: Role, scope: &Scope) -> Visitor {
        self.user(name, role, scope).await;
        let mut visitor = self.visitor();
        visitor.signs_in(name, PASSWORD).await;
        visitor
    }

    pub async fn stop(mut self) {
        self.stop.send_replace(true);
        while self.running.join_next().await.is_some() {}
        self.store.close().await;
    }
}

/// A user of an ops store, with the password of all.
pub async fn user(store: &OpsStore, name: &str, role: Role, scope: &Scope) -> UserName {
    let name: UserName = name.parse().expect("a name");
    let hash = password::hash(PASSWORD.to_owned()).await.expect("it is hashed");
    let made = store.make_user(&name, role, scope, Some(&hash)).await;
    assert!(made.expect("the store answers"), "{name} is new");
    name
}

/// A new token of an ops store.
pub async fn token(store: &OpsStore, name: &str, role: Role, scope: &Scope) -> String {
    store.make_token(name, role, scope).await.expect("the store answers").expect("it is new")
}

/// Signs somebody in who has the password of all.
pub async fn signs_in(browser: &Chromium, site: &str, name: &str) {
    browser.open(&format!("{site}/sign-in")).await;
    browser.type_into("input[name=name]", name).await;
    browser.type_into("input[name=password]", PASSWORD).await;
    browser.click("main button").await;
    browser.shows("h1", "Dead Letter Queue").await;
}
