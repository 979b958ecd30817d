//! A lag over time as a picture: its lines, for a template that draws them. Pure.

use event_bus::lag::{Level, Thresholds};
use jiff::Timestamp;

use super::text::{ago, count};
use crate::STEP;
use crate::desk::LagAt;

/// The picture, in its own units.
const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 240.0;
const LEFT: f64 = 72.0;
const RIGHT: f64 = 16.0;
const TOP: f64 = 16.0;
const BOTTOM: f64 = 28.0;
/// The picture is of so many seconds at least, and goes up to so many events.
const LEAST_SECONDS: f64 = 300.0;
const LEAST_EVENTS: u64 = 10;
/// After so many steps without an answer, the line is broken.
const GAP_STEPS: i64 = 4;
/// So many rows stand for the picture in a table.
const ROWS: usize = 24;

/// What is drawn.
pub(super) struct Chart {
    /// Points of lines, as SVG has them.
    pub lines: Vec<String>,
    /// Where the newest one is.
    pub newest: Option<Point>,
    /// Level lines with what they are of.
    pub levels: Vec<Mark>,
    /// Times below.
    pub times: Vec<Mark>,
    /// What is seen in it, in words.
    pub told: String,
    /// The same as numbers.
    pub rows: Vec<LagAt>,
}

pub(super) struct Point {
    pub x: String,
    pub y: String,
}

/// A line across, or a time below.
pub(super) struct Mark {
    pub at: String,
    pub label: String,
    /// How it looks.
    pub kind: &'static str,
}

/// What a place in the picture means.
struct Scale {
    first: f64,
    seconds: f64,
    top: u64,
}

impl Scale {
    fn x(&self, at: Timestamp) -> f64 {
        let share = (seconds_of(at) - self.first) / self.seconds;
        LEFT + share.clamp(0.0, 1.0) * (WIDTH - LEFT - RIGHT)
    }

    fn y(&self, lag: u64) -> f64 {
        let share = lag as f64 / self.top as f64;
        HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM)
    }
}

impl Chart {
    /// Of a group's lag, at a time.
    pub(super) fn of(lags: &[LagAt], thresholds: Thresholds, now: Timestamp) -> Self {
        let highest = lags.iter().map(|lag| lag.lag).max().unwrap_or(0);
        let last = seconds_of(now);
        let first = lags.first().map_or(last, |lag| seconds_of(lag.at));
        let seconds = (last - first).max(LEAST_SECONDS);
        let scale = Scale { first: last - seconds, seconds, top: round_above(highest) };
        let (mut lines, mut before): (Vec<String>, Option<Timestamp>) = (Vec::new(), None);
        for lag in lags {
            let point = format!("{:.1},{:.1}", scale.x(lag.at), scale.y(lag.lag));
            match (lines.last_mut(), before) {
                (Some(line), Some(before)) if !is_gap(before, lag.at) => {
                    line.push(' ');
                    line.push_str(&point);
                }
                // Twice, so that one alone is drawn as well.
                _ => lines.push(format!("{point} {point}")),
            }
            before = Some(lag.at);
        }
        let newest = lags.last().map(|lag| Point {
            x: format!("{:.1}", scale.x(lag.at)),
            y: format!("{:.1}", scale.y(lag.lag)),
        });
        Self {
            lines,
            newest,
            levels: levels(&scale, thresholds),
            times: times(&scale),
            told: told(lags, highest, thresholds, now),
            rows: rows(lags),
        }
    }
}

fn seconds_of(at: Timestamp) -> f64 {
    at.as_millisecond() as f64 / 1_000.0
}

fn is_gap(before: Timestamp, at: Timestamp) -> bool {
    let step = i64::try_from(STEP.as_secs()).unwrap_or(i64::MAX);
    at.as_second() - before.as_second() > GAP_STEPS * step
}

/// One, two or five, and zeros, that is at least so much.
fn round_above(highest: u64) -> u64 {
    let (highest, mut unit) = (highest.max(LEAST_EVENTS), 1_u64);
    loop {
        for times in [1, 2, 5] {
            match unit.checked_mul(times) {
                Some(round) if round < highest => {}
                Some(round) => return round,
                None => return u64::MAX,
            }
        }
        unit = unit.saturating_mul(10);
    }
}

/// The bottom, the middle and the top, and the thresholds that are within.
fn levels(scale: &Scale, thresholds: Thresholds) -> Vec<Mark> {
    let mark = |lag: u64, kind| {
        let label = match kind {
            "grid" => count(lag),
            kind => format!("{kind} above {}", count(lag)),
        };
        Mark { at: format!("{:.1}", scale.y(lag)), label, kind }
    };
    let grid = [0, scale.top / 2, scale.top].map(|lag| mark(lag, "grid"));
    let thresholds = [(thresholds.warning, Level::Warning), (thresholds.critical, Level::Critical)];
    let thresholds = thresholds.into_iter().filter(|(lag, _)| *lag <= scale.top);
    grid.into_iter().chain(thresholds.map(|(lag, level)| mark(lag, level.as_str()))).collect()
}

