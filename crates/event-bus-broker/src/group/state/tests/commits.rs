use super::super::Committer;
use super::*;

fn member(id: &str, generation: i32) -> Committer {
    Committer { member_id: id.to_owned(), instance_id: None, generation, in_transaction: false }
}

#[test]
fn who_is_no_member_commits_only_for_an_empty_group() {
    let mut bench = Bench::new();
    assert_eq!(bench.group.commit(&member("", -1), 0), Ok(()));
    let (mut bench, _, _, _) = Bench::stable_pair();
    let refused = bench.group.commit(&member("", -1), 0);
    assert_eq!(refused, Err(ResponseError::UnknownMemberId));
}

#[test]
fn a_member_commits_in_its_generation() {
    let (mut bench, leader, _, generation) = Bench::stable_pair();
    assert_eq!(bench.group.commit(&member(&leader, generation), 0), Ok(()));
    let outdated = bench.group.commit(&member(&leader, generation - 1), 0);
    assert_eq!(outdated, Err(ResponseError::IllegalGeneration));
    let stranger = bench.group.commit(&member("stranger", generation), 0);
    assert_eq!(stranger, Err(ResponseError::UnknownMemberId));
}

#[test]
fn a_member_commits_what_it_gives_up_while_others_join() {
    let (mut bench, leader, follower, generation) = Bench::stable_pair();
    bench.rejoin(&leader);
    assert_eq!(bench.group.commit(&member(&follower, generation), 0), Ok(()));
}

#[test]
fn nobody_commits_between_the_joins_and_the_assignment() {
    let mut bench = Bench::new();
    let (id, _) = bench.join_dynamic();
    let refused = bench.group.commit(&member(&id, 1), 0);
    assert_eq!(refused, Err(ResponseError::RebalanceInProgress));
    let in_transaction = Committer { in_transaction: true, ..member(&id, 1) };
    assert_eq!(bench.group.commit(&in_transaction, 0), Ok(()));
}

#[test]
fn an_old_producer_commits_in_its_transaction_without_being_a_member() {
    let (mut bench, leader, _, generation) = Bench::stable_pair();
    let nobody = Committer { in_transaction: true, ..member("", -1) };
    assert_eq!(bench.group.commit(&nobody, 0), Ok(()));
    let outdated = Committer { in_transaction: true, ..member(&leader, generation - 1) };
    assert_eq!(bench.group.commit(&outdated, 0), Err(ResponseError::IllegalGeneration));
}

#[test]
fn a_group_with_members_is_not_deleted() {
    let (bench, _, _, _) = Bench::stable_pair();
    assert_eq!(bench.group.check_delete(), Err(ResponseError::NonEmptyGroup));
    assert_eq!(Group::new("group", 0).check_delete(), Ok(()));
}

#[test]
fn offsets_of_topics_that_are_subscribed_to_are_in_use() {
    let mut bench = Bench::new();
    let metadata = subscription(&["orders", "payments"]);
    let protocols = vec![Protocol { name: "range".to_owned(), metadata }];
    let join = Join { protocols, requires_member_id: false, ..bench.consumer("") };
    bench.join(join);
    assert_eq!(bench.group.check_offset_delete(), Ok(()));
    assert!(bench.group.uses("orders") && bench.group.uses("payments"));
    assert!(!bench.group.uses("brands"));
}

#[test]
fn a_subscription_that_cannot_be_read_may_name_any_topic() {
    let (bench, _, _, _) = Bench::stable_pair();
    assert!(bench.group.uses("orders"));
}

#[test]
fn a_group_of_another_type_keeps_its_offsets_while_it_has_members() {
    let mut bench = Bench::new();
    let join = Join {
        protocol_type: "connect".to_owned(),
        requires_member_id: false,
        ..bench.consumer("")
    };
    bench.join(join);
    assert_eq!(bench.group.check_offset_delete(), Err(ResponseError::NonEmptyGroup));
}

#[test]
fn offsets_are_kept_from_when_the_group_ran_empty() {
    let simple = Group::new("group", 5);
    assert_eq!(simple.retention_base_ms("orders", 7), Some(7));
    let (mut bench, leader, follower, _) = Bench::stable_pair();
    assert_eq!(bench.group.retention_base_ms("orders", 7), None);
    bench.now_ms = 1_000;
    bench.leave(&leader);
    bench.leave(&follower);
    assert_eq!(bench.group.retention_base_ms("orders", 7), Some(1_000));
}
