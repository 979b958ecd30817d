//! What others wrote is text on every page, in a browser and without one, and no cell is a formula.

mod payloads;

use std::collections::BTreeSet;
use std::time::Duration;

use bytes::Bytes;
use event_bus::dead_letter::{Cause, Obituary, Reason, dlq_id};
use event_bus::dead_letters::{Filter, Found};
use event_bus::envelope::OutgoingRecord;
use event_bus::headers::{self, Header};
use event_bus::kafka::Record;
use event_bus::names::{EventId, TenantId};
use event_bus::store::ops::Role;
use event_bus_ops::access::route::Verb;
use event_bus_ops::{api, panel};
use event_bus_tests::chromium::Chromium;
use event_bus_tests::databases::Databases;
use event_bus_tests::eventually::{equal, eventually};
use event_bus_tests::kafka::{raw, send_all};
use event_bus_tests::process::escaped;
use futures_util::{StreamExt as _, stream};
use serde_json::{Value, json};

use super::matrix;
use super::served::{ALL, Served, signs_in};
use super::visitor::Visitor;
use crate::both::on_both_databases;
use crate::workshop::Workshop;

on_both_databases!(what_others_wrote_is_text_on_every_page);

const SOON: Duration = Duration::from_secs(90);
const LIST: &str = "/events/dead-letters/list";
/// So many pages are asked for at once.
const AT_ONCE: usize = 6;
/// So many texts stand in one dead letter that has many of them.
const TOGETHER: usize = 36;
/// Nearly as large as a dead letter may be.
const LARGE: usize = 4_000_000;

async fn what_others_wrote_is_text_on_every_page(databases: &Databases) {
    let workshop = Workshop::open(1, "").await;
    let served = Served::start(&workshop, databases).await;
    let letters = buried(&workshop, &served, true).await;
    let mut ann = served.signed_in("ann", Role::Operator, &ALL).await;
    let texts = payloads::all();
    publish(&workshop).await;
    let mut paths: Vec<String> =
        ["/events/dead-letters", "/events/dead-letters/replay", "/events/live", LIST]
            .map(str::to_owned)
            .into();
    paths.push(format!("{LIST}?limit=1000"));
    paths.extend(letters.iter().map(page_of));
    for (nth, text) in texts.iter().enumerate() {
        let begin: String = text.chars().take(250).collect();
        let escaped = escaped(&begin);
        paths.push(match nth % 8 {
            6 => format!("/events/timeline?value={escaped}"),
            7 => format!("/events/live?tenant={escaped}&key={escaped}"),
            0 => format!("{LIST}?text={escaped}&tenant={escaped}&fingerprint={escaped}"),
            1 => format!("/events/dead-letters?text={escaped}"),
            2 => format!("/sign-in?next={escaped}"),
            3 => format!("/welcome?token={escaped}"),
            4 => format!("/events/dead-letters/{escaped}"),
            _ => format!("/events/dead-letters/discard?key={escaped}"),
        });
    }
    // A form's field holds what was written as it is, and a history asks Kafka several times.
    let of_some = letters.iter().rev().take(12).map(page_of);
    paths.extend(of_some.flat_map(|page| [format!("{page}/edit"), format!("{page}/history")]));
    let telling: Vec<&String> =
        texts.iter().filter(|text| text.contains(['<', '"', '\''])).collect();
    stream::iter(paths)
        .for_each_concurrent(AT_ONCE, async |path| is_text(ann.clone(), &path, &telling).await)
        .await;
    has_no_formula(&mut ann, &letters).await;
    let raw = ann.get(&format!("{}/raw", page_of(&letters[0]))).await;
    assert_eq!(raw.header("content-type"), "application/octet-stream");
    served.stop().await;
}

fn page_of(found: &Found) -> String {
    format!("/events/dead-letters/{}", found.letter.id)
}

/// The page has what each page has, once, and nothing that a text would have brought.
async fn is_text(mut visitor: Visitor, path: &str, telling: &[&String]) {
    let page = visitor.get(path).await;
    assert!(page.status < 500, "{path} {page:?}");
    let count = |markup: &str| page.body.matches(markup).count();
    for (markup, times) in
        [("<main", 1), ("</main>", 1), ("</html>", 1), ("<script", 2), ("<style", 0), ("<link", 2)]
    {
        assert_eq!(count(markup), times, "{path} has {markup}: {page:?}");
    }
    for text in telling {
        // A history's own words are quoted nowhere, so what is there is markup.
        assert!(text.len() < 3 || !page.shows(text), "{path} has {text}: {page:?}");
    }
    if !path.contains('?') && !path.ends_with("/edit") {
        let hidden = payloads::HIDDEN.into_iter().find(|one| page.body.contains(*one));
        assert_eq!(hidden, None, "{path} {page:?}");
        let control =
            page.body.chars().find(|one| one.is_control() && *one != '\n' && *one != '\t');
        assert_eq!(control, None, "{path} {page:?}");
    }
}

