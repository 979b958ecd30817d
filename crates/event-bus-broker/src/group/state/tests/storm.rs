//! Many members at once that join, sync, leave, crash and stall, in any order, on a disk that is slow or fails. After
//! each step the promises hold; left alone, the group becomes stable with everybody in it.

use proptest::prelude::{ProptestConfig, Strategy, any, prop, prop_oneof, proptest};

use super::super::super::action::Then;
use super::*;

/// What a client believes.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Belief {
    /// It has no id, or lost it.
    Out,
    /// It has an id and has to join with it.
    HasId(String),
    /// With the id that it has, if any.
    Joining(String, WaiterId),
    Joined(JoinAnswer),
    Syncing(JoinAnswer, WaiterId),
    Assigned(JoinAnswer),
    /// It is not coming back.
    Gone,
}

#[derive(Clone, Debug)]
enum Step {
    /// The client does what the protocol has it do next.
    Advance(usize),
    /// It leaves, or is sent away, whatever it waits for, and may come back later.
    Leave(usize),
    /// It forgets everything, without a word.
    Crash(usize),
    /// As a crash, for good.
    Vanish(usize),
    Pass(u64),
    Disk(bool),
    Force,
}

struct Storm {
    bench: Bench,
    clients: Vec<Belief>,
    /// The protocol of each generation, as it was answered.
    protocols: BTreeMap<i32, Option<String>>,
    highest_generation: i32,
}

fn instance(client: usize) -> Option<String> {
    client.is_multiple_of(3).then(|| format!("instance-{client}"))
}

impl Storm {
    fn new(clients: usize, delay: Duration) -> Self {
        let settings = GroupSettings { initial_rebalance_delay: delay, ..GroupSettings::default() };
        let mut bench = Bench::with(settings);
        bench.disk = Disk::Waits;
        Self {
            bench,
            clients: vec![Belief::Out; clients],
            protocols: BTreeMap::new(),
            highest_generation: 0,
        }
    }

    fn step(&mut self, step: &Step) {
        match *step {
            Step::Advance(client) => self.advance(client),
            Step::Leave(client) => self.leave(client),
            Step::Crash(client) => self.crash(client, Belief::Out),
            Step::Vanish(client) => self.crash(client, Belief::Gone),
            Step::Pass(ms) => self.bench.pass(Duration::from_millis(ms)),
            Step::Disk(works) => {
                self.bench.settle_all(if works { Disk::Works } else { Disk::Fails });
                self.bench.disk = Disk::Waits;
            }
            Step::Force => {
                let bench = &mut self.bench;
                let actions = bench.group.force_rebalance(bench.now_ms, &bench.settings);
                bench.act(actions);
            }
        }
        self.check();
    }

    fn crash(&mut self, client: usize, belief: Belief) {
        if self.clients[client] != Belief::Gone {
            self.clients[client] = belief;
        }
    }

    fn id(&self, client: usize) -> Option<&str> {
        match &self.clients[client] {
            Belief::HasId(id) | Belief::Joining(id, _) => Some(id),
            Belief::Joined(answer) | Belief::Assigned(answer) | Belief::Syncing(answer, _) => {
                Some(&answer.member_id)
            }
            Belief::Out | Belief::Gone => None,
        }
    }

    fn leave(&mut self, client: usize) {
        let Some(member_id) = self.id(client).map(str::to_owned) else { return };
        let leaver = Leaver { member_id, instance_id: instance(client) };
        let bench = &mut self.bench;
        let (_, actions) = bench.group.leave(vec![leaver], bench.now_ms, &bench.settings);
        bench.act(actions);
        self.clients[client] = Belief::Out;
    }

    fn join(&mut self, client: usize, id: &str) -> Belief {
        let instance_id = instance(client);
        // Clients differ in what they prefer.
        let mut protocols = vec![protocol("range", "meta"), protocol("sticky", "meta")];
        protocols.rotate_left(client % 2);
        let join = Join { instance_id, protocols, ..self.bench.consumer(id) };
        Belief::Joining(id.to_owned(), self.bench.join(join))
    }

