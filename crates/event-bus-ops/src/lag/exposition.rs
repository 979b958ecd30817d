//! The text that Prometheus reads: OpenMetrics 1.0, <https://prometheus.io/docs/specs/om/open_metrics_spec/>.
//!
//! It is written as it is sent, in pieces, so that its length takes no memory.

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use event_bus::store::ops::OpenLetters;

use super::collection::{Collection, GroupRows, Lag, Row, TopicRows};

/// A piece ends once it is as long.
const PIECE: usize = 32 * 1024;

/// What is told of.
pub(super) struct Source {
    /// `None` while nothing was collected, or no longer.
    pub(super) lag: Option<Arc<Collection>>,
    /// The catalogue's topics.
    pub(super) topics: Vec<String>,
    /// `None` where they could not be counted.
    pub(super) open: Option<Arc<Vec<OpenLetters>>>,
    pub(super) last: Option<(SystemTime, Duration)>,
    pub(super) failures: u64,
}

/// The metrics, in pieces that end at a line's end. What comes last is not `# EOF`: others may have more to say.
pub struct Exposition {
    source: Source,
    /// The next family.
    family: usize,
    /// The next group or topic of it.
    place: usize,
}

impl fmt::Debug for Exposition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Exposition").field("family", &self.family).finish_non_exhaustive()
    }
}

/// Metrics of one name.
struct Family {
    name: &'static str,
    kind: &'static str,
    help: &'static str,
    samples: Samples,
}

/// Where the samples of a family come from.
enum Samples {
    /// One, if it is known.
    One(fn(&Collection) -> u64),
    /// Each topic.
    OfTopic(fn(&mut String, &str, &Collection, usize)),
    /// Each group.
    OfGroup(fn(&mut String, &str, &GroupRows)),
    /// Each topic of each group.
    OfTopicOfGroup(fn(&TopicRows) -> Option<u64>),
    /// Each partition of each topic of each group.
    OfPartition(fn(&Row) -> Option<Value>),
    /// What is told of collecting itself, and of dead letters.
    Other(fn(&mut String, &str, &Source)),
}

/// A sample's value. Most are whole, and there are many: those are written faster.
enum Value {
    Whole(u64),
    Fraction(f64),
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Whole(value) => value.fmt(f),
            Self::Fraction(value) => value.fmt(f),
        }
    }
}

const fn gauge(name: &'static str, help: &'static str, samples: Samples) -> Family {
    Family { name, kind: "gauge", help, samples }
}

const FAMILIES: [Family; 17] = [
    gauge(
        "kafka_brokers",
        "Brokers of the cluster.",
        Samples::One(|lag| lag.survey.brokers as u64),
    ),
    gauge("kafka_topic_partitions", "Partitions of a topic.", Samples::OfTopic(partitions)),
    gauge(
        "kafka_topic_partition_current_offset",
        "The offset behind a partition's last record.",
        Samples::OfTopic(|text, name, lag, topic| spans(text, name, lag, topic, |span| span.end)),
    ),
    gauge(
        "kafka_topic_partition_oldest_offset",
        "The first offset that is still there.",
        Samples::OfTopic(|text, name, lag, topic| spans(text, name, lag, topic, |span| span.start)),
    ),
    gauge(
        "kafka_consumergroup_current_offset",
        "What a group has committed: the offset of the next record that it handles.",
        Samples::OfPartition(|row| row.committed.map(|offset| Value::Whole(offset.unsigned_abs()))),
    ),
    gauge(
        "kafka_consumergroup_lag",
        "Records that a group has not settled, those of open transactions included.",
        Samples::OfPartition(|row| told(row, |lag| Value::Whole(lag.records))),
    ),
    gauge(
        "kafka_consumergroup_lag_sum",
        "The lag of a group on a topic, over those of its partitions that tell.",
        Samples::OfTopicOfGroup(|rows| sum(rows, |lag| lag.records)),
    ),
    gauge("kafka_consumergroup_members", "Members of a group.", Samples::OfGroup(members)),
    gauge(
        "kafka_consumergroup_group_lag_seconds",
        "How old the first record is that a group has not settled, interpolated between looks at the log's end.",
        Samples::OfPartition(|row| told(row, |lag| age(lag.age))),
    ),
    gauge(
        "event_bus_lag_consumable_events",
        "Of the lag, what may be read: records before the first open transaction.",
        Samples::OfPartition(|row| told(row, |lag| Value::Whole(lag.consumable))),
    ),
    gauge(
        "event_bus_lag_lost_events",
        "Records that retention took before the group settled them.",
        Samples::OfPartition(|row| told(row, |lag| Value::Whole(lag.lost))),
    ),
    gauge(
        "event_bus_lag_group_state",
        "Always 1: the state that a group is in.",
        Samples::OfGroup(state),
    ),
    gauge(
        "event_bus_lag_last_collection_timestamp_seconds",
        "When the lag was collected last, since the Unix epoch.",
        Samples::Other(last_at),
    ),
    gauge(
        "event_bus_lag_collection_seconds",
        "How long the last collection took.",
        Samples::Other(last_took),
    ),
    Family {
        name: "event_bus_lag_collection_errors",
        kind: "counter",
        help: "Brokers, groups and partitions that did not answer when lag was collected.",
        samples: Samples::Other(|text, name, source| {
            put(text, format_args!("{name}_total {}\n", source.failures));
        }),
    },
    gauge(
        "event_bus_dead_letters_open",
        "Dead letters of a topic's events that nobody has settled.",
        Samples::Other(open),
    ),
    gauge(
        "event_bus_dead_letters_oldest_open_age_seconds",
        "How long ago the first open dead letter of a topic failed; 0 where none is open.",
        Samples::Other(oldest),
    ),
];

