use super::*;

fn set(name: &str, value: &str) -> Result<TopicConfigs, ConfigError> {
    TopicConfigs::default().with(vec![(name.to_owned(), Change::Set(value.to_owned()))])
}

#[test]
fn defaults_are_values_of_their_kind_and_kafkas_log_settings() {
    for key in keys::KEYS {
        assert_eq!(check(key.name, key.default), Ok(()), "{}", key.name);
    }
    assert!(keys::KEYS.is_sorted_by_key(|key| key.name));
    let settings = TopicConfigs::default().settings(Arc::default());
    assert_eq!(format!("{settings:?}"), format!("{:?}", LogSettings::default()));
}

#[test]
fn what_is_set_reaches_the_log() {
    let settings = |name, value| set(name, value).unwrap().settings(Arc::default());
    assert_eq!(settings("retention.ms", "-1").retention_ms, None);
    assert_eq!(settings("retention.bytes", "5").retention_bytes, Some(5));
    assert_eq!(settings("segment.bytes", "1048576").segment_bytes, 1_048_576);
    assert_eq!(settings("internal.segment.bytes", "100").segment_bytes, 100);
    assert_eq!(settings("max.message.bytes", " 77 ").max_message_bytes, 77);
    let cleanup = settings("cleanup.policy", "compact,delete").cleanup;
    assert_eq!(cleanup, Cleanup { delete: true, compact: true });
    let timestamps = settings("message.timestamp.type", "LogAppendTime").timestamp_type;
    assert_eq!(timestamps, TimestampType::LogAppend);
}

#[test]
fn unknown_names_wrong_values_and_what_can_have_no_effect_are_refused() {
    assert!(matches!(set("retention", "1"), Err(ConfigError::Unknown(_))));
    assert!(matches!(set("retention.ms", "soon"), Err(ConfigError::Value { .. })));
    assert!(matches!(set("segment.bytes", "100"), Err(ConfigError::Value { .. })));
    let refused = set("compression.type", "zstd").unwrap_err();
    assert!(matches!(refused, ConfigError::Unsupported { .. }), "{refused}");
    assert_eq!(refused.response_error(), ResponseError::InvalidConfig);
    set("compression.type", "producer").unwrap();
    set("min.insync.replicas", "2").unwrap();
}

#[test]
fn lists_are_added_to_and_taken_from() {
    let change =
        |configs: &TopicConfigs, change| configs.with(vec![("cleanup.policy".to_owned(), change)]);
    let both = change(&TopicConfigs::default(), Change::Append("compact".to_owned())).unwrap();
    assert_eq!(both.own("cleanup.policy"), Some("delete,compact"));
    let again = change(&both, Change::Append("compact".to_owned())).unwrap();
    assert_eq!(again, both);
    let one = change(&both, Change::Subtract("delete".to_owned())).unwrap();
    assert_eq!(one.own("cleanup.policy"), Some("compact"));
    assert_eq!(change(&one, Change::Unset).unwrap(), TopicConfigs::default());
    let number = vec![("retention.ms".to_owned(), Change::Append("1".to_owned()))];
    assert!(matches!(one.with(number), Err(ConfigError::NotAList { .. })));
}

#[test]
fn a_setting_is_changed_once_at_a_time() {
    let twice = vec![
        ("retention.ms".to_owned(), Change::Set("1".to_owned())),
        ("retention.ms".to_owned(), Change::Unset),
    ];
    assert!(matches!(TopicConfigs::default().with(twice), Err(ConfigError::Twice(_))));
}
