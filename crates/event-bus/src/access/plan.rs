use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use serde::Serialize;

use super::grants::{Grant, users};
use crate::Catalogue;
use crate::kafka::admin::Acl;
use crate::names::Namespace;

/// What stands before a user's name in the lists: `User:`, or `User:CN=` with certificates whose subject is the name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PrincipalPrefix(String);

/// What can't stand before a user's name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} begins no principal of Kafka: want `User:`, or for certificates such as `User:CN=`")]
pub struct PrincipalPrefixError(String);

impl Default for PrincipalPrefix {
    fn default() -> Self {
        Self("User:".to_owned())
    }
}

impl FromStr for PrincipalPrefix {
    type Err = PrincipalPrefixError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let is_plain = |c: char| c.is_ascii_graphic() && !"'\"\\*".contains(c);
        match text.strip_prefix("User:") {
            Some(rest) if rest.chars().all(is_plain) => Ok(Self(text.to_owned())),
            _ => Err(PrincipalPrefixError(text.to_owned())),
        }
    }
}

impl PrincipalPrefix {
    /// The principal of the user of that name.
    #[must_use]
    pub fn principal(&self, user: &str) -> String {
        format!("{}{user}", self.0)
    }
}

/// What is to be done with entries that the catalogue does not give.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Extra {
    /// They stay.
    #[default]
    Keep,
    /// They are taken away.
    Remove,
}

/// One change of the lists.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "change", rename_all = "kebab-case")]
pub enum Change {
    /// The entry is made.
    Grant(Acl),
    /// The entry is taken away.
    Revoke(Acl),
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Grant(acl) => write!(f, "grant: {acl}"),
            Self::Revoke(acl) => write!(f, "revoke: {acl}"),
        }
    }
}

/// What separates the cluster's lists from the catalogue.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Plan {
    /// What is to be changed.
    pub changes: Vec<Change>,
    /// What users of the catalogue may do beyond it, and goes on so.
    pub left_alone: Vec<Acl>,
}

impl Plan {
    /// Whether nothing is to be changed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }
}

/// All entries that the catalogue gives, each once.
#[must_use]
pub fn entries(catalogue: &Catalogue, prefix: &PrincipalPrefix) -> Vec<Acl> {
    let mut seen = BTreeSet::new();
    let mut entries = Vec::new();
    for user in users(catalogue) {
        let principal = prefix.principal(&user.name);
        let of_user = user.grants.iter().flat_map(|grant| of_grant(grant, &principal));
        entries.extend(of_user.filter(|entry| seen.insert(entry.clone())));
    }
    entries
}

fn of_grant<'a>(grant: &'a Grant, principal: &'a str) -> impl Iterator<Item = Acl> + 'a {
    grant.operations.iter().map(move |operation| Acl {
        resource_type: grant.kind.as_str().to_owned(),
        resource: grant.name.clone(),
        pattern: if grant.is_prefix { "PREFIXED" } else { "LITERAL" }.to_owned(),
        principal: principal.to_owned(),
        host: "*".to_owned(),
        operation: operation.as_str().to_owned(),
        permission: "ALLOW".to_owned(),
    })
}

/// What has to change on a cluster that has these entries, so that each user may do what the catalogue says; with
/// [`Extra::Remove`], nothing else. Entries of others, on another namespace, and those that deny, are not looked at.
#[must_use]
pub fn plan(
    catalogue: &Catalogue,
    prefix: &PrincipalPrefix,
    on_cluster: &[Acl],
    extra: Extra,
) -> Plan {
    let wanted = entries(catalogue, prefix);
    let principals: BTreeSet<&str> = wanted.iter().map(|acl| acl.principal.as_str()).collect();
    let missing = wanted.iter().filter(|acl| !on_cluster.contains(acl));
    let mut plan =
        Plan { changes: missing.cloned().map(Change::Grant).collect(), left_alone: Vec::new() };
    let too_many = on_cluster
        .iter()
        .filter(|acl| acl.permission == "ALLOW" && principals.contains(acl.principal.as_str()))
        .filter(|acl| concerns(acl, catalogue.namespace()) && !wanted.contains(acl));
    match extra {
        Extra::Keep => plan.left_alone.extend(too_many.cloned()),
        Extra::Remove => plan.changes.extend(too_many.cloned().map(Change::Revoke)),
    }
    plan
}

