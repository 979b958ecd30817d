//! HTTP for those who look after the process: health and metrics.
//!
//! `/livez` says that the process answers, `/readyz` whether the bus does its work: 200, or 503 with everything that
//! is wrong. `/metrics` is for Prometheus.

use std::time::Instant;

use axum::Json;
use axum::extract::{FromRef, State};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use event_bus::metrics::Metrics;
use serde::Serialize;

use crate::Watch;
use crate::health::Problem;

pub use crate::serving::answer;
pub use axum::Router;

/// OpenMetrics 1.0, section "Overall structure": what Prometheus negotiates as its text format.
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Only whether the process answers, where nothing else is looked at.
pub fn alive() -> Router {
    Router::new().route("/livez", get(livez))
}

/// The routes of health and metrics.
pub fn router(watch: Watch, metrics: Metrics) -> Router {
    Router::new()
        .route("/livez", get(livez))
        .route("/readyz", get(readyz))
        .route("/metrics", get(exposition))
        .with_state(Told { watch, metrics })
}

/// What is told of.
#[derive(Clone)]
struct Told {
    watch: Watch,
    metrics: Metrics,
}

impl FromRef<Told> for Watch {
    fn from_ref(told: &Told) -> Watch {
        told.watch.clone()
    }
}

impl FromRef<Told> for Metrics {
    fn from_ref(told: &Told) -> Metrics {
        told.metrics.clone()
    }
}

async fn exposition(State(metrics): State<Metrics>) -> Response {
    match metrics.encode(Instant::now()) {
        Ok(text) => ([(CONTENT_TYPE, OPEN_METRICS)], text).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
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
    problems: Vec<Sentence>,
}

/// A problem as data and as a sentence.
#[derive(Serialize)]
struct Sentence {
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
    let told = |problem: Problem| Sentence { message: problem.to_string(), problem };
    let problems = health.problems.into_iter().map(told).collect();
    (code, Json(Readiness { status, problems }))
}
