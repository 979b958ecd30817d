//! The group's coordinator: who is a member, and who owns which partition.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// A consumer, from its join to its leave.
pub type Member = u32;

/// What the coordinator has for a member, in this order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Word {
    /// These are yours.
    Assign(Vec<i32>),
    /// Give these back, and say so.
    Revoke(Vec<i32>),
}

/// The group.
#[derive(Debug)]
pub struct Group {
    /// Whether every rebalance takes all partitions from all members first.
    pub is_eager: bool,
    members: BTreeMap<Member, VecDeque<Word>>,
    owners: Vec<Option<Member>>,
    revoking: BTreeSet<i32>,
    last_member: Member,
    /// How often partitions had to move.
    pub rebalances: u64,
}

impl Group {
    /// A group without members.
    #[must_use]
    pub fn new(partitions: usize, is_eager: bool) -> Self {
        Self {
            is_eager,
            members: BTreeMap::new(),
            owners: vec![None; partitions],
            revoking: BTreeSet::new(),
            last_member: 0,
            rebalances: 0,
        }
    }

    /// A new member.
    pub fn join(&mut self) -> Member {
        self.last_member += 1;
        self.members.insert(self.last_member, VecDeque::new());
        self.rebalance();
        self.last_member
    }

    /// A member is gone, or is taken for gone.
    pub fn leave(&mut self, member: Member) {
        if self.members.remove(&member).is_none() {
            return;
        }
        for (partition, owner) in (0..).zip(&mut self.owners) {
            if *owner == Some(member) {
                *owner = None;
                self.revoking.remove(&partition);
            }
        }
        self.rebalance();
    }

    /// Whether the coordinator knows the member.
    #[must_use]
    pub fn has(&self, member: Member) -> bool {
        self.members.contains_key(&member)
    }

    /// Whether the member owns the partition: others' commits are refused.
    #[must_use]
    pub fn is_owner(&self, member: Member, partition: i32) -> bool {
        self.owner(partition) == Some(member)
    }

    /// Who owns a partition.
    #[must_use]
    pub fn owner(&self, partition: i32) -> Option<Member> {
        self.owners.get(usize::try_from(partition).ok()?).copied().flatten()
    }

    /// The members that have something to hear.
    pub fn addressed(&self) -> impl Iterator<Item = Member> {
        self.members.iter().filter(|(_, words)| !words.is_empty()).map(|(member, _)| *member)
    }

    /// The next word for a member.
    pub fn word_for(&mut self, member: Member) -> Option<Word> {
        self.members.get_mut(&member)?.pop_front()
    }

    /// A member gave partitions back.
    pub fn given_back(&mut self, member: Member, partitions: &[i32]) {
        for partition in partitions {
            if self.is_owner(member, *partition) {
                self.revoking.remove(partition);
                self.set_owner(*partition, None);
            }
        }
        self.rebalance();
    }

    fn set_owner(&mut self, partition: i32, owner: Option<Member>) {
        if let Ok(index) = usize::try_from(partition) {
            self.owners[index] = owner;
        }
    }

    fn rebalance(&mut self) {
        let target = self.target();
        if target.is_empty() || target == self.owners {
            return;
        }
        let mut assigned: BTreeMap<Member, Vec<i32>> = BTreeMap::new();
        let mut revoked: BTreeMap<Member, Vec<i32>> = BTreeMap::new();
        let waits_for_all = self.is_eager && self.owners.iter().any(Option::is_some);
        for (partition, wanted) in (0..).zip(target) {
            let Some(wanted) = wanted else { continue };
            match self.owner(partition) {
                None if !waits_for_all => {
                    self.set_owner(partition, Some(wanted));
                    assigned.entry(wanted).or_default().push(partition);
                }
                Some(owner)
                    if (self.is_eager || owner != wanted) && self.revoking.insert(partition) =>
                {
                    revoked.entry(owner).or_default().push(partition);
                }
                _ => {}
            }
        }
        self.rebalances += u64::from(!revoked.is_empty());
        for (member, partitions) in revoked {
            self.tell(member, Word::Revoke(partitions));
        }
        for (member, partitions) in assigned {
            self.tell(member, Word::Assign(partitions));
        }
    }

    fn tell(&mut self, member: Member, word: Word) {
        if let Some(words) = self.members.get_mut(&member) {
            words.push_back(word);
        }
    }

    /// Who is to own what: everybody keeps what he has, up to his share.
    fn target(&self) -> Vec<Option<Member>> {
        if self.members.is_empty() {
            return Vec::new();
        }
        let share = self.owners.len().div_ceil(self.members.len());
        let mut load: BTreeMap<Member, usize> = self.members.keys().map(|m| (*m, 0)).collect();
        let mut target = self.owners.clone();
        for owner in &mut target {
            if let Some(member) = *owner {
                match load.get_mut(&member) {
                    Some(held) if *held < share => *held += 1,
                    _ => *owner = None,
                }
            }
        }
        for owner in &mut target {
            if owner.is_none()
                && let Some((member, held)) = load.iter_mut().min_by_key(|(_, held)| **held)
            {
                *owner = Some(*member);
                *held += 1;
            }
        }
        target
    }
}
