use super::*;
use proptest::prelude::*;

fn short(value: &str) -> ShortTopic {
    ShortTopic::new(value).unwrap()
}

fn event(value: &str) -> EventName {
    EventName::new(value).unwrap()
}

#[test]
fn topics_dead_letter_topics_and_groups_follow_the_documented_rule() {
    let namespace = Namespace::new("blindstrader").unwrap();
    let short_topic = short("brand.catalog-updated");
    let supplier = ServiceName::new("supplier").unwrap();
    assert_eq!(topic(&namespace, &short_topic), "blindstrader.brand.catalog-updated");
    assert_eq!(
        topic(&namespace, &short_topic).dead_letter(),
        "blindstrader.brand.catalog-updated.dlq"
    );
    assert_eq!(short_topic.slug(), "brand-catalog-updated");
    assert_eq!(
        GroupName::of(&namespace, &supplier, &short_topic),
        "blindstrader-supplier-brand-catalog-updated"
    );
}

#[test]
fn a_short_topic_is_its_event_split_after_the_domain_or_behind_another_word() {
    for (topic, name) in [
        ("brand.catalog-updated", "BrandCatalogUpdated"),
        ("supply-chain.stock-counted", "SupplyChainStockCounted"),
        ("order.placed", "OrderPlaced"),
        ("identity.organisation-created", "OrganisationCreated"),
    ] {
        assert!(short(topic).belongs_to(&event(name)), "{topic} {name}");
    }
    for (topic, name) in [
        ("brand.brand-catalog-updated", "BrandCatalogUpdated"),
        ("brand.catalog-changed", "BrandCatalogUpdated"),
        ("brandcatalog.updated", "BrandCatalogUpdated"),
        ("identity.created", "OrganisationCreated"),
    ] {
        assert!(!short(topic).belongs_to(&event(name)), "{topic} {name}");
    }
}

#[test]
fn names_that_break_their_rule_are_refused_with_the_rule() {
    for value in ["", "Brand", "1brand", "brand-", "brand--x", "-brand", "br_and", &"b".repeat(65)]
    {
        let error = ServiceName::new(value).unwrap_err();
        assert!(
            error.to_string().contains("lower-case letters, digits and single hyphens"),
            "{error}"
        );
        assert!(Namespace::new(value).is_err());
    }
    for value in
        ["", "Order", "orderPlaced", "OrderPlaceD", "SKUAdded", "Order_Placed", "OrdérPlaced"]
    {
        assert!(EventName::new(value).is_err(), "{value}");
    }
    for value in
        ["order", "order.", ".placed", "order.placed.late", "event-bus.audit", "Order.placed"]
    {
        assert!(ShortTopic::new(value).is_err(), "{value}");
    }
    for value in ["", ".", "..", "a b", &"t".repeat(250)] {
        assert!(TopicName::new(value).is_err(), "{value}");
    }
    for value in ["", "a\nb", "\u{7f}", &"t".repeat(129)] {
        assert!(TenantId::new(value).is_err(), "{value}");
    }
    assert!(TenantId::new("Rollos Müller").is_ok());
}

#[test]
fn an_error_shows_at_most_64_characters_of_the_value() {
    let error = TenantId::new(&"x".repeat(1_000_000)).unwrap_err();
    assert!(error.to_string().len() < 200, "{error}");
}

#[test]
fn the_longest_parts_make_names_that_kafka_takes() {
    let namespace = Namespace::new(&"n".repeat(64)).unwrap();
    let service = ServiceName::new(&"s".repeat(64)).unwrap();
    let short_topic = short(&format!("{}.{}", "d".repeat(59), "a".repeat(59)));
    assert!(is_kafka_name(GroupName::of(&namespace, &service, &short_topic).as_str()));
    assert!(is_topic_name(topic(&namespace, &short_topic).dead_letter().as_str()));
}

#[test]
fn names_travel_through_json_as_plain_strings_and_are_checked_on_the_way_in() {
    let service: ServiceName = serde_json::from_str(r#""supply-chain""#).unwrap();
    assert_eq!(serde_json::to_string(&service).unwrap(), r#""supply-chain""#);
    assert!(serde_json::from_str::<ServiceName>(r#""Supply Chain""#).is_err());
}

proptest! {
    #[test]
    fn every_split_of_an_event_name_is_its_topic(words in prop::collection::vec("[A-Z][a-z0-9]{1,6}", 2..6), at in 1usize..5) {
        let at = at.min(words.len() - 1);
        let kebab = |words: &[String]| words.join("-").to_lowercase();
        let short_topic = format!("{}.{}", kebab(&words[..at]), kebab(&words[at..]));
        prop_assume!(!short_topic.starts_with("event-bus."));
        // An action must start with a letter, and a word always does.
        prop_assert!(short(&short_topic).belongs_to(&event(&words.concat())));
    }
}
