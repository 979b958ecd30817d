//! The catalogue that a brand begins with.

use crate::events::{Category, Fabric, Product, SizeRange};
use crate::money::{Amount, Currency, Money, MoneyError};

/// An id longer than this does not stand in SKUs as it is, for a SKU has 40 characters at most.
const SKU_PREFIX_CHARS_MAX: usize = 24;

/// One product of every brand's starter catalogue.
struct Starter {
    /// Before the brand in the SKU.
    marker: &'static str,
    /// Behind the brand in the SKU.
    code: &'static str,
    name: &'static str,
    category: Category,
    fabric: (&'static str, &'static str, &'static str),
    width_mm: SizeRange,
    drop_mm: SizeRange,
    list_price_minor: i64,
}

const STARTERS: [Starter; 4] = [
    Starter {
        marker: "",
        code: "RB-1001",
        name: "Carnival Roller Blind",
        category: Category::RollerBlind,
        fabric: ("CARN-17", "Chalk White", "100% polyester"),
        width_mm: SizeRange { min: 300, max: 3000 },
        drop_mm: SizeRange { min: 300, max: 3500 },
        list_price_minor: 4150,
    },
    Starter {
        marker: "",
        code: "VB-2040",
        name: "Sirocco Vertical Blind 89 mm",
        category: Category::VerticalBlind,
        fabric: ("SIRO-04", "Dove Grey", "65% polyester, 35% viscose"),
        width_mm: SizeRange { min: 500, max: 5000 },
        drop_mm: SizeRange { min: 400, max: 3200 },
        list_price_minor: 6800,
    },
    Starter {
        marker: "",
        code: "VEN-25",
        name: "Alumitex Venetian Blind 25 mm",
        category: Category::VenetianBlind,
        fabric: ("ALU-25", "Brushed Steel", "100% aluminium"),
        width_mm: SizeRange { min: 250, max: 4000 },
        drop_mm: SizeRange { min: 250, max: 3000 },
        list_price_minor: 5225,
    },
    // Still listed, no longer made: ordering it shows how an order is cancelled and refunded.
    Starter {
        marker: "DISC-",
        code: "RB-0900",
        name: "Fiesta Roller Blind",
        category: Category::RollerBlind,
        fabric: ("FIES-02", "Poppy", "100% cotton"),
        width_mm: SizeRange { min: 300, max: 2400 },
        drop_mm: SizeRange { min: 300, max: 2400 },
        list_price_minor: 2995,
    },
];

/// The products of a new brand, priced in pounds.
pub(super) fn products(brand_id: &str, brand: &str) -> Result<Vec<Product>, MoneyError> {
    let prefix = sku_prefix(brand_id);
    STARTERS.iter().map(|starter| starter.product(&prefix, brand)).collect()
}

impl Starter {
    fn product(&self, prefix: &str, brand: &str) -> Result<Product, MoneyError> {
        let (code, colour, composition) = self.fabric;
        Ok(Product {
            sku: format!("{}{prefix}-{}", self.marker, self.code),
            // A product's name has the length of an organisation's name, so a long brand is cut.
            name: format!("{} {}", brand.chars().take(120).collect::<String>(), self.name),
            category: self.category,
            fabric: Fabric {
                code: code.into(),
                colour: colour.into(),
                composition: composition.into(),
            },
            width_mm: self.width_mm,
            drop_mm: self.drop_mm,
            list_price: Money::new(Amount::from_minor_units(self.list_price_minor)?, Currency::GBP),
        })
    }
}

/// What all SKUs of a brand begin with. Stock is kept per SKU, so two brands must not share one: an id that is too
/// long is cut, and a hash of the whole keeps it apart from others with the same beginning.
fn sku_prefix(brand_id: &str) -> String {
    let prefix = brand_id.to_ascii_uppercase();
    if prefix.len() <= SKU_PREFIX_CHARS_MAX {
        return prefix;
    }
    let begin: String = prefix.chars().take(SKU_PREFIX_CHARS_MAX - 9).collect();
    format!("{}-{:08X}", begin.trim_end_matches('-'), fnv1a(prefix.as_bytes()))
}

/// The 32-bit FNV-1a hash.
fn fnv1a(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sku_begins_with_its_brand() {
        let skus: Vec<_> =
            products("louvolite", "Louvolite").unwrap().into_iter().map(|p| p.sku).collect();
        let expected = [
            "LOUVOLITE-RB-1001",
            "LOUVOLITE-VB-2040",
            "LOUVOLITE-VEN-25",
            "DISC-LOUVOLITE-RB-0900",
        ];
        assert_eq!(skus, expected);
    }

    #[test]
    fn the_longest_ids_give_skus_that_fit_and_differ() {
        let long = |last: &str| format!("{}-{last}", "blinds".repeat(10));
        let first = products(&long("aa"), "A").unwrap();
        let second = products(&long("ab"), "B").unwrap();
        for (first, second) in first.iter().zip(&second) {
            assert!(first.sku.len() <= 40, "{}", first.sku);
            assert_ne!(first.sku, second.sku);
        }
    }
}
