//! HTTP for those who look after the process: health and metrics.
//!
//! `/livez` says that the process answers, `/readyz` whether the bus does its work: 200, or 503 with everything that
//! is wrong. `/metrics` is for Prometheus. An ops process judges nobody, so it is not ready or unready, but tells of all
//! groups.

use std::convert::Infallible;
use std::fmt::{self, Write as _};
use std::iter;
use std::time::Instant;

use axum::Json;
use axum::body::Body;
use axum::extract::{FromRef, State};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use event_bus::metrics::Metrics;
use futures_util::stream;
use serde::Serialize;

use crate::health::{Health, Problem};
use crate::{LagCollector, Watch};

pub use crate::serving::answer;
pub use axum::Router;

/// OpenMetrics 1.0, section "Overall structure": what Prometheus negotiates as its text format.
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// What ends an exposition.
const END: &str = "# EOF\n";

/// The routes of an ops process: whether it answers, and the lag of all groups.
pub fn of_lag(lag: LagCollector) -> Router {
    Router::new().route("/livez", get(livez)).route("/metrics", get(lag_alone)).with_state(lag)
}

/// The routes of health and metrics; with the lag of all groups, where this process collects it.
pub fn router(watch: Watch, metrics: Metrics, lag: Option<LagCollector>) -> Router {
    Router::new()
        .route("/livez", get(livez))
        .route("/readyz", get(readyz))
        .route("/metrics", get(exposition))
        .with_state(Told { watch, metrics, lag })
}

/// What is told of.
#[derive(Clone)]
struct Told {
    watch: Watch,
    metrics: Metrics,
    lag: Option<LagCollector>,
}

impl FromRef<Told> for Watch {
    fn from_ref(told: &Told) -> Watch {
        told.watch.clone()
    }
}

async fn lag_alone(State(lag): State<LagCollector>) -> Response {
    open_metrics(lag.exposition())
}

async fn exposition(State(told): State<Told>) -> Response {
    let now = Instant::now();
    let text = told.metrics.encode(now);
    match text.and_then(|text| with_health(text, &told.watch.health(now))) {
        Ok(text) => {
            let lag = told.lag.as_ref().map(LagCollector::exposition);
            open_metrics(iter::once(text).chain(lag.into_iter().flatten()))
        }
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

/// Pieces of an exposition, as they are written, and its end.
fn open_metrics(pieces: impl Iterator<Item = String> + Send + 'static) -> Response {
    let pieces = pieces.chain(iter::once(END.to_owned())).map(Ok::<_, Infallible>);
    ([(CONTENT_TYPE, OPEN_METRICS)], Body::from_stream(stream::iter(pieces))).into_response()
}

/// Metrics, and whether the process is ready, which is asked for when it is told. What ends them is left out.
fn with_health(mut metrics: String, health: &Health) -> Result<String, fmt::Error> {
    if metrics.ends_with(END) {
        metrics.truncate(metrics.len() - END.len());
    }
    metrics.push_str("# HELP event_bus_ready Whether what is there to do gets done.\n# TYPE event_bus_ready gauge\n");
    writeln!(metrics, "event_bus_ready {}", u8::from(health.is_ready()))?;
    metrics.push_str("# HELP event_bus_problems What keeps it from being ready.\n# TYPE event_bus_problems gauge\n");
    for kind in Problem::KINDS {
        let count = health.problems.iter().filter(|problem| problem.kind() == kind).count();
        writeln!(metrics, "event_bus_problems{{kind=\"{kind}\"}} {count}")?;
    }
    Ok(metrics)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics_tell_whether_the_process_is_ready_and_what_keeps_it() {
        let told = |problems| with_health("a 1\n# EOF\n".to_owned(), &Health { problems }).unwrap();
        assert!(told(vec![]).starts_with("a 1\n# HELP event_bus_ready "));
        assert!(told(vec![]).contains("\nevent_bus_ready 1\n"));
        let rows = Problem::OutboxQuarantined { rows: 2 };
        let text = told(vec![rows.clone(), Problem::Starting, rows]);
        assert!(text.contains("\nevent_bus_ready 0\n"), "{text}");
        for line in ["outbox-quarantined\"} 2", "starting\"} 1", "stalled\"} 0"] {
            assert!(text.contains(&format!("\nevent_bus_problems{{kind=\"{line}\n")), "{text}");
        }
        assert!(!text.contains("# EOF"), "{text}");
    }

    #[test]
    fn a_kind_is_called_as_in_the_answer_of_readyz() {
        for problem in [
            Problem::Starting,
            Problem::OutboxStalled { seconds: 1 },
            Problem::OutboxQuarantined { rows: 1 },
        ] {
            assert_eq!(serde_json::to_value(&problem).unwrap()["kind"], problem.kind());
            assert!(Problem::KINDS.contains(&problem.kind()));
        }
    }
}
