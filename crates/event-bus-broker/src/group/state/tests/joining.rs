use super::*;

#[test]
fn a_dynamic_member_has_to_come_back_with_the_id_it_is_given() {
    let mut bench = Bench::new();
    let (id, waiter) = bench.join_dynamic();
    let answer = bench.joined(waiter).clone();
    assert_eq!((answer.generation, &answer.leader, &answer.member_id), (1, &id, &id));
    assert_eq!(answer.protocol.as_deref(), Some("range"));
    assert_eq!(answer.protocol_type.as_deref(), Some("consumer"));
    assert_eq!(answer.members.len(), 1);
    assert_eq!(bench.group.phase(), Phase::CompletingRebalance);
}

#[test]
fn an_old_client_joins_without_an_id() {
    let mut bench = Bench::new();
    let join = Join { requires_member_id: false, ..bench.consumer("") };
    let waiter = bench.join(join);
    assert_eq!(bench.joined(waiter).generation, 1);
}

#[test]
fn an_id_that_nobody_gave_out_is_unknown() {
    let mut bench = Bench::new();
    let waiter = bench.rejoin("stranger");
    assert_eq!(bench.join_error(waiter), ResponseError::UnknownMemberId);
}

#[test]
fn the_leader_learns_who_the_members_are_and_followers_do_not() {
    let mut bench = Bench::new();
    let (one, _) = bench.join_dynamic();
    let (two, second) = bench.join_dynamic();
    assert!(bench.is_parked(second), "the first member hasn't rejoined yet");
    let first = bench.rejoin(&one);
    let (first, second) = (bench.joined(first), bench.joined(second));
    assert_eq!((first.generation, second.generation), (2, 2));
    assert_eq!((first.leader.as_str(), second.leader.as_str()), (one.as_str(), one.as_str()));
    let ids: Vec<_> = first.members.iter().map(|member| member.id.as_str()).collect();
    assert_eq!(ids, [one.as_str(), two.as_str()]);
    assert_eq!(&first.members[0].metadata[..], b"meta");
    assert!(second.members.is_empty());
}

#[test]
fn the_protocol_that_most_prefer_of_those_that_all_support_is_chosen() {
    let mut bench = Bench::new();
    let lists: [&[&str]; 3] = [&["a", "b"], &["b", "a"], &["x", "b", "a"]];
    let mut ids = Vec::new();
    let mut waiters = Vec::new();
    for list in lists {
        let protocols = list.iter().map(|name| protocol(name, name)).collect();
        let asked = Join { protocols, requires_member_id: false, ..bench.consumer("") };
        ids.push((asked.new_member_id.clone(), asked.protocols.clone()));
        waiters.push(bench.join(asked));
    }
    let others = ids.into_iter().take(2);
    for (id, protocols) in others {
        let rejoin = Join { protocols, ..bench.consumer(&id) };
        bench.join(rejoin);
    }
    assert_eq!(bench.joined(waiters[2]).protocol.as_deref(), Some("b"));
}

#[test]
fn a_member_without_a_common_protocol_is_refused() {
    let (mut bench, _, _, _) = Bench::stable_pair();
    let join = Join { protocols: vec![protocol("other", "")], ..bench.consumer("") };
    let waiter = bench.join(join);
    assert_eq!(bench.join_error(waiter), ResponseError::InconsistentGroupProtocol);
    let join = Join { protocol_type: "connect".to_owned(), ..bench.consumer("") };
    let waiter = bench.join(join);
    assert_eq!(bench.join_error(waiter), ResponseError::InconsistentGroupProtocol);
    assert_eq!(bench.group.phase(), Phase::Stable);
}

#[test]
fn a_first_member_has_to_name_a_protocol_and_its_type() {
    let mut bench = Bench::new();
    let join = Join { protocols: Vec::new(), ..bench.consumer("") };
    let waiter = bench.join(join);
    assert_eq!(bench.join_error(waiter), ResponseError::InconsistentGroupProtocol);
    let join = Join { protocol_type: String::new(), ..bench.consumer("") };
    let waiter = bench.join(join);
    assert_eq!(bench.join_error(waiter), ResponseError::InconsistentGroupProtocol);
}

