use super::*;
use crate::lag::Thresholds;

#[test]
fn an_entry_overrides_the_defaults_and_the_defaults_what_is_built_in() {
    let toml = GOOD
        .replace("[events.OrderPlaced]", "[defaults]\npartitions = 12\nretry = [\"1s\"]\n\n[events.OrderPlaced]\nretention = \"30d\"")
        .replace(READS, "execution = \"concurrent(16)\"");
    let catalogue = load_with(&toml, &order_schema()).unwrap();
    let event = catalogue.event("OrderPlaced").unwrap();
    assert_eq!((event.partitions, event.retention.millis()), (12, 2_592_000_000));
    assert_eq!(event.consumers[0].execution, Execution::Concurrent(16.try_into().unwrap()));
    assert_eq!(event.consumers[0].retry.len(), 1);
}

#[test]
fn dead_letters_must_be_kept_as_long_as_events() {
    let expected = "keeps its dead letters for less time than its topic keeps events; raise `dlq-retention` to at least `retention`";
    for settings in ["dlq-retention = \"90d\"", "retention = \"2d\"\ndlq-retention = \"47h\""] {
        one(
            TOPIC,
            &format!("{TOPIC}\n{settings}"),
            &format!("acme.toml:8: events.OrderPlaced: {expected}"),
        );
    }
    one(
        "[events.OrderPlaced]",
        "[defaults]\ndlq-retention = \"90d\"\n[events.OrderPlaced]",
        &format!("acme.toml:8: defaults: {expected}"),
    );
}

#[test]
fn partitions_and_replication_must_be_possible() {
    for setting in
        ["partitions = 0", "replication = -1", "min-insync-replicas = 0", "partitions = 3000000000"]
    {
        let problems = problems(TOPIC, &format!("{TOPIC}\n{setting}"));
        assert_eq!(problems.len(), 1, "{problems:?}");
        assert!(
            problems[0].ends_with("is out of range; write a whole number of at least 1"),
            "{problems:?}"
        );
    }
    one(
        TOPIC,
        &format!("{TOPIC}\npartitions = \"6\""),
        "acme.toml:10: events.OrderPlaced.partitions: is not a whole number but of type string; write a whole number",
    );
    one(
        TOPIC,
        &format!("{TOPIC}\nreplication = 1"),
        "acme.toml:8: events.OrderPlaced: has replication 1 below min-insync-replicas 2, so nothing could be published; raise \
         `replication`, or lower `min-insync-replicas`",
    );
}

#[test]
fn a_lag_warns_before_it_is_critical() {
    let event =
        |toml: &str| load_with(toml, &order_schema()).unwrap().event("OrderPlaced").unwrap().lag;
    assert_eq!(event(GOOD), Thresholds { warning: 1_000, critical: 10_000 });
    let toml = GOOD
        .replace("[events.OrderPlaced]", "[defaults]\nlag-warning = 50\n\n[events.OrderPlaced]")
        .replace(TOPIC, &format!("{TOPIC}\nlag-critical = 51"));
    assert_eq!(event(&toml), Thresholds { warning: 50, critical: 51 });
    one(
        TOPIC,
        &format!("{TOPIC}\nlag-critical = 1000"),
        "acme.toml:8: events.OrderPlaced: has lag-warning 1000 not below lag-critical 1000; raise `lag-critical`, or lower \
         `lag-warning`",
    );
    one(
        TOPIC,
        &format!("{TOPIC}\nlag-warning = 0"),
        "acme.toml:10: events.OrderPlaced.lag-warning: 0 is out of range; write a whole number of at least 1",
    );
}

#[test]
fn consumer_settings_must_make_sense() {
    let entry = "acme.toml:17: events.OrderPlaced.consumers.mail";
    let duration =
        "write a whole number above 0 with ms, s, m, h or d, such as \"500ms\" or \"30d\"";
    let eleven = format!("retry = [{}]", "\"1s\", ".repeat(11));
    for (setting, expected) in [
        ("retry = []", ".retry: has 0 waits; list 1 to 10 waits, one before each further attempt".to_owned()),
        (eleven.as_str(), ".retry: has 11 waits; list 1 to 10 waits, one before each further attempt".to_owned()),
        ("retry = [\"1s\", \"soon\"]", format!(".retry[1]: \"soon\" is not a duration; {duration}")),
        ("handler-timeout = \"0s\"", format!(".handler-timeout: \"0s\" is not a duration; {duration}")),
        ("execution = \"concurrent(0)\"",
            ".execution: \"concurrent(0)\" is not a way to execute; write \"batched\", or \"concurrent(n)\" with n from 1 to 65535".to_owned()),
        ("behind-dead-letter = \"stop\"", ".behind-dead-letter: \"stop\" is not known here; write \"continue\" or \"park\"".to_owned()),
    ] {
        one(READS, setting, &format!("{entry}{expected}"));
    }
}