/// Whether an entry gives anything on what belongs to this namespace, or on what belongs to no namespace.
fn concerns(acl: &Acl, namespace: &Namespace) -> bool {
    let own = match acl.resource_type.as_str() {
        "TOPIC" => format!("{namespace}."),
        "GROUP" => format!("{namespace}-"),
        _ => return true,
    };
    let (resource, is_prefix) = (acl.resource.as_str(), acl.pattern == "PREFIXED");
    resource == "*" || resource.starts_with(&own) || is_prefix && own.starts_with(resource)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalogue::corner::corner;

    fn of_shop(kind: &str, name: &str, pattern: &str, permission: &str) -> Acl {
        Acl {
            resource_type: kind.to_owned(),
            resource: name.to_owned(),
            pattern: pattern.to_owned(),
            principal: "User:shop".to_owned(),
            host: "*".to_owned(),
            operation: "READ".to_owned(),
            permission: permission.to_owned(),
        }
    }

    #[test]
    fn what_is_missing_is_granted_and_nothing_taken_away_unasked() {
        let (catalogue, prefix) = (corner("billing"), PrincipalPrefix::default());
        let mut on_cluster = entries(&catalogue, &prefix);
        assert!(plan(&catalogue, &prefix, &on_cluster, Extra::Remove).is_empty());
        let gone = on_cluster.remove(0);
        let extra = of_shop("TOPIC", "corner.order.placed", "LITERAL", "ALLOW");
        on_cluster.push(extra.clone());
        let kept = plan(&catalogue, &prefix, &on_cluster, Extra::Keep);
        assert_eq!(kept.changes, [Change::Grant(gone.clone())]);
        assert_eq!(kept.left_alone, std::slice::from_ref(&extra));
        let removed = plan(&catalogue, &prefix, &on_cluster, Extra::Remove);
        assert_eq!(removed.changes, [Change::Grant(gone), Change::Revoke(extra)]);
    }

    #[test]
    fn only_what_concerns_the_namespace_counts_as_too_much() {
        let (catalogue, prefix) = (corner("billing"), PrincipalPrefix::default());
        let mut on_cluster = entries(&catalogue, &prefix);
        let too_much = [
            of_shop("TOPIC", "*", "LITERAL", "ALLOW"),
            of_shop("TOPIC", "cor", "PREFIXED", "ALLOW"),
            of_shop("GROUP", "corner-billing-order-placed", "LITERAL", "ALLOW"),
            of_shop("CLUSTER", "kafka-cluster", "LITERAL", "ALLOW"),
        ];
        let others = [
            of_shop("TOPIC", "corner-shop.order.placed", "LITERAL", "ALLOW"),
            of_shop("TOPIC", "other.", "PREFIXED", "ALLOW"),
            of_shop("TOPIC", "corner.order.placed", "LITERAL", "DENY"),
        ];
        on_cluster.extend(too_much.iter().chain(&others).cloned());
        assert_eq!(plan(&catalogue, &prefix, &on_cluster, Extra::Keep).left_alone, too_much);
    }

    #[test]
    fn a_prefix_names_users_and_can_be_written_into_a_script() {
        let prefix: PrincipalPrefix = "User:CN=corner-".parse().unwrap();
        assert_eq!(prefix.principal("shop"), "User:CN=corner-shop");
        for wrong in ["shop", "Group:", "User:'; rm", "User:*", "User:a b"] {
            assert!(wrong.parse::<PrincipalPrefix>().is_err(), "{wrong}");
        }
    }
}
