//! The requests of one connection that are being worked on, and their answers in the order of the requests.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use kafka_protocol::messages::ApiKey;

use crate::limits::MAX_OVERLAPPING;

/// How a request ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Ended<T> {
    /// With this outcome.
    With(T),
    /// Its handler panicked.
    Panicked,
}

/// What a request does.
pub(crate) type Work<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// The requests that are being worked on.
pub(crate) struct Line<T> {
    slots: VecDeque<Slot<T>>,
}

/// A request that begins.
pub(crate) struct Begin<T> {
    pub key: ApiKey,
    pub work: Work<T>,
    /// See [`Api::overlapping`](crate::api::Api::overlapping).
    pub overlaps: bool,
    /// See [`Api::waiting`](crate::api::Api::waiting).
    pub waits: bool,
}

struct Slot<T> {
    key: ApiKey,
    state: State<T>,
    overlaps: bool,
    waits: bool,
}

enum State<T> {
    Working(Work<T>),
    Ended(Ended<T>),
}

impl<T> Line<T> {
    pub fn new() -> Self {
        Self { slots: VecDeque::new() }
    }

    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// Whether a request may begin now. One that does not overlap is alone; those that do begin in their order,
    /// and each has run up to where it first waits before the next begins.
    pub fn admits(&self, overlaps: bool) -> bool {
        self.slots.is_empty()
            || overlaps
                && self.slots.len() < MAX_OVERLAPPING
                && self.slots.iter().all(|slot| slot.overlaps)
    }

    /// Begins a request: it runs up to its first wait.
    pub fn begin(&mut self, request: Begin<T>, cx: &mut Context<'_>) {
        let Begin { key, work, overlaps, waits } = request;
        let mut slot = Slot { key, state: State::Working(work), overlaps, waits };
        slot.advance(cx);
        self.slots.push_back(slot);
    }

    /// The next answer, in the order of the requests. The line must not be empty. All that run are driven.
    pub fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<(ApiKey, Ended<T>)> {
        for slot in &mut self.slots {
            slot.advance(cx);
        }
        match self.slots.front() {
            Some(Slot { state: State::Ended(_), .. }) => {}
            _ => return Poll::Pending,
        }
        match self.slots.pop_front() {
            Some(Slot { key, state: State::Ended(ended), .. }) => Poll::Ready((key, ended)),
            _ => Poll::Pending,
        }
    }

    /// Drives all that run and takes no answer.
    pub fn poll_all(&mut self, cx: &mut Context<'_>) -> Poll<Infallible> {
        for slot in &mut self.slots {
            slot.advance(cx);
        }
        Poll::Pending
    }

    /// Whether nothing of what runs has to come to its end when nobody takes the answer.
    pub fn only_waits(&self) -> bool {
        self.slots.iter().all(|slot| slot.waits)
    }
}

impl<T> Slot<T> {
    fn advance(&mut self, cx: &mut Context<'_>) {
        if let State::Working(work) = &mut self.state
            && let Poll::Ready(ended) = poll_caught(work, cx)
        {
            self.state = State::Ended(ended);
        }
    }
}

/// A panic of one handler must not take the other connections' work down, nor answers of requests before it.
fn poll_caught<T>(work: &mut Work<T>, cx: &mut Context<'_>) -> Poll<Ended<T>> {
    // What the handler shared is behind mutexes, which a panic poisons; the future itself is not polled again.
    match catch_unwind(AssertUnwindSafe(|| work.as_mut().poll(cx))) {
        Ok(poll) => Poll::Ready(Ended::With(ready!(poll))),
        Err(_) => Poll::Ready(Ended::Panicked),
    }
}

#[cfg(test)]
mod tests {
    use std::future::{pending, poll_fn, ready};

    use tokio::sync::oneshot;

    use super::*;

    async fn begin(line: &mut Line<u32>, overlaps: bool, work: Work<u32>) {
        assert!(line.admits(overlaps));
        let mut begin = Some(Begin { key: ApiKey::Produce, work, overlaps, waits: false });
        poll_fn(|cx| {
            line.begin(begin.take().unwrap(), cx);
            Poll::Ready(())
        })
        .await;
    }

    async fn next(line: &mut Line<u32>) -> Ended<u32> {
        poll_fn(|cx| line.poll_next(cx)).await.1
    }

    #[tokio::test]
    async fn answers_leave_in_the_order_of_the_requests() {
        let mut line = Line::new();
        let (send, receive) = oneshot::channel();
        begin(&mut line, true, Box::pin(async { receive.await.unwrap() })).await;
        begin(&mut line, true, Box::pin(ready(2))).await;
        let first = poll_fn(|cx| Poll::Ready(line.poll_next(cx).is_pending())).await;
        assert!(first, "the second answer must not overtake the first");
        send.send(1).unwrap();
        assert_eq!(next(&mut line).await, Ended::With(1));
        assert_eq!(next(&mut line).await, Ended::With(2));
        assert!(line.is_empty());
    }

    #[tokio::test]
    async fn a_request_has_run_to_its_first_wait_when_the_next_begins() {
        let mut line = Line::new();
        let (log, mut seen) = tokio::sync::mpsc::unbounded_channel();
        for number in 0..3 {
            let log = log.clone();
            let work = async move {
                log.send(number).unwrap();
                pending::<u32>().await
            };
            begin(&mut line, true, Box::pin(work)).await;
            assert_eq!(seen.try_recv(), Ok(number));
        }
    }

    #[tokio::test]
    async fn only_those_that_overlap_overlap_and_not_too_many() {
        let mut line = Line::new();
        begin(&mut line, false, Box::pin(pending())).await;
        assert!(!line.admits(true) && !line.admits(false));
        let mut line = Line::new();
        for _ in 0..MAX_OVERLAPPING {
            begin(&mut line, true, Box::pin(pending())).await;
            assert!(!line.admits(false));
        }
        assert!(!line.admits(true));
    }

    #[tokio::test]
    async fn a_panic_ends_its_own_request_only() {
        let mut line = Line::new();
        begin(&mut line, true, Box::pin(ready(1))).await;
        begin(&mut line, true, Box::pin(async { panic!("on purpose") })).await;
        begin(&mut line, true, Box::pin(ready(3))).await;
        assert_eq!(next(&mut line).await, Ended::With(1));
        assert_eq!(next(&mut line).await, Ended::Panicked);
        assert_eq!(next(&mut line).await, Ended::With(3));
    }
}
