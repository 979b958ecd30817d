//! The dead letters of NServiceBus: all values are text.
//!
//! After `FaultsHeaderKeys.cs`, `FaultMetadataExtractor.cs` and `RecoverabilityComponent.cs` of Particular/NServiceBus: why
//! it failed, and who failed at it.

use jiff::Timestamp;

use super::value::{has_all, text};
use super::{Dialect, Family, Says};
use crate::kafka::Record;

const FAILED_QUEUE: &str = "NServiceBus.FailedQ";
const EXCEPTION_PREFIX: &str = "NServiceBus.ExceptionInfo.";
const EXCEPTION: &str = "NServiceBus.ExceptionInfo.ExceptionType";
const MESSAGE: &str = "NServiceBus.ExceptionInfo.Message";
const TIME_OF_FAILURE: &str = "NServiceBus.TimeOfFailure";
const ENDPOINT: &str = "NServiceBus.ProcessingEndpoint";
const ALL: [&str; 6] = [
    FAILED_QUEUE,
    TIME_OF_FAILURE,
    ENDPOINT,
    "NServiceBus.ProcessingMachine",
    "$.diagnostics.hostid",
    "$.diagnostics.hostdisplayname",
];

pub const DIALECT: Dialect = Dialect {
    family: Family::NServiceBus,
    is_spoken: |list| has_all(list, &[FAILED_QUEUE]),
    is_theirs: |header| ALL.contains(&&*header.name) || header.name.starts_with(EXCEPTION_PREFIX),
    read,
};

fn read(record: &Record) -> Says {
    let list = &record.headers;
    // An address may name the machine behind the queue.
    let queue = text(list, FAILED_QUEUE);
    let queue = queue.as_deref().and_then(|address| address.split('@').next());
    Says {
        topic: queue.map(str::to_owned),
        group: text(list, ENDPOINT),
        error_type: text(list, EXCEPTION),
        message: text(list, MESSAGE),
        failed_at: text(list, TIME_OF_FAILURE).and_then(|time| wire_time(&time)),
        ..Says::default()
    }
}

/// `yyyy-MM-dd HH:mm:ss:ffffff Z`: a colon stands before the microseconds.
fn wire_time(text: &str) -> Option<Timestamp> {
    let (time, micros) = text.strip_suffix(" Z")?.rsplit_once(':')?;
    format!("{time}.{micros}Z").parse().ok()
}
