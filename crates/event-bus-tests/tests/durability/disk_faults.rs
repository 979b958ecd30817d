//! A disk that fails, and a disk that is full: nothing is acknowledged that is not kept, what is kept stays served,
//! and work goes on when the cause goes.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use event_bus_tests::eventually::eventually;
use rdkafka::client::ClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::message::DeliveryResult;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer, ProducerContext};
use tempfile::TempDir;

use super::producing::Pace;
use super::strace::Injection;
use super::world::{SOON, World};

/// A produce that is not acknowledged within this time is given up by its client.
const PROBE_MS: &str = "2000";

/// Records of the load that are under way while the disk is full.
const UNDER_WAY: usize = 60;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_acknowledged_while_syncs_fail() {
    let world = World::start(&[], 200).await;
    world.goes_on(500, 5).await;
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    for round in 0..3 {
        let output = folder.path().join(format!("trace-{round}"));
        let injection =
            Injection::start(world.broker.pid(), "fdatasync,fsync", "EIO", output).await;
        let sent = world.producing.ledger().sent;
        eventually(SOON, async || match injection.count() {
            0 => Err("no sync has failed yet"),
            _ => Ok(()),
        })
        .await;
        assert!(!is_taken(&world).await, "a record was acknowledged while syncs fail");
        world.serves_everything().await;
        let ledger = world.producing.ledger();
        let since = ledger.acknowledged.values().find(|name| {
            sent.get(&(name.producer, name.partition)).is_some_and(|sent| name.sequence >= *sent)
        });
        assert_eq!(since, None, "acknowledged, though each sync since it was sent has failed");
        injection.heal().await;
        takes_again(&world).await;
    }
    world.ends_well().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_acknowledged_on_a_full_disk() {
    let Some(disk) = SmallDisk::mount() else { return };
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    // Values larger than the pages that partly filled files have left, so that none fits once the disk is full.
    let world = World::start_on(folder, disk.path().join("data"), &[], 20_000, Pace::Allowed).await;
    world.goes_on(50, 5).await;
    for _ in 0..3 {
        let filler = disk.fill();
        world.producing.allow(UNDER_WAY);
        eventually(SOON, async || {
            // What the broker gives back of a write that failed is filled as well.
            disk.fill();
            if is_taken(&world).await { Err("a record was acknowledged") } else { Ok(()) }
        })
        .await;
        assert!(!is_taken(&world).await, "a record was acknowledged on a full disk");
        world.serves_everything().await;
        std::fs::remove_file(filler).expect("the filler can be removed");
        takes_again(&world).await;
    }
    world.ends_well().await;
}

/// Whether one more record is acknowledged. It goes to a topic that nobody else looks at.
async fn is_taken(world: &World) -> bool {
    let bootstrap = world.broker.bootstrap();
    let topic = world.probes.as_str().to_owned();
    let probe = tokio::task::spawn_blocking(move || {
        let producer: BaseProducer<Probe> = ClientConfig::new()
            .set("bootstrap.servers", &bootstrap)
            .set("acks", "all")
            .set("message.timeout.ms", PROBE_MS)
            .create_with_context(Probe::default())
            .expect("a producer can be made");
        let value = vec![b'x'; 20_000];
        let record = BaseRecord::<(), [u8], ()>::to(&topic).payload(&value).partition(0);
        producer.send(record).map_err(|(error, _)| error).expect("the client takes it");
        producer.flush(Duration::from_secs(30)).expect("each record has its report in time");
        producer.context().0.load(Ordering::SeqCst)
    });
    probe.await.expect("the probe does not panic")
}

/// Waits until the broker takes records again, those of the load among them.
async fn takes_again(world: &World) {
    eventually(SOON, async || if is_taken(world).await { Ok(()) } else { Err("not acknowledged") })
        .await;
    world.goes_on(500, 5).await;
}

/// Remembers whether its record was acknowledged.
#[derive(Default)]
struct Probe(AtomicBool);

impl ClientContext for Probe {}

impl ProducerContext for Probe {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        self.0.store(result.is_ok(), Ordering::SeqCst);
    }
}

/// A file system in memory that is soon full. It is unmounted with this value.
struct SmallDisk(TempDir);

impl SmallDisk {
    /// `None`, and a line that says so, where this process may not mount.
    fn mount() -> Option<Self> {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let options = ["-t", "tmpfs", "-o", "size=48m", "tmpfs"];
        let mounted = Command::new("mount").args(options).arg(folder.path()).status();
        if mounted.is_ok_and(|status| status.success()) {
            return Some(Self(folder));
        }
        println!("LEFT OUT: a full disk, for this process may not mount one; root may");
        None
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    /// Takes all space that is left.
    fn fill(&self) -> PathBuf {
        let path = self.path().join("filler");
        let mut file =
            File::options().create(true).append(true).open(&path).expect("a file can be made");
        for bytes in [1 << 20, 1 << 12, 1] {
            let block = vec![0; bytes];
            while file.write(&block).is_ok() {}
        }
        path
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily: a broker that is being killed may still have files open.
        let unmounted = Command::new("umount").arg("-l").arg(self.path()).status();
        if !unmounted.is_ok_and(|status| status.success()) {
            println!("{} is still mounted", self.path().display());
        }
    }
}
