//! What follows from an order's lines and the stock, without a database.

use std::collections::BTreeMap;

use event_bus::names::EventId;

use crate::events::{CancellationReason, ConfirmedLine};

/// What the SKUs of products begin with that are no longer made.
pub(super) const DISCONTINUED_PREFIX: &str = "DISC-";
/// Pieces that go into one parcel.
const PIECES_PER_PARCEL: u64 = 10;
/// The contract has no room for more.
const PARCELS_MAX: u32 = 999;
/// Hexadecimal digits of an event's id in a tracking number: as many as fit, without the id's version.
const TRACKING_DIGITS: usize = 16;

/// Pieces per SKU, sorted.
pub(super) type Pieces = BTreeMap<String, i64>;

/// The pieces that an order needs. Two lines may ask for the same SKU in two sizes.
pub(super) fn needed(lines: &[ConfirmedLine]) -> Pieces {
    let mut needed = Pieces::new();
    for line in lines {
        *needed.entry(line.sku.clone()).or_default() += i64::from(line.quantity);
    }
    needed
}

/// Whether the order can be made; if not, why.
pub(super) fn decide(needed: &Pieces, in_stock: &Pieces) -> Result<(), CancellationReason> {
    if needed.keys().any(|sku| is_discontinued(sku)) {
        return Err(CancellationReason::Discontinued);
    }
    let suffices =
        needed.iter().all(|(sku, pieces)| in_stock.get(sku).is_some_and(|stock| stock >= pieces));
    if suffices { Ok(()) } else { Err(CancellationReason::OutOfStock) }
}

pub(crate) fn is_discontinued(sku: &str) -> bool {
    sku.starts_with(DISCONTINUED_PREFIX)
}

/// How many parcels the order fills.
pub(super) fn parcels(lines: &[ConfirmedLine]) -> u32 {
    let pieces: u64 = lines.iter().map(|line| u64::from(line.quantity)).sum();
    u32::try_from(pieces.div_ceil(PIECES_PER_PARCEL))
        .map_or(PARCELS_MAX, |parcels| parcels.clamp(1, PARCELS_MAX))
}

/// The carrier's number, from the id of the event that set the order going: the same whenever that is handled.
pub(super) fn tracking_number(cause: EventId) -> String {
    let mut digits = cause.to_string().replace('-', "").to_ascii_uppercase();
    format!("BT{}", digits.split_off(digits.len() - TRACKING_DIGITS))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(sku: &str, quantity: u32) -> ConfirmedLine {
        ConfirmedLine { line_no: 1, sku: sku.to_owned(), quantity }
    }

    fn pieces(pieces: &[(&str, i64)]) -> Pieces {
        pieces.iter().map(|(sku, count)| ((*sku).to_owned(), *count)).collect()
    }

    #[test]
    fn lines_of_the_same_sku_add_up() {
        let needed = needed(&[line("A", 2), line("B", 1), line("A", 3)]);
        assert_eq!(needed, pieces(&[("A", 5), ("B", 1)]));
    }

    #[test]
    fn an_order_is_made_whole_or_not_at_all() {
        let stock = pieces(&[("A", 5), ("B", 0), ("DISC-C", 5)]);
        assert_eq!(decide(&pieces(&[("A", 5)]), &stock), Ok(()));
        assert_eq!(decide(&pieces(&[("A", 6)]), &stock), Err(CancellationReason::OutOfStock));
        assert_eq!(
            decide(&pieces(&[("A", 1), ("B", 1)]), &stock),
            Err(CancellationReason::OutOfStock)
        );
        assert_eq!(decide(&pieces(&[("UNKNOWN", 1)]), &stock), Err(CancellationReason::OutOfStock));
        assert_eq!(
            decide(&pieces(&[("A", 9), ("DISC-C", 1)]), &stock),
            Err(CancellationReason::Discontinued)
        );
    }

    #[test]
    fn parcels_hold_ten_pieces_and_fit_the_contract() {
        assert_eq!(parcels(&[line("A", 1)]), 1);
        assert_eq!(parcels(&[line("A", 10), line("B", 1)]), 2);
        assert_eq!(parcels(&vec![line("A", 9999); 200]), 999);
    }

    #[test]
    fn a_tracking_number_follows_from_the_event() {
        let id: EventId = "0197f3b4-7c1e-7b1a-9d55-0c7a3f1f2a10".parse().unwrap();
        assert_eq!(tracking_number(id), "BT9D550C7A3F1F2A10");
    }
}
