//! What requests about access control lists have in common: filters, and words of the protocol that may be unknown.

use kafka_protocol::ResponseError;
use kafka_protocol::protocol::StrBytes;

use super::{Call, StaticText};
use crate::access::{Binding, CLUSTER, Kind, Operation, Pattern, Permission};

/// Stands for all, in filters.
const ANY: i8 = 1;
/// Stands for all patterns by which a name is meant.
const MATCH: i8 = 2;

/// Said where the lists are asked for and nobody is kept from anything.
pub(super) const OFF: (ResponseError, StaticText) =
    (ResponseError::SecurityDisabled, "No Authorizer is configured.");

/// Whether somebody may look at the lists, or change them.
///
/// # Errors
/// What Kafka says when they may not.
pub(super) fn check(call: &Call, operation: Operation) -> Result<(), (ResponseError, StaticText)> {
    if !call.node.access.is_on() {
        return Err(OFF);
    }
    call.check(operation, Kind::Cluster, CLUSTER)
        .map_err(|error| (error, "Cluster authorization failed."))
}

/// Which entries are meant.
pub(super) struct Filter {
    kind: i8,
    name: Option<StrBytes>,
    pattern: i8,
    principal: Option<StrBytes>,
    host: Option<StrBytes>,
    operation: i8,
    permission: i8,
}

impl Filter {
    /// # Errors
    /// When it has a word that is not known.
    pub fn new(
        (kind, name, pattern): (i8, Option<StrBytes>, i8),
        (principal, host): (Option<StrBytes>, Option<StrBytes>),
        (operation, permission): (i8, i8),
    ) -> Result<Self, ResponseError> {
        let is_known = (kind == ANY || Kind::of(kind).is_some())
            && ([ANY, MATCH].contains(&pattern) || Pattern::of(pattern).is_some())
            && (operation == ANY || Operation::of(operation).is_some())
            && (permission == ANY || Permission::of(permission).is_some());
        match is_known {
            true => Ok(Self { kind, name, pattern, principal, host, operation, permission }),
            false => Err(ResponseError::InvalidRequest),
        }
    }

    pub fn passes(&self, binding: &Binding) -> bool {
        let is = |wanted: i8, number: i8| wanted == ANY || wanted == number;
        let says = |wanted: &Option<StrBytes>, text: &str| {
            wanted.as_deref().is_none_or(|wanted| wanted == text)
        };
        let is_named = match (self.pattern, self.name.as_deref()) {
            (MATCH, Some(name)) => binding.covers(name),
            (MATCH, None) => true,
            _ => is(self.pattern, binding.pattern.number()) && says(&self.name, &binding.name),
        };
        is_named
            && is(self.kind, binding.kind.number())
            && says(&self.principal, &binding.principal)
            && says(&self.host, &binding.host)
            && is(self.operation, binding.operation.number())
            && is(self.permission, binding.permission.number())
    }
}