impl Exposition {
    pub(super) fn new(source: Source) -> Self {
        Self { source, family: 0, place: 0 }
    }

    /// Writes the samples of one group or topic; false once there is no other.
    fn write_next(&mut self, text: &mut String, family: &Family) -> bool {
        let (name, place) = (family.name, self.place);
        self.place += 1;
        if let Samples::Other(write) = family.samples {
            write(text, name, &self.source);
            return false;
        }
        let Some(lag) = &self.source.lag else { return false };
        let count = match family.samples {
            Samples::One(value) => {
                put(text, format_args!("{name} {}\n", value(lag)));
                return false;
            }
            Samples::OfTopic(write) => {
                if place < lag.survey.topics.len() {
                    write(text, name, lag, place);
                }
                lag.survey.topics.len()
            }
            Samples::OfGroup(write) => {
                lag.groups.get(place).inspect(|group| write(text, name, group));
                lag.groups.len()
            }
            Samples::OfTopicOfGroup(value) => {
                for (labels, rows) in labelled(lag, place) {
                    if let Some(value) = value(rows) {
                        put(text, format_args!("{name}{{{labels}}} {value}\n"));
                    }
                }
                lag.groups.len()
            }
            Samples::OfPartition(value) => {
                for (labels, rows) in labelled(lag, place) {
                    for row in &rows.rows {
                        let Some(value) = value(row) else { continue };
                        for part in [name, "{", &labels, ",partition=\""] {
                            text.push_str(part);
                        }
                        put(text, format_args!("{}\"}} {value}\n", row.partition));
                    }
                }
                lag.groups.len()
            }
            Samples::Other(_) => 0,
        };
        place + 1 < count
    }
}

impl Iterator for Exposition {
    type Item = String;

    fn next(&mut self) -> Option<String> {
        let mut text = String::new();
        while let Some(family) = FAMILIES.get(self.family) {
            if text.len() >= PIECE {
                break;
            }
            if self.place == 0 {
                let Family { name, kind, help, .. } = family;
                put(&mut text, format_args!("# HELP {name} {help}\n# TYPE {name} {kind}\n"));
            }
            if !self.write_next(&mut text, family) {
                (self.family, self.place) = (self.family + 1, 0);
            }
        }
        (!text.is_empty()).then_some(text)
    }
}

/// Each topic of a group with the labels of both.
fn labelled(lag: &Collection, group: usize) -> impl Iterator<Item = (String, &TopicRows)> {
    let group = lag.groups.get(group);
    group.into_iter().flat_map(move |group| {
        group.topics.iter().map(move |rows| {
            let (name, topic) = (Escaped(&group.name), &lag.survey.topics[rows.topic].name);
            (format!("consumergroup=\"{name}\",topic=\"{topic}\""), rows)
        })
    })
}

fn told(row: &Row, value: fn(&Lag) -> Value) -> Option<Value> {
    row.lag.as_ref().map(value)
}

fn age(age: Duration) -> Value {
    if age.is_zero() { Value::Whole(0) } else { Value::Fraction(age.as_secs_f64()) }
}

fn sum(rows: &TopicRows, value: fn(&Lag) -> u64) -> Option<u64> {
    let told = || rows.rows.iter().filter_map(|row| row.lag.as_ref());
    told().next()?;
    Some(told().map(value).sum())
}

fn partitions(text: &mut String, name: &str, lag: &Collection, topic: usize) {
    let topic = &lag.survey.topics[topic];
    let count = topic.partitions.len();
    put(text, format_args!("{name}{{topic=\"{}\"}} {count}\n", topic.name));
}

fn spans(
    text: &mut String,
    name: &str,
    lag: &Collection,
    topic: usize,
    value: fn(&event_bus::kafka::admin::Span) -> i64,
) {
    let topic = &lag.survey.topics[topic];
    for (partition, span) in topic.partitions.iter().enumerate() {
        if let Some(span) = span {
            let (topic, value) = (&topic.name, value(span));
            put(
                text,
                format_args!("{name}{{topic=\"{topic}\",partition=\"{partition}\"}} {value}\n"),
            );
        }
    }
}

