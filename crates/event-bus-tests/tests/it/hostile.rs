//! Records that are no events of their topic, or hardly: each becomes one dead letter that leaves its bytes alone, and
//! the service carries on.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use event_bus::Catalogue;
use event_bus::envelope::OutgoingRecord;
use event_bus::headers::Header;
use event_bus::kafka::Record;
use event_bus::kafka::producer::Delivered;
use event_bus::limits::{MAX_KEY_BYTES, MAX_RECORD_BYTES};
use event_bus::names::EventId;
use event_bus_tests::databases::Databases;
use event_bus_tests::eventually::{equal, eventually};
use event_bus_tests::kafka::{create_topics, everything_in, send_all};
use event_bus_tests::kafka_tools::reset_to_earliest;
use event_bus_tests::letters::{self, Expected};
use event_bus_tests::servers;
use event_bus_tests::shop::{self, Billing, Fate, order};

use tempfile::NamedTempFile;
use tokio::process::Command;

use crate::each::on_each;

const SOON: Duration = Duration::from_secs(60);

/// A record and what becomes of it.
struct Case {
    name: &'static str,
    reason: &'static str,
    record: OutgoingRecord,
}

/// A good order, its record's value changed.
fn changed(
    catalogue: &Catalogue,
    name: &str,
    change: impl FnOnce(&str) -> Vec<u8>,
) -> OutgoingRecord {
    let mut record = shop::sealed(catalogue, &order(name, 0, Fate::Ok));
    record.value = Some(Bytes::from(change(&text(&record))));
    record.headers.extend(odd_headers());
    record
}

fn text(record: &OutgoingRecord) -> String {
    String::from_utf8(record.value.as_deref().expect("an event has a value").to_vec())
        .expect("an event is text")
}

/// As [`changed`], one text replaced.
fn replaced(catalogue: &Catalogue, name: &str, from: &str, to: &str) -> OutgoingRecord {
    changed(catalogue, name, |good| {
        assert!(good.contains(from), "{from} is not in {good}");
        good.replace(from, to).into_bytes()
    })
}

/// Headers that Kafka allows and that are easily lost: repeated, without value, empty, no text.
fn odd_headers() -> Vec<Header> {
    let bytes = |name: &'static str, value: &'static [u8]| Header {
        name: name.into(),
        value: Some(Bytes::from_static(value)),
    };
    vec![
        Header::text("twice", "first"),
        Header { name: "absent".into(), value: None },
        bytes("empty", b""),
        Header::text("twice", "second"),
        bytes("binary", &[0xff, 0x00, 0x80]),
        Header { name: "twice".into(), value: None },
    ]
}

/// A record of exactly so many bytes of key, value and headers: a good order with a field that nobody asked for, of
/// characters that don't compress.
fn of_size(catalogue: &Catalogue, name: &str, fate: Fate, bytes: usize) -> OutgoingRecord {
    let mut record = shop::sealed(catalogue, &order(name, 0, fate));
    let good = text(&record);
    let (head, _) = good.rsplit_once("}}").expect("payload and envelope end");
    let headers: usize = record.headers.iter().map(Header::bytes).sum();
    let key = record.key.as_ref().map_or(0, Bytes::len);
    let room = bytes - key - headers - head.len() - ",\"padding\":\"\"}}".len();
    let padding: String = (0..room).map(|_| char::from(b'a' + rand::random::<u8>() % 26)).collect();
    record.value = Some(Bytes::from(format!("{head},\"padding\":\"{padding}\"}}}}")));
    record
}

