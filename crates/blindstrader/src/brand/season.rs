//! A brand's next season: what it began with, at prices that are a little up or down.

use event_bus::Context;
use rand::RngExt;

use super::catalog::{IssueError, issue_catalog};
use super::starter;
use crate::money::Money;

/// What a season's prices are between, in per cent of the first ones. They never drift away from those.
const PER_CENT: std::ops::RangeInclusive<u32> = 94..=106;

/// Issues the next catalogue of some brand that is on the platform; of none while there is none.
pub(crate) async fn issue_season(context: &mut Context<'_>) -> Result<(), IssueError> {
    let sql = "SELECT b.brand_id, o.name FROM brands b
               JOIN organisations o ON o.organisation_id = b.brand_id AND o.terminated = 0
               ORDER BY random() LIMIT 1";
    let Some(row) = context.tx().fetch_optional(sql, &[]).await? else { return Ok(()) };
    let brand_id: String = row.get("brand_id")?;
    let mut products = starter::products(&brand_id, &row.get::<String>("name")?)?;
    for product in &mut products {
        let Money { amount, currency } = product.list_price;
        let per_cent = rand::rng().random_range(PER_CENT);
        product.list_price = Money::new(amount.checked_percent(per_cent)?, currency);
    }
    issue_catalog(context, &brand_id, products).await.map(drop)
}