/// Each cell that says something begins with something harmless, whichever characters a spreadsheet passes over.
async fn has_no_formula(visitor: &mut Visitor, letters: &[Found]) {
    let csv = visitor.get("/events/dead-letters/export?format=csv").await;
    assert_eq!(csv.header("content-disposition"), "attachment; filename=\"dead-letters.csv\"");
    let mut rows = csv::Reader::from_reader(csv.body.as_bytes());
    let mut ids = BTreeSet::new();
    for row in rows.records() {
        let row = row.expect("each row has as many cells as the first one");
        for cell in &row {
            let begins = ['=', '+', '-', '@', '\t', '\r', '\n', '＝', '＋', '－', '＠'];
            assert!(!cell.starts_with(begins), "{cell:?} in {row:?}");
        }
        ids.insert(row[0].to_owned());
    }
    let wanted: BTreeSet<String> =
        letters.iter().map(|found| found.letter.id.to_string()).collect();
    assert_eq!(ids, wanted);
    let some = visitor.get("/events/dead-letters/export?format=ndjson&text=HYPERLINK").await;
    let lines: Result<Vec<Value>, _> = some.body.lines().map(serde_json::from_str).collect();
    assert!(lines.expect("each line is JSON").len() > 1, "{some:?}");
}

/// A dead letter as large as may be is shown by its begin, however its value is made; it is to be had as a whole.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dead_letter_of_nearly_four_mebibytes_has_a_small_page() {
    const MOST: usize = 1_500_000;
    let (databases, workshop) = (Databases::sqlite(), Workshop::open(1, "").await);
    let served = Served::start(&workshop, &databases).await;
    let mut grave = Grave { workshop: &workshop, letters: Vec::new() };
    let part = "<".repeat(LARGE / 1_100);
    for filling in [json!("<".repeat(LARGE - 10_000)), json!(vec![part; 1_080])] {
        let payload = json!({ "piece": "plank", "number": 1, "filling": filling });
        let value = event_of("acme", &payload);
        assert!((3_900_000..4_190_000).contains(&value.len()), "{}", value.len());
        grave.bury("large", value, &[]);
    }
    let sizes: Vec<usize> =
        grave.letters.iter().filter_map(|letter| Some(letter.value.as_ref()?.len())).collect();
    send_all(grave.letters).await;
    let letters = indexed(&served, 2).await;
    let mut ann = served.signed_in("ann", Role::Operator, &ALL).await;
    for (found, size) in letters.iter().zip(sizes) {
        let page = ann.get(&page_of(found)).await;
        assert_eq!(page.status, 200, "{}", page.body.len());
        assert!(page.shows("what is shown is cut") && page.shows("PieceCut"), "{size}");
        assert!(page.body.len() < MOST, "{} of {size}", page.body.len());
        let history = ann.get(&format!("{}/history", page_of(found))).await;
        assert!(history.status == 200 && history.body.len() < MOST, "{}", history.body.len());
        let raw = ann.get(&format!("{}/raw", page_of(found))).await;
        assert_eq!((raw.status, raw.body.len()), (200, size));
    }
    let list = ann.get(LIST).await;
    assert!(list.status == 200 && list.body.len() < MOST, "{}", list.body.len());
    served.stop().await;
}

/// Ten megabytes in a field, a query or a body are refused, and others are served as before.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_text_of_ten_megabytes_is_refused_whichever_input_it_is_in() {
    let (databases, workshop) = (Databases::sqlite(), Workshop::open(1, "").await);
    let served = Served::start(&workshop, &databases).await;
    let mut ann = served.signed_in("ann", Role::Admin, &ALL).await;
    let token = served.token("api", Role::Admin, &ALL).await;
    let large = "x".repeat(10_000_000);
    let fields = ["reason", "value", "query", "text", "name", "password", "row", "shown", "csrf"];
    let origin = ann.origin();
    for (nth, route) in panel::ROUTES.iter().enumerate() {
        let path = matrix::path(route.path);
        let field = fields[nth % fields.len()];
        let answer = match route.verb {
            Verb::Get => ann.get(&format!("{path}?{field}={large}")).await,
            Verb::Post => {
                let body = format!("{field}={large}");
                ann.ask("POST", &path, &[("Origin", &origin)], &body).await
            }
        };
        assert!([413, 414, 431].contains(&answer.status), "{path} {field} {}", answer.status);
    }
    for route in api::ROUTES {
        let path = matrix::path(route.path);
        let answer = match route.verb {
            Verb::Get => ann.bearing(&token, "GET", &format!("{path}?text={large}"), "").await,
            Verb::Post => {
                let body = json!({ "reason": large }).to_string();
                ann.bearing(&token, "POST", &path, &body).await
            }
        };
        assert!([413, 414, 431].contains(&answer.status), "{path} {}", answer.status);
    }
    assert_eq!(ann.get("/account").await.status, 200);
    assert_eq!(ann.api(&token, "/dead-letters", None).await.status, 200);
    served.stop().await;
}

