//! The screen: drawn over the last one, and left standing at the end.

use std::fmt::Write;

use console::{Term, measure_text_width, style, truncate_str};
use event_bus_ops::{Snapshot, TopicCount};

use super::Frame;
use super::numbers::{Orders, clock, grouped};
use crate::output::{Output, printable};
use crate::up::notes::{Note, Notes};

/// Where a terminal does not say how large it is.
const ROWS: u16 = 24;
const COLUMNS: u16 = 80;
/// The most notes that are shown, however high the terminal is.
const NOTES: usize = 5;
/// What a lag below is no news.
const LAG_OF_NOTE: u64 = 100;

/// Draws frames.
pub struct Screen {
    terminal: Term,
    notes: Notes,
    /// Lines of the last frame, which the next one is drawn over.
    drawn: usize,
}

impl Screen {
    pub fn new(notes: Notes) -> Self {
        Self { terminal: Term::stdout(), notes, drawn: 0 }
    }

    pub fn draw(&mut self, frame: &Frame<'_>, output: &mut Output) -> anyhow::Result<()> {
        let (rows, columns) = self.terminal.size_checked().unwrap_or((ROWS, COLUMNS));
        let lines = lines(frame, &self.notes.last(NOTES), usize::from(rows), usize::from(columns));
        // In one piece, or the terminal would show it half drawn.
        let mut text = String::new();
        if self.drawn > 0 {
            write!(text, "\x1b[{}F", self.drawn).expect("writing to a String cannot fail");
        }
        for line in &lines {
            text.push_str(line);
            // What the last frame had behind the end of this line.
            text.push_str("\x1b[K\r\n");
        }
        text.push_str("\x1b[J");
        self.drawn = lines.len();
        output.text(&text)
    }
}

/// The frame as lines that fit a terminal: what matters least goes first.
fn lines(frame: &Frame<'_>, notes: &[Note], rows: usize, columns: usize) -> Vec<String> {
    let mut lines = head(frame);
    if let Some(snapshot) = &frame.snapshot {
        lines.extend(totals(snapshot, frame.rate));
        lines.push(String::new());
        lines.extend(table(snapshot));
    }
    // The line below the last is where the cursor stands.
    let room = rows.saturating_sub(lines.len() + 1);
    let hint = style("Ctrl-C stops it · events: `event-bus tail` in another terminal").dim();
    let mut foot: Vec<String> =
        notes.iter().map(|said| note(said, frame.snapshot.as_deref())).collect();
    let most = room.saturating_sub(3).min(foot.len());
    foot.drain(..foot.len() - most);
    if !foot.is_empty() {
        foot.insert(0, String::new());
    }
    if room >= 2 {
        foot.extend([String::new(), hint.to_string()]);
    }
    lines.extend(foot);
    lines.truncate(rows.saturating_sub(1).max(1));
    lines.into_iter().map(|line| truncate_str(&line, columns, "…").into_owned()).collect()
}

fn head(frame: &Frame<'_>) -> Vec<String> {
    let facts = frame.facts;
    let state = match frame.health.problems.first() {
        None => style("ready".to_owned()).green(),
        Some(problem) => style(format!("not ready: {problem}")).red(),
    };
    let kafka = if facts.is_embedded { "Kafka (embedded)" } else { "Kafka" };
    let place = |what: &str, place: String| format!("{} {place}", style(what).dim());
    vec![
        format!("{}  {}  {state}", style("event-bus up").bold(), clock(frame.uptime)),
        [
            place(kafka, facts.kafka.clone()),
            place("panel", format!("http://{}", facts.http)),
            place("health", "/readyz".to_owned()),
            place("data", facts.data.display().to_string()),
        ]
        .join("  "),
        String::new(),
    ]
}

