//! The machine's power fails: what no sync has covered is gone, however long ago it was written.

use event_bus_tests::servers;

use super::strace;
use super::survivors::{Survivors, Unsynced};
use super::world::World;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_acknowledged_is_synced() {
    let failures = if servers::at_full_length() { 20 } else { 4 };
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let output = folder.path().join("trace");
    let wrapper = strace::wrapper(&output);
    let wrapper: Vec<&str> = wrapper.iter().map(String::as_str).collect();

    let mut survivors = Survivors::default();
    let mut world = World::start(&wrapper, 200).await;
    let mut cuts = 0;
    for number in 0..failures {
        world.goes_on(200, 2).await;
        let (acknowledged, _) = world.kill().await;
        survivors.follow(&strace::trace_of_the_dead(&output).await);
        let unsynced = if number % 2 == 0 { Unsynced::Lost } else { Unsynced::Zeroed };
        let taken = survivors.cut(&world.broker.data, unsynced);
        println!("power failure {number}: {taken} bytes and entries {unsynced:?}");
        cuts += u32::from(taken > 0);
        survivors = Survivors::below(&world.broker.data);
        world.broker.spawn(&wrapper);
        world.broker.ready().await;
        world.has_kept(&acknowledged).await;
    }
    assert!(cuts > 0, "each kill found everything synced, so that none could show a loss");
    world.ends_well().await;
}
