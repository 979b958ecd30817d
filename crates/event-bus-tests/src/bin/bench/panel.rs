//! The panel of an ops process with many dead letters and partitions: what each page takes, and the process's memory.

mod page;

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use event_bus::dead_letters::{Filter, Scope};
use event_bus::kafka::admin::{Admin, Position};
use event_bus::names::TopicName;
use event_bus::store::ops::{OpsStore, Role};
use event_bus::{Catalogue, KafkaConfig};
use event_bus_ops::access::route::Verb;
use event_bus_ops::api::AskForReplay;
use event_bus_ops::panel::{COOKIE, HOME, ROUTES};
use event_bus_tests::eventually::eventually;
use event_bus_tests::kafka::create_topics_at;
use jiff::Timestamp;

use crate::broker::memory::{Watch, mebibytes};
use crate::dlq::letters::Letters;
use crate::dlq::process::{Bus, Ops, Store, tell, timed};
use page::Page;

/// What a page may take, the first one, and all of the process's memory.
const AIM: Duration = Duration::from_millis(200);
const FIRST_AIM: Duration = Duration::from_millis(100);
const MEMORY_AIM_MIB: u64 = 256;
/// How long brokers may take until all partitions have a leader.
const LEADERS: Duration = Duration::from_secs(600);
/// Who looks.
const USER: &str = "bench";
/// Pages that mean something only with a query, and what is asked of them; a page may stand here several times.
const QUERIES: [(&str, &str); 12] = [
    ("/events/dead-letters", "text=declined"),
    ("/events/dead-letters/list", "state=open"),
    ("/events/dead-letters/list", "tenant=tenant-7"),
    ("/events/dead-letters/export", "format=csv&tenant=tenant-7"),
    ("/events/dead-letters/replay", "tenant=tenant-7"),
    ("/events/dead-letters/discard", "tenant=tenant-7"),
    ("/events/dead-letters/restore", "tenant=tenant-7"),
    ("/events/dead-letters/notes", "fingerprint={fingerprint}"),
    ("/events/groups/{group}/reset", "to=earliest"),
    ("/events/groups/{group}/reset", "to=latest"),
    ("/events/timeline", "value=tenant-7/ORD-7&as=key"),
    ("/events/live", "event=OrderPlaced"),
];

/// What is no page without more: it leads elsewhere, or means something only with a query or a link.
const NO_PAGES: [&str; 6] = [
    "/",
    "/welcome",
    "/sign-in/oidc",
    "/sign-in/oidc/callback",
    "/events/dead-letters/notes",
    "/events/dead-letters/export",
];
/// What waits for relays to answer, of which there are none here: it is told, and not asked for.
const WAITS: &str = "/events/outbox";

#[derive(clap::Args)]
pub struct Args {
    /// Kafka's `host:port`
    #[arg(long)]
    bootstrap: String,
    /// The `event-bus` program
    #[arg(long)]
    program: String,
    /// PostgreSQL's maintenance database; without it the ops store is SQLite
    #[arg(long)]
    postgres: Option<String>,
    /// How many dead letters there are
    #[arg(long, default_value_t = 1_000_000)]
    letters: usize,
    /// About how many partitions the topics have together
    #[arg(long, default_value_t = 10_000)]
    partitions: usize,
    /// Requests for each page, after one that is not counted
    #[arg(long, default_value_t = 100)]
    requests: usize,
}