/// What a page is like in a browser.
const LOOKS: &str = r#"
const cells = table => [...table.rows].every(row => row.cells.length === table.rows[0].cells.length);
const own = ["script", "link", "meta", "style", "title"];
const drawn = one => one.closest("svg.trend") && ["svg", "title", "path"].includes(one.localName);
const strange = [...document.querySelectorAll("*")].filter(one =>
  [...one.attributes].some(({ name, value }) => name.startsWith("on") || name === "style" || /^\s*javascript:/i.test(value))
  || (own.includes(one.localName) && one.closest("body") && !drawn(one))
  || !drawn(one) && ["svg", "math", "iframe", "object", "embed", "img", "base", "frame", "video", "audio", "dialog", "template", "marquee"]
    .includes(one.localName));
return {
  ran: window.__pwned === undefined ? "nothing" : "a script",
  landmarks: ["header", "header nav", "main#main", "h1"].map(css => document.querySelectorAll(css).length),
  tables: [...document.querySelectorAll("table")].every(cells),
  is_wide: document.documentElement.scrollWidth > document.documentElement.clientWidth,
  strange: strange.map(one => one.outerHTML.slice(0, 200)),
  names: Object.keys(Object.prototype),
};"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_that_others_wrote_runs_in_a_browser() {
    let (databases, workshop) = (Databases::sqlite(), Workshop::open(1, "").await);
    let served = Served::start(&workshop, &databases).await;
    let letters = buried(&workshop, &served, false).await;
    served.user("ann", Role::Operator, &ALL).await;
    let (browser, url) = (Chromium::start().await, format!("http://{}", served.address));
    signs_in(&browser, &url, "ann").await;
    let mut paths = vec![
        "/events/dead-letters".to_owned(),
        format!("{LIST}?limit=1000"),
        format!(
            "{LIST}?text=%22%3E%3Cscript%3Ewindow.__pwned=1%3C/script%3E&tenant=%3Csvg%20onload=alert(1)%3E"
        ),
        "/events/dead-letters/replay".to_owned(),
        "/events/dead-letters/discard?state=open".to_owned(),
    ];
    // The last ones have all texts, in their keys, values, headers and errors.
    let together = payloads::all().len().div_ceil(TOGETHER);
    for found in letters.iter().rev().take(together) {
        paths.extend(["", "/edit", "/history"].map(|part| format!("{}{part}", page_of(found))));
    }
    for path in paths {
        browser.open(&format!("{url}{path}")).await;
        looks_well(&browser, &path).await;
    }
    // What comes while somebody looks is written by a script.
    browser.open(&format!("{url}/events/live")).await;
    let told = "return document.getElementById('live-told').textContent";
    eventually(SOON, async || {
        publish(&workshop).await;
        let told = browser.run(told).await;
        let is_shown =
            told.as_str().is_some_and(|told| told.contains("came") && !told.starts_with("0 "));
        if is_shown { Ok(()) } else { Err(told) }
    })
    .await;
    looks_well(&browser, "/events/live").await;
    browser.click("#live-stop").await;
    browser.shows("#live-told", "Stopped.").await;
    let complaints = browser.complaints().await;
    assert!(complaints.is_empty(), "{complaints:#?}");
    browser.quit().await;
    served.stop().await;
}

async fn looks_well(browser: &Chromium, path: &str) {
    let wanted = json!({
        "ran": "nothing", "landmarks": [1, 1, 1, 1], "tables": true, "is_wide": false, "strange": [], "names": [],
    });
    assert_eq!(browser.run(LOOKS).await, wanted, "{path}");
}

/// Records on the event's own topic that say them all.
async fn publish(workshop: &Workshop) {
    let records = payloads::all().into_iter().map(|text| {
        let value = value_of(&[&text]);
        raw(&workshop.topic(), Some(text.as_bytes()), Some(&value), Vec::new())
    });
    send_all(records.collect()).await;
}

