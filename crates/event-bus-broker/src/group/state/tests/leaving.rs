use super::*;

#[test]
fn the_others_rebalance_when_a_member_leaves() {
    let (mut bench, leader, follower, generation) = Bench::stable_pair();
    assert_eq!(bench.leave(&leader), None);
    let heard = bench.heartbeat(&follower, generation);
    assert_eq!(heard, Err(ResponseError::RebalanceInProgress));
    let waiter = bench.rejoin(&follower);
    let answer = bench.joined(waiter);
    assert_eq!((answer.generation, &answer.leader), (generation + 1, &follower));
}

#[test]
fn a_group_is_empty_when_its_last_member_leaves_and_its_generation_goes_on() {
    let (mut bench, leader, follower, generation) = Bench::stable_pair();
    bench.leave(&leader);
    bench.leave(&follower);
    assert_eq!(bench.group.phase(), Phase::Empty);
    let record = bench.records.last().unwrap();
    assert_eq!((record.generation, record.members.len()), (generation + 1, 0));
    assert_eq!(record.protocol_type.as_deref(), Some("consumer"));
    let (_, waiter) = bench.join_dynamic();
    assert_eq!(bench.joined(waiter).generation, generation + 2);
}

#[test]
fn who_leaves_while_its_requests_are_parked_is_answered() {
    let (mut bench, leader, follower, _) = Bench::stable_pair();
    let join = bench.rejoin(&leader);
    bench.leave(&leader);
    assert_eq!(bench.join_error(join), ResponseError::UnknownMemberId);
    let join = bench.rejoin(&follower);
    let generation = bench.joined(join).generation;
    bench.disk = Disk::Waits;
    let sync = bench.sync(&follower, generation, &[]);
    bench.leave(&follower);
    assert_eq!(bench.sync_error(sync), ResponseError::UnknownMemberId);
}

#[test]
fn a_stranger_cannot_leave() {
    let (mut bench, _, _, _) = Bench::stable_pair();
    assert_eq!(bench.leave("stranger"), Some(ResponseError::UnknownMemberId));
    assert_eq!(bench.leave(""), Some(ResponseError::UnknownMemberId));
    assert_eq!(bench.group.phase(), Phase::Stable);
}

#[test]
fn a_member_that_was_only_given_an_id_leaves_and_nobody_waits_for_it() {
    let (mut bench, leader, follower, _) = Bench::stable_pair();
    let join = bench.consumer("");
    let waiter = bench.join(join);
    let pending = bench.joins[&waiter].member_id.clone();
    bench.rejoin(&leader);
    let waiter = bench.rejoin(&follower);
    assert!(bench.is_parked(waiter), "the pending member is waited for");
    assert_eq!(bench.leave(&pending), None);
    assert_eq!(bench.group.phase(), Phase::CompletingRebalance);
}

#[test]
fn several_leave_at_once_with_one_rebalance() {
    let (mut bench, leader, follower, generation) = Bench::stable_pair();
    let leaver = |id: &str| Leaver { member_id: id.to_owned(), instance_id: None };
    let leavers = vec![leaver(&leader), leaver("stranger"), leaver(&follower)];
    let (left, actions) = bench.group.leave(leavers, bench.now_ms, &bench.settings);
    bench.act(actions);
    let errors: Vec<_> = left.iter().map(|left| left.error).collect();
    assert_eq!(errors, [None, Some(ResponseError::UnknownMemberId), None]);
    assert_eq!(bench.records.last().unwrap().generation, generation + 1);
}
