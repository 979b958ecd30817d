//! Orders and how far they have come.

use event_bus::names::TenantId;
use event_bus::store::Tx;

/// How far an order has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Status {
    Placed,
    Confirmed,
    Cancelled,
    Dispatched,
}

impl Status {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Placed => "placed",
            Self::Confirmed => "confirmed",
            Self::Cancelled => "cancelled",
            Self::Dispatched => "dispatched",
        }
    }

    /// A status gives way only to one of higher rank, so a confirmation that comes behind its dispatch changes
    /// nothing. Goods that have left have left: nothing outranks that.
    pub(super) const fn rank(self) -> i64 {
        match self {
            Self::Placed => 1,
            Self::Confirmed => 2,
            Self::Cancelled => 3,
            Self::Dispatched => 4,
        }
    }
}

/// Notes a news of an order, which need not be known here. The row is locked by the statement that reads its rank, so
/// of two transactions side by side the second sees what the first wrote.
pub(super) async fn advance(
    tx: &mut Tx,
    retailer: &TenantId,
    order_id: &str,
    status: Status,
) -> Result<(), sqlx::Error> {
    let sql = "INSERT INTO orders (retailer_id, order_id, status, status_rank, confirmed, dispatched, cancelled)
               VALUES ($1, $2, $3, $4, $5, $6, $7)
               ON CONFLICT (retailer_id, order_id) DO UPDATE SET
                   status = CASE WHEN excluded.status_rank > orders.status_rank
                                 THEN excluded.status ELSE orders.status END,
                   status_rank = CASE WHEN excluded.status_rank > orders.status_rank
                                      THEN excluded.status_rank ELSE orders.status_rank END,
                   confirmed = orders.confirmed + excluded.confirmed,
                   dispatched = orders.dispatched + excluded.dispatched,
                   cancelled = orders.cancelled + excluded.cancelled";
    let counts = |counted| i64::from(status == counted).into();
    let values = [
        retailer.as_str().into(),
        order_id.into(),
        status.as_str().into(),
        status.rank().into(),
        counts(Status::Confirmed),
        counts(Status::Dispatched),
        counts(Status::Cancelled),
    ];
    tx.execute(sql, &values).await.map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_only_ever_advances() {
        let ranks = [Status::Placed, Status::Confirmed, Status::Cancelled, Status::Dispatched]
            .map(Status::rank);
        assert!(ranks.is_sorted_by(|first, second| first < second));
    }
}
