//! HTTP for those who look after the process: health.
//!
//! `/livez` says that the process answers, `/readyz` whether the bus does its work: 200, or 503 with everything that
//! is wrong.

use std::io;
use std::time::{Duration, Instant};

use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;
use axum::{Json, Router};
use serde::Serialize;
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::Watch;
use crate::health::Problem;

/// How long requests that are under way at the end may take.
const LAST_REQUESTS: Duration = Duration::from_secs(2);

/// Answers on `listener` until `stop` turns true.
///
/// # Errors
/// When the socket can't accept connections.
pub async fn serve(
    listener: TcpListener,
    watch: Watch,
    mut stop: watch::Receiver<bool>,
) -> io::Result<()> {
    let mut stopping = stop.clone();
    let graceful = async move {
        // A sender that is gone means the end too.
        drop(stopping.wait_for(|stop| *stop).await);
    };
    let deadline = async move {
        drop(stop.wait_for(|stop| *stop).await);
        tokio::time::sleep(LAST_REQUESTS).await;
    };
    tokio::select! {
        served = axum::serve(listener, router(watch)).with_graceful_shutdown(graceful) => served,
        () = deadline => Ok(()),
    }
}

fn router(watch: Watch) -> Router {
    Router::new().route("/livez", get(livez)).route("/readyz", get(readyz)).with_state(watch)
}

#[derive(Serialize)]
struct Alive {
    status: &'static str,
}

async fn livez() -> Json<Alive> {
    Json(Alive { status: "alive" })
}

#[derive(Serialize)]
struct Readiness {
    status: &'static str,
    problems: Vec<Told>,
}

/// A problem as data and as a sentence.
#[derive(Serialize)]
struct Told {
    #[serde(flatten)]
    problem: Problem,
    message: String,
}

async fn readyz(State(watch): State<Watch>) -> (StatusCode, Json<Readiness>) {
    let health = watch.health(Instant::now());
    let (code, status) = if health.is_ready() {
        (StatusCode::OK, "ready")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "not ready")
    };
    let told = |problem: Problem| Told { message: problem.to_string(), problem };
    let problems = health.problems.into_iter().map(told).collect();
    (code, Json(Readiness { status, problems }))
}
