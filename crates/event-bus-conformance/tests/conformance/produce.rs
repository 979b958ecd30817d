//! Writing: what is taken, what is refused, and that nothing is changed on the way.

use event_bus_conformance::batch::{Batch, now_ms, patched, position, records_in, values_in};
use event_bus_conformance::connection::Connection;
use event_bus_conformance::eventually::eventually;
use event_bus_conformance::outcome::outcome;
use event_bus_conformance::records::{Fetch, PRODUCE, produce, produce_request, values, write};
use event_bus_conformance::subject::unique;
use event_bus_conformance::topic::{SOON, Topic};
use kafka_protocol::ResponseError;
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::{ProduceRequest, TopicName};
use kafka_protocol::records::{Compression, TimestampType};
use uuid::Uuid;

#[tokio::test]
async fn offsets_count_records_across_batches() {
    let mut connection = Connection::open().await;
    let topic = Topic::new(&mut connection).await;
    let first = produce(&mut connection, &topic.name, 0, Batch::of(&["a", "b"]).bytes()).await;
    assert_eq!((outcome(first.error_code), first.base_offset), (Ok(()), 0));
    assert_eq!((first.log_append_time_ms, first.log_start_offset), (-1, 0));
    assert_eq!(write(&mut connection, &topic.name, &["c"]).await, 2);
    let data = Fetch::from(&topic.name, 0).send(&mut connection).await;
    let offsets: Vec<_> =
        records_in(data.records.unwrap_or_default()).iter().map(|r| r.offset).collect();
    assert_eq!(offsets, [0, 1, 2]);
    assert_eq!((data.high_watermark, data.last_stable_offset, data.log_start_offset), (3, 3, 0));
}

#[tokio::test]
async fn a_record_that_one_replica_acknowledges_is_there() {
    let mut connection = Connection::open().await;
    let topic = Topic::new(&mut connection).await;
    let request = produce_request(&topic.name, 0, 1, Batch::of(&["one"]).bytes());
    let response = connection.call(PRODUCE, &request).await;
    assert_eq!(outcome(response.responses[0].partition_responses[0].error_code), Ok(()));
    assert_eq!(values(&mut connection, &topic.name).await, ["one"]);
}

#[tokio::test]
async fn a_record_that_nobody_acknowledges_has_no_answer_and_arrives() {
    let mut connection = Connection::open().await;
    let topic = Topic::new(&mut connection).await;
    let request = produce_request(&topic.name, 0, 0, Batch::of(&["none"]).bytes());
    connection.send(PRODUCE, &request).await;
    // The next answer on the connection is that to the fetch.
    eventually(SOON, async || match values(&mut connection, &topic.name).await {
        seen if seen == ["none"] => Ok(()),
        seen => Err(seen),
    })
    .await;
}

#[tokio::test]
async fn a_refused_record_that_nobody_acknowledges_closes_the_connection() {
    let mut connection = Connection::open().await;
    let request = produce_request(&unique("unknown"), 0, 0, Batch::of(&["x"]).bytes());
    connection.send(PRODUCE, &request).await;
    connection.frame().await.expect_err("the broker closes the connection");
}

#[tokio::test]
async fn other_acknowledgements_do_not_exist() {
    let mut connection = Connection::open().await;
    let topic = Topic::new(&mut connection).await;
    for acks in [2, -2] {
        let request = produce_request(&topic.name, 0, acks, Batch::of(&["x"]).bytes());
        let response = connection.call(PRODUCE, &request).await;
        let error = outcome(response.responses[0].partition_responses[0].error_code);
        assert_eq!(error, Err(ResponseError::InvalidRequiredAcks), "acks={acks}");
    }
    assert!(values(&mut connection, &topic.name).await.is_empty());
}