fn members(text: &mut String, name: &str, group: &GroupRows) {
    if let Some(members) = group.members {
        let group = Escaped(&group.name);
        put(text, format_args!("{name}{{consumergroup=\"{group}\"}} {members}\n"));
    }
}

fn state(text: &mut String, name: &str, group: &GroupRows) {
    let (group, state) = (Escaped(&group.name), Escaped(&group.state));
    put(text, format_args!("{name}{{consumergroup=\"{group}\",state=\"{state}\"}} 1\n"));
}

fn last_at(text: &mut String, name: &str, source: &Source) {
    let at = source.last.and_then(|(at, _)| at.duration_since(SystemTime::UNIX_EPOCH).ok());
    if let Some(at) = at {
        put(text, format_args!("{name} {:.3}\n", at.as_secs_f64()));
    }
}

fn last_took(text: &mut String, name: &str, source: &Source) {
    if let Some((_, took)) = source.last {
        put(text, format_args!("{name} {:.6}\n", took.as_secs_f64()));
    }
}

fn open(text: &mut String, name: &str, source: &Source) {
    of_letters(text, name, source, |open| open.letters as f64);
}

fn oldest(text: &mut String, name: &str, source: &Source) {
    of_letters(text, name, source, |open| {
        let age = jiff::Timestamp::now().duration_since(open.oldest);
        age.as_secs_f64().max(0.0)
    });
}

/// Each topic that has open dead letters, and the catalogue's that have none.
fn of_letters(text: &mut String, name: &str, source: &Source, value: fn(&OpenLetters) -> f64) {
    let Some(open) = &source.open else { return };
    let mut values: BTreeMap<&str, f64> =
        source.topics.iter().map(|topic| (topic.as_str(), 0.0)).collect();
    values.extend(open.iter().map(|open| (open.topic.as_str(), value(open))));
    for (topic, value) in values {
        put(text, format_args!("{name}{{topic=\"{}\"}} {value}\n", Escaped(topic)));
    }
}

/// A label's value.
struct Escaped<'a>(&'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = self.0;
        while let Some(at) = rest.find(['\\', '"', '\n']) {
            f.write_str(&rest[..at])?;
            f.write_str(match rest.as_bytes()[at] {
                b'\\' => "\\\\",
                b'"' => "\\\"",
                _ => "\\n",
            })?;
            rest = &rest[at + 1..];
        }
        f.write_str(rest)
    }
}

fn put(text: &mut String, arguments: fmt::Arguments<'_>) {
    // A string takes all that is written into it.
    let _: fmt::Result = text.write_fmt(arguments);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(source: Source) -> String {
        Exposition::new(source).collect()
    }

    fn nothing() -> Source {
        Source { lag: None, topics: vec!["t".to_owned()], open: None, last: None, failures: 7 }
    }

    #[test]
    fn before_the_first_collection_it_tells_of_itself_alone() {
        let text = text(nothing());
        assert!(text.contains("\nevent_bus_lag_collection_errors_total 7\n"), "{text}");
        for family in &FAMILIES {
            assert_eq!(text.matches(&format!("# TYPE {} ", family.name)).count(), 1, "{text}");
        }
        let samples = text.lines().filter(|line| !line.starts_with('#')).count();
        assert_eq!(samples, 1, "{text}");
    }

    #[test]
    fn a_topic_without_open_dead_letters_has_none_and_a_strange_one_is_escaped() {
        let open = OpenLetters {
            topic: "a\"b\\c\nd".to_owned(),
            letters: 3,
            oldest: jiff::Timestamp::now() - jiff::SignedDuration::from_hours(1),
        };
        let text = text(Source { open: Some(Arc::new(vec![open])), ..nothing() });
        let letters = "event_bus_dead_letters_open{topic=\"a\\\"b\\\\c\\nd\"} 3\n";
        assert!(text.contains(letters), "{text}");
        assert!(text.contains("\nevent_bus_dead_letters_open{topic=\"t\"} 0\n"), "{text}");
        let age = "event_bus_dead_letters_oldest_open_age_seconds{topic=\"a";
        let line = text.lines().find(|line| line.starts_with(age)).expect("it is told");
        let seconds: f64 = line.rsplit_once(' ').unwrap().1.parse().unwrap();
        assert!((3_600.0..3_700.0).contains(&seconds), "{line}");
    }

    #[test]
    fn a_long_exposition_comes_in_pieces_of_whole_lines() {
        let topics = (0..5_000).map(|nth| format!("topic-{nth}")).collect();
        let source = Source { open: Some(Arc::default()), topics, ..nothing() };
        let pieces: Vec<String> = Exposition::new(source).collect();
        assert!(pieces.iter().all(|piece| piece.ends_with('\n')));
        assert_eq!(pieces.concat().matches("event_bus_dead_letters_open{").count(), 5_000);
    }
}
