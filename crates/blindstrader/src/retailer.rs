//! Retailer: its assortment, taken from suppliers' offers, and its customers' orders.

mod assortment;
mod orders;
mod place_order;

use event_bus::store::Migration;
use event_bus::{Context, Event, Handled, Handler};

pub(crate) use assortment::{Product, ReadError, random_product};
pub use place_order::{NewLine, NewOrder, PlaceOrderError, place_order};

use orders::Status;

use crate::events::{
    OrderCancelled, OrderConfirmed, OrderDispatched, OrganisationCreated, OrganisationKind,
    OrganisationTerminated, SupplierProductPublished,
};
use crate::services::Subscriber;
use crate::{gate, registry};

pub(crate) const NAME: &str = "retailer";

pub(crate) const MIGRATIONS: &[Migration] = &[
    gate::MIGRATION,
    registry::MIGRATION,
    Migration::same(3, "offers, assortment, orders", include_str!("retailer/0001.sql")),
];

pub(crate) fn attach<S: Subscriber>(service: S) -> S {
    service
        .on::<SupplierProductPublished>(Retailer)
        .on::<OrderConfirmed>(Retailer)
        .on::<OrderDispatched>(Retailer)
        .on::<OrderCancelled>(Retailer)
        .on::<OrganisationCreated>(Retailer)
        .on::<OrganisationTerminated>(Retailer)
}

/// The service's handlers.
struct Retailer;

/// Every retailer that buys from the supplier takes the product into its assortment.
///
/// The race: a retailer that registers beside it looks for offers while this looks for retailers, and neither finds
/// the other. Behind the gate the second of them does.
impl Handler<SupplierProductPublished> for Retailer {
    async fn handle(
        &self,
        event: Event<SupplierProductPublished>,
        context: &mut Context<'_>,
    ) -> Handled {
        gate::pass(context.tx()).await?;
        assortment::store_offer(context.tx(), &event.payload).await?;
        assortment::adopt_offer(context, &event.payload.supplier_id, &event.payload.sku).await
    }
}

/// A new retailer takes over what its suppliers offer already. The other half of the race above.
impl Handler<OrganisationCreated> for Retailer {
    async fn handle(
        &self,
        event: Event<OrganisationCreated>,
        context: &mut Context<'_>,
    ) -> Handled {
        let created = event.payload;
        if created.kind == OrganisationKind::Brand {
            return Ok(());
        }
        gate::pass(context.tx()).await?;
        let id = &created.organisation_id;
        registry::created(context.tx(), id, created.kind, &created.name).await?;
        if created.kind == OrganisationKind::Supplier {
            return Ok(());
        }
        assortment::note_suppliers(context.tx(), id, &created.trades_with).await?;
        assortment::adopt_all(context, id).await
    }
}

/// What a retailer or a supplier that left sells is off sale. Behind the gate, so that nothing is put on sale beside
/// it.
impl Handler<OrganisationTerminated> for Retailer {
    async fn handle(
        &self,
        event: Event<OrganisationTerminated>,
        context: &mut Context<'_>,
    ) -> Handled {
        let id = &event.payload.organisation_id;
        gate::pass(context.tx()).await?;
        registry::terminated(context.tx(), id).await?;
        assortment::withdraw(context.tx(), id).await?;
        Ok(())
    }
}

impl Handler<OrderConfirmed> for Retailer {
    async fn handle(&self, event: Event<OrderConfirmed>, context: &mut Context<'_>) -> Handled {
        Ok(orders::advance(context.tx(), &event.tenant, &event.payload.order_id, Status::Confirmed)
            .await?)
    }
}

impl Handler<OrderDispatched> for Retailer {
    async fn handle(&self, event: Event<OrderDispatched>, context: &mut Context<'_>) -> Handled {
        Ok(orders::advance(
            context.tx(),
            &event.tenant,
            &event.payload.order_id,
            Status::Dispatched,
        )
        .await?)
    }
}

impl Handler<OrderCancelled> for Retailer {
    async fn handle(&self, event: Event<OrderCancelled>, context: &mut Context<'_>) -> Handled {
        Ok(orders::advance(context.tx(), &event.tenant, &event.payload.order_id, Status::Cancelled)
            .await?)
    }
}
