//! The shipped catalogue and its samples.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use super::*;
use crate::envelope::Envelope;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../catalogue")
}

fn shipped() -> Catalogue {
    Catalogue::load(&folder().join("blindstrader.toml")).unwrap_or_else(|error| panic!("{error}"))
}

/// The sample files of one version that begin with `prefix` and end with `.json`.
fn samples(event: &Event, version: Version, prefix: &str) -> Vec<PathBuf> {
    let folder = folder().join("samples").join(event.name.as_str()).join(version.to_string());
    let files =
        fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let name = |path: &PathBuf| path.file_name().unwrap().to_str().unwrap().to_owned();
    files
        .map(|file| file.unwrap().path())
        .filter(|path| name(path).starts_with(prefix) && name(path).ends_with(".json"))
        .collect()
}

fn envelope(path: &Path) -> Envelope {
    Envelope::parse(&fs::read(path).unwrap())
        .unwrap_or_else(|error| panic!("{}: {error:?}", path.display()))
}

#[test]
fn the_shipped_catalogue_has_the_documented_topics_and_groups() {
    let catalogue = shipped();
    assert_eq!(catalogue.events().count(), 13);
    assert_eq!(catalogue.services().count(), 8);
    let subscription = catalogue.subscription("supplier", "BrandCatalogUpdated").unwrap();
    assert_eq!(subscription.event.topic, "blindstrader.brand.catalog-updated");
    assert_eq!(subscription.event.dead_letter_topic, "blindstrader.brand.catalog-updated.dlq");
    assert_eq!(subscription.consumer.group, "blindstrader-supplier-brand-catalog-updated");
    assert_eq!(subscription.consumer.retry, [500, 2_000, 8_000].map(Duration::from_millis));
    assert_eq!(subscription.event.source, "/blindstrader/brand");
}

#[test]
fn every_sample_called_valid_obeys_its_schema_and_has_a_key() {
    for event in shipped().events() {
        for SchemaVersion { version, schema, .. } in &event.versions {
            let files = samples(event, *version, "valid-");
            assert!(!files.is_empty(), "{} {version} has no valid sample", event.name);
            for file in files {
                let envelope = envelope(&file);
                assert_eq!(schema.check(&envelope.payload), Ok(()), "{}", file.display());
                assert_eq!(
                    (&envelope.event, envelope.version),
                    (&event.name, *version),
                    "{}",
                    file.display()
                );
                assert_eq!(envelope.service, event.producer, "{}", file.display());
                assert!(
                    event
                        .key
                        .write(&envelope.tenant_id, &envelope.payload, &mut Vec::new())
                        .is_ok(),
                    "{}",
                    file.display()
                );
            }
        }
    }
}

#[test]
fn every_sample_called_invalid_violates_its_schema_exactly_where_it_says() {
    for event in shipped().events() {
        for SchemaVersion { version, schema, .. } in &event.versions {
            for file in samples(event, *version, "invalid-") {
                let violations =
                    schema.check(&envelope(&file).payload).expect_err(&file.display().to_string());
                let pointer = |violation: &Violation| match violation.pointer.as_str() {
                    "" => "(root)".to_owned(),
                    pointer => pointer.to_owned(),
                };
                let found = violations.iter().map(pointer).collect::<BTreeSet<_>>();
                let expected = fs::read_to_string(file.with_extension("expect")).unwrap();
                let expected = expected.lines().map(str::to_owned).collect::<BTreeSet<_>>();
                assert_eq!(found, expected, "{}: {violations:?}", file.display());
            }
        }
    }
}

#[test]
fn another_namespace_changes_every_name_and_nothing_else() {
    let shipped = shipped();
    let staging = shipped.clone().with_namespace("staging".parse().unwrap());
    assert_eq!(staging.namespace(), &"staging");
    let event = staging.event_of_topic("staging.order.placed").unwrap();
    assert_eq!(event.dead_letter_topic, "staging.order.placed.dlq");
    assert_eq!(event.source, "/staging/retailer");
    assert_eq!(
        staging.subscription("payment", "OrderPlaced").unwrap().consumer.group,
        "staging-payment-order-placed"
    );
    assert!(staging.event_of_topic("blindstrader.order.placed").is_none());
    assert_eq!(shipped.event("OrderPlaced").unwrap().topic, "blindstrader.order.placed");
}

#[test]
fn events_are_found_by_name_and_by_full_short_and_dead_letter_topic() {
    let catalogue = shipped();
    let event = catalogue.event("OrderPlaced").unwrap();
    assert!(Arc::ptr_eq(event, catalogue.event_of_topic("order.placed").unwrap()));
    assert!(Arc::ptr_eq(event, catalogue.event_of_topic("blindstrader.order.placed").unwrap()));
    assert!(catalogue.event_of_topic("blindstrader.order.placed.dlq").is_none());
    assert!(Arc::ptr_eq(
        event,
        catalogue.event_of_dead_letter_topic(&event.dead_letter_topic).unwrap()
    ));
}

#[test]
fn a_service_has_a_subscription_for_each_event_that_it_consumes() {
    let catalogue = shipped();
    let payment = "payment".parse().unwrap();
    let events =
        catalogue.subscriptions_of(&payment).map(|subscription| subscription.event.name.as_str());
    assert_eq!(events.collect::<BTreeSet<_>>(), BTreeSet::from(["OrderPlaced", "OrderCancelled"]));
    let groups = catalogue
        .subscriptions()
        .map(|subscription| &subscription.consumer.group)
        .collect::<Vec<_>>();
    assert_eq!(groups.len(), groups.iter().collect::<BTreeSet<_>>().len());
    assert!(catalogue.subscription("brand", "OrderPlaced").is_none());
}
