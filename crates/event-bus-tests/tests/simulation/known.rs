//! Failures that other consumers are known for, and those that the simulation has found in this one.

use std::num::NonZeroU16;

use event_bus::catalogue::{BehindDeadLetter, Execution};
use event_bus::consumer::core::Flaw;
use event_bus::dead_letter::Reason;
use event_bus_tests::simulation::{
    self, Fault, Millis, Nature, POINTS, Plan, PlannedEvent, Point, World,
};

/// An event each so many milliseconds, of keys in turn.
fn events(natures: &[Nature], keys: usize, apart: Millis) -> Vec<PlannedEvent> {
    let numbered = natures.iter().enumerate();
    numbered
        .map(|(index, nature)| PlannedEvent {
            at: 100 + index as Millis * apart,
            key: index % keys,
            nature: *nature,
        })
        .collect()
}

/// Runs the plan with several orders of what happens at one time, and both ways to rebalance and to execute.
fn each(plan: &Plan, check: impl Fn(&World)) {
    let concurrent = Execution::Concurrent(NonZeroU16::new(3).expect("three is not zero"));
    for seed in 0..20 {
        for is_eager in [false, true] {
            for execution in [Execution::Batched, concurrent] {
                let plan = Plan { seed, is_eager, execution, ..plan.clone() };
                let world = simulation::run(plan.clone());
                if let Some(violation) = &world.violation {
                    println!("{}", simulation::run_traced(plan).trace().join("\n"));
                    panic!("seed {seed}, eager {is_eager}, {execution:?}: {violation}");
                }
                check(&world);
            }
        }
    }
}

fn all_took_effect(world: &World) {
    assert!(world.published.iter().all(|event| event.took_effect.is_some()));
    assert!(world.letters.is_empty());
}

#[test]
fn a_rolling_restart_commits_no_offset_whose_handler_has_not_run() {
    let natures = [Nature::Slow, Nature::Good, Nature::Good].repeat(8);
    for point in POINTS {
        let plan = Plan {
            places: 2,
            partitions: 2,
            events: events(&natures, 4, 200),
            faults: [(700, 0), (1_500, 1), (3_000, 0)]
                .map(|(at, place)| (at, Fault::Stop(place, point)))
                .to_vec(),
            ..Plan::quiet(0)
        };
        each(&plan, all_took_effect);
    }
}

#[test]
fn an_event_that_waits_for_its_retry_is_not_skipped_after_a_rebalance() {
    let mut natures = vec![Nature::Good; 20];
    natures[2] = Nature::Flaky(2);
    natures[3] = Nature::Flaky(1);
    let plan = Plan {
        places: 2,
        partitions: 2,
        events: events(&natures, 4, 50),
        faults: vec![
            (600, Fault::Stop(0, Point::Any)),
            (900, Fault::Lose(1)),
            (1_400, Fault::Crash(1, Point::Any)),
        ],
        ..Plan::quiet(0)
    };
    each(&plan, all_took_effect);
}

#[test]
fn a_crash_around_the_commit_loses_and_doubles_nothing() {
    for point in [Point::Claim, Point::Next, Point::Handled, Point::Commit] {
        let plan = Plan {
            events: events(&[Nature::Good; 20], 3, 150),
            faults: [400, 1_000, 1_600].map(|at| (at, Fault::Crash(0, point))).to_vec(),
            lost_reply_percent: 20,
            ..Plan::quiet(0)
        };
        each(&plan, all_took_effect);
    }
}

#[test]
fn a_paused_partition_is_fetched_again_after_a_rebalance() {
    let mut natures = vec![Nature::Good; 30];
    natures[0] = Nature::Flaky(2);
    let mut events = events(&natures, 1, 10);
    // One key, so that all wait behind the first.
    events.iter_mut().for_each(|event| event.key = 0);
    for fault in [Fault::Lose(0), Fault::Stop(0, Point::Any), Fault::FailConsumer(0)] {
        let plan = Plan {
            window: 6,
            handover: 4,
            events: events.clone(),
            faults: vec![(450, fault)],
            ..Plan::quiet(0)
        };
        each(&plan, |world| {
            assert!(world.coverage.of("partition paused") > 0);
            all_took_effect(world);
        });
    }
}