#[tokio::test]
async fn a_batch_comes_back_as_it_was_sent_with_every_codec() {
    let codecs = [
        Compression::None,
        Compression::Gzip,
        Compression::Snappy,
        Compression::Lz4,
        Compression::Zstd,
    ];
    let mut connection = Connection::open().await;
    let topic = Topic::new(&mut connection).await;
    let text = "a value that is worth to be compressed ".repeat(50);
    let mut offset = 0;
    for codec in codecs {
        let sent = Batch::of(&[&text, &text, &text]).compressed(codec).bytes();
        let produced = produce(&mut connection, &topic.name, 0, sent.clone()).await;
        assert_eq!((outcome(produced.error_code), produced.base_offset), (Ok(()), offset));
        let data = Fetch::from(&topic.name, offset).send(&mut connection).await;
        let seen = data.records.unwrap_or_default();
        let mut wanted = sent.to_vec();
        wanted[position::BASE_OFFSET].copy_from_slice(&offset.to_be_bytes());
        wanted[position::LEADER_EPOCH].copy_from_slice(&[0; 4]);
        assert_eq!(seen.as_ref(), wanted, "{codec:?}");
        assert_eq!(values_in(seen), [text.as_str(); 3]);
        offset += 3;
    }
}

#[tokio::test]
async fn a_batch_whose_checksum_is_wrong_is_corrupt() {
    let mut connection = Connection::open().await;
    let topic = Topic::new(&mut connection).await;
    let batch = Batch::of(&["damaged on the way"]).bytes();
    for at in [position::CRC.start, position::COUNT.start, batch.len() - 1] {
        let mut damaged = batch.to_vec();
        damaged[at] ^= 1;
        let produced = produce(&mut connection, &topic.name, 0, damaged.into()).await;
        let error = outcome(produced.error_code);
        assert_eq!(error, Err(ResponseError::CorruptMessage), "byte {at}");
        assert_eq!(produced.base_offset, -1);
    }
    assert!(values(&mut connection, &topic.name).await.is_empty());
}

#[tokio::test]
async fn batches_that_are_not_what_they_say_are_refused() {
    let mut connection = Connection::open().await;
    let topic = Topic::new(&mut connection).await;
    let batch = Batch::of(&["a", "b"]).bytes();
    let count = patched(&batch, position::COUNT.start, &9_i32.to_be_bytes());
    let produced = produce(&mut connection, &topic.name, 0, count).await;
    assert_eq!(outcome(produced.error_code), Err(ResponseError::InvalidRecord));
    let cut = batch.slice(..batch.len() - 1);
    let produced = produce(&mut connection, &topic.name, 0, cut).await;
    assert_eq!(outcome(produced.error_code), Err(ResponseError::InvalidRecord));
    assert!(values(&mut connection, &topic.name).await.is_empty());
}

#[tokio::test]
async fn only_one_batch_fits_into_a_produce_request_of_a_partition() {
    let mut connection = Connection::open().await;
    let topic = Topic::new(&mut connection).await;
    let two = [Batch::of(&["a"]).bytes(), Batch::of(&["b"]).bytes()].concat();
    let produced = produce(&mut connection, &topic.name, 0, two.into()).await;
    assert_eq!(outcome(produced.error_code), Err(ResponseError::InvalidRecord));
    let produced = produce(&mut connection, &topic.name, 0, bytes::Bytes::new()).await;
    assert_eq!(outcome(produced.error_code), Err(ResponseError::InvalidRecord));
    assert!(values(&mut connection, &topic.name).await.is_empty());
}

#[tokio::test]
async fn a_batch_above_the_topics_limit_is_too_large() {
    let mut connection = Connection::open().await;
    let topic = Topic::create(&mut connection, 1, &[("max.message.bytes", "5000")]).await;
    let large = produce(&mut connection, &topic.name, 0, Batch::of_size(5_000).bytes()).await;
    assert_eq!(outcome(large.error_code), Err(ResponseError::MessageTooLarge));
    let fits = produce(&mut connection, &topic.name, 0, Batch::of_size(4_900).bytes()).await;
    assert_eq!(outcome(fits.error_code), Ok(()));
}

#[tokio::test]
async fn unknown_topics_and_partitions_take_nothing_and_others_in_the_request_do() {
    let mut connection = Connection::open().await;
    let topic = Topic::new(&mut connection).await;
    let data = |index| {
        PartitionProduceData::default()
            .with_index(index)
            .with_records(Some(Batch::of(&["x"]).bytes()))
    };
    let known = TopicProduceData::default().with_name(topic.wire_name()).with_partition_data(vec![
        data(0),
        data(1),
        data(-1),
    ]);
    let unknown = TopicProduceData::default()
        .with_name(event_bus_conformance::topic::topic_name(&unique("unknown")))
        .with_partition_data(vec![data(0)]);
    let request = ProduceRequest::default()
        .with_transactional_id(None)
        .with_acks(-1)
        .with_timeout_ms(30_000)
        .with_topic_data(vec![known, unknown]);
    let response = connection.call(PRODUCE, &request).await;
    let of = |name: &TopicName, index: i32| {
        let topic = response.responses.iter().find(|topic| &topic.name == name)?;
        let partition = topic.partition_responses.iter().find(|p| p.index == index)?;
        Some(outcome(partition.error_code))
    };
    let missing = Some(Err(ResponseError::UnknownTopicOrPartition));
    assert_eq!(of(&topic.wire_name(), 0), Some(Ok(())));
    assert_eq!(of(&topic.wire_name(), 1), missing);
    assert_eq!(of(&topic.wire_name(), -1), missing);
    assert_eq!(of(&request.topic_data[1].name, 0), missing);
}

