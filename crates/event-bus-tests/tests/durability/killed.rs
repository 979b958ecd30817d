//! `kill -9` at any moment, under load.

use std::time::Duration;

use event_bus_tests::servers;
use rand::RngExt;

use super::world::{Hit, SOON, World};

/// Kills of one world; at full length there are more worlds.
const KILLS: usize = 20;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_killed_at_any_moment_keeps_what_it_acknowledged() {
    let worlds = if servers::at_full_length() { 10 } else { 1 };
    for world in 0..worlds {
        println!("world {} of {worlds}", world + 1);
        is_killed_again_and_again().await;
    }
}

async fn is_killed_again_and_again() {
    let mut world = World::start(&[], 200).await;
    let mut hits = Vec::new();
    for number in 0..KILLS {
        // Everybody works again, so that each life has something to lose.
        world.goes_on(1, 1).await;
        at_some_moment(&world).await;
        let (acknowledged, hit) = world.kill().await;
        hits.push(hit);
        if number % 4 == 3 {
            dies_while_it_starts(&mut world).await;
        }
        world.broker.start().await;
        world.has_kept(&acknowledged).await;
    }
    world.ends_well().await;
    hit_work(&hits);
}

/// Waits for one of the events after which a kill may hurt.
async fn at_some_moment(world: &World) {
    let mut counts = world.producing.counts();
    let mut commits = world.members.commits();
    let (now, commits_now) = (*counts.borrow(), *commits.borrow());
    let (what, more) = (rand::rng().random_range(0..3), rand::rng().random_range(1..400));
    let moment = async {
        match what {
            0 => drop(counts.wait_for(|counts| counts.sent >= now.sent + more).await),
            1 => {
                drop(
                    counts.wait_for(|counts| counts.acknowledged >= now.acknowledged + more).await,
                );
            }
            _ => drop(commits.wait_for(|commits| *commits >= commits_now + more / 40).await),
        }
    };
    tokio::time::timeout(SOON, moment).await.expect("the load goes on");
}

/// Kills a start at some point of its recovery.
async fn dies_while_it_starts(world: &mut World) {
    world.broker.spawn(&[]);
    let limit = Duration::from_micros(rand::rng().random_range(0..40_000));
    // Ready or not.
    drop(tokio::time::timeout(limit, world.broker.ready()).await);
    world.broker.kill().await;
}

/// A run whose kills met an idle broker proves nothing.
fn hit_work(hits: &[Hit]) {
    let under_way = hits.iter().filter(|hit| hit.open > 0).count();
    let written = hits.iter().filter(|hit| hit.written > 0).count();
    println!(
        "{} kills: {under_way} with records under way, {written} with records written and not acknowledged",
        hits.len()
    );
    assert!(under_way * 10 >= hits.len() * 9, "too few kills met records under way: {hits:?}");
    assert!(
        written * 4 >= hits.len(),
        "too few kills met records written and not acknowledged: {hits:?}"
    );
}