    fn sync(&mut self, client: usize, answer: JoinAnswer) -> Belief {
        let mut assignments = BTreeMap::new();
        if answer.leader == answer.member_id && !answer.skip_assignment {
            for member in &answer.members {
                let part = assignment(answer.generation, member.instance_id.as_deref());
                assignments.insert(member.id.clone(), part);
            }
        }
        let waiter = self.bench.waiter();
        let actions = self.bench.group.sync(&Sync {
            waiter,
            member_id: answer.member_id.clone(),
            instance_id: instance(client),
            generation: answer.generation,
            protocol_type: answer.protocol_type.clone(),
            protocol: answer.protocol.clone(),
            assignments,
        });
        self.bench.act(actions);
        Belief::Syncing(answer, waiter)
    }

    fn advance(&mut self, client: usize) {
        let belief = self.clients[client].clone();
        self.clients[client] = match belief {
            Belief::Gone => Belief::Gone,
            Belief::Out => self.join(client, ""),
            Belief::HasId(id) => self.join(client, &id),
            Belief::Joining(id, waiter) => match self.bench.joins.get(&waiter).cloned() {
                None => Belief::Joining(id, waiter),
                Some(answer) => self.joined(answer),
            },
            Belief::Joined(answer) => self.sync(client, answer),
            Belief::Syncing(answer, waiter) => match self.bench.syncs.get(&waiter).cloned() {
                None => Belief::Syncing(answer, waiter),
                Some(synced) => self.synced(client, answer, &synced),
            },
            Belief::Assigned(answer) => {
                let instance_id = instance(client);
                let bench = &mut self.bench;
                let heard = bench.group.heartbeat(
                    &answer.member_id,
                    instance_id.as_deref(),
                    answer.generation,
                    bench.now_ms,
                );
                match heard {
                    Ok(()) => Belief::Assigned(answer),
                    Err(error) => after(error, answer.member_id),
                }
            }
        };
    }

    fn joined(&mut self, answer: JoinAnswer) -> Belief {
        match answer.error {
            Some(ResponseError::MemberIdRequired) => Belief::HasId(answer.member_id),
            Some(error) => after(error, answer.member_id),
            None => {
                let chosen = self.protocols.entry(answer.generation);
                let chosen = chosen.or_insert_with(|| answer.protocol.clone());
                assert_eq!(*chosen, answer.protocol, "two protocols in one generation");
                assert!(chosen.is_some());
                Belief::Joined(answer)
            }
        }
    }

    fn synced(&mut self, client: usize, answer: JoinAnswer, synced: &SyncAnswer) -> Belief {
        if let Some(error) = synced.error {
            return after(error, answer.member_id);
        }
        assert_eq!(synced.protocol, answer.protocol);
        let expected = assignment(answer.generation, instance(client).as_deref());
        assert_eq!(synced.assignment, expected, "not the assignment of its generation");
        Belief::Assigned(answer)
    }

    /// What holds at any time.
    fn check(&mut self) {
        let group = &self.bench.group;
        assert!(group.generation >= self.highest_generation, "a generation went back");
        self.highest_generation = group.generation;
        let members = group.members.values();
        let parked: BTreeSet<WaiterId> =
            members.flat_map(|member| [member.joining, member.syncing]).flatten().collect();
        assert_eq!(parked, self.bench.unanswered, "a parked request was forgotten");
        // Joins are parked for a rebalance, or while a static member's new id is written.
        let is_returning = |member: &&super::super::member::Member| {
            self.bench.written.iter().any(|(_, then)| match then {
                Then::WelcomeBack(returning) => returning.member_id == member.id,
                Then::Assign | Then::Nothing => false,
            })
        };
        let mut joining = group.members.values().filter(|member| member.joining.is_some());
        let is_rebalancing = group.phase() == Phase::PreparingRebalance;
        assert!(is_rebalancing || joining.all(|member| is_returning(&member)));
        if let Some(deadline) = group.earliest_deadline() {
            assert!(group.wake_at_ms().is_some_and(|at_ms| at_ms <= deadline));
        }
        let (joins, syncs) = (group.join_deadline.is_some(), group.sync_deadline_ms.is_some());
        match group.phase() {
            Phase::Empty => assert!(group.members.is_empty() && !joins && !syncs),
            Phase::PreparingRebalance => assert!(joins, "nothing ends the rebalance"),
            Phase::CompletingRebalance => assert!(syncs || !self.bench.written.is_empty()),
            Phase::Stable => assert!(!group.members.is_empty() && !joins),
        }
        assert!(group.leader.as_ref().is_none_or(|leader| group.members.contains_key(leader)));
        assert_eq!(group.leader.is_none(), group.members.is_empty());
        for (instance_id, id) in &group.statics {
            assert_eq!(group.members[id].instance_id.as_ref(), Some(instance_id));
        }
    }

