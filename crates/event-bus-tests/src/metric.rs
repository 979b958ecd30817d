//! Reads what a service counts.

use std::time::Instant;

use event_bus::metrics::Metrics;

/// The sum of a counter over all that it counts for, by its name without the prefix; `None` where there is none, as before
/// the service runs.
///
/// # Panics
/// When a counter has no whole number.
pub fn counted(metrics: &Metrics, name: &str) -> Option<u64> {
    let text = metrics.encode(Instant::now()).expect("text can be written to memory");
    let start = format!("event_bus_{name}{{");
    let values = text.lines().filter(|line| line.starts_with(&start)).map(|line| {
        let value = line.rsplit(' ').next().and_then(|value| value.parse::<u64>().ok());
        value.expect("a counter has a whole number")
    });
    values.reduce(|sum, value| sum + value)
}