/// Writes the dead letters, and gives them as the index knows them, in the order in which they failed: with `each` one of
/// each text, and some that are hostile as a whole, then those with many texts.
async fn buried(workshop: &Workshop, served: &Served, each: bool) -> Vec<Found> {
    let texts = payloads::all();
    let distinct: BTreeSet<&String> = texts.iter().collect();
    assert!(distinct.len() >= 200 && distinct.len() == texts.len(), "{}", distinct.len());
    let mut grave = Grave { workshop, letters: Vec::new() };
    if each {
        texts.iter().for_each(|text| grave.bury(text, value_of(&[text]), &[text]));
        for value in [
            format!("{{\"text\":\"{}\"}}", "<script>".repeat(LARGE / 8)),
            "x".repeat(LARGE),
            "{\"a\":".repeat(100_000),
            format!("[{}1]", "1e999,".repeat(10_000)),
        ] {
            grave.bury("as a whole", value.into(), &["as a whole"]);
        }
        grave.bury(
            "no text",
            Bytes::from_static(b"\xff\xfe<\x00s\x00c\x00\xc0\xbcscript\xed\xa0\x80"),
            &[],
        );
    }
    for texts in texts.chunks(TOGETHER) {
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        grave.bury(&texts.concat(), value_of(&texts), &texts);
    }
    let written = grave.letters.len();
    send_all(grave.letters).await;
    indexed(served, written).await
}

/// The dead letters once they are in the index, in the order in which they failed.
async fn indexed(served: &Served, written: usize) -> Vec<Found> {
    let count = async || served.store.count(&Filter::default()).await.expect("the store answers");
    eventually(SOON, async || equal(count().await, Some(written as u64))).await;
    let shown = served.store.letters(&Filter::default(), None, 1_000).await;
    let mut letters = shown.expect("the store answers").letters;
    letters.sort_by_key(|found| found.letter.offset);
    letters
}

/// An event whose tenant and payload say these, as far as a tenant's id can.
fn value_of(texts: &[&str]) -> Bytes {
    let tenant = texts.iter().find(|text| TenantId::new(text).is_ok()).copied().unwrap_or("acme");
    let named: serde_json::Map<String, Value> =
        texts.iter().map(|text| ((*text).to_owned(), json!([text]))).collect();
    event_of(tenant, &json!({ "piece": texts, "number": texts[0], "named": named }))
}

fn event_of(tenant: &str, payload: &Value) -> Bytes {
    let event = json!({
        "event_id": EventId::at(jiff::Timestamp::now()),
        "event": "PieceCut",
        "version": "1.0",
        "occurred_at": jiff::Timestamp::now(),
        "service": "cutting",
        "tenant_id": tenant,
        "payload": payload,
    });
    event.to_string().into()
}

/// Where they are written to, all at their own offsets of one partition.
struct Grave<'a> {
    workshop: &'a Workshop,
    letters: Vec<OutgoingRecord>,
}

impl Grave<'_> {
    fn bury(&mut self, text: &str, value: Bytes, of_headers: &[&str]) {
        let topic = self.workshop.topic();
        let event = self.workshop.catalogue.event_of_topic(topic.as_str());
        let event = event.expect("the workshop has it");
        let consumer = &event.consumers[0];
        let offset = i64::try_from(self.letters.len()).expect("it is small");
        let named = |text: &&str| Header::text((*text).replace('\0', ""), *text);
        let mut own: Vec<Header> = of_headers.iter().map(named).collect();
        own.push(Header {
            name: "x-bytes".into(),
            value: Some(Bytes::from_static(b"\xff<b>\x00")),
        });
        let record = Record {
            topic,
            partition: 0,
            offset,
            timestamp_ms: 0,
            key: Some(text.as_bytes().to_vec().into()),
            value: Some(value),
            headers: own,
        };
        let now = jiff::Timestamp::now();
        let mut letter = Obituary {
            id: dlq_id(&consumer.group, &record),
            record: &record,
            event_id: EventId::at(now),
            group: &consumer.group,
            service: &consumer.service,
            cause: &Cause::new(Reason::Malformed, text, text),
            attempts: 1,
            first_failed_at: now,
            failed_at: now + jiff::SignedDuration::from_millis(offset),
            chain_seq: None,
            previous: None,
        }
        .record(&event.dead_letter_topic);
        // What our consumers take from a short list, others may write as they like.
        for header in &mut letter.headers {
            if [headers::DLQ_REASON, headers::DLQ_SERVICE, headers::DLQ_FINGERPRINT]
                .contains(&&*header.name)
            {
                header.value = Some(text.as_bytes().to_vec().into());
            }
        }
        self.letters.push(letter);
    }
}
