use super::*;

fn at(topic: &str, partition: i32, offset: i64) -> OffsetAt {
    let offset = Offset {
        offset,
        leader_epoch: 0,
        metadata: "text".to_owned(),
        committed_at_ms: 5,
        expires_at_ms: None,
    };
    OffsetAt { topic: topic.to_owned(), partition, offset }
}

fn committed(group: &str, offset: i64) -> Entry {
    Entry::Committed { group: group.to_owned(), offsets: vec![at("orders", 0, offset)] }
}

fn staged(producer_id: i64, offset: i64) -> Entry {
    let offsets = vec![at("orders", 0, offset)];
    Entry::Staged { group: "group".to_owned(), producer_id, producer_epoch: 0, offsets }
}

fn finished(producer_id: i64, committed: bool) -> Entry {
    Entry::Finished { producer_id, committed }
}

fn ledger(entries: impl IntoIterator<Item = Entry>) -> Ledger {
    let mut ledger = Ledger::default();
    for entry in entries {
        ledger.apply(entry);
    }
    ledger
}

fn position(ledger: &Ledger) -> Option<i64> {
    ledger.offset("group", "orders", 0).map(|offset| offset.offset)
}

/// The ledger after its entries were written anew and read again.
fn rewritten(ledger: &Ledger) -> Ledger {
    let texts: Vec<Vec<u8>> = ledger.entries().iter().map(Entry::encode).collect();
    self::ledger(texts.iter().map(|text| serde_json::from_slice(text).unwrap()))
}

#[test]
fn the_last_commit_counts() {
    assert_eq!(position(&ledger([committed("group", 5), committed("group", 3)])), Some(3));
    assert_eq!(position(&ledger([committed("other", 5)])), None);
}

#[test]
fn a_staged_offset_counts_once_its_transaction_is_committed() {
    let open = ledger([committed("group", 1), staged(7, 5)]);
    assert_eq!(position(&open), Some(1));
    assert!(open.is_staged("group", "orders", 0) && !open.is_staged("group", "orders", 1));
    let done = ledger([committed("group", 1), staged(7, 5), finished(7, true)]);
    assert_eq!(position(&done), Some(5));
    assert!(!done.has_staged("group"));
}

#[test]
fn a_staged_offset_never_was_once_its_transaction_is_aborted() {
    let done = ledger([committed("group", 1), staged(7, 5), finished(7, false)]);
    assert_eq!(position(&done), Some(1));
    assert!(!done.is_staged("group", "orders", 0));
}

#[test]
fn a_transaction_does_not_overwrite_what_was_committed_after_it_was_staged() {
    let entries = [staged(7, 5), committed("group", 9), finished(7, true)];
    assert_eq!(position(&ledger(entries.clone())), Some(9));
    let mut half = rewritten(&ledger(entries.into_iter().take(2)));
    half.apply(finished(7, true));
    assert_eq!(position(&half), Some(9), "a rewritten journal keeps the order");
}

#[test]
fn transactions_of_different_producers_do_not_touch_each_other() {
    let mut both = ledger([staged(7, 5), staged(8, 6)]);
    both.apply(finished(7, false));
    assert!(both.is_staged("group", "orders", 0));
    both.apply(finished(8, true));
    assert_eq!(position(&both), Some(6));
}

#[test]
fn a_deleted_group_leaves_nothing() {
    let record = GroupRecord {
        group: "group".to_owned(),
        generation: 3,
        protocol_type: None,
        protocol: None,
        leader: None,
        since_ms: 0,
        members: Vec::new(),
    };
    let deleted = Entry::GroupDeleted { group: "group".to_owned() };
    let gone = ledger([Entry::Group(record), committed("group", 1), staged(7, 2), deleted]);
    assert_eq!((gone.records().count(), position(&gone)), (0, None));
    assert!(!gone.has_staged("group"));
}

#[test]
fn a_deleted_topic_leaves_no_offsets_and_other_topics_keep_theirs() {
    let offsets = vec![at("orders", 0, 1), at("payments", 0, 2)];
    let both = Entry::Committed { group: "group".to_owned(), offsets };
    let removed = Entry::TopicsRemoved { topics: vec!["orders".to_owned()] };
    let left = ledger([both, staged(7, 5), removed]);
    assert_eq!(position(&left), None);
    assert_eq!(left.topics().collect::<Vec<_>>(), ["payments"]);
}

#[test]
fn removed_offsets_are_gone_and_a_group_without_any_has_none() {
    let partitions = vec![PartitionName { topic: "orders".to_owned(), partition: 0 }];
    let removed = Entry::OffsetsRemoved { group: "group".to_owned(), partitions };
    let left = ledger([committed("group", 1), removed]);
    assert_eq!(position(&left), None);
    assert_eq!(left.groups_with_offsets().count(), 0);
}

#[test]
fn what_is_written_anew_tells_the_same() {
    let member = MemberRecord {
        id: "member".to_owned(),
        instance_id: Some("instance".to_owned()),
        client_id: "client".to_owned(),
        client_host: "/127.0.0.1".to_owned(),
        session_timeout_ms: 6_000,
        rebalance_timeout_ms: 60_000,
        metadata: bytes::Bytes::from_static(&[0, 1, 0xAB, 0xFF]),
        assignment: bytes::Bytes::new(),
    };
    let record = GroupRecord {
        group: "group".to_owned(),
        generation: 3,
        protocol_type: Some("consumer".to_owned()),
        protocol: Some("range".to_owned()),
        leader: Some("member".to_owned()),
        since_ms: 7,
        members: vec![member],
    };
    let full = ledger([
        committed("group", 1),
        committed("other", 2),
        staged(7, 3),
        Entry::Group(record),
        committed("group", 4),
    ]);
    let again = rewritten(&full);
    assert_eq!(again.entries(), full.entries());
    assert_eq!(again.records().collect::<Vec<_>>(), full.records().collect::<Vec<_>>());
    assert_eq!(again.entries().len(), 4);
}

#[test]
fn an_entry_that_is_not_hexadecimal_is_refused() {
    let text = Entry::Group(GroupRecord {
        group: String::new(),
        generation: 0,
        protocol_type: None,
        protocol: None,
        leader: None,
        since_ms: 0,
        members: Vec::new(),
    });
    let text = String::from_utf8(text.encode()).unwrap();
    for metadata in ["0", "0g", "é"] {
        let member = format!(
            r#"[{{"id":"","client_id":"","client_host":"","session_timeout_ms":0,"rebalance_timeout_ms":0,"metadata":"{metadata}","assignment":""}}]"#
        );
        let text = text.replace("[]", &member);
        serde_json::from_str::<Entry>(&text).unwrap_err();
    }
}
