//! Supplier: adopts the catalogues of the brands that permit it, and offers their products to retailers.
//!
//! A supplier adopts a version once three facts are there, which come by three topics in any order: it is registered,
//! the brand permits it, the brand's catalogue is known. Each handler stores its fact behind the gate and then adopts
//! whatever has become possible; without the gate three transactions side by side could each miss the others' facts.

mod adoption;
mod catalogs;

use event_bus::store::Migration;
use event_bus::{Context, Event, Handled, Handler};

use crate::events::{
    BrandCatalogUpdated, BrandPermissionsUpdated, OrganisationCreated, OrganisationKind,
    OrganisationTerminated, RetailerProductAdopted,
};
use crate::services::Subscriber;
use crate::{gate, registry};

pub(crate) const NAME: &str = "supplier";

pub(crate) const MIGRATIONS: &[Migration] = &[
    gate::MIGRATION,
    registry::MIGRATION,
    Migration::same(
        3,
        "catalogues, permission cache, adoptions",
        include_str!("supplier/0001.sql"),
    ),
];

pub(crate) fn attach<S: Subscriber>(service: S) -> S {
    service
        .on::<BrandCatalogUpdated>(Supplier)
        .on::<BrandPermissionsUpdated>(Supplier)
        .on::<RetailerProductAdopted>(Supplier)
        .on::<OrganisationCreated>(Supplier)
        .on::<OrganisationTerminated>(Supplier)
}

/// The service's handlers.
struct Supplier;

/// Keeps the newest version; the suppliers that may then adopt it.
impl Handler<BrandCatalogUpdated> for Supplier {
    async fn handle(
        &self,
        event: Event<BrandCatalogUpdated>,
        context: &mut Context<'_>,
    ) -> Handled {
        gate::pass(context.tx()).await?;
        catalogs::store(context.tx(), &event.payload).await?;
        adoption::adopt_pending(context, &event.payload.brand_id).await
    }
}

/// Invalidates the cached permissions; a supplier that now may adopts.
impl Handler<BrandPermissionsUpdated> for Supplier {
    async fn handle(
        &self,
        event: Event<BrandPermissionsUpdated>,
        context: &mut Context<'_>,
    ) -> Handled {
        gate::pass(context.tx()).await?;
        store_permissions(context, &event.payload).await?;
        adoption::adopt_pending(context, &event.payload.supplier_id).await
    }
}

/// A new supplier adopts what it may already.
impl Handler<OrganisationCreated> for Supplier {
    async fn handle(
        &self,
        event: Event<OrganisationCreated>,
        context: &mut Context<'_>,
    ) -> Handled {
        let created = event.payload;
        if created.kind != OrganisationKind::Supplier {
            return Ok(());
        }
        gate::pass(context.tx()).await?;
        registry::created(context.tx(), &created.organisation_id, created.kind, &created.name)
            .await?;
        adoption::adopt_pending(context, &created.organisation_id).await
    }
}

/// A supplier that left adopts nothing any more. Its row is written for other organisations too, since a termination
/// does not say of what kind it is.
impl Handler<OrganisationTerminated> for Supplier {
    async fn handle(
        &self,
        event: Event<OrganisationTerminated>,
        context: &mut Context<'_>,
    ) -> Handled {
        gate::pass(context.tx()).await?;
        registry::terminated(context.tx(), &event.payload.organisation_id).await?;
        Ok(())
    }
}

/// Records that a retailer sells the product. A row each instead of a counter: the events of one product come by many
/// partitions, whose transactions would wait for each other at the counter, and deadlock over several.
impl Handler<RetailerProductAdopted> for Supplier {
    async fn handle(
        &self,
        event: Event<RetailerProductAdopted>,
        context: &mut Context<'_>,
    ) -> Handled {
        let sql =
            "INSERT INTO product_adoptions (supplier_id, sku, retailer_id) VALUES ($1, $2, $3)";
        let adopted = event.payload;
        let values = [adopted.supplier_id.into(), adopted.sku.into(), event.tenant.as_str().into()];
        context.tx().execute(sql, &values).await?;
        Ok(())
    }
}

/// Keeps the highest revision, which need not come last.
async fn store_permissions(
    context: &mut Context<'_>,
    update: &BrandPermissionsUpdated,
) -> Result<(), sqlx::Error> {
    let pair = || [(&update.brand_id).into(), (&update.supplier_id).into()];
    let sql = "INSERT INTO permissions (brand_id, supplier_id, adopt_catalog, set_prices, revision, updates)
               VALUES ($1, $2, 0, 0, 0, 1)
               ON CONFLICT (brand_id, supplier_id) DO UPDATE SET updates = permissions.updates + 1";
    context.tx().execute(sql, &pair()).await?;
    let sql = "UPDATE permissions SET adopt_catalog = $3, set_prices = $4, revision = $5
               WHERE brand_id = $1 AND supplier_id = $2 AND revision < $5";
    let [brand, supplier] = pair();
    let values = [
        brand,
        supplier,
        i64::from(update.permissions.adopt_catalog).into(),
        i64::from(update.permissions.set_prices).into(),
        update.revision.into(),
    ];
    context.tx().execute(sql, &values).await.map(drop)
}
