use super::*;

/// A stable group of the static members `one`, which leads, and `two`, with their ids.
fn static_pair() -> (Bench, String, String, i32) {
    let mut bench = Bench::new();
    let first = bench.join_static("one");
    let one = bench.joined(first).member_id.clone();
    let second = bench.join_static("two");
    let join = Join { instance_id: Some("one".to_owned()), ..bench.consumer(&one) };
    bench.join(join);
    let answer = bench.joined(second).clone();
    assert_eq!(answer.leader, one);
    let (two, generation) = (answer.member_id, answer.generation);
    bench.sync(&two, generation, &[]);
    bench.sync(&one, generation, &[(&one, "a"), (&two, "b")]);
    (bench, one, two, generation)
}

#[test]
fn a_static_member_needs_no_second_join() {
    let mut bench = Bench::new();
    let waiter = bench.join_static("one");
    assert_eq!(bench.joined(waiter).generation, 1);
}

#[test]
fn a_static_member_that_comes_back_goes_on_without_a_rebalance() {
    let (mut bench, _, two, generation) = static_pair();
    bench.disk = Disk::Waits;
    let waiter = bench.join_static("two");
    assert!(bench.is_parked(waiter), "its new id isn't durable yet");
    bench.settle_all(Disk::Works);
    let answer = bench.joined(waiter).clone();
    assert_ne!(answer.member_id, two);
    assert_eq!((answer.generation, answer.skip_assignment), (generation, false));
    assert!(answer.members.is_empty());
    let sync = bench.sync(&answer.member_id, generation, &[]);
    assert_eq!(bench.assignment(sync), b"b");
    assert_eq!(bench.records.last().unwrap().members.len(), 2);
    assert_eq!(bench.group.phase(), Phase::Stable);
}

#[test]
fn a_static_leader_that_comes_back_is_told_not_to_assign_again() {
    let (mut bench, one, _, generation) = static_pair();
    let waiter = bench.join_static("one");
    let answer = bench.joined(waiter);
    assert_eq!((answer.generation, answer.skip_assignment), (generation, true));
    assert_eq!(answer.leader, answer.member_id);
    assert_ne!(answer.leader, one);
    assert_eq!(answer.members.len(), 2);
}

#[test]
fn a_static_leader_that_cannot_be_told_so_is_not_told_that_it_leads() {
    let (mut bench, one, _, _) = static_pair();
    let join = Join {
        instance_id: Some("one".to_owned()),
        can_skip_assignment: false,
        ..bench.consumer("")
    };
    let waiter = bench.join(join);
    let answer = bench.joined(waiter);
    assert_eq!((&answer.leader, answer.skip_assignment), (&one, false));
    assert!(answer.members.is_empty());
}

#[test]
fn the_former_self_of_a_static_member_is_fenced() {
    let (mut bench, _, two, generation) = static_pair();
    bench.join_static("two");
    let fenced = Err(ResponseError::FencedInstanceId);
    assert_eq!(bench.group.heartbeat(&two, Some("two"), generation, 0), fenced);
    let committer = super::super::Committer {
        member_id: two.clone(),
        instance_id: Some("two".to_owned()),
        generation,
        in_transaction: false,
    };
    assert_eq!(bench.group.commit(&committer, 0), fenced);
    let join = Join { instance_id: Some("two".to_owned()), ..bench.consumer(&two) };
    let waiter = bench.join(join);
    assert_eq!(bench.join_error(waiter), ResponseError::FencedInstanceId);
    let leaver = Leaver { member_id: two.clone(), instance_id: Some("two".to_owned()) };
    let (left, _) = bench.group.leave(vec![leaver], 0, &bench.settings);
    assert_eq!(left[0].error, Some(ResponseError::FencedInstanceId));
    let waiter = bench.waiter();
    let actions = bench.group.sync(&Sync {
        waiter,
        member_id: two,
        instance_id: Some("two".to_owned()),
        generation,
        protocol_type: None,
        protocol: None,
        assignments: BTreeMap::new(),
    });
    bench.act(actions);
    assert_eq!(bench.sync_error(waiter), ResponseError::FencedInstanceId);
}