fn totals(snapshot: &Snapshot, rate: f64) -> [String; 2] {
    let Orders { placed, confirmed, dispatched, cancelled } = Orders::of(snapshot);
    let counted =
        |count: u64, what: &str| format!("{} {}", style(grouped(count)).bold(), style(what).dim());
    let orders = [
        counted(placed, "placed"),
        counted(confirmed, "confirmed"),
        counted(dispatched, "dispatched"),
        counted(cancelled, "cancelled"),
    ];
    let dead = snapshot.dead_letters();
    let dead_letters = match dead {
        0 => counted(dead, "dead letters"),
        _ => format!("{} {}", style(grouped(dead)).red().bold(), style("dead letters").dim()),
    };
    let events = [
        counted(snapshot.events(), "in all"),
        format!("{} {}", style(format!("{rate:.1}")).bold(), style("a second").dim()),
        counted(snapshot.lag(), "to be handled"),
        dead_letters,
    ];
    [format!("Orders  {}", orders.join("   ")), format!("Events  {}", events.join("   "))]
}

fn table(snapshot: &Snapshot) -> Vec<String> {
    let width = snapshot.topics.iter().map(|topic| topic.event.as_str().len()).max().unwrap_or(0);
    let heading = format!("{:width$} {:>9} {:>6}  {}", "EVENT", "EVENTS", "DEAD", "CONSUMERS, LAG");
    let mut lines = vec![style(heading).dim().to_string()];
    lines.extend(snapshot.topics.iter().map(|topic| row(topic, snapshot, width)));
    lines
}

fn row(topic: &TopicCount, snapshot: &Snapshot, width: usize) -> String {
    let dead = match topic.dead_letters {
        0 => style("·".to_owned()).dim(),
        count => style(grouped(count)).red(),
    };
    let consumers =
        snapshot.groups.iter().filter(|group| group.topic == topic.topic).map(|group| {
            let name = service_of(group.group.as_str(), topic);
            match (group.total(), group.unknown()) {
                (0, 0) => style(name.to_owned()).dim().to_string(),
                (_, 1..) => format!("{name} {}", style("?").yellow()),
                (lag @ LAG_OF_NOTE.., 0) => format!("{name} {}", style(grouped(lag)).yellow()),
                (lag, 0) => format!("{name} {}", style(grouped(lag)).bold()),
            }
        });
    format!(
        "{:width$} {:>9} {}  {}",
        topic.event.as_str(),
        grouped(topic.events),
        right(&dead.to_string(), 6),
        consumers.collect::<Vec<_>>().join("  ")
    )
}

/// The service in a group's name, `{namespace}-{service}-{topic slug}`.
fn service_of<'a>(group: &'a str, topic: &TopicCount) -> &'a str {
    let Some((namespace, short)) = topic.topic.as_str().split_once('.') else { return group };
    let slug = short.replace('.', "-");
    group
        .strip_prefix(namespace)
        .and_then(|rest| rest.strip_prefix('-')?.strip_suffix(&slug)?.strip_suffix('-'))
        .unwrap_or(group)
}

/// Styled text at the right end of so many columns.
fn right(text: &str, columns: usize) -> String {
    format!("{}{text}", " ".repeat(columns.saturating_sub(measure_text_width(text))))
}

fn note(note: &Note, snapshot: Option<&Snapshot>) -> String {
    let mark = if note.is_error { style("●").red() } else { style("●").yellow() };
    let mut text = note.what.clone();
    if let Some(who) = &note.who {
        text.push_str(" · ");
        text.push_str(
            &snapshot.and_then(|seen| consumer(who, seen)).unwrap_or_else(|| who.clone()),
        );
    }
    if let Some(why) = &note.why {
        text.push_str(": ");
        text.push_str(why);
    }
    format!("{mark} {}", printable(&text))
}

