//! A writer of W4b, as a process of its own.

use std::time::Duration;

use event_bus::names::TopicName;
use jiff::Timestamp;

use super::rows::{WRITERS, Writer};
use super::side::Side;

#[derive(clap::Args)]
pub struct Args {
    /// Whose outbox
    #[arg(long, value_enum)]
    side: Side,
    /// The database
    #[arg(long)]
    url: String,
    /// The topic
    #[arg(long)]
    topic: TopicName,
    /// Which of the writers this is
    #[arg(long)]
    writer: usize,
    /// Transactions of this writer
    #[arg(long)]
    transactions: usize,
    /// Microseconds between two
    #[arg(long)]
    every_micros: u64,
}

/// Commits a row at a time, and prints when each COMMIT returned, in microseconds since 1970, as one JSON array.
pub async fn run(args: &Args) {
    let mut writer = Writer::open(args.side, &args.url, &args.topic).await;
    let mut due = tokio::time::interval(Duration::from_micros(args.every_micros));
    let mut committed: Vec<(usize, i64)> = Vec::with_capacity(args.transactions);
    for nth in 0..args.transactions {
        due.tick().await;
        let number = nth * WRITERS + args.writer;
        writer.commit(&[number]).await;
        committed.push((number, Timestamp::now().as_microsecond()));
    }
    println!("{}", serde_json::to_string(&committed).expect("numbers always serialise"));
}