fn envelopes(catalogue: &Catalogue) -> Vec<Case> {
    let case = |name, reason, record| Case { name, reason, record };
    let with = |name, from: &str, to: &str| replaced(catalogue, name, from, to);
    let id = || EventId::at(jiff::Timestamp::now()).to_string();
    vec![
        case("no-json", "malformed", changed(catalogue, "no-json", |_| b"not json".to_vec())),
        case(
            "half",
            "malformed",
            changed(catalogue, "half", |good| good.as_bytes()[..good.len() - 1].to_vec()),
        ),
        case("empty", "malformed", changed(catalogue, "empty", |_| Vec::new())),
        case(
            "no-text",
            "malformed",
            changed(catalogue, "no-text", |good| {
                good.replace("no-text", "no-\u{1}")
                    .bytes()
                    .map(|byte| if byte == 1 { 0xff } else { byte })
                    .collect()
            }),
        ),
        case(
            "deep",
            "malformed",
            with(
                "deep",
                "\"number\":0",
                &format!("\"number\":{}0{}", "[".repeat(10_000), "]".repeat(10_000)),
            ),
        ),
        case("unclosed", "malformed", changed(catalogue, "unclosed", |_| vec![b'['; 10_000])),
        case(
            "two-tenants",
            "malformed",
            with("two-tenants", "\"tenant_id\":", "\"tenant_id\":\"other-shop\",\"tenant_id\":"),
        ),
        case(
            "two-numbers",
            "malformed",
            with("two-numbers", "\"number\":0", "\"number\":0,\"number\":0"),
        ),
        case(
            "nil-id",
            "malformed",
            changed(catalogue, "nil-id", |good| {
                let (_, rest) = good.split_once(",\"event\"").expect("the event follows its id");
                format!("{{\"event_id\":\"00000000-0000-0000-0000-000000000000\",\"event\"{rest}")
                    .into_bytes()
            }),
        ),
        case(
            "wrong-kind",
            "schema-invalid",
            with("wrong-kind", "\"number\":0", "\"number\":\"zero\""),
        ),
        case("no-number", "schema-invalid", with("no-number", "\"number\":0,", "")),
        case(
            "version-2",
            "unsupported-version",
            with("version-2", "\"version\":\"1.0\"", "\"version\":\"2.0\""),
        ),
        case(
            "foreign",
            "wrong-topic",
            with("foreign", "\"event\":\"OrderPlaced\"", "\"event\":\"OrderBilled\""),
        ),
        case(
            "unheard-of",
            "wrong-topic",
            with("unheard-of", "\"event\":\"OrderPlaced\"", "\"event\":\"OrderEaten\""),
        ),
        case(
            "array",
            "malformed",
            changed(catalogue, "array", |_| format!("[\"{}\"]", id()).into_bytes()),
        ),
    ]
}

fn records(catalogue: &Catalogue) -> Vec<Case> {
    let case = |name, reason, record| Case { name, reason, record };
    let good = |name: &str| changed(catalogue, name, |good| good.as_bytes().to_vec());
    let many = (0..100).map(|n| Header::text(format!("h{n}"), "v"));
    let mut compressible = good("very-large");
    compressible.value = Some(Bytes::from(vec![b'x'; 3_500_000]));
    vec![
        case("null", "null-value", OutgoingRecord { value: None, ..good("null") }),
        case(
            "no-key",
            "malformed",
            OutgoingRecord {
                key: None,
                partition: Some(0),
                ..changed(catalogue, "no-key", |_| b"{".to_vec())
            },
        ),
        case(
            "header-bomb",
            "malformed",
            OutgoingRecord { headers: many.collect(), ..good("header-bomb") },
        ),
        case(
            "long-header",
            "malformed",
            OutgoingRecord {
                headers: vec![Header::text("h", "v".repeat(32 * 1024))],
                ..good("long-header")
            },
        ),
        case(
            "long-key",
            "malformed",
            OutgoingRecord {
                key: Some(Bytes::from(vec![b'k'; MAX_KEY_BYTES + 1])),
                ..good("long-key")
            },
        ),
        case(
            "one-over",
            "too-large",
            of_size(catalogue, "one-over", Fate::Ok, MAX_RECORD_BYTES + 1),
        ),
        case(
            "half-over",
            "too-large",
            of_size(catalogue, "half-over", Fate::Ok, MAX_RECORD_BYTES * 3 / 2),
        ),
        case("very-large", "too-large", compressible),
    ]
}

fn by_place(records: Vec<Record>) -> BTreeMap<(i32, i64), Record> {
    records.into_iter().map(|record| ((record.partition, record.offset), record)).collect()
}

fn place(delivered: Delivered) -> (i32, i64) {
    (delivered.partition, delivered.offset)
}

async fn bills(databases: &Databases) -> Option<usize> {
    let counted = databases.try_number("billing", "SELECT count(*) FROM bills").await;
    usize::try_from(counted.ok()?).ok()
}

async fn dead_letters(catalogue: &Catalogue) -> Vec<Record> {
    everything_in(&[shop::orders(catalogue).dead_letter()]).await
}

