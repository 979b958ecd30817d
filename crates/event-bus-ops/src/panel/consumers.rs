//! Consumer groups, and one with its lag over time, its partitions and who is in it.

use askama::Template;
use askama::filters::HtmlSafe;
use axum::Extension;
use axum::extract::{Path, Query as RawQuery, State};
use event_bus::lag::{PartitionReading, Reading, Standing as Commit};

use super::Panel;
use super::chart::Chart;
use super::gate::Signed;
use super::page::{Shell, Shown, show};
use super::text::{Clock, count, filters};
use crate::access::policy::Action;
use crate::desk::{GroupPage, GroupRow, Standing};

/// The navigation's part.
pub(super) const PART: &str = "groups";
/// So many partitions are shown.
const SHOWN: usize = 200;
/// A page asks so often by itself, which is half an hour: then it lets the session rest.
const TURNS: u32 = 360;

#[derive(Template)]
#[template(path = "consumer_groups.html")]
struct Groups {
    shell: Shell,
    rows: Vec<GroupRow>,
}

#[derive(Template)]
#[template(path = "consumer_group.html")]
struct Page {
    shell: Shell,
    clock: Clock,
    group: GroupPage,
    lag: Lag,
    may_reset: bool,
}

/// What changes by itself of a group's page.
#[derive(Template)]
#[template(path = "consumer_lag.html")]
struct Lag {
    clock: Clock,
    group: String,
    standing: Standing,
    chart: Chart,
    shown: Vec<PartitionReading>,
    turn: u32,
}

/// A template's text is escaped already.
impl HtmlSafe for Lag {}

impl Page {
    fn ranges(&self, partitions: &[i32]) -> String {
        ranges(partitions)
    }
}

impl Lag {
    fn of(group: &str, standing: Standing, turn: u32) -> Self {
        let clock = Clock::now();
        Self {
            clock,
            group: group.to_owned(),
            chart: Chart::of(&standing.lag_over_time, standing.thresholds, clock.0),
            shown: shown(&standing.partitions),
            standing,
            turn,
        }
    }

    fn goes_on(&self) -> bool {
        self.turn < TURNS
    }

    fn number(&self, offset: &Option<i64>) -> String {
        offset.map_or_else(|| "–".to_owned(), |offset| offset.to_string())
    }

    fn told(&self, partition: &PartitionReading) -> (String, String) {
        told(partition)
    }
}

/// A partition's lag, and what there is to say about it.
fn told(partition: &PartitionReading) -> (String, String) {
    match &partition.reading {
        Reading::Known(lag) => {
            let note = match lag.standing {
                Commit::Committed => String::new(),
                Commit::NeverCommitted => "no commit: counted from the start".to_owned(),
                Commit::BelowLogStart => {
                    format!("retention took {} before they were settled", count(lag.lost))
                }
                Commit::BeyondLogEnd => "committed beyond the end".to_owned(),
            };
            (count(lag.lag), note)
        }
        Reading::Unknown { error } => ("?".to_owned(), error.clone()),
    }
}

/// Those that are shown, in order: where there are too many, those that are furthest behind.
fn shown(all: &[PartitionReading]) -> Vec<PartitionReading> {
    let mut partitions = all.to_vec();
    let behind = |partition: &PartitionReading| match &partition.reading {
        Reading::Known(lag) => lag.lag,
        Reading::Unknown { .. } => u64::MAX,
    };
    if partitions.len() > SHOWN {
        partitions.sort_by_key(|partition| std::cmp::Reverse(behind(partition)));
        partitions.truncate(SHOWN);
        partitions.sort_by_key(|partition| partition.partition);
    }
    partitions
}

/// Partitions as people write them: `0–3, 7`.
fn ranges(partitions: &[i32]) -> String {
    let mut sorted = partitions.to_vec();
    sorted.sort_unstable();
    let mut ranges: Vec<(i32, i32)> = Vec::new();
    for partition in sorted {
        match ranges.last_mut() {
            Some((_, last)) if *last + 1 == partition => *last = partition,
            _ => ranges.push((partition, partition)),
        }
    }
    let told = ranges.into_iter().map(|(first, last)| match last - first {
        0 => first.to_string(),
        _ => format!("{first}–{last}"),
    });
    told.collect::<Vec<_>>().join(", ")
}

pub(super) async fn list(
    State(panel): State<Panel>,
    Extension(signed): Extension<Signed>,
) -> Shown {
    let mut rows = panel.desk.groups(&signed.actor).await?;
    rows.sort_by_key(|row| std::cmp::Reverse(row.behind.map(|behind| behind.lag)));
    show(&Groups { shell: Shell::of(&signed, PART, "Consumer groups"), rows })
}

pub(super) async fn page(
    State(panel): State<Panel>,
    Extension(signed): Extension<Signed>,
    Path(name): Path<String>,
) -> Shown {
    let mut group = panel.desk.group(&signed.actor, &name).await?;
    let lag = Lag::of(&name, std::mem::take(&mut group.standing), 0);
    show(&Page {
        shell: Shell::of(&signed, PART, &*name),
        clock: lag.clock,
        may_reset: panel.desk.subscription(&signed.actor, Action::Reset, &name).is_ok(),
        group,
        lag,
    })
}

pub(super) async fn lag(
    State(panel): State<Panel>,
    Extension(signed): Extension<Signed>,
    Path(name): Path<String>,
    RawQuery(pairs): RawQuery<Vec<(String, String)>>,
) -> Shown {
    let standing = panel.desk.standing(&signed.actor, &name)?;
    let turn = pairs.iter().find(|(name, _)| name == "turn");
    let turn = turn.and_then(|(_, turn)| turn.parse().ok()).unwrap_or(TURNS);
    show(&Lag::of(&name, standing, turn.min(TURNS)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn partitions_are_written_as_ranges() {
        assert_eq!(ranges(&[7, 0, 2, 1]), "0–2, 7");
        assert_eq!(ranges(&[]), "");
    }
}