fn times(scale: &Scale) -> Vec<Mark> {
    let kinds = [(1.0, "start"), (0.5, "middle"), (0.0, "end")];
    let times = kinds.into_iter().map(|(share, kind)| {
        let x = LEFT + (1.0 - share) * (WIDTH - LEFT - RIGHT);
        #[expect(clippy::cast_possible_truncation, reason = "the seconds of some hours fit")]
        let seconds = (scale.seconds * share) as i64;
        let label = if seconds == 0 { "now".to_owned() } else { ago(seconds) };
        Mark { at: format!("{x:.1}"), label, kind }
    });
    times.collect()
}

fn told(lags: &[LagAt], highest: u64, thresholds: Thresholds, now: Timestamp) -> String {
    let (Some(first), Some(last)) = (lags.first(), lags.last()) else {
        return "Kafka has not told any lag yet.".to_owned();
    };
    let level = match thresholds.level(last.lag) {
        Level::Well => String::new(),
        level => {
            let least = thresholds.below(level).map(count).unwrap_or_default();
            format!(", which is {} above {least}", level.as_str())
        }
    };
    format!(
        "{} behind now{level}; at most {} since {}.",
        count(last.lag),
        count(highest),
        ago(now.as_second() - first.at.as_second())
    )
}

/// The highest of each part, the newest first.
fn rows(lags: &[LagAt]) -> Vec<LagAt> {
    let parts = lags.rchunks(lags.len().div_ceil(ROWS).max(1));
    parts.filter_map(|part| part.iter().max_by_key(|lag| lag.lag).copied()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lags(lags: &[(i64, u64)]) -> Vec<LagAt> {
        let at = |second| Timestamp::from_second(second).unwrap();
        lags.iter().map(|(second, lag)| LagAt { at: at(*second), lag: *lag }).collect()
    }

    fn chart(all: &[(i64, u64)]) -> Chart {
        let now = all.last().map_or(0, |(second, _)| *second);
        Chart::of(&lags(all), Thresholds::default(), Timestamp::from_second(now).unwrap())
    }

    fn kinds(chart: &Chart) -> Vec<&str> {
        chart.levels.iter().map(|level| level.kind).collect()
    }

    #[test]
    fn a_lag_goes_from_left_to_right_and_up() {
        let chart = chart(&[(1_000, 0), (1_150, 5), (1_300, 10)]);
        assert_eq!(
            chart.lines,
            ["72.0,212.0 72.0,212.0", "388.0,114.0 388.0,114.0", "704.0,16.0 704.0,16.0"]
        );
        let newest = chart.newest.unwrap();
        assert_eq!((&*newest.x, &*newest.y), ("704.0", "16.0"));
        assert_eq!(chart.told, "10 behind now; at most 10 since 5 min ago.");
    }

    #[test]
    fn a_line_is_broken_where_nothing_was_seen() {
        let steps: Vec<(i64, u64)> = [0, 15, 30, 500, 515].map(|second| (second, 1)).into();
        let chart = chart(&steps);
        assert_eq!(chart.lines.len(), 2);
        assert_eq!(chart.lines[0].split(' ').count(), 4);
    }

    #[test]
    fn thresholds_are_drawn_where_they_are_in_range() {
        assert_eq!(kinds(&chart(&[(0, 400)])), ["grid", "grid", "grid"]);
        assert_eq!(kinds(&chart(&[(0, 999)])), ["grid", "grid", "grid", "warning"]);
        let critical = chart(&[(0, 12_000)]);
        assert_eq!(kinds(&critical), ["grid", "grid", "grid", "warning", "critical"]);
        assert!(critical.told.contains("critical above 10\u{202f}000"), "{}", critical.told);
    }

    #[test]
    fn scales_end_with_round_numbers() {
        for (highest, top) in
            [(0, 10), (10, 10), (11, 20), (21, 50), (1_001, 2_000), (u64::MAX, u64::MAX)]
        {
            assert_eq!(round_above(highest), top, "{highest}");
        }
    }

    #[test]
    fn a_table_has_the_highest_of_each_part() {
        let all: Vec<(i64, u64)> = (0_i64..960).map(|nth| (nth * 15, nth.unsigned_abs())).collect();
        let rows = chart(&all).rows;
        assert_eq!((rows.len(), rows[0].lag, rows[23].lag), (24, 959, 39));
        assert!(chart(&[]).rows.is_empty() && chart(&[]).lines.is_empty());
    }
}
