//! Platform: who is a tenant, and what money went through the platform.

use event_bus::names::TenantId;
use event_bus::store::{Migration, Tx};
use event_bus::{Context, Event, Handled, Handler};
use jiff::Timestamp;

use crate::events::{
    OrganisationCreated, OrganisationTerminated, PaymentCaptured, PaymentRefunded,
};
use crate::money::Money;
use crate::services::Subscriber;

pub(crate) const NAME: &str = "platform";

pub(crate) const MIGRATIONS: &[Migration] =
    &[Migration::same(1, "tenants and ledger", include_str!("platform/0001.sql"))];

pub(crate) fn attach<S: Subscriber>(service: S) -> S {
    service
        .on::<PaymentCaptured>(Platform)
        .on::<PaymentRefunded>(Platform)
        .on::<OrganisationCreated>(Platform)
        .on::<OrganisationTerminated>(Platform)
}

/// The service's handlers.
struct Platform;

/// A tenant joins. Its termination may have come first; each of the two fills its own columns of the row.
impl Handler<OrganisationCreated> for Platform {
    async fn handle(
        &self,
        event: Event<OrganisationCreated>,
        context: &mut Context<'_>,
    ) -> Handled {
        let tenant = event.payload;
        let sql = "INSERT INTO tenants (organisation_id, kind, name, country, created, terminated)
                   VALUES ($1, $2, $3, $4, 1, 0)
                   ON CONFLICT (organisation_id) DO UPDATE SET
                       kind = excluded.kind, name = excluded.name, country = excluded.country,
                       created = tenants.created + 1";
        let values = [
            tenant.organisation_id.into(),
            tenant.kind.as_str().into(),
            tenant.name.into(),
            tenant.country.into(),
        ];
        context.tx().execute(sql, &values).await?;
        Ok(())
    }
}

/// A tenant leaves.
impl Handler<OrganisationTerminated> for Platform {
    async fn handle(
        &self,
        event: Event<OrganisationTerminated>,
        context: &mut Context<'_>,
    ) -> Handled {
        let tenant = event.payload;
        let sql = "INSERT INTO tenants (organisation_id, created, terminated, reason, effective_on)
                   VALUES ($1, 0, 1, $2, $3)
                   ON CONFLICT (organisation_id) DO UPDATE SET
                       reason = excluded.reason, effective_on = excluded.effective_on,
                       terminated = tenants.terminated + 1";
        let values = [
            tenant.organisation_id.into(),
            tenant.reason.into(),
            tenant.effective_on.to_string().into(),
        ];
        context.tx().execute(sql, &values).await?;
        Ok(())
    }
}

impl Handler<PaymentCaptured> for Platform {
    async fn handle(&self, event: Event<PaymentCaptured>, context: &mut Context<'_>) -> Handled {
        let payment = event.payload;
        let minor_units = payment.amount.amount.minor_units();
        let entry = Entry {
            tenant: &event.tenant,
            order_id: &payment.order_id,
            kind: "captured",
            reference: &payment.payment_id,
            minor_units,
            money: payment.amount,
        };
        Ok(entry.write(context.tx(), event.occurred_at).await?)
    }
}

impl Handler<PaymentRefunded> for Platform {
    async fn handle(&self, event: Event<PaymentRefunded>, context: &mut Context<'_>) -> Handled {
        let refund = event.payload;
        let minor_units = -refund.amount.amount.minor_units();
        let entry = Entry {
            tenant: &event.tenant,
            order_id: &refund.order_id,
            kind: "refunded",
            reference: &refund.refund_id,
            minor_units,
            money: refund.amount,
        };
        Ok(entry.write(context.tx(), event.occurred_at).await?)
    }
}

/// A line of the ledger. Balances are sums over it: a refund may be written before its payment.
struct Entry<'a> {
    tenant: &'a TenantId,
    order_id: &'a str,
    kind: &'static str,
    reference: &'a str,
    /// Negative for money that was given back.
    minor_units: i64,
    money: Money,
}

impl Entry<'_> {
    async fn write(self, tx: &mut Tx, occurred_at: Timestamp) -> Result<(), sqlx::Error> {
        let sql = "INSERT INTO ledger (tenant_id, order_id, kind, reference, amount_minor, currency, occurred_at)
                   VALUES ($1, $2, $3, $4, $5, $6, $7)";
        let values = [
            self.tenant.as_str().into(),
            self.order_id.into(),
            self.kind.into(),
            self.reference.into(),
            self.minor_units.into(),
            self.money.currency.as_str().into(),
            occurred_at.to_string().into(),
        ];
        tx.execute(sql, &values).await.map(drop)
    }
}
