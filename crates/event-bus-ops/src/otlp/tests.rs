use std::net::SocketAddr;

use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::post;
use axum::{Json, Router};
use event_bus::trace_context::TraceContext;
use event_bus::tracer::{SpanKind, attributes};
use serde_json::Value;
use tokio::net::TcpListener;

use super::*;

/// A collector that gives each request the next of these answers, and then takes all.
fn collector(listener: TcpListener, answers: Vec<StatusCode>) -> mpsc::UnboundedReceiver<Value> {
    let (requests, received) = mpsc::unbounded_channel();
    let answers = Arc::new(std::sync::Mutex::new(answers.into_iter()));
    let take = async move |State(()): State<()>, Json(request): Json<Value>| {
        let answer = answers.lock().unwrap().next().unwrap_or(StatusCode::OK);
        if answer.is_success() {
            requests.send(request).unwrap();
        }
        answer
    };
    let router = Router::new().route("/v1/traces", post(take));
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    received
}

async fn listener() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

fn endpoint(address: SocketAddr) -> Endpoint {
    format!("http://{address}").parse().unwrap()
}

fn ended(number: i64) -> Span {
    let now = jiff::Timestamp::now();
    Span {
        context: TraceContext::start(),
        parent: None,
        links: Vec::new(),
        kind: SpanKind::Producer,
        name: "send acme.order.placed".to_owned(),
        start: now,
        end: now,
        attributes: vec![(attributes::OFFSET, number.into())],
        error: None,
    }
}

/// How many spans a request has.
fn spans_in(request: &Value) -> usize {
    request["resourceSpans"][0]["scopeSpans"][0]["spans"].as_array().unwrap().len()
}

#[tokio::test]
async fn what_waits_is_sent_at_the_stop_in_batches() {
    let (listener, address) = listener().await;
    let mut received = collector(listener, Vec::new());
    let exporter = Exporter::start(endpoint(address));
    let processor = exporter.processor("acme-shop");
    for number in 0..i64::try_from(BATCH).unwrap() + 3 {
        processor.on_end(ended(number));
    }
    exporter.stop().await;
    let (first, second) = (received.recv().await.unwrap(), received.recv().await.unwrap());
    assert_eq!((spans_in(&first), spans_in(&second)), (BATCH, 3));
    processor.on_end(ended(0));
    assert_eq!(processor.queue.dropped.load(Ordering::Relaxed), 1, "nobody waits for a late span");
}

#[tokio::test]
async fn a_busy_collector_is_asked_again_and_one_that_refuses_is_not() {
    let (listener, address) = listener().await;
    let answers = vec![StatusCode::SERVICE_UNAVAILABLE, StatusCode::OK, StatusCode::BAD_REQUEST];
    let mut received = collector(listener, answers);
    let exporter = Exporter::start(endpoint(address));
    let processor = exporter.processor("acme-shop");
    processor.on_end(ended(1));
    let first = received.recv().await.unwrap();
    processor.on_end(ended(2));
    exporter.stop().await;
    assert_eq!(spans_in(&first), 1);
    assert!(received.try_recv().is_err(), "what was refused is not sent again");
}

#[tokio::test]
async fn a_collector_that_never_answers_keeps_nobody_waiting() {
    let (listener, address) = listener().await;
    let exporter = Exporter::start(endpoint(address));
    let processor = exporter.processor("acme-shop");
    let spans = i64::try_from(QUEUE + 2 * BATCH).unwrap();
    for number in 0..spans {
        processor.on_end(ended(number));
    }
    assert!(processor.queue.dropped.load(Ordering::Relaxed) > 0, "the queue has an end");
    timeout(2 * LAST_REQUESTS, exporter.stop()).await.expect("the program ends");
    drop(listener);
}
