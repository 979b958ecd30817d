//! Brand: issues brands' catalogues and says which supplier may sell from them.

mod catalog;
mod permissions;
mod season;
mod starter;

use event_bus::store::Migration;
use event_bus::{Context, Event, Handled, Handler};

pub use catalog::{IssueError, issue_catalog};
pub(crate) use season::issue_season;

use crate::events::{
    OrganisationCreated, OrganisationKind, OrganisationTerminated, SupplierCatalogVersionAdopted,
};
use crate::services::Subscriber;
use crate::{gate, registry};

pub(crate) const NAME: &str = "brand";

pub(crate) const MIGRATIONS: &[Migration] = &[
    gate::MIGRATION,
    registry::MIGRATION,
    Migration::same(3, "catalogues, permissions, adoptions", include_str!("brand/0001.sql")),
];

pub(crate) fn attach<S: Subscriber>(service: S) -> S {
    service
        .on::<OrganisationCreated>(Brand)
        .on::<SupplierCatalogVersionAdopted>(Brand)
        .on::<OrganisationTerminated>(Brand)
}

/// The service's handlers.
struct Brand;

/// A new brand gets its catalogue and its suppliers their permissions; a new supplier gets the permissions of its
/// brands.
///
/// The race: a supplier may come before its brand, in a transaction beside it. Without the gate the supplier would
/// find no brand and the brand no applicant, and the permission would never be granted.
impl Handler<OrganisationCreated> for Brand {
    async fn handle(
        &self,
        event: Event<OrganisationCreated>,
        context: &mut Context<'_>,
    ) -> Handled {
        let created = event.payload;
        if created.kind == OrganisationKind::Retailer {
            return Ok(());
        }
        gate::pass(context.tx()).await?;
        let id = &created.organisation_id;
        let standing = registry::created(context.tx(), id, created.kind, &created.name).await?;
        if !standing.is_active() {
            return Ok(());
        }
        match created.kind {
            OrganisationKind::Brand => open_brand(context, id, &created.name).await,
            OrganisationKind::Supplier => {
                permissions::apply(context.tx(), id, &created.trades_with).await?;
                permissions::grant_pending(context, id).await
            }
            OrganisationKind::Retailer => Ok(()),
        }
    }
}

/// A brand that leaves grants nothing any more, a supplier that leaves may do nothing any more. Behind the gate, so
/// that no permission is granted beside it.
impl Handler<OrganisationTerminated> for Brand {
    async fn handle(
        &self,
        event: Event<OrganisationTerminated>,
        context: &mut Context<'_>,
    ) -> Handled {
        let id = &event.payload.organisation_id;
        gate::pass(context.tx()).await?;
        registry::terminated(context.tx(), id).await?;
        permissions::revoke_all(context, id).await
    }
}

/// Records who sells from which version. Nothing is decided on it, and the events of one supplier and brand share a
/// partition, so this needs no gate.
impl Handler<SupplierCatalogVersionAdopted> for Brand {
    async fn handle(
        &self,
        event: Event<SupplierCatalogVersionAdopted>,
        context: &mut Context<'_>,
    ) -> Handled {
        let adopted = event.payload;
        let sql = "INSERT INTO adoptions (brand_id, supplier_id, catalog_version, adopted_at)
                   VALUES ($1, $2, $3, $4)";
        let values = [
            adopted.brand_id.into(),
            adopted.supplier_id.into(),
            adopted.catalog_version.into(),
            adopted.adopted_at.to_string().into(),
        ];
        context.tx().execute(sql, &values).await?;
        Ok(())
    }
}

/// Registers a brand with its starter catalogue, once.
async fn open_brand(context: &mut Context<'_>, brand_id: &str, name: &str) -> Handled {
    let sql = "INSERT INTO brands (brand_id, catalog_version) VALUES ($1, 0) ON CONFLICT (brand_id) DO NOTHING";
    if context.tx().execute(sql, &[brand_id.into()]).await? == 1 {
        issue_catalog(context, brand_id, starter::products(brand_id, name)?).await?;
    }
    permissions::grant_pending(context, brand_id).await
}
