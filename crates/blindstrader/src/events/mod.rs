//! The typed payload of every event in `catalogue/blindstrader.toml`, one file per domain.
//!
//! A struct fits the newest minor version of its payload: what a minor version added is optional here, so the older ones
//! of the same major are read too. Fields that a struct does not know are ignored. Organisations are named by their slug.

mod brand;
mod order;
mod organisation;
mod payment;
mod retailer;
mod supplier;

pub use brand::{
    BrandCatalogUpdated, BrandPermissionsUpdated, Category, Fabric, Permissions, Product, SizeRange,
};
pub use order::{
    Address, CancellationReason, ConfirmedLine, Customer, OrderCancelled, OrderConfirmed,
    OrderDispatched, OrderLine, OrderPlaced,
};
pub use organisation::{Contact, OrganisationCreated, OrganisationKind, OrganisationTerminated};
pub use payment::{PaymentCaptured, PaymentMethod, PaymentRefunded, RefundReason};
pub use retailer::RetailerProductAdopted;
pub use supplier::{SupplierCatalogVersionAdopted, SupplierProductPublished};

#[cfg(test)]
mod tests {
    use std::{
        collections::BTreeSet,
        fs,
        path::{Path, PathBuf},
    };

    use event_bus::EventType;
    use serde::{Serialize, de::DeserializeOwned};
    use serde_json::Value;

    use super::*;

    fn samples() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../catalogue/samples")
    }

    fn names_in(folder: &Path) -> BTreeSet<String> {
        let entries =
            fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }

    /// Reads every valid sample of the event, in all its versions, and writes it again. Returns the event's name.
    fn read_and_write_samples<E: EventType + Serialize + DeserializeOwned>() -> String {
        let folder = samples().join(E::NAME);
        let versions = names_in(&folder);
        let newest = versions.iter().max_by_key(|version| {
            version.split('.').map(|part| part.parse::<u32>().unwrap()).collect::<Vec<_>>()
        });
        assert_eq!(newest.map(String::as_str), Some(E::VERSION), "newest version of {}", E::NAME);
        for version in versions {
            let folder = folder.join(version);
            let valid: Vec<_> =
                names_in(&folder).into_iter().filter(|name| name.starts_with("valid-")).collect();
            assert!(!valid.is_empty(), "no valid sample in {}", folder.display());
            for name in valid {
                let path = folder.join(name);
                let envelope: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
                let read = E::deserialize(&envelope["payload"])
                    .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
                assert_eq!(
                    serde_json::to_value(read).unwrap(),
                    envelope["payload"],
                    "{}",
                    path.display()
                );
            }
        }
        E::NAME.to_owned()
    }

    #[test]
    fn every_valid_sample_is_read_and_written_again_without_a_change() {
        let events = BTreeSet::from([
            read_and_write_samples::<BrandCatalogUpdated>(),
            read_and_write_samples::<BrandPermissionsUpdated>(),
            read_and_write_samples::<SupplierProductPublished>(),
            read_and_write_samples::<SupplierCatalogVersionAdopted>(),
            read_and_write_samples::<RetailerProductAdopted>(),
            read_and_write_samples::<OrderPlaced>(),
            read_and_write_samples::<OrderConfirmed>(),
            read_and_write_samples::<OrderDispatched>(),
            read_and_write_samples::<OrderCancelled>(),
            read_and_write_samples::<PaymentCaptured>(),
            read_and_write_samples::<PaymentRefunded>(),
            read_and_write_samples::<OrganisationCreated>(),
            read_and_write_samples::<OrganisationTerminated>(),
        ]);
        assert_eq!(events, names_in(&samples()), "every event with samples has a type");
    }

    #[test]
    fn the_words_that_services_store_are_those_of_the_payloads() {
        fn word(value: impl Serialize) -> Value {
            serde_json::to_value(value).unwrap()
        }
        for category in [
            Category::RollerBlind,
            Category::VenetianBlind,
            Category::VerticalBlind,
            Category::RomanBlind,
            Category::PleatedBlind,
            Category::Curtain,
            Category::Shutter,
        ] {
            assert_eq!(word(category), category.as_str());
        }
        for kind in
            [OrganisationKind::Brand, OrganisationKind::Supplier, OrganisationKind::Retailer]
        {
            assert_eq!(word(kind), kind.as_str());
        }
        for reason in [
            CancellationReason::OutOfStock,
            CancellationReason::Discontinued,
            CancellationReason::CustomerRequest,
            CancellationReason::OrganisationTerminated,
        ] {
            assert_eq!(word(reason), reason.as_str());
        }
    }
}
