//! The shipped catalogue, compiled in: the services run without a file beside them.

use std::io;

use event_bus::Catalogue;
use event_bus::catalogue::Version;
use event_bus::names::EventName;

/// The catalogue file, as it is shipped.
pub const CATALOGUE: &str = include_str!("../../../catalogue/blindstrader.toml");

macro_rules! files {
    ($folder:literal, $($file:literal),* $(,)?) => {
        &[$(($file, include_str!(concat!("../../../catalogue/", $folder, $file)))),*]
    };
}

const SCHEMAS: &[(&str, &str)] = files![
    "schemas/",
    "BrandCatalogUpdated/1.0.json",
    "BrandCatalogUpdated/1.1.json",
    "BrandPermissionsUpdated/1.0.json",
    "OrderCancelled/1.0.json",
    "OrderConfirmed/1.0.json",
    "OrderDispatched/1.0.json",
    "OrderPlaced/1.0.json",
    "OrganisationCreated/1.0.json",
    "OrganisationTerminated/1.0.json",
    "PaymentCaptured/1.0.json",
    "PaymentRefunded/1.0.json",
    "RetailerProductAdopted/1.0.json",
    "SupplierCatalogVersionAdopted/1.0.json",
    "SupplierProductPublished/1.0.json",
];

/// Of each version the first valid one.
const SAMPLES: &[(&str, &str)] = files![
    "samples/",
    "BrandCatalogUpdated/1.0/valid-documented-example.json",
    "BrandCatalogUpdated/1.1/valid-effective-from.json",
    "BrandPermissionsUpdated/1.0/valid-granted.json",
    "OrderCancelled/1.0/valid-discontinued.json",
    "OrderConfirmed/1.0/valid-one-line.json",
    "OrderDispatched/1.0/valid-royal-mail.json",
    "OrderPlaced/1.0/valid-discontinued-product.json",
    "OrganisationCreated/1.0/valid-brand.json",
    "OrganisationTerminated/1.0/valid-retailer.json",
    "PaymentCaptured/1.0/valid-card.json",
    "PaymentRefunded/1.0/valid-goodwill.json",
    "RetailerProductAdopted/1.0/valid-roller-blind.json",
    "SupplierCatalogVersionAdopted/1.0/valid-first-version.json",
    "SupplierProductPublished/1.0/valid-roller-blind.json",
];

/// Blindstrader's catalogue.
///
/// # Panics
/// Never: that the compiled-in files are without contradiction is a test.
#[must_use]
pub fn catalogue() -> Catalogue {
    Catalogue::parse("catalogue/blindstrader.toml", CATALOGUE, schema)
        .expect("the shipped catalogue is checked by a test")
        .with_samples(sample)
}

fn sample(event: &EventName, version: Version) -> Option<String> {
    let folder = format!("{event}/{version}/");
    let found = SAMPLES.iter().find(|(file, _)| file.starts_with(&folder));
    found.map(|(_, text)| (*text).to_owned())
}

fn schema(file: &str) -> io::Result<String> {
    SCHEMAS.iter().find(|(name, _)| *name == file).map(|(_, text)| (*text).to_owned()).ok_or_else(
        || io::Error::new(io::ErrorKind::NotFound, format!("{file} is not compiled in")),
    )
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    use super::*;

    #[test]
    fn every_schema_file_of_the_folder_is_compiled_in() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../catalogue/schemas");
        let mut files = Vec::new();
        for event in fs::read_dir(&folder).unwrap() {
            let event = event.unwrap();
            for version in fs::read_dir(event.path()).unwrap() {
                let version = version.unwrap().file_name().into_string().unwrap();
                files.push(format!("{}/{version}", event.file_name().into_string().unwrap()));
            }
        }
        files.sort();
        let compiled_in: Vec<_> = SCHEMAS.iter().map(|(file, _)| *file).collect();
        assert_eq!(files, compiled_in);
    }

    #[test]
    fn the_samples_are_those_of_the_folder() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../catalogue");
        let read = Catalogue::load(&folder.join("blindstrader.toml")).unwrap();
        let samples = |catalogue: &Catalogue| -> Vec<_> {
            let versions = catalogue.events().flat_map(|event| event.versions.clone());
            versions.map(|version| version.sample).collect()
        };
        assert_eq!(samples(&read), samples(&catalogue()));
        assert!(samples(&read).iter().all(Option::is_some));
    }

    #[test]
    fn the_shipped_catalogue_is_without_contradiction() {
        assert_eq!(catalogue().events().count(), 13);
    }
}
