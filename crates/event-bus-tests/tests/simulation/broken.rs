//! The simulation notices a core that is wrong.

use event_bus::consumer::core::Flaw;
use event_bus_tests::simulation::{self, Plan};

/// Within so many seeds.
const SEEDS: u64 = 400;

fn is_noticed(flaw: Flaw) {
    let noticed = (0..SEEDS).find_map(|seed| {
        let plan = Plan { flaw: Some(flaw), ..Plan::of_seed(seed) };
        Some((seed, simulation::run(plan).violation?))
    });
    let (seed, violation) = noticed.unwrap_or_else(|| panic!("{SEEDS} seeds don't notice it"));
    println!("{flaw:?}: seed {seed}: {violation}");
}

#[test]
fn a_watermark_that_passes_a_gap_is_noticed() {
    is_noticed(Flaw::WatermarkPastGap);
}

#[test]
fn a_lane_that_is_released_too_early_is_noticed() {
    is_noticed(Flaw::LaneReleasedEarly);
}

#[test]
fn a_commit_of_lost_partitions_is_noticed() {
    is_noticed(Flaw::CommitAfterLost);
}

#[test]
fn failures_that_are_counted_per_partition_are_noticed() {
    is_noticed(Flaw::RetryCounterPerPartition);
}

#[test]
fn a_parked_key_that_is_released_out_of_order_is_noticed() {
    is_noticed(Flaw::ParkedKeyOutOfOrder);
}
