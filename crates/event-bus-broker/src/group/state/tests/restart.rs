use super::*;

#[test]
fn members_go_on_after_a_restart_with_a_fresh_session() {
    let (bench, leader, follower, generation) = Bench::stable_pair();
    let record = bench.records.last().unwrap().clone();
    let now_ms = 1_000_000;
    let group = Group::restored(record, now_ms);
    let mut bench = Bench { now_ms, ..Bench::of(group, GroupSettings::default()) };
    assert_eq!(bench.group.phase(), Phase::Stable);
    bench.pass(Duration::from_secs(9));
    assert_eq!(bench.heartbeat(&leader, generation), Ok(()));
    let waiter = bench.sync(&follower, generation, &[]);
    assert_eq!(bench.assignment(waiter), b"b");
    bench.pass(Duration::from_secs(1));
    assert_eq!(bench.heartbeat(&leader, generation), Err(ResponseError::RebalanceInProgress));
}

#[test]
fn a_static_member_is_known_after_a_restart() {
    let mut bench = Bench::new();
    let waiter = bench.join_static("one");
    let id = bench.joined(waiter).member_id.clone();
    bench.sync(&id, 1, &[(&id, "a")]);
    let group = Group::restored(bench.records.last().unwrap().clone(), 0);
    let mut bench = Bench::of(group, GroupSettings::default());
    let join = Join { protocols: vec![protocol("range", "meta")], ..bench.consumer("") };
    let waiter = bench.join(Join { instance_id: Some("one".to_owned()), ..join });
    assert_eq!(bench.joined(waiter).generation, 1);
    assert!(bench.joined(waiter).skip_assignment);
}

#[test]
fn an_empty_group_keeps_its_generation_through_a_restart() {
    let (mut bench, leader, follower, generation) = Bench::stable_pair();
    bench.leave(&leader);
    bench.leave(&follower);
    let group = Group::restored(bench.records.last().unwrap().clone(), 0);
    let mut bench = Bench::of(group, GroupSettings::default());
    assert_eq!(bench.group.phase(), Phase::Empty);
    let (_, waiter) = bench.join_dynamic();
    assert_eq!(bench.joined(waiter).generation, generation + 2);
}
