//! Fetch sessions: the broker remembers what is read, and answers with what changed.

use event_bus_conformance::batch::values_in;
use event_bus_conformance::connection::Connection;
use event_bus_conformance::outcome::outcome;
use event_bus_conformance::records::{FETCH, Fetch, write};
use event_bus_conformance::topic::Topic;
use kafka_protocol::ResponseError;
use kafka_protocol::messages::fetch_request::{FetchTopic, ForgottenTopic};
use kafka_protocol::messages::{FetchRequest, FetchResponse};

/// What a reader has of a session.
struct Session {
    connection: Connection,
    topic: Topic,
    id: i32,
    epoch: i32,
}

impl Session {
    /// Opens one over both partitions of a new topic, which are empty.
    async fn open() -> Self {
        let mut connection = Connection::open().await;
        let topic = Topic::create(&mut connection, 2, &[]).await;
        let mut session = Self { connection, topic, id: 0, epoch: 0 };
        let asked = session.asking(&[(0, 0), (1, 0)]);
        let response = session.fetch(vec![asked]).await;
        assert_eq!(outcome(response.error_code), Ok(()));
        assert_ne!(response.session_id, 0, "no session was opened");
        assert_eq!(partitions(&response), [0, 1]);
        session.id = response.session_id;
        session
    }

    fn asking(&self, partitions: &[(i32, i64)]) -> FetchTopic {
        let request = Fetch::from(&self.topic.name, 0).request();
        let pattern = request.topics[0].partitions[0].clone();
        let partitions = partitions.iter().map(|(index, offset)| {
            pattern.clone().with_partition(*index).with_fetch_offset(*offset)
        });
        FetchTopic::default()
            .with_topic(self.topic.wire_name())
            .with_partitions(partitions.collect())
    }

    fn request(&self, topics: Vec<FetchTopic>) -> FetchRequest {
        Fetch::from(&self.topic.name, 0)
            .request()
            .with_topics(topics)
            .with_session_id(self.id)
            .with_session_epoch(self.epoch)
    }

    /// Sends changes of what is read, and goes on to the next epoch.
    async fn fetch(&mut self, topics: Vec<FetchTopic>) -> FetchResponse {
        let request = self.request(topics);
        self.epoch += 1;
        self.connection.call(FETCH, &request).await
    }
}

fn partitions(response: &FetchResponse) -> Vec<i32> {
    let mut found: Vec<_> = response
        .responses
        .iter()
        .flat_map(|topic| topic.partitions.iter().map(|partition| partition.partition_index))
        .collect();
    found.sort_unstable();
    found
}

#[tokio::test]
async fn a_session_answers_only_with_partitions_that_have_something_new() {
    let mut session = Session::open().await;
    let nothing = session.fetch(vec![]).await;
    assert_eq!((outcome(nothing.error_code), nothing.session_id), (Ok(()), session.id));
    assert!(partitions(&nothing).is_empty());
    let name = session.topic.name.clone();
    write(&mut session.connection, &name, &["new"]).await;
    let mut new = session.fetch(vec![]).await;
    assert_eq!(partitions(&new), [0]);
    let data = new.responses.remove(0).partitions.remove(0);
    assert_eq!(values_in(data.records.unwrap_or_default()), ["new"]);
    // The reader moves on in this partition; the other one is remembered.
    let moved = session.asking(&[(0, 1)]);
    assert!(partitions(&session.fetch(vec![moved]).await).is_empty());
}

#[tokio::test]
async fn what_a_session_forgets_is_no_longer_read() {
    let mut session = Session::open().await;
    let name = session.topic.name.clone();
    write(&mut session.connection, &name, &["x"]).await;
    let forgotten =
        ForgottenTopic::default().with_topic(session.topic.wire_name()).with_partitions(vec![0]);
    let request = session.request(vec![]).with_forgotten_topics_data(vec![forgotten]);
    session.epoch += 1;
    let response = session.connection.call(FETCH, &request).await;
    assert_eq!(outcome(response.error_code), Ok(()));
    assert!(partitions(&response).is_empty());
    assert!(partitions(&session.fetch(vec![]).await).is_empty());
}

#[tokio::test]
async fn a_session_waits_for_records_of_any_of_its_partitions() {
    let mut session = Session::open().await;
    let request = session.request(vec![]).with_max_wait_ms(20_000);
    session.connection.send(FETCH, &request).await;
    let mut other = Connection::open().await;
    write(&mut other, &session.topic.name, &["awaited"]).await;
    let response = session.connection.answer::<FetchRequest>(FETCH).await;
    assert_eq!(partitions(&response), [0]);
}

#[tokio::test]
async fn a_session_in_another_epoch_is_refused_and_goes_on_in_its_own() {
    let mut session = Session::open().await;
    let request = session.request(vec![]).with_session_epoch(7);
    let response = session.connection.call(FETCH, &request).await;
    let error = outcome(response.error_code);
    assert_eq!(error, Err(ResponseError::InvalidFetchSessionEpoch));
    assert!(response.responses.is_empty());
    assert_eq!(outcome(session.fetch(vec![]).await.error_code), Ok(()));
}

#[tokio::test]
async fn a_session_that_is_not_there_is_not_found() {
    let mut session = Session::open().await;
    let request = session.request(vec![]).with_session_id(session.id ^ 0x55).with_session_epoch(1);
    let response = session.connection.call(FETCH, &request).await;
    let error = outcome(response.error_code);
    assert_eq!(error, Err(ResponseError::FetchSessionIdNotFound));
}

#[tokio::test]
async fn a_closed_session_is_not_there_any_more() {
    let mut session = Session::open().await;
    let close = session.request(vec![]).with_session_epoch(-1);
    let closed = session.connection.call(FETCH, &close).await;
    assert_eq!((outcome(closed.error_code), closed.session_id), (Ok(()), 0));
    let response = session.fetch(vec![]).await;
    let error = outcome(response.error_code);
    assert_eq!(error, Err(ResponseError::FetchSessionIdNotFound));
}

#[tokio::test]
async fn an_error_in_a_session_is_told_each_time() {
    let mut session = Session::open().await;
    let beyond = session.asking(&[(1, 9)]);
    for changes in [vec![beyond], vec![], vec![]] {
        let response = session.fetch(changes).await;
        assert_eq!(partitions(&response), [1]);
        let error = outcome(response.responses[0].partitions[0].error_code);
        assert_eq!(error, Err(ResponseError::OffsetOutOfRange));
    }
}