#[test]
fn the_success_of_a_healthy_partition_resets_no_retries_of_another() {
    let mut events = events(&[Nature::Good; 100], 1, 100);
    events.iter_mut().for_each(|event| event.key = 1);
    events[0] = PlannedEvent { at: 100, key: 0, nature: Nature::Poison };
    let plan = Plan { partitions: 2, events, ..Plan::quiet(0) };
    each(&plan, |world| {
        let [letter] = &*world.letters else { panic!("one event is dead") };
        assert_eq!((letter.attempts, letter.reason), (4, Reason::RetriesExhausted));
    });
}

#[test]
fn a_poison_key_delays_no_other_key() {
    let mut events = events(&[Nature::Good; 60], 4, 100);
    for event in events.iter_mut().filter(|event| event.key == 3) {
        event.nature = Nature::Poison;
    }
    let plan = Plan { window: 100, events, heals_at: 60_000, ..Plan::quiet(0) };
    each(&plan, |world| {
        for event in world.published.iter().filter(|event| event.nature == Nature::Good) {
            let took = event.took_effect.map(|at| at - event.at);
            assert!(took.is_some_and(|took| took < 500), "{took:?}");
        }
    });
}

/// Found: the next owner ran the killer beside others, and nobody noted the attempt.
#[test]
fn a_careful_owner_that_lets_go_early_does_not_call_the_partition_clean() {
    let mut natures = vec![Nature::Good; 12];
    natures[4] = Nature::Killer;
    let plan = Plan {
        places: 3,
        events: events(&natures, 3, 100),
        faults: (0..3).map(|place| (1_000, Fault::Stop(place, Point::Careful))).collect(),
        heals_at: 60_000,
        ..Plan::quiet(0)
    };
    each(&plan, |world| {
        let [letter] = &*world.letters else { panic!("one event is dead") };
        assert_eq!((letter.attempts, letter.reason), (4, Reason::Crashed));
        assert_eq!(world.published[4].deaths, 4);
    });
}

/// A death, and then stops, each when the event has just begun: they cut it off before it ends.
fn long_event_and_stops() -> Plan {
    let mut natures = vec![Nature::Good; 8];
    natures[0] = Nature::Long;
    let stops = [1_500, 16_000, 26_500, 36_500].map(|at| (at, Fault::Stop(0, Point::Careful)));
    let crash = (1_000, Fault::Crash(0, Point::Handled));
    Plan {
        events: events(&natures, 2, 100),
        faults: [&[crash], &stops[..]].concat(),
        heals_at: 80_000,
        ..Plan::quiet(0)
    }
}

#[test]
fn a_long_event_is_not_blamed_for_stops_that_cut_it_off() {
    each(&long_event_and_stops(), |world| {
        assert_eq!(world.coverage.of("attempt taken back"), 4);
        all_took_effect(world);
    });
}

#[test]
fn a_core_that_blames_a_long_event_for_stops_is_noticed() {
    let plan = Plan { flaw: Some(Flaw::CutOffCounts), ..long_event_and_stops() };
    let violation = simulation::run(plan).violation.expect("it is noticed");
    assert!(violation.contains("crashed after 4 attempts"), "{violation}");
}

/// Found: whoever dead-lettered an event and never heard of it did not know that its key was parked.
#[test]
fn a_lost_reply_to_a_dead_letter_does_not_forget_that_its_key_is_parked() {
    let mut natures = vec![Nature::Good; 20];
    natures[3] = Nature::Rejected;
    let plan = Plan {
        behind: BehindDeadLetter::Park,
        lost_reply_percent: 40,
        events: events(&natures, 2, 200),
        ..Plan::quiet(0)
    };
    each(&plan, |world| assert!(world.published.iter().all(|event| event.took_effect.is_some())));
}

/// Found: a process that stopped committed what it had lost while the database was told.
#[test]
fn a_stop_commits_nothing_of_partitions_that_are_lost_meanwhile() {
    for later in 0..30 {
        let faults = vec![(700, Fault::Lose(0)), (700 + later, Fault::Stop(0, Point::Any))];
        let events = events(&[Nature::Good; 10], 2, 100);
        each(&Plan { faults, events, ..Plan::quiet(0) }, all_took_effect);
    }
}
