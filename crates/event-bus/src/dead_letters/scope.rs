//! Whose dead letters somebody may see and act on. Pure.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

/// Services and tenants, of each all or some. What is in one is in both.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scope {
    /// Services whose groups failed; `None` for all.
    pub services: Option<BTreeSet<String>>,
    /// Tenants whose events they are; `None` for all, also those whose tenant can't be read.
    pub tenants: Option<BTreeSet<String>>,
}

impl Scope {
    /// Of these, where none of a kind are all.
    #[must_use]
    pub fn of(services: &[String], tenants: &[String]) -> Self {
        let some = |names: &[String]| {
            Some(names.iter().cloned().collect()).filter(|names: &BTreeSet<_>| !names.is_empty())
        };
        Self { services: some(services), tenants: some(tenants) }
    }

    /// Whether a dead letter of this service and tenant is in it.
    #[must_use]
    pub fn covers(&self, service: &str, tenant: Option<&str>) -> bool {
        self.covers_service(service)
            && self
                .tenants
                .as_ref()
                .is_none_or(|tenants| tenant.is_some_and(|tenant| tenants.contains(tenant)))
    }

    /// Whether what is a service's own, and no tenant's, is in it.
    #[must_use]
    pub fn covers_service(&self, service: &str) -> bool {
        self.services.as_ref().is_none_or(|services| services.contains(service))
    }

    /// Whether nothing is outside of it.
    #[must_use]
    pub const fn is_all(&self) -> bool {
        self.services.is_none() && self.tenants.is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_in_scope_is_so_by_service_and_by_tenant() {
        let name = |text: &str| [text.to_owned()];
        let all = Scope::of(&[], &[]);
        assert!(all.is_all() && all.covers("payment", None));
        let some = Scope::of(&name("payment"), &name("acme"));
        assert!(some.covers("payment", Some("acme")) && !some.is_all());
        assert!(!some.covers("payment", Some("bolt")) && !some.covers("brand", Some("acme")));
        assert!(!some.covers("payment", None), "nobody knows whose it is");
        assert!(Scope::of(&name("payment"), &[]).covers("payment", None));
    }
}
