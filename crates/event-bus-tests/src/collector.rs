//! An OpenTelemetry collector of a test's own: it takes OTLP over HTTP and keeps the spans.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::extract::State;
use axum::routing::post;
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::Value;
use tokio::net::TcpListener;

use crate::eventually::eventually;

/// A collector that answers until the test ends.
pub struct Collector {
    endpoint: String,
    spans: Arc<Mutex<Vec<Seen>>>,
}

/// A span as it came.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Seen {
    /// `service.name` of its resource.
    #[serde(skip)]
    pub service: String,
    /// In hex.
    pub trace_id: String,
    /// In hex.
    pub span_id: String,
    /// In hex; empty for the first of its trace.
    pub parent_span_id: String,
    /// What is done with which topic.
    pub name: String,
    /// As the protocol numbers them: 3 is a client, 4 a producer, 5 a consumer.
    pub kind: u32,
    /// Nanoseconds since 1970.
    pub start_time_unix_nano: String,
    /// Nanoseconds since 1970.
    pub end_time_unix_nano: String,
    /// Those that it is linked to.
    pub links: Vec<Link>,
    /// How it ended.
    pub status: Status,
    attributes: Vec<Attribute>,
}

/// A link to another span.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Link {
    /// In hex.
    pub trace_id: String,
    /// In hex.
    pub span_id: String,
}

/// How a span ended.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Status {
    /// 2 is an error, 0 says nothing.
    pub code: u32,
    /// The error's text.
    pub message: String,
}

#[derive(Clone, Debug, Deserialize)]
struct Attribute {
    key: String,
    value: BTreeMap<String, String>,
}

impl Seen {
    /// The text of an attribute; numbers are texts too.
    ///
    /// # Panics
    /// When it has no such attribute.
    pub fn attribute(&self, key: &str) -> &str {
        self.find(key)
            .unwrap_or_else(|| panic!("{} has no {key}: {:?}", self.name, self.attributes))
    }

    /// Whether it has the attribute.
    pub fn has(&self, key: &str) -> bool {
        self.find(key).is_some()
    }

    fn find(&self, key: &str) -> Option<&str> {
        let found = self.attributes.iter().find(|attribute| attribute.key == key)?;
        found.value.values().next().map(String::as_str)
    }

    /// The spans that it is linked to, which must be of its own trace.
    ///
    /// # Panics
    /// When one is of another.
    pub fn linked(&self) -> Vec<&str> {
        assert!(self.links.iter().all(|link| link.trace_id == self.trace_id), "{self:?}");
        self.links.iter().map(|link| &*link.span_id).collect()
    }
}

impl Collector {
    /// Starts one on a free port.
    ///
    /// # Panics
    /// When there is none.
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("there is a free port");
        let address = listener.local_addr().expect("it has an address");
        let spans = Arc::default();
        let router = Router::new().route("/v1/traces", post(take)).with_state(Arc::clone(&spans));
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { endpoint: format!("http://{address}"), spans }
    }

    /// Where it is.
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// All spans so far.
    ///
    /// # Panics
    /// When a request could not be read.
    pub fn spans(&self) -> Vec<Seen> {
        self.spans.lock().expect("every request can be read").clone()
    }

    /// The spans of a trace in the order of their begin, once there are so many.
    ///
    /// # Panics
    /// When they don't come.
    pub async fn trace(&self, trace_id: &str, count: usize, within: Duration) -> Vec<Seen> {
        eventually(within, async || {
            let mut spans = self.spans();
            spans.retain(|span| span.trace_id == trace_id);
            spans.sort_by(|a, b| a.start_time_unix_nano.cmp(&b.start_time_unix_nano));
            let names: Vec<&str> = spans.iter().map(|span| &*span.name).collect();
            if spans.len() >= count { Ok(spans) } else { Err(format!("{names:?}")) }
        })
        .await
    }
}

async fn take(
    State(spans): State<Arc<Mutex<Vec<Seen>>>>,
    Json(request): Json<Value>,
) -> Json<Value> {
    let mut spans = spans.lock().expect("every request can be read");
    for resource in request["resourceSpans"].as_array().expect("it has resources") {
        let service = &resource["resource"]["attributes"][0];
        assert_eq!(service["key"], "service.name");
        let service = service["value"]["stringValue"].as_str().expect("it is a text");
        for scope in resource["scopeSpans"].as_array().expect("it has scopes") {
            for span in scope["spans"].as_array().expect("it has spans") {
                let span = Seen::deserialize(span).expect("it is a span");
                spans.push(Seen { service: service.to_owned(), ..span });
            }
        }
    }
    Json(Value::Object(serde_json::Map::new()))
}
