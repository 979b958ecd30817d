//! Events as they come, as server-sent events: <https://html.spec.whatwg.org/multipage/server-sent-events.html>.

use std::convert::Infallible;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::{IntoResponse as _, Response};
use futures_util::future::BoxFuture;
use futures_util::stream::unfold;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::time::{Interval, MissedTickBehavior, interval};

use crate::desk::{Glimpse, Looking, Told};

/// How often it is asked whether whoever looks still may, and something is sent so that nothing in between gives up.
const BEAT: Duration = Duration::from_secs(5);

/// Whether whoever looks still may.
pub(crate) type StillMay = Box<dyn Fn() -> BoxFuture<'static, bool> + Send + Sync>;

/// What is streamed.
struct Stream {
    looking: Looking,
    still_may: StillMay,
    shown: fn(&Glimpse) -> Value,
    stop: watch::Receiver<bool>,
    beat: Interval,
    is_over: bool,
}

/// Streams what somebody sees until that one may not any more, goes away, or the process ends.
pub(crate) fn stream(
    looking: Looking,
    still_may: StillMay,
    shown: fn(&Glimpse) -> Value,
    stop: watch::Receiver<bool>,
) -> Response {
    let mut beat = interval(BEAT);
    beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let stream = Stream { looking, still_may, shown, stop, beat, is_over: false };
    let body = Body::from_stream(unfold(stream, Stream::next));
    ([(CONTENT_TYPE, "text/event-stream"), (CACHE_CONTROL, "no-store")], body).into_response()
}

impl Stream {
    async fn next(mut self) -> Option<(Result<Bytes, Infallible>, Self)> {
        if self.is_over {
            return None;
        }
        let text = tokio::select! {
            // A sender that is gone means the end too.
            () = async { drop(self.stop.wait_for(|stop| *stop).await) } => {
                self.is_over = true;
                message("end", &json!("the process ends"))
            }
            _ = self.beat.tick() => {
                if (self.still_may)().await {
                    ":\n\n".to_owned()
                } else {
                    self.is_over = true;
                    message("end", &json!("nobody is signed in here any more"))
                }
            }
            told = self.looking.next() => match told? {
                Told::Came(glimpse) => message("came", &(self.shown)(&glimpse)),
                Told::LeftOut(count) => message("left-out", &json!(count)),
            },
        };
        Some((Ok(text.into()), self))
    }
}

/// JSON has no line end outside of its escapes, so it is one line.
fn message(name: &str, data: &Value) -> String {
    format!("event: {name}\ndata: {data}\n\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_is_said_stays_one_message() {
        let text = message("came", &json!({ "key": "a\r\n\r\nevent: end\ndata: 1\n\n" }));
        assert_eq!(text.lines().count(), 3, "{text}");
        assert!(text.ends_with("\n\n") && !text.contains('\r'), "{text}");
    }
}
