//! The matrix by krafka: create, produce, consume in a group of three, commit, reset, describe, delete.
//!
//! Run as `matrix HOST:PORT`; says what it checked, and ends with the first thing that was wrong.

use std::collections::BTreeSet;
use std::env;
use std::fmt::Debug;
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, Result, bail, ensure};
use krafka::admin::{
    AdminClient, ConfigOp, ConfigResource, ListOffsetsOptions, NewTopic, OffsetSpec, TopicPartition,
};
use krafka::consumer::{AutoOffsetReset, Consumer, IsolationLevel};
use krafka::{Compression, Kafka, Record};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

const RECORDS: usize = 500;
const PARTITIONS: i32 = 6;
const MEMBERS: usize = 3;
const DEADLINE: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_millis(50);

/// Says that a fact holds, or ends with what is the case instead.
fn check<T: PartialEq + Debug>(what: &str, seen: T, wanted: T) -> Result<()> {
    ensure!(seen == wanted, "{what}: seen {seen:?}, wanted {wanted:?}");
    println!("ok: {what}");
    Ok(())
}

/// Asks until it is so; a question that fails meanwhile is asked again.
async fn until(what: &str, mut holds: impl AsyncFnMut() -> Result<bool>) -> Result<()> {
    let end = Instant::now() + DEADLINE;
    loop {
        let seen = holds().await;
        if matches!(seen, Ok(true)) {
            println!("ok: {what}");
            return Ok(());
        }
        if Instant::now() > end {
            bail!("{what}: not within {DEADLINE:?}; seen last: {seen:?}");
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// The run's names and its client.
struct Matrix {
    bootstrap: String,
    kafka: Kafka,
    admin: AdminClient,
    topic: String,
    group: String,
}

impl Matrix {
    async fn new(bootstrap: &str) -> Result<Self> {
        let unique = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?.as_nanos();
        let kafka = Kafka::builder(bootstrap).client_id("matrix").connect().await?;
        let admin = kafka.admin();
        Ok(Self {
            bootstrap: bootstrap.to_owned(),
            kafka,
            admin,
            topic: format!("rust-{unique:x}"),
            group: format!("rust-group-{unique:x}"),
        })
    }

    fn partitions(&self) -> impl Iterator<Item = TopicPartition> {
        (0..PARTITIONS).map(|index| TopicPartition::new(self.topic.clone(), index))
    }

    /// How many partitions the topic has, and its error when there is none.
    async fn partition_count(&self) -> Result<usize> {
        let mut described = self.admin.describe_topics([&self.topic], Default::default()).await?;
        Ok(described.remove(&self.topic).context("the topic is not described")??.partitions.len())
    }

    async fn create(&self) -> Result<()> {
        let topic =
            NewTopic::new(&self.topic, PARTITIONS, 1)?.with_config("retention.ms", "3600000");
        for (_, created) in self.admin.create_topics([topic], Default::default()).await? {
            created?;
        }
        until("the topic has its partitions", async || Ok(self.partition_count().await? == 6)).await
    }

    /// With every codec, from idempotent producers.
    async fn produce(&self) -> Result<()> {
        let codecs = [
            Compression::None,
            Compression::Gzip,
            Compression::Snappy,
            Compression::Lz4,
            Compression::Zstd,
        ];
        for codec in codecs {
            let producer = self.kafka.producer().compression(codec).build().await?;
            let mut written = Vec::new();
            for number in 0..RECORDS / codecs.len() {
                let name = format!("{codec:?}-{number}-compressed-compressed-compressed");
                let record = Record::new(&self.topic, name.clone()).key(name).header("codec", "x");
                written.push(producer.enqueue(record).await?);
            }
            for written in written {
                let _offset = written.await?;
            }
            producer.close().await?;
        }
        println!("ok: records of every codec are acknowledged");
        Ok(())
    }

    /// A member with connections of its own: a JoinGroup that waits holds up all that follows it on its connection,
    /// as that of another member which it waits for.
    async fn member(&self) -> Result<Consumer> {
        let kafka = Kafka::builder(&self.bootstrap).client_id("matrix").connect().await?;
        let consumer = kafka
            .consumer(&self.group)
            .auto_offset_reset(AutoOffsetReset::Earliest)
            .enable_auto_commit(false)
            .session_timeout(Duration::from_secs(10))
            .heartbeat_interval(Duration::from_millis(500))
            .build()
            .await?;
        consumer.subscribe([&self.topic]).await?;
        Ok(consumer)
    }

    /// Reads until it is told to end, commits what it reads, and leaves.
    async fn read(
        &self,
        values: mpsc::UnboundedSender<String>,
        end: watch::Receiver<bool>,
    ) -> Result<JoinHandle<Result<()>>> {
        let consumer = self.member().await?;
        Ok(tokio::spawn(async move {
            while !*end.borrow() {
                let records = consumer.poll(Duration::from_millis(200)).await?;
                for record in &records {
                    values.send(record.value_str().context("a value that is text")?.to_owned())?;
                }
                // At once: the first that leaves makes the others begin again where they committed.
                if !records.is_empty() {
                    consumer.commit().await?;
                }
            }
            Ok(consumer.close().await?)
        }))
    }

    async fn consume_in_a_group(&self) -> Result<()> {
        let (sender, mut receiver) = mpsc::unbounded_channel();
        let (end, ended) = watch::channel(false);
        let mut members = Vec::new();
        for _ in 0..MEMBERS {
            members.push(self.read(sender.clone(), ended.clone()).await?);
        }
        until("three members share the partitions", async || {
            let described =
                self.admin.describe_consumer_groups([&self.group], Default::default()).await?;
            let group = described.into_values().next().context("the group is not described")??;
            let assigned =
                group.members.iter().flat_map(|member| member.assignment.iter().flatten());
            let assigned: usize = assigned.map(|topic| topic.partitions.len()).sum();
            Ok(group.members.len() == MEMBERS && assigned == 6)
        })
        .await?;
        self.produce().await?;
        until("every record is read", async || Ok(receiver.len() >= RECORDS)).await?;
        end.send(true)?;
        for member in members {
            member.await??;
        }
        let mut values = Vec::new();
        while let Ok(value) = receiver.try_recv() {
            values.push(value);
        }
        let distinct: BTreeSet<_> = values.iter().collect();
        check("no record is read twice", values.len(), distinct.len())
    }

    async fn committed(&self) -> Result<i64> {
        let offsets =
            self.admin.list_consumer_group_offsets(&self.group, Default::default()).await?;
        let mut sum = 0;
        for (_, offset) in offsets {
            sum += offset?.offset.unwrap_or(0);
        }
        Ok(sum)
    }

    async fn offsets(&self, spec: OffsetSpec) -> Result<i64> {
        let asked = self.partitions().map(|partition| (partition, spec));
        let found = self.admin.list_offsets(asked, ListOffsetsOptions::default()).await?;
        let mut sum = 0;
        for (_, offset) in found {
            sum += offset?.offset;
        }
        Ok(sum)
    }

    async fn commit_and_reset(&self) -> Result<()> {
        let all = i64::try_from(RECORDS)?;
        check("the group's offsets are committed", self.committed().await?, all)?;
        let reset = self.partitions().map(|partition| (partition, 0));
        let reset =
            self.admin.alter_consumer_group_offsets(&self.group, reset, Default::default()).await?;
        for (_, done) in reset {
            done?;
        }
        check("the group's offsets are reset", self.committed().await?, 0)?;
        let consumer = self.member().await?;
        let mut count = 0;
        until("every record is read again", async || {
            count += consumer.poll(Duration::from_millis(200)).await?.len();
            Ok(count == RECORDS)
        })
        .await?;
        consumer.close().await?;
        let first = self.offsets(OffsetSpec::Timestamp(1)).await?;
        check("a time leads to the first records", first, 0)
    }

    /// One aborted and one committed transaction, seen by a reader of committed records.
    async fn transact(&self) -> Result<()> {
        let producer = self.kafka.producer().build_transactional(&self.topic).await?;
        for (value, commits) in [("aborted", false), ("committed", true)] {
            producer.begin()?;
            let _offset = producer.send(Record::new(&self.topic, value).partition(0)).await?;
            match commits {
                true => producer.commit().await?,
                false => producer.abort().await?,
            };
        }
        producer.close().await?;
        let reader = self
            .kafka
            .consumer_without_group()
            .isolation_level(IsolationLevel::ReadCommitted)
            .build()
            .await?;
        reader.assign(&self.topic, vec![0]).await?;
        reader.seek_to_beginning(&self.topic, 0).await?;
        let mut seen = BTreeSet::new();
        until("the committed transaction is read", async || {
            for record in reader.poll(Duration::from_millis(200)).await? {
                seen.extend(record.value_str().map(str::to_owned));
            }
            Ok(seen.contains("committed"))
        })
        .await?;
        reader.close().await?;
        check("the aborted transaction is not read", seen.contains("aborted"), false)
    }

    async fn retention(&self) -> Result<Option<String>> {
        let resource = ConfigResource::topic(&self.topic);
        let mut described =
            self.admin.describe_configs([resource.clone()], Default::default()).await?;
        let entries = described.remove(&resource).context("the topic is not described")??;
        let entry = entries.into_iter().find(|entry| entry.name == "retention.ms");
        Ok(entry.and_then(|entry| entry.value))
    }

    async fn configure_and_grow(&self) -> Result<()> {
        check(
            "the topic's setting is described",
            self.retention().await?.as_deref(),
            Some("3600000"),
        )?;
        let change =
            (ConfigResource::topic(&self.topic), vec![ConfigOp::set("retention.ms", "7200000")]);
        for (_, done) in self.admin.incremental_alter_configs([change], Default::default()).await? {
            done?;
        }
        until("the topic's setting is changed", async || {
            Ok(self.retention().await?.as_deref() == Some("7200000"))
        })
        .await?;
        let total = (self.topic.clone(), PARTITIONS + 1);
        for (_, grown) in self.admin.create_partitions([total], Default::default()).await? {
            grown?;
        }
        until("the topic has grown", async || Ok(self.partition_count().await? == 7)).await?;
        let cluster = self.admin.describe_cluster(Default::default()).await?;
        check("the cluster has one broker", cluster.brokers.len(), 1)
    }

    async fn delete(&self) -> Result<()> {
        let end = self.offsets(OffsetSpec::Latest).await?;
        let all = self.partitions().map(|partition| (partition, -1));
        for (_, deleted) in self.admin.delete_records(all, Default::default()).await? {
            deleted?;
        }
        let start = self.offsets(OffsetSpec::Earliest).await?;
        check("all records are deleted", start, end)?;
        for (_, deleted) in
            self.admin.delete_consumer_groups([&self.group], Default::default()).await?
        {
            deleted?;
        }
        let mut is_there = false;
        for (_, listed) in self.admin.list_consumer_groups(Default::default()).await? {
            is_there |= listed?.iter().any(|listed| listed.group_id == self.group);
        }
        check("the group is gone", is_there, false)?;
        for (_, deleted) in self.admin.delete_topics([&self.topic], Default::default()).await? {
            deleted?;
        }
        until("the topic is gone", async || {
            Ok(!self.admin.list_topics(Default::default()).await?.contains(&self.topic))
        })
        .await
    }
}

#[tokio::main]
async fn main() -> Result<()> {
    let bootstrap = env::args().nth(1).context("usage: matrix HOST:PORT")?;
    let matrix = Matrix::new(&bootstrap).await?;
    matrix.create().await?;
    matrix.consume_in_a_group().await?;
    matrix.commit_and_reset().await?;
    matrix.transact().await?;
    matrix.configure_and_grow().await?;
    matrix.delete().await
}
