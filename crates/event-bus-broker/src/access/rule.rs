//! One entry of the lists, and what follows from all of them: what denies wins, and what nothing allows is denied.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::Asking;

/// The cluster's name as an entry has it.
pub(crate) const CLUSTER: &str = "kafka-cluster";
/// A name, a principal or a host that stands for all.
const ALL: &str = "*";
const EVERYBODY: &str = "User:*";

/// Words with the protocol's number for each.
macro_rules! numbered {
    ($(#[$doc:meta])* $name:ident { $($variant:ident = $number:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub(crate) enum $name { $($variant),+ }

        impl $name {
            /// That of the protocol's number.
            pub fn of(number: i8) -> Option<Self> {
                match number { $($number => Some(Self::$variant),)+ _ => None }
            }

            /// The protocol's number.
            pub fn number(self) -> i8 {
                match self { $(Self::$variant => $number),+ }
            }
        }
    };
}

numbered! {
    /// What an entry is about.
    Kind { Topic = 2, Group = 3, Cluster = 4, TransactionalId = 5, DelegationToken = 6, User = 7 }
}

numbered! {
    /// How its name is meant.
    Pattern { Literal = 3, Prefixed = 4 }
}

numbered! {
    /// What is done.
    Operation {
        All = 2,
        Read = 3,
        Write = 4,
        Create = 5,
        Delete = 6,
        Alter = 7,
        Describe = 8,
        ClusterAction = 9,
        DescribeConfigs = 10,
        AlterConfigs = 11,
        IdempotentWrite = 12,
        CreateTokens = 13,
        DescribeTokens = 14,
        TwoPhaseCommit = 15,
    }
}

numbered! {
    /// Whether it may be done.
    Permission { Deny = 2, Allow = 3 }
}

/// One entry.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Binding {
    pub kind: Kind,
    pub name: String,
    pub pattern: Pattern,
    pub principal: String,
    pub host: String,
    pub operation: Operation,
    pub permission: Permission,
}

impl Operation {
    /// Whether the permission to do this is one to do `wanted`, too.
    fn implies(self, wanted: Self) -> bool {
        self == Self::All
            || self == wanted
            || match wanted {
                Self::Describe => {
                    matches!(self, Self::Read | Self::Write | Self::Delete | Self::Alter)
                }
                Self::DescribeConfigs => self == Self::AlterConfigs,
                _ => false,
            }
    }
}

impl Binding {
    fn concerns(&self, asking: Asking<'_>) -> bool {
        (self.principal == EVERYBODY || self.principal == asking.principal)
            && (self.host == ALL || self.host.parse() == Ok(asking.host))
    }

    /// Whether it is about the thing of that name.
    pub fn covers(&self, name: &str) -> bool {
        match self.pattern {
            Pattern::Literal => self.name == ALL || self.name == name,
            Pattern::Prefixed => name.starts_with(&self.name),
        }
    }

    /// Whether it is about everything that the other entry is about.
    fn covers_all_of(&self, other: &Self) -> bool {
        match (self.pattern, other.pattern) {
            (Pattern::Literal, Pattern::Literal) => self.name == ALL || self.name == other.name,
            (Pattern::Literal, Pattern::Prefixed) => self.name == ALL,
            // The name that stands for all is none that a prefix could cover.
            (Pattern::Prefixed, Pattern::Literal) if other.name == ALL => false,
            (Pattern::Prefixed, _) => other.name.starts_with(&self.name),
        }
    }

    /// Whether it denies this. A denial implies nothing but itself.
    fn denies(&self, operation: Operation) -> bool {
        self.permission == Permission::Deny
            && (self.operation == Operation::All || self.operation == operation)
    }

    fn permits(&self, operation: Operation) -> bool {
        self.permission == Permission::Allow && self.operation.implies(operation)
    }
}

/// Whether somebody may do this with the thing of that name.
pub(super) fn allows<'a>(
    bindings: impl Iterator<Item = &'a Binding>,
    asking: Asking<'_>,
    operation: Operation,
    kind: Kind,
    name: &str,
) -> bool {
    let mut is_allowed = false;
    let about = bindings
        .filter(|binding| binding.kind == kind && binding.concerns(asking) && binding.covers(name));
    for binding in about {
        if binding.denies(operation) {
            return false;
        }
        is_allowed |= binding.permits(operation);
    }
    is_allowed
}

