//! Reads scripts from TOML. The format is described in `docs/FAULTS.md`.

use std::time::Duration;

use serde::Deserialize;

use super::script::{Fault, FaultScript, FullUntil, ScriptError, When};

/// Why a text is no script.
#[derive(Debug, thiserror::Error)]
pub enum ParseError {
    /// It is not TOML, or has a field that there is not.
    #[error("the script of faults can't be read: {0}")]
    Toml(#[from] toml::de::Error),
    /// Something in it can't be in a script.
    #[error("[[{table}]] number {number}: {source}")]
    Script {
        /// The table.
        table: &'static str,
        /// Counted from 1.
        number: usize,
        /// What is wrong.
        source: ScriptError,
    },
    /// Which requests are meant is not clear.
    #[error("[[request]] number {0}: write either `nth` or `every`")]
    When(usize),
    /// What happens to them is not clear.
    #[error("[[request]] number {0}: write one of `error`, `delay-ms` and `drop`")]
    Effect(usize),
    /// When there is room again is not clear.
    #[error("[full-disk]: write at most one of `writes` and `for-ms`")]
    Until,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct File {
    #[serde(default)]
    request: Vec<Request>,
    #[serde(default)]
    rebalance: Vec<Rebalance>,
    #[serde(default)]
    slow_partition: Vec<Slow>,
    full_disk: Option<FullDisk>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Request {
    api: String,
    nth: Option<u64>,
    every: Option<u64>,
    error: Option<String>,
    delay_ms: Option<u64>,
    drop: Option<Moment>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Moment {
    Before,
    After,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Rebalance {
    every_ms: u64,
    group: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Slow {
    topic: String,
    partition: Option<i32>,
    #[serde(default)]
    produce_ms: u64,
    #[serde(default)]
    fetch_ms: u64,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct FullDisk {
    nth: u64,
    writes: Option<u32>,
    for_ms: Option<u64>,
}

impl FaultScript {
    /// Reads a script from TOML.
    ///
    /// # Errors
    /// When it is no TOML, or says something that can't be in a script.
    pub fn parse(text: &str) -> Result<Self, ParseError> {
        let file: File = toml::from_str(text)?;
        let mut script = Self::new();
        for (number, request) in (1..).zip(file.request) {
            script = add_request(script, request, number)?;
        }
        for (number, Rebalance { every_ms, group }) in (1..).zip(file.rebalance) {
            let source = ScriptError::Nothing("`every-ms`");
            if every_ms == 0 {
                return Err(ParseError::Script { table: "rebalance", number, source });
            }
            script = script.rebalance_every(Duration::from_millis(every_ms), group.as_deref());
        }
        for (number, slow) in (1..).zip(file.slow_partition) {
            let Slow { topic, partition, produce_ms, fetch_ms } = slow;
            if produce_ms == 0 && fetch_ms == 0 {
                let source = ScriptError::Nothing("`produce-ms` or `fetch-ms`");
                return Err(ParseError::Script { table: "slow-partition", number, source });
            }
            let [produce, fetch] = [produce_ms, fetch_ms].map(Duration::from_millis);
            script = script.slow_partition(&topic, partition, produce, fetch);
        }
        if let Some(FullDisk { nth, writes, for_ms }) = file.full_disk {
            let until = match (writes, for_ms) {
                (Some(_), Some(_)) => return Err(ParseError::Until),
                (Some(writes), None) => FullUntil::Writes(writes),
                (None, Some(ms)) => FullUntil::Elapsed(Duration::from_millis(ms)),
                (None, None) => FullUntil::Never,
            };
            let full = script.full_disk(nth, until);
            let table = "full-disk";
            script = full.map_err(|source| ParseError::Script { table, number: 1, source })?;
        }
        Ok(script)
    }
}

fn add_request(
    script: FaultScript,
    request: Request,
    number: usize,
) -> Result<FaultScript, ParseError> {
    let wrong = |source| ParseError::Script { table: "request", number, source };
    let when = match (request.nth, request.every) {
        (Some(n), None) => When::nth(n).map_err(wrong)?,
        (None, Some(n)) => When::every(n).map_err(wrong)?,
        _ => return Err(ParseError::When(number)),
    };
    let fault = match (request.error, request.delay_ms, request.drop) {
        (Some(error), None, None) => Fault::Error(error),
        (None, Some(ms), None) => Fault::Delay(Duration::from_millis(ms)),
        (None, None, Some(Moment::Before)) => Fault::DropBefore,
        (None, None, Some(Moment::After)) => Fault::DropAfter,
        _ => return Err(ParseError::Effect(number)),
    };
    script.on_request(&request.api, when, fault).map_err(wrong)
}