#[test]
fn a_follower_that_rejoins_unchanged_gets_the_current_generation() {
    let (mut bench, leader, follower, generation) = Bench::stable_pair();
    let waiter = bench.rejoin(&follower);
    let answer = bench.joined(waiter);
    assert_eq!((answer.generation, &answer.leader), (generation, &leader));
    assert!(answer.members.is_empty());
    assert_eq!(bench.group.phase(), Phase::Stable);
}

#[test]
fn a_leader_that_rejoins_unchanged_starts_a_rebalance() {
    let (mut bench, leader, follower, generation) = Bench::stable_pair();
    let waiter = bench.rejoin(&leader);
    assert!(bench.is_parked(waiter));
    let heard = bench.heartbeat(&follower, generation);
    assert_eq!(heard, Err(ResponseError::RebalanceInProgress));
    bench.rejoin(&follower);
    assert_eq!(bench.joined(waiter).generation, generation + 1);
}

#[test]
fn a_member_that_changes_its_metadata_starts_a_rebalance() {
    let (mut bench, leader, follower, generation) = Bench::stable_pair();
    let protocols = vec![protocol("range", "changed"), protocol("sticky", "meta")];
    let join = Join { protocols, ..bench.consumer(&follower) };
    let waiter = bench.join(join);
    assert!(bench.is_parked(waiter));
    let first = bench.rejoin(&leader);
    assert_eq!(bench.joined(waiter).generation, generation + 1);
    let of_follower = bench.joined(first).members.iter().find(|member| member.id == follower);
    assert_eq!(&of_follower.unwrap().metadata[..], b"changed");
}

#[test]
fn a_member_that_missed_its_answer_gets_it_again_while_others_sync() {
    let mut bench = Bench::new();
    let (id, _) = bench.join_dynamic();
    let waiter = bench.rejoin(&id);
    let answer = bench.joined(waiter);
    assert_eq!((answer.generation, answer.members.len()), (1, 1));
    assert_eq!(bench.group.phase(), Phase::CompletingRebalance);
}

#[test]
fn a_join_that_is_asked_twice_releases_the_first() {
    let (mut bench, leader, _, _) = Bench::stable_pair();
    let first = bench.rejoin(&leader);
    let second = bench.rejoin(&leader);
    assert_eq!(bench.join_error(first), ResponseError::RebalanceInProgress);
    assert!(bench.is_parked(second));
}

#[test]
fn a_group_has_a_largest_size() {
    let mut bench = Bench::with(GroupSettings { max_members: 1, ..GroupSettings::default() });
    let (id, _) = bench.join_dynamic();
    let join = bench.consumer("");
    let waiter = bench.join(join);
    assert_eq!(bench.join_error(waiter), ResponseError::GroupMaxSizeReached);
    let waiter = bench.rejoin(&id);
    assert_eq!(bench.joined(waiter).generation, 1);
}

#[test]
fn only_so_many_ids_are_handed_out() {
    let mut bench = Bench::with(GroupSettings { max_members: 2, ..GroupSettings::default() });
    for error in [
        ResponseError::MemberIdRequired,
        ResponseError::MemberIdRequired,
        ResponseError::GroupMaxSizeReached,
    ] {
        let join = bench.consumer("");
        let waiter = bench.join(join);
        assert_eq!(bench.join_error(waiter), error);
    }
}

#[test]
fn a_forced_rebalance_asks_everybody_to_join_again() {
    let (mut bench, leader, follower, generation) = Bench::stable_pair();
    let actions = bench.group.force_rebalance(bench.now_ms, &bench.settings);
    bench.act(actions);
    for id in [&leader, &follower] {
        assert_eq!(bench.heartbeat(id, generation), Err(ResponseError::RebalanceInProgress));
    }
    bench.rejoin(&leader);
    let waiter = bench.rejoin(&follower);
    assert_eq!(bench.joined(waiter).generation, generation + 1);
}
