use std::fmt;

use uuid::Uuid;

use super::{EventId, GroupName, TenantId, derived_id};

/// What an effect outside the service's database is asked for under, so that the other side can tell a second request
/// from a second wish: the `Idempotency-Key` of a payment provider, the `Message-ID` of a mail.
///
/// A key belongs to one event in one consumer group. It is the same at every attempt, after a crash, a restart, a
/// rebalance, an offset reset and a replay from the dead letter topic; another group has another key for the same
/// event, and so have other events and other tenants. Only its user knows how many effects an event has outside: with
/// more than one, each is asked for under a key of its own, [`IdempotencyKey::part`].
///
/// It makes nothing idempotent by itself. The other side must keep the keys that it has seen for longer than an event
/// may be late: through an outage, in the dead letter topic, until somebody resets an offset. A payment provider that
/// forgets keys after a day charges again after that; there, look the payment up by the key first.
///
/// ```
/// use event_bus::names::{EventId, GroupName, IdempotencyKey, TenantId};
///
/// let group: GroupName = "acme-payment-order-placed".parse()?;
/// let tenant: TenantId = "louvolite".parse()?;
/// let event: EventId = "0197f3b4-7c1e-7b1a-9d55-0c7a3f1f2a10".parse()?;
/// let key = IdempotencyKey::of(&group, &tenant, event);
/// assert_eq!(key.to_string(), "608454ce-29a0-5a77-a67c-9fc1ce2e433f");
/// assert_ne!(key.part("capture"), key.part("receipt"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct IdempotencyKey(Uuid);

impl IdempotencyKey {
    /// The key of an event of a tenant in a group.
    pub fn of(group: &GroupName, tenant: &TenantId, event: EventId) -> IdempotencyKey {
        let event = event.to_string();
        IdempotencyKey(derived_id(&["idempotency-key", group.as_str(), tenant.as_str(), &event]))
    }

    /// The key of a command, which nobody runs again by itself.
    pub(crate) fn of_command(id: EventId) -> IdempotencyKey {
        IdempotencyKey(derived_id(&["idempotency-key", &id.to_string()]))
    }

    /// The key of one of several effects of the event. The name stays the same for ever: a new one is a new effect.
    pub fn part(self, effect: &str) -> IdempotencyKey {
        IdempotencyKey(Uuid::new_v5(&self.0, effect.as_bytes()))
    }

    /// The key as a UUID, for those who take no text.
    pub fn as_uuid(self) -> Uuid {
        self.0
    }
}

impl fmt::Display for IdempotencyKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl fmt::Debug for IdempotencyKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(group: &str, tenant: &str, event: &str) -> IdempotencyKey {
        IdempotencyKey::of(
            &group.parse().expect("a valid group"),
            &tenant.parse().expect("a valid tenant"),
            event.parse().expect("a valid id"),
        )
    }

    const EVENT: &str = "0197f3b4-7c1e-7b1a-9d55-0c7a3f1f2a10";

    #[test]
    fn a_key_is_the_same_whenever_it_is_asked_for_and_differs_per_group_tenant_and_event() {
        let one = key("acme-payment-order-placed", "louvolite", EVENT);
        assert_eq!(one, key("acme-payment-order-placed", "louvolite", EVENT));
        assert_ne!(one, key("acme-mail-order-placed", "louvolite", EVENT));
        assert_ne!(one, key("acme-payment-order-placed", "decorquip", EVENT));
        let other = "0197f3b4-7c1e-7b1a-9d55-0c7a3f1f2a11";
        assert_ne!(one, key("acme-payment-order-placed", "louvolite", other));
    }

    #[test]
    fn the_parts_of_a_key_are_keys_of_their_own() {
        let key = key("acme-payment-order-placed", "louvolite", EVENT);
        assert_eq!(key.part("capture"), key.part("capture"));
        assert_ne!(key.part("capture"), key.part("receipt"));
        assert_ne!(key.part("capture"), key);
    }
}
