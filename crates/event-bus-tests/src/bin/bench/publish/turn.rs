//! What turns took.

use std::time::{Duration, Instant};
use std::{fmt, fs};

/// The time that a number of events took: of the wall, and of the processors in this process.
#[derive(Clone, Copy)]
pub struct Took {
    events: usize,
    wall: Duration,
    cpu: Option<Duration>,
}

/// A turn that is under way.
pub struct Turn {
    started: Instant,
    cpu: Option<Duration>,
}

impl Turn {
    pub fn start() -> Turn {
        Turn { started: Instant::now(), cpu: cpu_time() }
    }

    pub fn took(&self, events: usize) -> Took {
        let cpu = cpu_time().zip(self.cpu).map(|(now, then)| now - then);
        Took { events, wall: self.started.elapsed(), cpu }
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts of events are far below 2^53")]
impl Took {
    /// Events per second.
    pub fn rate(self) -> f64 {
        self.events as f64 / self.wall.as_secs_f64()
    }

    /// Microseconds of processor time an event, where the system tells.
    pub fn cpu_micros(self) -> Option<f64> {
        Some(self.cpu?.as_secs_f64() * 1e6 / self.events as f64)
    }
}

impl fmt::Display for Took {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.0}/s", self.rate())?;
        self.cpu_micros().map_or(Ok(()), |micros| write!(f, " ({micros:.1} µs CPU)"))
    }
}

/// Figures of several rounds, in ascending order.
pub struct Quartiles(Vec<f64>);

impl Quartiles {
    pub fn of(figures: impl Iterator<Item = f64>) -> Quartiles {
        let mut figures: Vec<f64> = figures.collect();
        figures.sort_by(f64::total_cmp);
        Quartiles(figures)
    }

    /// Not a number where there are no figures.
    pub fn median(&self) -> f64 {
        self.quarter(2)
    }

    /// The figure that so many of a hundred are at most.
    pub fn at_percent(&self, percent: usize) -> f64 {
        let rank = (self.0.len() * percent).div_ceil(100).saturating_sub(1);
        self.0.get(rank).copied().unwrap_or(f64::NAN)
    }

    fn quarter(&self, quarters: usize) -> f64 {
        let last = self.0.len().saturating_sub(1);
        self.0.get(last * quarters / 4).copied().unwrap_or(f64::NAN)
    }
}

impl fmt::Display for Quartiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [least, first, median, third, most] =
            [0, 1, 2, 3, 4].map(|quarters| self.quarter(quarters));
        write!(
            f,
            "median {median:.3} (middle half {first:.3} to {third:.3}, all {least:.3} to {most:.3})"
        )
    }
}

fn cpu_time() -> Option<Duration> {
    cpu_time_of("self")
}

/// The processor time of all threads of a process so far, ended ones included, to a hundredth of a second. Linux tells.
pub fn cpu_time_of(process: &str) -> Option<Duration> {
    const TICK: Duration = Duration::from_millis(10);
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    // The second field is the program's name in parentheses, which may hold anything.
    let fields = stat.rsplit_once(')')?.1.split_whitespace();
    let ticks = fields.skip(11).take(2).map(str::parse::<u32>).sum::<Result<u32, _>>().ok()?;
    Some(TICK * ticks)
}