#[tokio::test]
async fn the_topics_clock_stamps_records_where_it_is_told_to() {
    let mut connection = Connection::open().await;
    let config = [("message.timestamp.type", "LogAppendTime")];
    let topic = Topic::create(&mut connection, 1, &config).await;
    let before = now_ms();
    let batch = Batch::of(&["a", "b"]).at(&[1_000, 2_000]).bytes();
    let produced = produce(&mut connection, &topic.name, 0, batch).await;
    let after = now_ms();
    assert_eq!(outcome(produced.error_code), Ok(()));
    let stamp = produced.log_append_time_ms;
    assert!((before..=after).contains(&stamp), "{stamp} is not between {before} and {after}");
    let data = Fetch::from(&topic.name, 0).send(&mut connection).await;
    let batch = data.records.unwrap_or_default();
    // The records keep the sender's times: clients take the batch's instead, because of the flag.
    assert_eq!(batch[position::MAX_TIMESTAMP], stamp.to_be_bytes());
    assert_eq!(records_in(batch)[0].timestamp_type, TimestampType::LogAppend);
}

#[tokio::test]
async fn a_record_from_too_far_in_the_future_is_refused() {
    let mut connection = Connection::open().await;
    let topic = Topic::new(&mut connection).await;
    let batch = Batch::of(&["from tomorrow"]).at(&[now_ms() + 86_400_000]).bytes();
    let produced = produce(&mut connection, &topic.name, 0, batch).await;
    assert_eq!(outcome(produced.error_code), Err(ResponseError::InvalidTimestamp));
}

#[tokio::test]
async fn a_topic_is_written_by_its_id() {
    let mut connection = Connection::open().await;
    let topic = Topic::new(&mut connection).await;
    for (id, wanted) in
        [(topic.id, Ok(())), (Uuid::from_u128(rand::random()), Err(ResponseError::UnknownTopicId))]
    {
        let data =
            PartitionProduceData::default().with_records(Some(Batch::of(&["by id"]).bytes()));
        let named = TopicProduceData::default().with_topic_id(id).with_partition_data(vec![data]);
        let request = ProduceRequest::default()
            .with_transactional_id(None)
            .with_acks(-1)
            .with_timeout_ms(30_000)
            .with_topic_data(vec![named]);
        let response = connection.call(13, &request).await;
        let partition = &response.responses[0].partition_responses[0];
        assert_eq!(outcome(partition.error_code), wanted);
        assert_eq!(response.responses[0].topic_id, id);
    }
    assert_eq!(values(&mut connection, &topic.name).await, ["by id"]);
}

#[tokio::test]
async fn a_compacted_topic_takes_no_record_without_a_key() {
    let mut connection = Connection::open().await;
    let topic = Topic::create(&mut connection, 1, &[("cleanup.policy", "compact")]).await;
    let produced = produce(&mut connection, &topic.name, 0, Batch::of(&["x"]).bytes()).await;
    assert_eq!(outcome(produced.error_code), Err(ResponseError::InvalidRecord));
}

#[tokio::test]
async fn every_version_of_produce_writes() {
    let mut connection = Connection::open().await;
    let topic = Topic::new(&mut connection).await;
    let mut wanted = Vec::new();
    for version in 3..=12 {
        let value = format!("version {version}");
        let request = produce_request(&topic.name, 0, -1, Batch::of(&[&value]).bytes());
        let response = connection.call(version, &request).await;
        assert_eq!(outcome(response.responses[0].partition_responses[0].error_code), Ok(()));
        wanted.push(value);
    }
    assert_eq!(values(&mut connection, &topic.name).await, wanted);
}
