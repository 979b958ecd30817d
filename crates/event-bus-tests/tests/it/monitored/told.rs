//! Who is told: what Alertmanager sends, kept by the name of the receiver.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::extract::{Path, State};
use axum::routing::post;
use axum::{Json, Router};
use serde::Deserialize;
use tokio::net::TcpListener;

/// An alert, as it was told to somebody.
#[derive(Clone, Debug)]
pub struct Told {
    pub receiver: String,
    pub name: String,
    pub group: String,
    pub status: String,
    pub runbook: String,
}

/// <https://prometheus.io/docs/alerting/latest/configuration/#webhook_config>
#[derive(Deserialize)]
struct Message {
    alerts: Vec<Alert>,
}

#[derive(Deserialize)]
struct Alert {
    status: String,
    labels: Labels,
    annotations: Annotations,
}

#[derive(Deserialize)]
struct Labels {
    alertname: String,
    #[serde(default)]
    consumergroup: String,
}

#[derive(Deserialize)]
struct Annotations {
    runbook_url: String,
}

/// Receivers that keep what they were told.
pub struct Receivers {
    pub address: SocketAddr,
    told: Arc<Mutex<Vec<Told>>>,
}

impl Receivers {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let address = listener.local_addr().expect("it is bound");
        let told = Arc::new(Mutex::new(Vec::new()));
        let router = Router::new().route("/{receiver}", post(keep)).with_state(Arc::clone(&told));
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { address, told }
    }

    pub fn told(&self) -> Vec<Told> {
        self.told.lock().expect("nobody panics with it").clone()
    }
}

async fn keep(
    State(told): State<Arc<Mutex<Vec<Told>>>>,
    Path(receiver): Path<String>,
    Json(message): Json<Message>,
) {
    let alerts = message.alerts.into_iter().map(|alert| Told {
        receiver: receiver.clone(),
        name: alert.labels.alertname,
        group: alert.labels.consumergroup,
        status: alert.status,
        runbook: alert.annotations.runbook_url,
    });
    told.lock().expect("nobody panics with it").extend(alerts);
}
