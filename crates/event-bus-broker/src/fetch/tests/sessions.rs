use bytes::Bytes;
use kafka_protocol::ResponseError;
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic, ForgottenTopic};
use kafka_protocol::messages::fetch_response::PartitionData;
use kafka_protocol::messages::{FetchRequest, TopicName};
use kafka_protocol::protocol::StrBytes;

use crate::fetch::{Begun, PartitionAnswer, Sessions};

const VERSION: i16 = 12;

fn topic() -> TopicName {
    TopicName(StrBytes::from_static_str("orders"))
}

fn request(session_id: i32, session_epoch: i32, partitions: &[(i32, i64)]) -> FetchRequest {
    let partitions = partitions.iter().map(|(index, offset)| {
        FetchPartition::default().with_partition(*index).with_fetch_offset(*offset)
    });
    let topic = FetchTopic::default().with_topic(topic()).with_partitions(partitions.collect());
    FetchRequest::default()
        .with_session_id(session_id)
        .with_session_epoch(session_epoch)
        .with_topics(vec![topic])
}

fn answer(index: i32, high_watermark: i64, records: &'static [u8]) -> PartitionData {
    PartitionData::default()
        .with_partition_index(index)
        .with_high_watermark(high_watermark)
        .with_log_start_offset(0)
        .with_records(Some(Bytes::from_static(records)))
}

/// The partitions in the order in which they are read.
fn order(begun: &Begun) -> Vec<(i32, i64)> {
    begun.wanted.iter().map(|wanted| (wanted.partition, wanted.fetch_offset)).collect()
}

/// Answers each partition with these, and returns the session and the partitions that are sent.
fn finish(sessions: &Sessions, begun: &Begun, answers: Vec<PartitionData>) -> (i32, Vec<i32>) {
    let answers = answers.into_iter().map(PartitionAnswer::from).collect();
    let (id, sent) = sessions.finish(begun, answers, 0);
    (id, sent.into_iter().map(|(_, answer)| answer.data.partition_index).collect())
}

/// A session of partitions 0, 1 and 2, each with high watermark 1.
fn session(sessions: &Sessions) -> i32 {
    let begun = sessions.begin(&request(0, 0, &[(0, 0), (1, 0), (2, 0)]), VERSION, 0).unwrap();
    let answers = (0..3).map(|index| answer(index, 1, b"")).collect();
    let (id, sent) = finish(sessions, &begun, answers);
    assert_eq!(sent, [0, 1, 2], "the first answer has everything");
    assert_ne!(id, 0);
    id
}

#[test]
fn an_incremental_fetch_is_answered_what_changed() {
    let sessions = Sessions::default();
    let id = session(&sessions);
    let begun = sessions.begin(&request(id, 1, &[]), VERSION, 0).unwrap();
    assert_eq!(order(&begun), [(0, 0), (1, 0), (2, 0)]);
    let answers = vec![answer(0, 1, b""), answer(1, 2, b""), answer(2, 1, b"records")];
    assert_eq!(finish(&sessions, &begun, answers), (id, vec![1, 2]));
}

#[test]
fn a_partition_that_gave_records_is_read_last() {
    let sessions = Sessions::default();
    let id = session(&sessions);
    let begun = sessions.begin(&request(id, 1, &[]), VERSION, 0).unwrap();
    let answers = vec![answer(0, 1, b"records"), answer(1, 1, b""), answer(2, 1, b"")];
    finish(&sessions, &begun, answers);
    let begun = sessions.begin(&request(id, 2, &[(0, 5)]), VERSION, 0).unwrap();
    assert_eq!(order(&begun), [(1, 0), (2, 0), (0, 5)]);
}

#[test]
fn partitions_are_added_changed_and_forgotten() {
    let sessions = Sessions::default();
    let id = session(&sessions);
    let forgotten = ForgottenTopic::default().with_topic(topic()).with_partitions(vec![0, 2]);
    let request = request(id, 1, &[(1, 7), (3, 0)]).with_forgotten_topics_data(vec![forgotten]);
    let begun = sessions.begin(&request, VERSION, 0).unwrap();
    assert_eq!(order(&begun), [(1, 7), (3, 0)]);
}