/// Runs billing until it has so many bills and dead letters, and once more after a reset to the beginning.
async fn run_twice(
    catalogue: &Arc<Catalogue>,
    databases: &Databases,
    bill_count: usize,
    letter_count: usize,
) {
    let (group, orders) = (shop::billing_group(catalogue), shop::orders(catalogue));
    for round in 0..2 {
        if round > 0 {
            reset_to_earliest(&group, &orders).await;
        }
        let running = shop::run_billing(catalogue, databases, Billing::default()).await;
        eventually(SOON, async || {
            let lag = event_bus_tests::kafka::lag(&group, &orders).await;
            equal(
                (bills(databases).await, dead_letters(catalogue).await.len(), lag),
                (Some(bill_count), letter_count, 0),
            )
        })
        .await;
        running.stop().await;
        assert_eq!(
            (bills(databases).await, dead_letters(catalogue).await.len()),
            (Some(bill_count), letter_count)
        );
    }
}

async fn each_hostile_record_is_one_dead_letter(databases: Databases, settings: &str) {
    let catalogue = shop::catalogue(2, settings);
    create_topics(&catalogue).await;
    let cases: Vec<Case> = envelopes(&catalogue).into_iter().chain(records(&catalogue)).collect();
    let mut sent = Vec::new();
    for case in &cases {
        // Behind each one a good order of its partition: the service carries on.
        let mut good = shop::sealed(&catalogue, &order(case.name, 1, Fate::Ok));
        good.partition = case.record.partition;
        sent.extend([case.record.clone(), good]);
    }
    let delivered = send_all(sent.clone()).await;
    run_twice(&catalogue, &databases, cases.len(), cases.len()).await;

    let originals = by_place(everything_in(&[shop::orders(&catalogue)]).await);
    let letters = dead_letters(&catalogue).await;
    let group = shop::billing_group(&catalogue);
    for (case, delivered) in cases.iter().zip(delivered.iter().step_by(2)) {
        let original = &originals[&place(*delivered)];
        assert!(
            original.value == case.record.value && original.headers == case.record.headers,
            "{}",
            case.name
        );
        let of_it: Vec<&Record> =
            letters.iter().filter(|letter| letters::is_of(letter, original)).collect();
        let [letter] = of_it[..] else { panic!("{}: {} dead letters", case.name, of_it.len()) };
        assert_eq!(letters::reason(letter), case.reason, "{}", case.name);
        let event_id = letters::event_id(original, case.reason);
        letters::check(
            letter,
            original,
            Expected { group: &group, reason: case.reason, attempts: 0, event_id },
        );
    }
    let billed: BTreeSet<String> = databases
        .rows("billing", "SELECT order_id, number FROM bills")
        .await
        .into_iter()
        .map(|(id, _)| id)
        .collect();
    assert_eq!(billed, cases.iter().map(|case| case.name.to_owned()).collect());
    databases.drop_all().await;
}

on_each!(each_hostile_record_is_one_dead_letter);

/// Kafka's limits are about compressed bytes: another client's record may be of any size.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_compressed_record_of_eight_megabytes_is_one_dead_letter() {
    let databases = Databases::sqlite();
    let catalogue = shop::catalogue(1, "");
    create_topics(&catalogue).await;
    let mut file = NamedTempFile::new().expect("a temporary file can be made");
    file.write_all(&vec![b'x'; 8_000_000]).expect("the file can be written");
    let (bootstrap, topic) = (servers::bootstrap(), shop::orders(&catalogue));
    let mut kcat = Command::new(servers::kcat());
    kcat.args(["-P", "-b", &bootstrap, "-t", topic.as_str(), "-k", "large", "-z", "lz4"]);
    kcat.args(["-X", "message.max.bytes=9000000"]).arg(file.path());
    assert!(kcat.status().await.expect("kcat can be started").success());
    shop::publish(&catalogue, &[order("large", 1, Fate::Ok)]).await;
    run_twice(&catalogue, &databases, 1, 1).await;
    let original = &everything_in(&[topic]).await[0];
    let (group, event_id) = (shop::billing_group(&catalogue), letters::position_id(original));
    let expected = Expected { group: &group, reason: "too-large", attempts: 0, event_id };
    letters::check(&dead_letters(&catalogue).await[0], original, expected);
}

