//! Which group opens the panel, and how far. Pure.

use std::str::FromStr;

use event_bus::dead_letters::Scope;
use event_bus::store::ops::Role;

use super::OidcError;

/// What a group may do, and with whose dead letters: `GROUP=ROLE[,service=NAME…][,tenant=ID…]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// As the provider calls the group.
    pub group: String,
    /// What its members may do.
    pub role: Role,
    /// With whose dead letters.
    pub scope: Scope,
}

/// A text that is no grant.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "want GROUP=ROLE[,service=NAME…][,tenant=ID…], where ROLE is viewer, operator or admin: {0}"
)]
pub struct NotAGrant(String);

impl FromStr for Grant {
    type Err = NotAGrant;

    fn from_str(text: &str) -> Result<Self, NotAGrant> {
        // A group may have any letters, such as `CN=ops,DC=example`: it ends where a role is first said.
        let mut roles = text.match_indices('=').filter_map(|(at, _)| {
            let rest = &text[at + 1..];
            let (role, parts) = rest.split_once(',').map_or((rest, None), |(a, b)| (a, Some(b)));
            role.parse::<Role>().ok().map(|role| (&text[..at], role, parts))
        });
        let Some((group, role, parts)) = roles.next() else {
            return Err(NotAGrant(format!("{text:?} says no role")));
        };
        if group.is_empty() {
            return Err(NotAGrant(format!("{text:?} names no group")));
        }
        let (mut services, mut tenants) = (Vec::new(), Vec::new());
        for part in parts.into_iter().flat_map(|parts| parts.split(',')) {
            match part.split_once('=') {
                Some(("service", name)) if !name.is_empty() => services.push(name.to_owned()),
                Some(("tenant", id)) if !id.is_empty() => tenants.push(id.to_owned()),
                _ => return Err(NotAGrant(format!("{part:?} is neither service nor tenant"))),
            }
        }
        Ok(Self { group: group.to_owned(), role, scope: Scope::of(&services, &tenants) })
    }
}

/// All of them, in the order in which they are asked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Grants(pub Vec<Grant>);

impl Grants {
    /// The first whose group is one of these; without one, nobody gets in. Two are not made into one, which would open more
    /// than either does.
    pub(super) fn of(&self, groups: Option<Vec<&str>>, claim: &str) -> Result<Grant, OidcError> {
        let groups = groups.ok_or_else(|| OidcError::NoGroups { claim: claim.to_owned() })?;
        let found = self.0.iter().find(|grant| groups.contains(&&*grant.group));
        found.cloned().ok_or(OidcError::NoneOpens)
    }

    pub(super) fn have_administrators(&self) -> bool {
        self.0.iter().any(|grant| grant.role == Role::Admin && grant.scope.is_all())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grant(text: &str) -> Grant {
        text.parse().unwrap()
    }

    #[test]
    fn a_grant_is_a_group_a_role_and_a_scope() {
        let names = |names: &[&str]| -> Vec<String> {
            names.iter().map(|name| (*name).to_owned()).collect()
        };
        for (text, group, role, services, tenants) in [
            ("platform-ops=operator", "platform-ops", Role::Operator, &[][..], &[][..]),
            (
                "a=viewer,service=retailer,tenant=louvolite",
                "a",
                Role::Viewer,
                &["retailer"],
                &["louvolite"],
            ),
            ("CN=ops,DC=x=admin,tenant=b,tenant=c", "CN=ops,DC=x", Role::Admin, &[], &["b", "c"]),
            ("/ops/on call=viewer", "/ops/on call", Role::Viewer, &[], &[]),
        ] {
            let scope = Scope::of(&names(services), &names(tenants));
            assert_eq!(grant(text), Grant { group: group.to_owned(), role, scope }, "{text}");
        }
        for text in [
            "",
            "ops",
            "ops=root",
            "=admin",
            "ops=admin,",
            "ops=admin,all",
            "ops=viewer,tenant=",
            "ops=viewer,services=a",
            // Read from its end, this would make administrators.
            "ops=viewer,x=admin",
        ] {
            assert!(text.parse::<Grant>().is_err(), "{text}");
        }
        assert_eq!(grant("ops=viewer,tenant=admin").role, Role::Viewer);
    }

    #[test]
    fn the_first_grant_counts_and_without_one_nobody_gets_in() {
        let grants = Grants(vec![grant("ops=admin"), grant("all=viewer,tenant=acme")]);
        let of = |groups: &[&'static str]| grants.of(Some(groups.to_vec()), "groups");
        assert_eq!(of(&["all", "ops"]).map(|grant| grant.role), Ok(Role::Admin));
        assert_eq!(of(&["other", "all"]), Ok(grant("all=viewer,tenant=acme")));
        assert_eq!(of(&["OPS", "op", ""]), Err(OidcError::NoneOpens));
        assert_eq!(of(&[]), Err(OidcError::NoneOpens));
        let none = grants.of(None, "groups").unwrap_err();
        assert_eq!(none, OidcError::NoGroups { claim: "groups".to_owned() });
        assert!(grants.have_administrators());
        assert!(!Grants(vec![grant("a=admin,tenant=b")]).have_administrators());
    }
}
