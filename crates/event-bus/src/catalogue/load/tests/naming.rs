use super::*;

#[test]
fn names_that_break_their_rule_are_refused() {
    for (old, new, entry) in [
        ("namespace = \"acme\"", "namespace = \"Acme Ltd\"", "namespace"),
        ("[services]", "[services]\nPost = { title = \"Post\" }", "services.Post"),
        (
            "[events.OrderPlaced.consumers.mail]",
            "[events.orderLost]\n[events.OrderPlaced.consumers.mail]",
            "events.orderLost",
        ),
        (TOPIC, "topic = \"order\"", "events.OrderPlaced.topic"),
        (TOPIC, "topic = \"event-bus.order-placed\"", "events.OrderPlaced.topic"),
    ] {
        let problems = problems(old, new);
        assert!(
            problems.iter().any(|problem| problem.contains(&format!(": {entry}: "))
                && problem.contains("is not a valid")),
            "{problems:?}"
        );
    }
    // Longer than what fits Kafka's 249 characters together with namespace and service.
    let long = format!("topic = \"{}.order-placed\"", "d".repeat(120));
    assert!(problems(TOPIC, &long)[0].contains("at most 119 characters"));
}

#[test]
fn a_short_topic_that_is_not_its_events_name_is_refused_with_the_right_ones() {
    one(
        TOPIC,
        "topic = \"order.created\"",
        "acme.toml:9: events.OrderPlaced.topic: order.created is not OrderPlaced in kebab case with a dot after the domain; \
         name it order.placed, or where the domain is another word, {domain}.order-placed",
    );
    assert!(
        load_with(&GOOD.replace(TOPIC, "topic = \"sales.order-placed\""), &order_schema()).is_ok()
    );
}

#[test]
fn two_events_on_one_topic_are_refused() {
    let toml = GOOD.replace("order.placed", "sales.order-lost").replace("OrderPlaced", "OrderLost")
        + "[events.SalesOrderLost]\ntopic = \"sales.order-lost\"\ndescription = \"x\"\nproducer = \"shop\"\n\
           key = [\"/tenant_id\"]\nversions = []\n";
    let problems = problems_of(&toml);
    let expected = "events.SalesOrderLost.topic: sales.order-lost is the topic of OrderLost already; give each event a topic of its own";
    assert!(problems.iter().any(|problem| problem.ends_with(expected)), "{problems:?}");
}

#[test]
fn two_subscriptions_with_one_group_name_are_refused() {
    let toml = r#"
namespace = "acme"
services = { shop = { title = "Shop" }, mail = { title = "Mail" }, mail-sales = { title = "Sales" } }
[events.OrderLost]
topic = "order.lost"
description = "Lost."
producer = "shop"
key = ["/tenant_id"]
versions = ["1.0"]
consumers = { mail-sales = {} }
[events.SalesOrderLost]
topic = "sales-order.lost"
description = "Lost."
producer = "shop"
key = ["/tenant_id"]
versions = ["1.0"]
consumers = { mail = {} }
"#;
    let schema = order_schema().to_string();
    let problems = listed(Catalogue::parse("acme.toml", toml, |_| Ok(schema.clone())));
    assert_eq!(
        problems,
        [
            "acme.toml:17: events.SalesOrderLost.consumers.mail: its group acme-mail-sales-order-lost is that of \
        events.OrderLost.consumers.mail-sales too; rename the service or the event, so that the two share no offsets"
        ]
    );
}

#[test]
fn unknown_services_are_refused_and_so_are_idle_ones() {
    let unknown = "\"post\" is not a service of this catalogue; add it to [services], or name one of: shop, mail";
    let idle = "neither publishes nor consumes an event; make it the producer or a consumer of one, or remove it";
    assert_eq!(
        problems("producer = \"shop\"", "producer = \"post\""),
        [
            format!("acme.toml:11: events.OrderPlaced.producer: {unknown}"),
            format!("acme.toml:5: services.shop: {idle}"),
        ]
    );
    assert_eq!(
        problems("consumers.mail]", "consumers.post]"),
        [
            format!("acme.toml:16: events.OrderPlaced.consumers.post: {unknown}"),
            format!("acme.toml:6: services.mail: {idle}"),
        ]
    );
}

#[test]
fn an_event_whose_name_is_wrong_still_gives_its_services_something_to_do() {
    let problems = problems_of(&GOOD.replace("events.OrderPlaced", "events.orderPlaced"));
    assert!(problems.iter().all(|problem| !problem.contains("neither publishes")), "{problems:?}");
}
