//! The dead letters of MassTransit: all values are text.
//!
//! After `MessageHeaders.cs`, `SetExceptionHeaders` and `SetHostHeaders` of MassTransit/MassTransit: what moves a message
//! to an error queue says why, and on which host. `MT-Fault-Address` and `MT-Host-Info` are the message's own.

use super::value::{has_all, parsed, text};
use super::{Dialect, Family, Says};
use crate::kafka::Record;

const INPUT_ADDRESS: &str = "MT-Fault-InputAddress";
const EXCEPTION: &str = "MT-Fault-ExceptionType";
const MESSAGE: &str = "MT-Fault-Message";
const TIMESTAMP: &str = "MT-Fault-Timestamp";
const CONSUMER: &str = "MT-Fault-ConsumerType";
/// Attempts after the first.
const RETRIES: &str = "MT-Fault-RetryCount";
const ALL: [&str; 18] = [
    "MT-Reason",
    INPUT_ADDRESS,
    EXCEPTION,
    MESSAGE,
    TIMESTAMP,
    CONSUMER,
    RETRIES,
    "MT-Fault-MessageType",
    "MT-Fault-StackTrace",
    "MT-Fault-RedeliveryCount",
    "MT-Host-MachineName",
    "MT-Host-ProcessName",
    "MT-Host-ProcessId",
    "MT-Host-Assembly",
    "MT-Host-AssemblyVersion",
    "MT-Host-MassTransitVersion",
    "MT-Host-FrameworkVersion",
    "MT-Host-OperatingSystemVersion",
];

pub const DIALECT: Dialect = Dialect {
    family: Family::MassTransit,
    is_spoken: |list| has_all(list, &[EXCEPTION]) || has_all(list, &[MESSAGE]),
    is_theirs: |header| ALL.contains(&&*header.name),
    read,
};

fn read(record: &Record) -> Says {
    let list = &record.headers;
    let address = text(list, INPUT_ADDRESS);
    let retries: Option<u32> = parsed(list, RETRIES);
    Says {
        topic: address.and_then(|address| queue(&address)),
        group: text(list, CONSUMER),
        error_type: text(list, EXCEPTION),
        message: text(list, MESSAGE),
        attempts: retries.map(|retries| retries.saturating_add(1)),
        failed_at: parsed(list, TIMESTAMP),
        ..Says::default()
    }
}

/// The last segment of an endpoint's address, whatever transport it is of: its topic or queue.
fn queue(address: &str) -> Option<String> {
    let path = address.split(['?', '#']).next()?.trim_end_matches('/');
    let name = path.rsplit(['/', ':']).next()?;
    (!name.is_empty()).then(|| name.to_owned())
}