#[test]
fn a_session_without_partitions_is_over() {
    let sessions = Sessions::default();
    let id = session(&sessions);
    let forgotten = ForgottenTopic::default().with_topic(topic()).with_partitions(vec![0, 1, 2]);
    let all = request(id, 1, &[]).with_forgotten_topics_data(vec![forgotten]);
    let begun = sessions.begin(&all, VERSION, 0).unwrap();
    assert_eq!(finish(&sessions, &begun, Vec::new()), (0, Vec::new()));
    let gone = sessions.begin(&request(id, 2, &[]), VERSION, 0).unwrap_err();
    assert_eq!(gone, ResponseError::FetchSessionIdNotFound);
}

#[test]
fn a_request_out_of_turn_is_refused() {
    let sessions = Sessions::default();
    let id = session(&sessions);
    let refused = |epoch, version| sessions.begin(&request(id, epoch, &[]), version, 0).err();
    assert_eq!(refused(2, VERSION), Some(ResponseError::InvalidFetchSessionEpoch));
    assert_eq!(refused(1, 13), Some(ResponseError::FetchSessionTopicIdError));
    assert_eq!(refused(1, VERSION), None);
    assert_eq!(refused(1, VERSION), Some(ResponseError::InvalidFetchSessionEpoch));
}

#[test]
fn a_full_fetch_begins_anew_and_a_final_one_ends() {
    let sessions = Sessions::default();
    let id = session(&sessions);
    let begun = sessions.begin(&request(id, 0, &[(0, 0)]), VERSION, 0).unwrap();
    let (next, _) = finish(&sessions, &begun, vec![answer(0, 1, b"")]);
    assert_ne!(next, id);
    let gone = sessions.begin(&request(id, 1, &[]), VERSION, 0).unwrap_err();
    assert_eq!(gone, ResponseError::FetchSessionIdNotFound);
    let begun = sessions.begin(&request(next, -1, &[(0, 0)]), VERSION, 0).unwrap();
    assert_eq!(finish(&sessions, &begun, vec![answer(0, 1, b"")]), (0, vec![0]));
    let gone = sessions.begin(&request(next, 1, &[]), VERSION, 0).unwrap_err();
    assert_eq!(gone, ResponseError::FetchSessionIdNotFound);
}

#[test]
fn a_partition_with_an_error_is_told_of_again_when_it_is_well() {
    let sessions = Sessions::default();
    let id = session(&sessions);
    let begun = sessions.begin(&request(id, 1, &[]), VERSION, 0).unwrap();
    let failed = answer(0, -1, b"").with_error_code(3).with_log_start_offset(-1);
    let answers = vec![failed, answer(1, 1, b""), answer(2, 1, b"")];
    assert_eq!(finish(&sessions, &begun, answers), (id, vec![0]));
    let begun = sessions.begin(&request(id, 2, &[]), VERSION, 0).unwrap();
    let answers = (0..3).map(|index| answer(index, 1, b"")).collect();
    assert_eq!(finish(&sessions, &begun, answers), (id, vec![0]));
}

#[test]
fn sessions_are_bounded_and_idle_ones_give_way() {
    let sessions = Sessions::default();
    let begin = |now_ms| {
        let begun = sessions.begin(&request(0, 0, &[(0, 0)]), VERSION, now_ms).unwrap();
        sessions.finish(&begun, vec![answer(0, 1, b"").into()], now_ms).0
    };
    let first = begin(0);
    for _ in 1..1_000 {
        assert_ne!(begin(1), 0);
    }
    assert_eq!(begin(120_000), 0, "all slots are taken, and none is idle for long enough");
    assert_ne!(begin(120_001), 0);
    let gone = sessions.begin(&request(first, 1, &[]), VERSION, 0).unwrap_err();
    assert_eq!(gone, ResponseError::FetchSessionIdNotFound);
}
