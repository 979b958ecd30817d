//! A broker under load: producers, a consumer, a consumer group and transactions, each of which remembers what it was
//! told.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::path::PathBuf;
use std::time::Duration;

use event_bus::kafka::admin::{Admin, NewTopic, Position};
use event_bus::kafka::reader::{Reader, Until};
use event_bus::names::{GroupName, TopicName};
use event_bus_tests::eventually::{equal, eventually};
use tempfile::TempDir;

use super::broker::Broker;
use super::following::Follower;
use super::membership::Members;
use super::on_disk;
use super::producing::{Pace, Producing};
use super::transacting::{self, Transacting};

pub const PARTITIONS: i32 = 6;

/// How long work that a healthy broker has to do may take beside compilers.
pub const SOON: Duration = Duration::from_secs(60);

/// Records that are allowed at once while the load's pace is [`Pace::Allowed`].
const PORTION: usize = 20;

/// A portion whose records came after a member's last commit, or whose commit was refused, shows in no commit.
const NEXT_PORTION_AFTER: Duration = Duration::from_secs(1);

/// A broker and its clients.
pub struct World {
    pub broker: Broker,
    pub producing: Producing,
    pub members: Members,
    pub topic: TopicName,
    /// A topic that no part of the load uses.
    pub probes: TopicName,
    transactions: TopicName,
    group: GroupName,
    transacting: Transacting,
    follower: Follower,
    pace: Pace,
    // The last to go.
    _folder: TempDir,
}

/// What was acknowledged when the broker ended.
pub struct Acknowledged {
    ends: BTreeMap<i32, i64>,
    commits: BTreeMap<i32, i64>,
}

/// How a kill hit.
#[derive(Clone, Copy, Debug, Default)]
pub struct Hit {
    /// Records that producers had under way.
    pub open: usize,
    /// Records that were in the log and not acknowledged.
    pub written: usize,
}

