//! An ops process with many dead letters: the index from scratch, its pages, its memory, and the rate of a replay beside
//! the publisher's.

pub mod letters;
pub mod process;

use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use event_bus::dead_letters::Filter;
use event_bus::dead_letters::guarded::Guard;
use event_bus_ops::api::AskForReplay;
use event_bus_ops::client::Client;
use event_bus_tests::kafka::create_topics_at;

use crate::broker::memory::mebibytes;
use letters::{Letters, MANY_TENANTS};
use process::{Bus, Ops, tell, timed};

/// What a page may take, and what a replay must reach of the publisher's rate.
const AIM: Duration = Duration::from_millis(50);
const WANTED: f64 = 0.5;
/// How often it is asked how far a replay is.
const LOOK: Duration = Duration::from_millis(20);
/// Requests for each page, after one that is not counted.
const REQUESTS: usize = 21;

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
    /// How many of them are replayed
    #[arg(long, default_value_t = 100_000)]
    replayed: usize,
}

/// Prints the figures; fails when a page takes longer than it should or a replay is slower.
pub async fn run(args: &Args) -> ExitCode {
    let Bus { kafka, catalogue, program } = Bus::new(&args.bootstrap, &args.program);
    create_topics_at(&kafka, &catalogue).await;

    let letters = Letters::new(Arc::clone(&catalogue), kafka.clone());
    let written = Instant::now();
    letters.write(args.letters - args.replayed, None).await;
    // Those that are replayed are one tenant's.
    letters.write(args.replayed, Some("replayed")).await;
    println!("{} dead letters written in {:.0?}", args.letters, written.elapsed());

    let store = process::Store::new(args.postgres.as_deref()).await;
    let began = Instant::now();
    let (ops, peak) = Ops::start(&program, &store).await;
    let took = began.elapsed();
    #[expect(clippy::cast_precision_loss, reason = "a count of dead letters is far below 2^53")]
    let rate = args.letters as f64 / took.as_secs_f64();
    println!(
        "index from scratch: {took:.1?}, {rate:.0} dead letters a second, at most {} MiB, {} MiB on the disk",
        mebibytes(peak),
        store.mebibytes().await
    );
    let is_fast = pages(&ops.client).await;
    println!("after the pages: {} MiB", mebibytes(ops.memory()));
    let is_quick = replay(args, &ops, &letters).await;
    if is_fast && is_quick { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Times each page, as whoever asks the API sees it.
async fn pages(client: &Client) -> bool {
    let list = |value: &str| vec![value.to_owned()];
    let all = Filter::default;
    let failure = client.failures(&all()).await.expect("it answers").remove(0);
    let of_tenant = Filter { tenants: list("tenant-7"), ..all() };
    let of_group = Filter { groups: list(&failure.group), ..all() };
    let filters = [
        ("all", all()),
        ("open", Filter { states: list("open"), ..all() }),
        ("discarded, of which there are none", Filter { states: list("discarded"), ..all() }),
        ("one tenant of many", of_tenant.clone()),
        ("one group", of_group.clone()),
        (
            "one failure of one tenant, open",
            Filter {
                fingerprints: list(&failure.fingerprint),
                tenants: list("tenant-11"),
                states: list("open"),
                ..all()
            },
        ),
        ("before a time", Filter { until: Some(letters::in_the_midst()), ..all() }),
        ("text", Filter { text: Some("declined".to_owned()), ..all() }),
    ];
    let mut is_fast = true;
    for (name, filter) in filters {
        let letters = async || drop(client.letters(&filter, None, 50).await.expect("it answers"));
        let took = timed(REQUESTS, letters).await;
        is_fast &= tell(&format!("first page, {name}"), &took, AIM);
    }
    for (name, filter) in
        [("all", all()), ("one tenant of many", of_tenant), ("one group", of_group)]
    {
        let failures = async || drop(client.failures(&filter).await.expect("it answers"));
        is_fast &= tell(&format!("groups, {name}"), &timed(REQUESTS, failures).await, AIM);
    }
    // What a text that nobody wrote takes: each dead letter is looked at, and that is told and not asked for.
    let nothing = Filter { text: Some("nobody wrote this".to_owned()), ..all() };
    let began = Instant::now();
    drop(client.letters(&nothing, None, 50).await.expect("it answers"));
    println!("first page, a text that nobody wrote: {:.0?}, for it is a scan", began.elapsed());
    is_fast
}

/// The rate of a replay without steps, beside that of the publisher with events of the same kind.
async fn replay(args: &Args, ops: &Ops, letters: &Letters) -> bool {
    let published = letters.publish(args.replayed).await;
    let filter = Filter { tenants: vec!["replayed".to_owned()], ..Filter::default() };
    let guard = Guard { canary: Vec::new(), ..Guard::default() };
    let asked = AskForReplay { id: None, filter, guard, reason: None };
    let began = Instant::now();
    let asked = ops.client.ask_for_replay(&asked).await.expect("it answers");
    let frozen = began.elapsed();
    assert_eq!(asked.letters, args.replayed as u64, "all of that tenant's are open");
    let mut first_sent = None;
    let mut looks = tokio::time::interval(LOOK);
    let took = loop {
        looks.tick().await;
        let progress = ops.client.replay(asked.id).await.expect("it answers").progress;
        if progress.sent > 0 && first_sent.is_none() {
            first_sent = Some(began.elapsed());
        }
        if progress.sent == progress.letters {
            assert_eq!((progress.gone, progress.refused), (0, 0));
            break began.elapsed();
        }
    };
    #[expect(clippy::cast_precision_loss, reason = "a count of dead letters is far below 2^53")]
    let rate = args.replayed as f64 / (took - frozen).as_secs_f64();
    let ratio = rate / published.rate();
    println!(
        "replay of {} from {MANY_TENANTS} and one tenants: frozen in {frozen:.1?}, first shown as sent after {:.1?}, sent after {took:.1?}: \
         {rate:.0}/s once frozen, the publisher {published}, ratio {ratio:.2} (wanted {WANTED}), {} MiB",
        args.replayed,
        first_sent.unwrap_or_default(),
        mebibytes(ops.memory())
    );
    ratio >= WANTED
}