/// Prints the figures; fails when a page takes longer, or the process more memory, than it should.
pub async fn run(args: &Args) -> ExitCode {
    let Bus { kafka, catalogue, program } = Bus::new(&args.bootstrap, &args.program);
    let partitions = make_topics(&kafka, &catalogue, args.partitions).await;
    let letters = Letters::new(Arc::clone(&catalogue), kafka.clone());
    letters.write(args.letters, None).await;
    println!("{} dead letters, {partitions} partitions", args.letters);

    let store = Store::new(args.postgres.as_deref()).await;
    let session = signed_in(&store.url()).await;
    let (ops, peak) = Ops::start(&program, &store).await;
    let mut is_small = tell_memory("index from scratch", mebibytes(peak));
    let ids = Ids::of(&ops, &catalogue).await;
    let watch = Watch::start(ops.pid());
    let mut is_well = true;
    for path in paths() {
        is_well &= measure(args, &ops, &session, &path, &ids).await;
    }
    let now = mebibytes(ops.memory());
    is_small &= tell_memory(&format!("pages: {now} MiB"), mebibytes(watch.peak_bytes()));
    if is_well && is_small { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Tells the most memory that the process had, and whether that is no more than it should have.
fn tell_memory(what: &str, peak: u64) -> bool {
    let is_small = peak <= MEMORY_AIM_MIB;
    let mark = if is_small { "" } else { "  MORE THAN IT SHOULD HAVE" };
    println!("{what}, at most {peak} MiB{mark}");
    is_small
}

/// Makes the catalogue's topics with more partitions than it says, and says how many there are.
async fn make_topics(kafka: &KafkaConfig, catalogue: &Catalogue, wanted: usize) -> usize {
    let admin = Admin::connect(kafka).expect("an admin client can be made");
    create_topics_at(kafka, catalogue).await;
    let all: Vec<TopicName> = catalogue
        .events()
        .flat_map(|event| [event.topic.clone(), event.dead_letter_topic.clone()])
        .collect();
    let cluster = admin.cluster().await.expect("Kafka answers");
    let each = i32::try_from(wanted / all.len()).expect("it is small");
    let fewer = all.iter().filter(|topic| cluster.topics[*topic].partitions < each);
    let more: Vec<(TopicName, i32)> = fewer.map(|topic| (topic.clone(), each)).collect();
    for (topic, made) in admin.extend_topics(&more).await.expect("Kafka answers") {
        made.unwrap_or_else(|error| panic!("{topic}: {error}"));
    }
    admin.await_topics(&more, LEADERS).await.expect("all partitions have leaders");
    let cluster = admin.cluster().await.expect("Kafka answers");
    let partitions: Vec<_> = all.iter().flat_map(|topic| cluster.partitions(topic)).collect();
    // The controller has named the leaders, who learn it one partition after the other.
    eventually(LEADERS, async || {
        let told = admin.offsets(Position::End, partitions.clone()).await;
        let told = told.map_err(|error| error.to_string())?;
        let silent = told.values().filter(|offset| offset.is_err()).count();
        if silent == 0 { Ok(()) } else { Err(format!("{silent} partitions do not answer")) }
    })
    .await;
    partitions.len()
}

/// The cookie of an administrator.
async fn signed_in(url: &str) -> String {
    let store = OpsStore::open(url).await.expect("the ops store opens");
    let name = USER.parse().expect("a name");
    let made = store.make_user(&name, Role::Admin, &Scope::default(), Some("none")).await;
    assert!(made.expect("the store answers"), "the user is new");
    let session = store.open_session(&name, Timestamp::now()).await.expect("the store answers");
    store.close().await;
    format!("{COOKIE}={session}")
}

/// Real objects, for the places in the paths. Of a place that may hold several kinds, each is tried.
struct Ids(Vec<String>);

impl Ids {
    async fn of(ops: &Ops, catalogue: &Catalogue) -> Self {
        let shown = ops.client.letters(&Filter::default(), None, 1).await.expect("it answers");
        let letter = &shown.letters.first().expect("there are some").letter;
        let filter = Filter { ids: vec![letter.id], ..Filter::default() };
        let asked = AskForReplay { id: None, filter, guard: Default::default(), reason: None };
        let replay = ops.client.ask_for_replay(&asked).await.expect("it answers");
        let event = catalogue.event_of_topic(letter.topic.as_str()).expect("it is the catalogue's");
        Self(vec![
            letter.id.to_string(),
            replay.id.to_string(),
            letter.group.to_string(),
            letter.topic.to_string(),
            event.name.to_string(),
            letter.fingerprint.clone(),
            letter.service.clone(),
            USER.to_owned(),
            "panel.css".to_owned(),
        ])
    }

    /// The path with each of them in its place.
    fn in_place<'a>(&'a self, path: &'a str) -> impl Iterator<Item = String> + 'a {
        let place = path.split_once('{').and_then(|(before, rest)| {
            let (_, after) = rest.split_once('}')?;
            Some((before, after))
        });
        let whole = place.is_none().then(|| path.to_owned());
        let placed = place.into_iter().flat_map(|(before, after)| {
            self.0.iter().map(move |id| format!("{before}{id}{after}"))
        });
        whole.into_iter().chain(placed)
    }
}

/// What is asked for: each page once, and with each of its queries. A stream has no end that could be waited for.
fn paths() -> Vec<String> {
    let pages = ROUTES.iter().filter(|route| route.verb == Verb::Get);
    let pages = pages.map(|route| route.path).filter(|path| !path.ends_with("/stream"));
    let asked = pages.flat_map(|path| {
        let queries = QUERIES.iter().filter(move |(page, _)| *page == path);
        [path.to_owned()].into_iter().chain(queries.map(|(page, query)| format!("{page}?{query}")))
    });
    asked.collect()
}

/// Measures a page, and says whether it is as fast as it should be. Nothing but a page counts.
async fn measure(args: &Args, ops: &Ops, session: &str, path: &str, ids: &Ids) -> bool {
    if NO_PAGES.contains(&path) {
        return true;
    }
    let mut page = None;
    for path in ids.in_place(path) {
        let tried = Page::ask(ops.address(), &path, session).await;
        if tried.status == 200 {
            page = Some((path, tried));
            break;
        }
    }
    let Some((asked, first)) = page else {
        println!("{path}: IS NOT SHOWN");
        return false;
    };
    let waits = path.starts_with(WAITS);
    let took = timed(if waits { 1 } else { args.requests }, async || {
        assert_eq!(Page::ask(ops.address(), &asked, session).await.status, 200, "{asked}");
    });
    let took = took.await;
    let what = format!("{path}, {} KiB", first.bytes >> 10);
    if waits {
        println!("{what}: {:.0} ms, for no relay answers", took.median());
        return true;
    }
    tell(&what, &took, if path == HOME { FIRST_AIM } else { AIM })
}