impl World {
    /// Starts a broker on a new directory, and everybody who uses it. Values have `padding` bytes.
    pub async fn start(wrapper: &[&str], padding: usize) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let data = folder.path().join("data");
        Self::start_on(folder, data, wrapper, padding, Pace::Unbounded).await
    }

    /// As [`Self::start`], on data elsewhere than in the folder, and with a load of that pace.
    pub async fn start_on(
        folder: TempDir,
        data: PathBuf,
        wrapper: &[&str],
        padding: usize,
        pace: Pace,
    ) -> Self {
        let mut broker = Broker::new(folder.path(), data);
        broker.spawn(wrapper);
        broker.ready().await;
        let topic = TopicName::new("durability.records").expect("a valid name");
        let transactions = TopicName::new("durability.transactions").expect("a valid name");
        let probes = TopicName::new("durability.probes").expect("a valid name");
        create(&broker, &[&topic, &transactions, &probes]).await;
        let bootstrap = broker.bootstrap();
        let group = GroupName::new("durability-readers").expect("a valid name");
        Self {
            producing: Producing::start(&broker, &topic, PARTITIONS, padding, pace),
            members: Members::start(&bootstrap, &group, &topic),
            transacting: Transacting::start(&bootstrap, &transactions),
            follower: Follower::start(&bootstrap, &topic, PARTITIONS),
            topic,
            probes,
            transactions,
            group,
            pace,
            broker,
            _folder: folder,
        }
    }

    /// Waits until that many more records and commits are acknowledged.
    pub async fn goes_on(&self, records: u64, commits: u64) {
        let (mut counts, mut committed) = (self.producing.counts(), self.members.commits());
        let (counts_now, committed_now) = (*counts.borrow(), *committed.borrow());
        let records = counts_now.acknowledged + records;
        let both = async {
            counts.wait_for(|counts| counts.acknowledged >= records).await.expect("producers run");
            committed.wait_for(|now| *now >= committed_now + commits).await.expect("members run");
        };
        let went_on = async {
            tokio::select! {
                () = both => {}
                never = self.allow() => match never {},
            }
        };
        let went_on = tokio::time::timeout(SOON, went_on).await.is_ok();
        assert!(
            went_on,
            "the load stands still: {:?} records, {} commits, {:?}\n{}",
            self.producing.counts().borrow(),
            *self.members.commits().borrow(),
            self.producing.ledger().complaints,
            self.broker.log()
        );
    }

    /// Allows one portion of the load after the other, each when the one before was acknowledged and committed.
    async fn allow(&self) -> Infallible {
        if self.pace == Pace::Unbounded {
            return std::future::pending().await;
        }
        let (mut counts, mut committed) = (self.producing.counts(), self.members.commits());
        loop {
            committed.mark_unchanged();
            let acknowledged = counts.borrow().acknowledged + PORTION as u64;
            self.producing.allow(PORTION);
            counts.wait_for(|now| now.acknowledged >= acknowledged).await.expect("producers run");
            if let Ok(changed) = tokio::time::timeout(NEXT_PORTION_AFTER, committed.changed()).await
            {
                changed.expect("members run");
            }
        }
    }

    /// Kills the broker, and says what is known to be acknowledged and what was hit.
    pub async fn kill(&mut self) -> (Acknowledged, Hit) {
        let open = self.producing.ledger().open();
        self.broker.kill().await;
        let acknowledged = self.acknowledged();
        let written = on_disk::written_ends(&self.broker.data, self.topic.as_str());
        let written = written.iter().map(|(partition, end)| {
            let acknowledged = acknowledged.ends.get(partition).copied().unwrap_or(0);
            usize::try_from(end - acknowledged).unwrap_or(0)
        });
        let written = written.sum();
        (acknowledged, Hit { open, written })
    }

    /// What is known to be acknowledged.
    pub fn acknowledged(&self) -> Acknowledged {
        let ends = self.producing.ledger().acknowledged_ends();
        Acknowledged { ends, commits: self.members.progress().committed }
    }

    /// Everything acknowledged is there, from the first answer on.
    pub async fn has_kept(&mut self, acknowledged: &Acknowledged) {
        let admin = self.admin();
        // Not `eventually`: a topic that exists is never unknown.
        let cluster = admin.cluster().await.expect("the broker answers");
        for topic in [&self.topic, &self.transactions, &self.probes] {
            let partitions = cluster.partitions(topic).count();
            assert_eq!(partitions, 6, "partitions of {topic} in the first answer after a restart");
        }
        let partitions = cluster.partitions(&self.topic).collect();
        let ends = admin.offsets(Position::End, partitions).await.expect("the broker answers");
        for (partition, end) in ends {
            let end = end.expect("the partition has an end").unwrap_or(0);
            let wanted = acknowledged.ends.get(&partition.partition).copied().unwrap_or(0);
            assert!(end >= wanted, "{partition:?} ends at {end}, and {wanted} was acknowledged");
        }
        let committed = self.committed(&admin).await;
        for (partition, wanted) in &acknowledged.commits {
            let found = committed.get(partition).copied().unwrap_or(0);
            assert!(
                found >= *wanted,
                "partition {partition} is committed at {found}, and {wanted} was acknowledged"
            );
        }
        self.follower.reaches(&acknowledged.ends).await;
        self.agrees();
    }

    async fn committed(&self, admin: &Admin) -> BTreeMap<i32, i64> {
        let offsets = admin.committed_offsets(&self.group).await.expect("the broker answers");
        let offsets = offsets.into_iter().filter_map(|(partition, offset)| {
            Some((partition.partition, offset.expect("the partition is there")?))
        });
        offsets.collect()
    }

    /// Nobody saw anything that contradicts what somebody else was told.
    fn agrees(&self) {
        let (ledger, seen, progress) =
            (self.producing.ledger(), self.follower.seen(), self.members.progress());
        let mut wrong = [ledger.complaints, seen.complaints, progress.complaints].concat();
        let differ = progress
            .handled
            .iter()
            .filter(|(place, name)| seen.log.get(place).is_some_and(|seen| seen != *name));
        wrong.extend(differ.map(|at| format!("a member saw {at:?}, another consumer did not")));
        assert!(wrong.is_empty(), "{wrong:#?}\n{}", self.broker.log());
    }

    /// A consumer that begins now sees everything that is acknowledged.
    pub async fn serves_everything(&self) {
        let ends = self.producing.ledger().acknowledged_ends();
        Follower::start(&self.broker.bootstrap(), &self.topic, PARTITIONS).reaches(&ends).await;
    }

    /// Ends the load, restarts the broker once more, and compares what is there with what everybody was told.
    pub async fn ends_well(mut self) {
        let ledger = self.producing.settle().await;
        let outcomes = self.transacting.settle().await;
        let ends = ledger.acknowledged_ends();
        self.follower.reaches(&ends).await;
        let members = &self.members;
        eventually(SOON, async || {
            equal(members.progress().committed, ends.clone()).map_err(|at| (at, ends.clone()))
        })
        .await;
        let acknowledged = self.acknowledged();
        self.broker.kill().await;
        self.broker.start().await;
        self.has_kept(&acknowledged).await;

        let mut fresh = Follower::start(&self.broker.bootstrap(), &self.topic, PARTITIONS);
        fresh.reaches(&ends).await;
        let (fresh, seen) = (fresh.seen(), self.follower.seen());
        let mut wrong = ledger.contradictions(&fresh.log);
        wrong.extend(fresh.complaints);
        let gone = seen.log.iter().filter(|(place, name)| fresh.log.get(place) != Some(*name));
        wrong.extend(gone.map(|at| format!("a consumer saw {at:?}, which is gone")));
        let handled = self.members.progress().handled;
        let missed = ledger.acknowledged.keys().filter(|place| !handled.contains_key(place));
        wrong.extend(missed.map(|place| format!("the group never saw {place:?}")));
        wrong.extend(transacting::contradictions(&outcomes, &self.committed_transactions().await));
        assert!(wrong.is_empty(), "{wrong:#?}");
    }

    async fn committed_transactions(&self) -> Vec<event_bus::kafka::Record> {
        let topics = std::slice::from_ref(&self.transactions);
        let kafka = self.broker.kafka(&[]);
        let reader = Reader::start(&kafka, topics, Position::Start, Until::CaughtUp).await;
        let mut reader = reader.expect("the topic can be read");
        let mut records = Vec::new();
        while let Some(batch) = reader.next().await.expect("reading goes on") {
            records.extend(batch);
        }
        records
    }

    fn admin(&self) -> Admin {
        Admin::connect(&self.broker.kafka(&[])).expect("an admin client can be made")
    }
}

async fn create(broker: &Broker, topics: &[&TopicName]) {
    let admin = Admin::connect(&broker.kafka(&[])).expect("an admin client can be made");
    let topics: Vec<NewTopic> = topics
        .iter()
        .map(|name| NewTopic {
            name: (*name).clone(),
            partitions: PARTITIONS,
            replication: 1,
            configs: BTreeMap::new(),
        })
        .collect();
    for (name, created) in admin.create_topics(&topics).await.expect("the broker answers") {
        created.unwrap_or_else(|error| panic!("{name} can't be created: {error}"));
    }
}