#[test]
fn the_parked_join_of_a_former_self_is_fenced() {
    let (mut bench, one, _, _) = static_pair();
    let join = Join { instance_id: Some("one".to_owned()), ..bench.consumer(&one) };
    let former = bench.join(join);
    let now = bench.join_static("one");
    assert_eq!(bench.join_error(former), ResponseError::FencedInstanceId);
    assert!(bench.is_parked(now));
}

#[test]
fn a_static_member_that_comes_back_with_another_protocol_starts_a_rebalance() {
    let (mut bench, _, _, _) = static_pair();
    let join = Join {
        instance_id: Some("two".to_owned()),
        protocols: vec![protocol("sticky", "meta")],
        ..bench.consumer("")
    };
    let waiter = bench.join(join);
    assert!(bench.is_parked(waiter));
    assert_eq!(bench.group.phase(), Phase::PreparingRebalance);
}

#[test]
fn a_static_member_that_comes_back_while_others_sync_starts_a_rebalance() {
    let mut bench = Bench::new();
    bench.join_static("one");
    let waiter = bench.join_static("one");
    assert_eq!(bench.joined(waiter).generation, 2);
}

#[test]
fn a_static_member_that_comes_back_while_its_id_cannot_be_made_durable_asks_again() {
    let (mut bench, _, _, _) = static_pair();
    bench.disk = Disk::Fails;
    let waiter = bench.join_static("two");
    assert_eq!(bench.join_error(waiter), ResponseError::CoordinatorNotAvailable);
    bench.disk = Disk::Works;
    let waiter = bench.join_static("two");
    assert!(bench.joined(waiter).members.is_empty());
}

#[test]
fn a_rebalance_that_begins_before_the_new_id_is_durable_takes_the_member_along() {
    let (mut bench, one, _, generation) = static_pair();
    bench.disk = Disk::Waits;
    let back = bench.join_static("two");
    let join = Join { instance_id: Some("one".to_owned()), ..bench.consumer(&one) };
    let leader = bench.join(join);
    let answers = (bench.joined(back), bench.joined(leader));
    assert_eq!((answers.0.generation, answers.1.generation), (generation + 1, generation + 1));
    bench.settle_all(Disk::Works);
    assert_eq!(bench.group.phase(), Phase::CompletingRebalance);
}

#[test]
fn an_administrator_sends_a_static_member_away_by_its_instance() {
    let (mut bench, _, _, _) = static_pair();
    let leaver = |name: &str| Leaver { member_id: String::new(), instance_id: Some(name.into()) };
    let leavers = vec![leaver("two"), leaver("three")];
    let (left, actions) = bench.group.leave(leavers, bench.now_ms, &bench.settings);
    bench.act(actions);
    assert_eq!(left[0].error, None);
    assert_eq!(left[1].error, Some(ResponseError::UnknownMemberId));
    assert_eq!(bench.group.phase(), Phase::PreparingRebalance);
}

#[test]
fn a_rebalance_does_not_throw_out_static_members_that_are_late() {
    let (mut bench, one, two, generation) = static_pair();
    let join = Join { instance_id: Some("one".to_owned()), ..bench.consumer(&one) };
    let waiter = bench.join(join);
    for _ in 0..REBALANCE_MS / SESSION_MS {
        bench.pass(Duration::from_millis(u64::try_from(SESSION_MS).unwrap() - 1));
        bench.group.heartbeat(&two, Some("two"), generation, bench.now_ms).unwrap_err();
    }
    bench.pass(Duration::from_secs(6));
    let answer = bench.joined(waiter);
    assert_eq!((answer.generation, answer.members.len()), (generation + 1, 2));
}
