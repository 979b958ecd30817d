//! Which supplier may sell from which brand's catalogue. Everything here runs behind the gate.

use event_bus::names::TenantId;
use event_bus::store::Tx;
use event_bus::{Context, Handled};

use crate::events::{BrandPermissionsUpdated, Permissions};

/// What a supplier may do once a brand has accepted it: sell from the catalogue, at prices that follow from it.
const ACCEPTED: Permissions = Permissions { adopt_catalog: true, set_prices: false };
/// What is left to a supplier when it or the brand is gone.
const GONE: Permissions = Permissions { adopt_catalog: false, set_prices: false };

/// Notes which brands a supplier wants to sell.
pub(super) async fn apply(
    tx: &mut Tx,
    supplier_id: &str,
    brands: &[String],
) -> Result<(), sqlx::Error> {
    for brand_id in brands {
        let sql = "INSERT INTO applications (brand_id, supplier_id) VALUES ($1, $2)
                   ON CONFLICT (brand_id, supplier_id) DO NOTHING";
        tx.execute(sql, &[brand_id.into(), supplier_id.into()]).await?;
    }
    Ok(())
}

/// Grants what was applied for by or at this organisation, where both sides are on the platform.
pub(super) async fn grant_pending(context: &mut Context<'_>, organisation_id: &str) -> Handled {
    let sql = "SELECT a.brand_id, a.supplier_id
               FROM applications a
               JOIN brands ON brands.brand_id = a.brand_id
               JOIN organisations b ON b.organisation_id = a.brand_id AND b.created > 0 AND b.terminated = 0
               JOIN organisations s ON s.organisation_id = a.supplier_id AND s.created > 0 AND s.terminated = 0
               WHERE (a.brand_id = $1 OR a.supplier_id = $1)
                 AND NOT EXISTS (SELECT 1 FROM permissions p
                                 WHERE p.brand_id = a.brand_id AND p.supplier_id = a.supplier_id)
               ORDER BY a.brand_id, a.supplier_id";
    for row in context.tx().fetch_all(sql, &[organisation_id.into()]).await? {
        set(context, row.get("brand_id")?, row.get("supplier_id")?, ACCEPTED).await?;
    }
    Ok(())
}

/// Takes back every permission that this organisation granted or holds.
pub(super) async fn revoke_all(context: &mut Context<'_>, organisation_id: &str) -> Handled {
    let sql = "SELECT brand_id, supplier_id FROM permissions
               WHERE (brand_id = $1 OR supplier_id = $1) AND (adopt_catalog = 1 OR set_prices = 1)
               ORDER BY brand_id, supplier_id";
    for row in context.tx().fetch_all(sql, &[organisation_id.into()]).await? {
        set(context, row.get("brand_id")?, row.get("supplier_id")?, GONE).await?;
    }
    Ok(())
}

/// Sets a supplier's permissions as the next revision, and publishes them.
async fn set(
    context: &mut Context<'_>,
    brand_id: String,
    supplier_id: String,
    permissions: Permissions,
) -> Handled {
    let sql = "INSERT INTO permissions (brand_id, supplier_id, adopt_catalog, set_prices, revision)
               VALUES ($1, $2, $3, $4, 1)
               ON CONFLICT (brand_id, supplier_id) DO UPDATE SET
                   adopt_catalog = excluded.adopt_catalog, set_prices = excluded.set_prices,
                   revision = permissions.revision + 1
               RETURNING revision";
    let values = [
        (&brand_id).into(),
        (&supplier_id).into(),
        i64::from(permissions.adopt_catalog).into(),
        i64::from(permissions.set_prices).into(),
    ];
    let row = context.tx().fetch_optional(sql, &values).await?.ok_or(sqlx::Error::RowNotFound)?;
    let revision = u32::try_from(row.get::<i64>("revision")?)?;
    let tenant = TenantId::new(&brand_id)?;
    context
        .emit(&tenant, &BrandPermissionsUpdated { brand_id, supplier_id, permissions, revision })?;
    Ok(())
}