/// A group as people know it: the service, and the event that it consumes.
fn consumer(group: &str, snapshot: &Snapshot) -> Option<String> {
    let found = snapshot.groups.iter().find(|known| known.group.as_str() == group)?;
    let topic = snapshot.topics.iter().find(|topic| topic.topic == found.topic)?;
    Some(format!("{} of {}", service_of(group, topic), topic.event))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::{Duration, Instant};

    use console::strip_ansi_codes;
    use event_bus::lag::{GroupLag, PartitionOffsets, PartitionReading, Reading, of_partition};
    use event_bus_ops::{Health, Problem};

    use super::*;
    use crate::up::view::Facts;

    fn snapshot() -> Snapshot {
        let catalogue = blindstrader::catalogue();
        let topics = catalogue.events().map(|event| TopicCount {
            exists: true,
            events: 1234,
            dead_letters: u64::from(event.name.as_str() == "OrderPlaced"),
            ..TopicCount::of(event.name.clone(), event.topic.clone())
        });
        let groups = catalogue.subscriptions().map(|found| {
            let committed = Some(if found.consumer.service.as_ref() == "payment" { 3 } else { 9 });
            let offsets = PartitionOffsets { committed, log_start: 0, log_end: 9 };
            let reading = Reading::Known(of_partition(offsets));
            let partition = PartitionReading {
                partition: 0,
                committed,
                log_start: Some(0),
                log_end: Some(9),
                reading,
            };
            GroupLag {
                group: found.consumer.group.clone(),
                topic: found.event.topic.clone(),
                partitions: vec![partition],
            }
        });
        Snapshot { at: Instant::now(), topics: topics.collect(), groups: groups.collect() }
    }

    fn drawn(health: Health, rows: usize, columns: usize) -> Vec<String> {
        let facts = Facts {
            started: Instant::now(),
            kafka: "127.0.0.1:9092".to_owned(),
            is_embedded: true,
            http: "127.0.0.1:8080".parse().unwrap(),
            data: "event-bus-data".into(),
            set_up: None,
        };
        let (uptime, snapshot) = (Duration::from_secs(61), Some(Arc::new(snapshot())));
        let frame = Frame { facts: &facts, uptime, snapshot, rate: 12.34, health };
        let note = |number: usize| Note {
            is_error: true,
            what: format!("dead letter {number}"),
            who: Some("blindstrader-payment-order-placed".to_owned()),
            why: Some("rejected".to_owned()),
        };
        let notes: Vec<Note> = (1..=NOTES).map(note).collect();
        let lines = lines(&frame, &notes, rows, columns);
        lines.iter().map(|line| strip_ansi_codes(line).trim_end().to_owned()).collect()
    }

    #[test]
    fn a_screen_shows_orders_lag_dead_letters_and_the_last_notes() {
        let lines = drawn(Health::default(), 40, 100);
        let text = lines.join("\n");
        for wanted in [
            "event-bus up  00:01:01  ready",
            "Kafka (embedded) 127.0.0.1:9092  panel http://127.0.0.1:8080  health /readyz  data event-bus-data",
            "Orders  1,234 placed   1,234 confirmed   1,234 dispatched   1,234 cancelled",
            "12.3 a second   12 to be handled   1 dead letters",
            "OrderPlaced                       1,234      1  supply-chain  payment 6  notification",
            "BrandCatalogUpdated               1,234      ·  supplier",
            "● dead letter 5 · payment of OrderPlaced: rejected",
        ] {
            assert!(text.contains(wanted), "{wanted:?} is not in\n{text}");
        }
        let events = blindstrader::catalogue().events().count();
        assert_eq!(lines.iter().filter(|line| line.contains("1,234      ")).count(), events);
    }

    #[test]
    fn a_screen_fits_its_terminal_and_drops_what_matters_least() {
        for (rows, columns) in [(24, 80), (21, 60), (10, 20), (1, 1)] {
            let lines = drawn(Health::default(), rows, columns);
            assert!(lines.len() < rows.max(2), "{rows} rows: {lines:#?}");
            assert!(lines.iter().all(|line| measure_text_width(line) <= columns), "{lines:#?}");
        }
        let lines = drawn(Health::default(), 24, 80);
        assert!(lines.iter().any(|line| line.contains("OrganisationTerminated")), "{lines:#?}");
        assert!(!lines.iter().any(|line| line.contains("dead letter 4")), "{lines:#?}");
    }

    #[test]
    fn what_is_wrong_stands_first() {
        let problems = vec![Problem::KafkaUnreachable { error: "connection refused".to_owned() }];
        let lines = drawn(Health { problems }, 24, 100);
        let wanted = "event-bus up  00:01:01  not ready: Kafka does not answer: connection refused";
        assert_eq!(lines[0], wanted);
    }
}
