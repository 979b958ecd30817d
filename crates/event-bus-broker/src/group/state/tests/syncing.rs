use super::*;

#[test]
fn each_member_gets_its_part_once_the_assignment_is_durable() {
    let mut bench = Bench::new();
    let (one, _) = bench.join_dynamic();
    let (two, _) = bench.join_dynamic();
    bench.rejoin(&one);
    bench.disk = Disk::Waits;
    let of_two = bench.sync(&two, 2, &[]);
    let of_one = bench.sync(&one, 2, &[(&one, "a"), (&two, "b")]);
    assert!(bench.is_parked(of_one) && bench.is_parked(of_two));
    assert_eq!(bench.group.phase(), Phase::CompletingRebalance);
    bench.settle_all(Disk::Works);
    assert_eq!((bench.assignment(of_one), bench.assignment(of_two)), (&b"a"[..], &b"b"[..]));
    assert_eq!(bench.group.phase(), Phase::Stable);
    let again = bench.sync(&two, 2, &[]);
    assert_eq!(bench.assignment(again), b"b");
    assert_eq!(bench.syncs[&again].protocol.as_deref(), Some("range"));
}

#[test]
fn a_member_that_the_leader_forgot_gets_an_empty_assignment() {
    let mut bench = Bench::new();
    let (one, _) = bench.join_dynamic();
    let (two, _) = bench.join_dynamic();
    bench.rejoin(&one);
    let of_two = bench.sync(&two, 2, &[]);
    bench.sync(&one, 2, &[(&one, "a")]);
    assert_eq!(bench.assignment(of_two), b"");
}

#[test]
fn an_assignment_that_cannot_be_made_durable_counts_for_nobody() {
    let mut bench = Bench::new();
    let (id, _) = bench.join_dynamic();
    bench.disk = Disk::Fails;
    let waiter = bench.sync(&id, 1, &[(&id, "a")]);
    assert_eq!(bench.sync_error(waiter), ResponseError::CoordinatorNotAvailable);
    assert_eq!(bench.group.phase(), Phase::PreparingRebalance);
    bench.disk = Disk::Works;
    let waiter = bench.rejoin(&id);
    assert_eq!(bench.joined(waiter).generation, 2);
}

#[test]
fn an_assignment_of_a_generation_that_is_over_is_void() {
    let mut bench = Bench::new();
    let (one, _) = bench.join_dynamic();
    bench.disk = Disk::Waits;
    let waiter = bench.sync(&one, 1, &[(&one, "a")]);
    let (_, second) = bench.join_dynamic();
    assert_eq!(bench.sync_error(waiter), ResponseError::RebalanceInProgress);
    bench.settle_all(Disk::Works);
    assert_eq!(bench.group.phase(), Phase::PreparingRebalance);
    assert!(bench.is_parked(second));
}

#[test]
fn a_sync_is_checked_for_member_generation_and_protocol() {
    let (mut bench, leader, _, generation) = Bench::stable_pair();
    let waiter = bench.sync("stranger", generation, &[]);
    assert_eq!(bench.sync_error(waiter), ResponseError::UnknownMemberId);
    let waiter = bench.sync(&leader, generation - 1, &[]);
    assert_eq!(bench.sync_error(waiter), ResponseError::IllegalGeneration);
    let waiter = bench.waiter();
    let actions = bench.group.sync(&Sync {
        waiter,
        member_id: leader.clone(),
        instance_id: None,
        generation,
        protocol_type: Some("consumer".to_owned()),
        protocol: Some("sticky".to_owned()),
        assignments: BTreeMap::new(),
    });
    bench.act(actions);
    assert_eq!(bench.sync_error(waiter), ResponseError::InconsistentGroupProtocol);
    bench.rejoin(&leader);
    let waiter = bench.sync(&leader, generation, &[]);
    assert_eq!(bench.sync_error(waiter), ResponseError::RebalanceInProgress);
}

#[test]
fn heartbeats_are_checked_for_member_and_generation() {
    let (mut bench, leader, _, generation) = Bench::stable_pair();
    assert_eq!(bench.heartbeat(&leader, generation), Ok(()));
    assert_eq!(bench.heartbeat("stranger", generation), Err(ResponseError::UnknownMemberId));
    let heard = bench.heartbeat(&leader, generation + 1);
    assert_eq!(heard, Err(ResponseError::IllegalGeneration));
}

#[test]
fn a_member_may_send_heartbeats_before_it_has_its_assignment() {
    let mut bench = Bench::new();
    let (id, _) = bench.join_dynamic();
    assert_eq!(bench.heartbeat(&id, 1), Ok(()));
}

#[test]
fn a_description_shows_protocol_and_metadata_only_of_a_stable_group() {
    let (mut bench, leader, follower, _) = Bench::stable_pair();
    let shown = bench.group.describe();
    assert_eq!((shown.protocol_type.as_str(), shown.protocol.as_str()), ("consumer", "range"));
    let member = shown.members.iter().find(|member| member.id == follower).unwrap();
    assert_eq!((&member.metadata[..], &member.assignment[..]), (&b"meta"[..], &b"b"[..]));
    assert_eq!(member.client_host, "/127.0.0.1");
    bench.rejoin(&leader);
    let shown = bench.group.describe();
    assert_eq!((shown.phase, shown.protocol.as_str()), (Phase::PreparingRebalance, ""));
    assert!(shown.members.iter().all(|member| member.metadata.is_empty()));
}