/// Whether there can be any thing of that kind that somebody may do this with: something is allowed that no denial
/// covers whole.
pub(super) fn allows_any(
    bindings: &BTreeSet<Binding>,
    asking: Asking<'_>,
    operation: Operation,
    kind: Kind,
) -> bool {
    let about =
        || bindings.iter().filter(|binding| binding.kind == kind && binding.concerns(asking));
    let is_denied = |allowed: &Binding| {
        about().any(|denial| denial.denies(operation) && denial.covers_all_of(allowed))
    };
    about().any(|binding| binding.permits(operation) && !is_denied(binding))
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};

    use super::*;

    const ALICE: Asking<'_> =
        Asking { principal: "User:alice", host: IpAddr::V4(Ipv4Addr::new(10, 0, 0, 7)) };

    fn topic(
        name: &str,
        pattern: Pattern,
        operation: Operation,
        permission: Permission,
    ) -> Binding {
        Binding {
            kind: Kind::Topic,
            name: name.to_owned(),
            pattern,
            principal: ALICE.principal.to_owned(),
            host: ALL.to_owned(),
            operation,
            permission,
        }
    }

    fn may(bindings: &[Binding], operation: Operation, name: &str) -> bool {
        allows(bindings.iter(), ALICE, operation, Kind::Topic, name)
    }

    #[test]
    fn nothing_is_allowed_that_no_entry_allows() {
        assert!(!may(&[], Operation::Read, "orders"));
        let read = topic("orders", Pattern::Literal, Operation::Read, Permission::Allow);
        assert!(may(std::slice::from_ref(&read), Operation::Read, "orders"));
        assert!(!may(std::slice::from_ref(&read), Operation::Read, "orders.dlq"));
        assert!(!may(std::slice::from_ref(&read), Operation::Write, "orders"));
        let elsewhere = Binding { host: "10.0.0.8".to_owned(), ..read.clone() };
        assert!(!may(&[elsewhere], Operation::Read, "orders"));
        let other = Binding { principal: "User:bob".to_owned(), ..read.clone() };
        assert!(!may(&[other], Operation::Read, "orders"));
        let group = Binding { kind: Kind::Group, ..read };
        assert!(!may(&[group], Operation::Read, "orders"));
    }

    #[test]
    fn a_denial_wins_and_implies_nothing() {
        let allow = topic("*", Pattern::Literal, Operation::All, Permission::Allow);
        let deny = topic("or", Pattern::Prefixed, Operation::Write, Permission::Deny);
        let both = [allow, deny];
        assert!(!may(&both, Operation::Write, "orders"));
        assert!(may(&both, Operation::Describe, "orders"));
        assert!(may(&both, Operation::Write, "payments"));
    }

    #[test]
    fn some_permissions_imply_to_look() {
        for (given, implied) in [
            (Operation::Read, Operation::Describe),
            (Operation::Write, Operation::Describe),
            (Operation::Delete, Operation::Describe),
            (Operation::Alter, Operation::Describe),
            (Operation::AlterConfigs, Operation::DescribeConfigs),
        ] {
            let allow = topic("orders", Pattern::Literal, given, Permission::Allow);
            assert!(may(&[allow], implied, "orders"), "{given:?}");
        }
        let create = topic("orders", Pattern::Literal, Operation::Create, Permission::Allow);
        assert!(!may(&[create], Operation::Describe, "orders"));
    }

    #[test]
    fn some_topic_may_be_written_unless_a_denial_covers_what_is_allowed() {
        let some = |bindings: &[Binding]| {
            let bindings = bindings.iter().cloned().collect();
            allows_any(&bindings, ALICE, Operation::Write, Kind::Topic)
        };
        let allow = topic("orders", Pattern::Literal, Operation::Write, Permission::Allow);
        let deny = |name, pattern| topic(name, pattern, Operation::Write, Permission::Deny);
        assert!(!some(&[]));
        assert!(some(std::slice::from_ref(&allow)));
        assert!(some(&[allow.clone(), deny("payments", Pattern::Literal)]));
        assert!(!some(&[allow.clone(), deny("ord", Pattern::Prefixed)]));
        assert!(!some(&[allow, deny("*", Pattern::Literal)]));
        let all = topic("*", Pattern::Literal, Operation::Write, Permission::Allow);
        assert!(some(&[all, deny("ord", Pattern::Prefixed)]));
    }
}