    fn is_stable(&self) -> bool {
        let group = &self.bench.group;
        let alive = self.clients.iter().filter(|client| **client != Belief::Gone);
        let mut ids = BTreeSet::new();
        for client in alive {
            match client {
                Belief::Assigned(answer) if answer.generation == group.generation => {
                    ids.insert(answer.member_id.as_str());
                }
                _ => return false,
            }
        }
        let is_settled = matches!(group.phase(), Phase::Stable | Phase::Empty);
        is_settled && group.members.keys().map(String::as_str).collect::<BTreeSet<_>>() == ids
    }

    /// Leaves the group alone, with a disk that works, until it is stable.
    fn calm_down(&mut self) {
        for _ in 0..1_000 {
            for client in 0..self.clients.len() {
                self.step(&Step::Advance(client));
                self.step(&Step::Disk(true));
            }
            if self.is_stable() {
                return;
            }
            self.step(&Step::Pass(500));
        }
        panic!("the group doesn't become stable: {:#?}\n{:#?}", self.clients, self.bench.group);
    }
}

/// Static members keep their part under whatever id; dynamic ones all get the same in this test, for their generation.
fn assignment(generation: i32, instance_id: Option<&str>) -> Bytes {
    Bytes::from(format!("{generation} {}", instance_id.unwrap_or("dynamic")))
}

/// What a client does after an error: as librdkafka and the Java client.
fn after(error: ResponseError, member_id: String) -> Belief {
    match error {
        ResponseError::RebalanceInProgress
        | ResponseError::IllegalGeneration
        | ResponseError::CoordinatorNotAvailable
            if !member_id.is_empty() =>
        {
            Belief::HasId(member_id)
        }
        _ => Belief::Out,
    }
}

const CLIENTS: usize = 8;

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let client = || 0..CLIENTS;
    let step = prop_oneof![
        20 => client().prop_map(Step::Advance),
        2 => client().prop_map(Step::Leave),
        2 => client().prop_map(Step::Crash),
        1 => client().prop_map(Step::Vanish),
        4 => (1..12_000_u64).prop_map(Step::Pass),
        6 => any::<bool>().prop_map(|fails| Step::Disk(!fails)),
        1 => proptest::strategy::Just(Step::Force),
    ];
    prop::collection::vec(step, 0..300)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

    #[test]
    fn a_group_survives_any_storm_and_becomes_stable(steps in steps(), delay_s in 0..4_u64) {
        let mut storm = Storm::new(CLIENTS, Duration::from_secs(delay_s));
        for step in &steps {
            storm.step(step);
        }
        storm.calm_down();
    }
}

#[test]
fn a_hundred_members_that_come_and_go_at_random_converge() {
    let mut storm = Storm::new(100, Duration::ZERO);
    let mut random = 0x9E37_79B9_7F4A_7C15_u64;
    let mut draw = |below: u64| {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (random >> 33) % below
    };
    for _ in 0..3_000 {
        let client = usize::try_from(draw(100)).unwrap();
        let step = match draw(20) {
            0 => Step::Leave(client),
            1 => Step::Crash(client),
            2 | 3 => Step::Pass(draw(500)),
            4 | 5 => Step::Disk(true),
            _ => Step::Advance(client),
        };
        storm.step(&step);
    }
    storm.calm_down();
    assert_eq!(storm.bench.group.members.len(), 100);
}
