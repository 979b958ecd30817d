use super::*;

const SESSION: Duration = Duration::from_secs(10);
const REBALANCE: Duration = Duration::from_secs(60);
const TICK: Duration = Duration::from_millis(1);

#[test]
fn a_member_without_a_sign_of_life_is_out_after_its_session() {
    let (mut bench, leader, follower, generation) = Bench::stable_pair();
    bench.pass(SESSION - TICK);
    bench.heartbeat(&follower, generation).unwrap();
    assert_eq!(bench.group.phase(), Phase::Stable);
    bench.pass(TICK);
    assert_eq!(bench.group.phase(), Phase::PreparingRebalance);
    assert_eq!(bench.heartbeat(&leader, generation), Err(ResponseError::UnknownMemberId));
    let waiter = bench.rejoin(&follower);
    assert_eq!(bench.joined(waiter).members.len(), 1);
}

#[test]
fn the_machine_says_when_it_has_to_be_woken() {
    let (mut bench, _, _, _) = Bench::stable_pair();
    let wake_at_ms = bench.group.wake_at_ms().unwrap();
    assert_eq!(wake_at_ms, bench.now_ms + i64::from(SESSION_MS));
    bench.pass(SESSION);
    assert_eq!(bench.group.phase(), Phase::Empty);
    assert_eq!(bench.group.wake_at_ms(), None);
}

#[test]
fn a_commit_is_a_sign_of_life() {
    let (mut bench, leader, _, generation) = Bench::stable_pair();
    bench.pass(SESSION - TICK);
    let member_id = leader.clone();
    let committer =
        super::super::Committer { member_id, instance_id: None, generation, in_transaction: false };
    bench.group.commit(&committer, bench.now_ms).unwrap();
    bench.pass(TICK);
    assert_eq!(bench.heartbeat(&leader, generation), Err(ResponseError::RebalanceInProgress));
}

#[test]
fn members_that_do_not_rejoin_are_out_after_the_rebalance_time_out() {
    let (mut bench, leader, follower, generation) = Bench::stable_pair();
    let waiter = bench.rejoin(&leader);
    // The follower is alive and doesn't come.
    for _ in 0..7 {
        bench.pass(SESSION - TICK);
        let _ = bench.heartbeat(&follower, generation);
    }
    let answer = bench.joined(waiter);
    assert_eq!((answer.generation, answer.members.len()), (generation + 1, 1));
    assert_eq!(bench.heartbeat(&follower, generation), Err(ResponseError::UnknownMemberId));
}

#[test]
fn another_member_leads_when_the_leader_does_not_rejoin() {
    let (mut bench, leader, follower, generation) = Bench::stable_pair();
    let protocols = vec![protocol("range", "changed")];
    let join = Join { protocols, ..bench.consumer(&follower) };
    let waiter = bench.join(join);
    for _ in 0..7 {
        bench.pass(SESSION - TICK);
        let _ = bench.heartbeat(&leader, generation);
    }
    assert_eq!(bench.joined(waiter).leader, follower);
}

#[test]
fn a_parked_member_lives_beyond_its_session() {
    let (mut bench, leader, follower, generation) = Bench::stable_pair();
    let waiter = bench.rejoin(&leader);
    bench.pass(SESSION - TICK);
    let _ = bench.heartbeat(&follower, generation);
    bench.pass(SESSION - TICK);
    bench.rejoin(&follower);
    assert_eq!(bench.joined(waiter).members.len(), 2);
}

#[test]
fn an_id_that_is_not_used_expires_with_its_session_and_nobody_waits_longer() {
    let (mut bench, leader, follower, generation) = Bench::stable_pair();
    let join = bench.consumer("");
    let asked = bench.join(join);
    let pending = bench.joins[&asked].member_id.clone();
    bench.rejoin(&leader);
    let waiter = bench.rejoin(&follower);
    bench.pass(SESSION);
    assert_eq!(bench.joined(waiter).generation, generation + 1);
    let late = bench.rejoin(&pending);
    assert_eq!(bench.join_error(late), ResponseError::UnknownMemberId);
}

#[test]
fn a_new_member_is_parked_for_a_bounded_time() {
    let (mut bench, leader, follower, generation) = Bench::stable_pair();
    let join = Join { rebalance_timeout_ms: i32::MAX, ..bench.consumer("") };
    let asked = bench.join(join);
    let id = bench.joins[&asked].member_id.clone();
    let join = Join { rebalance_timeout_ms: i32::MAX, ..bench.consumer(&id) };
    let waiter = bench.join(join);
    for _ in 0..40 {
        bench.pass(SESSION - TICK);
        for member in [&leader, &follower] {
            let _ = bench.heartbeat(member, generation);
        }
    }
    assert_eq!(bench.join_error(waiter), ResponseError::UnknownMemberId);
}

#[test]
fn members_that_never_ask_for_their_assignment_are_out() {
    let mut bench = Bench::new();
    let (one, _) = bench.join_dynamic();
    let (two, _) = bench.join_dynamic();
    bench.rejoin(&one);
    let waiter = bench.sync(&two, 2, &[]);
    for _ in 0..7 {
        bench.pass(SESSION - TICK);
        let _ = bench.heartbeat(&one, 2);
    }
    assert_eq!(bench.sync_error(waiter), ResponseError::RebalanceInProgress);
    assert_eq!(bench.heartbeat(&one, 2), Err(ResponseError::UnknownMemberId));
    let waiter = bench.rejoin(&two);
    assert_eq!(bench.joined(waiter).leader, two);
}

#[test]
fn the_first_rebalance_waits_for_its_delay_and_longer_while_members_come() {
    let delay = Duration::from_secs(3);
    let settings = GroupSettings { initial_rebalance_delay: delay, ..GroupSettings::default() };
    let mut bench = Bench::with(settings);
    let (_, first) = bench.join_dynamic();
    bench.pass(delay - TICK);
    assert!(bench.is_parked(first));
    let (_, second) = bench.join_dynamic();
    bench.pass(TICK);
    assert!(bench.is_parked(first), "a member came, so the delay begins anew");
    bench.pass(delay);
    let answers = (bench.joined(first), bench.joined(second));
    assert_eq!((answers.0.generation, answers.1.generation), (1, 1));
}

#[test]
fn the_first_rebalance_is_not_delayed_beyond_the_rebalance_time_out() {
    let delay = Duration::from_secs(3);
    let settings = GroupSettings { initial_rebalance_delay: delay, ..GroupSettings::default() };
    let mut bench = Bench::with(settings);
    let (_, first) = bench.join_dynamic();
    for _ in 0..REBALANCE.as_secs() / delay.as_secs() {
        bench.join_dynamic();
        bench.pass(delay);
    }
    assert!(!bench.is_parked(first));
}