async fn a_record_at_the_limit_is_handled_and_its_dead_letter_fits(
    databases: Databases,
    settings: &str,
) {
    let catalogue = shop::catalogue(1, &format!("retry = [\"10ms\"]\n{settings}"));
    create_topics(&catalogue).await;
    let sent = vec![
        of_size(&catalogue, "good", Fate::Ok, MAX_RECORD_BYTES),
        of_size(&catalogue, "bad", Fate::Fail, MAX_RECORD_BYTES),
    ];
    let delivered = send_all(sent.clone()).await;
    run_twice(&catalogue, &databases, 1, 1).await;
    let originals = by_place(everything_in(&[shop::orders(&catalogue)]).await);
    let letters = dead_letters(&catalogue).await;
    let group = shop::billing_group(&catalogue);
    let expected = Expected {
        group: &group,
        reason: "retries-exhausted",
        attempts: 2,
        event_id: sent[1].event_id,
    };
    letters::check(&letters[0], &originals[&place(delivered[1])], expected);
    databases.drop_all().await;
}

on_each!(a_record_at_the_limit_is_handled_and_its_dead_letter_fits);

async fn what_an_event_has_beyond_the_contract_does_no_harm(databases: Databases, settings: &str) {
    let catalogue = shop::catalogue(1, settings);
    create_topics(&catalogue).await;
    let with = |name: &str, from: &str, to: &str| replaced(&catalogue, name, from, to);
    let mut no_key = changed(&catalogue, "no-key", |good| good.as_bytes().to_vec());
    no_key.key = None;
    let sent = vec![
        with("more-envelope", "\"payload\":", "\"mood\":{\"is\":[\"good\"]},\"payload\":"),
        with("more-payload", "\"number\":0", "\"number\":0,\"colour\":null"),
        with("minor-7", "\"version\":\"1.0\"", "\"version\":\"1.7\""),
        no_key,
        // An event id is optional on read: then its place in the log is its name.
        changed(&catalogue, "no-id", |good| {
            let (_, rest) = good.split_once(",\"event\"").expect("the event follows its id");
            format!("{{\"event\"{rest}").into_bytes()
        }),
    ];
    let delivered = send_all(sent).await;
    run_twice(&catalogue, &databases, 5, 0).await;
    let originals = by_place(everything_in(&[shop::orders(&catalogue)]).await);
    let no_id = letters::position_id(&originals[&place(delivered[4])]);
    let sql =
        format!("SELECT count(*) FROM bills WHERE order_id = 'no-id' AND event_id = '{no_id}'");
    assert_eq!(databases.number("billing", &sql).await, 1);
    databases.drop_all().await;
}

on_each!(what_an_event_has_beyond_the_contract_does_no_harm);

/// Twice the same bytes is one event; other bytes under a known id are another event, and never skipped in silence.
async fn an_id_names_the_same_bytes_always(databases: Databases, settings: &str) {
    let catalogue = shop::catalogue(1, settings);
    create_topics(&catalogue).await;
    let first = shop::sealed(&catalogue, &order("twin", 0, Fate::Ok));
    let mut other = first.clone();
    other.value = Some(Bytes::from(text(&first).replace("\"number\":0", "\"number\":5")));
    let last = shop::sealed(&catalogue, &order("twin", 1, Fate::Ok));
    let mut delivered =
        send_all(vec![first.clone(), first.clone(), other.clone(), first, last, other.clone()])
            .await;
    run_twice(&catalogue, &databases, 2, 2).await;
    // Under another key it would have been the first under concurrent execution.
    other.key = Some(Bytes::from_static(b"elsewhere"));
    let mut invalid = other.clone();
    invalid.value = Some(Bytes::from(text(&other).replace("\"number\":5", "\"number\":-5")));
    delivered.extend(send_all(vec![other, invalid]).await);
    run_twice(&catalogue, &databases, 2, 4).await;
    let originals = by_place(everything_in(&[shop::orders(&catalogue)]).await);
    let letters = dead_letters(&catalogue).await;
    let group = shop::billing_group(&catalogue);
    let collisions = [2, 5, 6].map(|index| (index, "id-collision"));
    for (index, reason) in collisions.into_iter().chain([(7, "schema-invalid")]) {
        let original = &originals[&place(delivered[index])];
        let letter = letters.iter().find(|letter| letters::is_of(letter, original));
        let event_id = letters::position_id(original);
        let expected = Expected { group: &group, reason, attempts: 0, event_id };
        letters::check(letter.expect("it has a dead letter"), original, expected);
    }
    let billed =
        databases.rows("billing", "SELECT order_id, number FROM bills ORDER BY place").await;
    assert_eq!(billed, [("twin".to_owned(), 0), ("twin".to_owned(), 1)]);
    databases.drop_all().await;
}

on_each!(an_id_names_the_same_bytes_always);
