//! What a small catalogue says of all its events.

use std::fmt;

/// The `[defaults]` of a catalogue whose topics are on one broker, as TOML: everything that a catalogue has to say.
#[derive(Clone, Copy, Debug)]
pub struct Defaults<'a> {
    /// Partitions of each topic.
    pub partitions: u32,
    /// How long topics keep their records.
    pub retention: &'a str,
    /// The waits between attempts.
    pub retry: &'a [&'a str],
    /// How long a handler may take.
    pub handler_timeout: &'a str,
}

impl Defaults<'_> {
    /// Short waits, and one partition.
    pub const QUICK: Self = Defaults {
        partitions: 1,
        retention: "unlimited",
        retry: &["100ms", "200ms", "300ms"],
        handler_timeout: "5s",
    };
}

impl fmt::Display for Defaults<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { partitions, retention, retry, handler_timeout } = self;
        write!(
            f,
            r#"
            [defaults]
            partitions = {partitions}
            replication = 1
            min-insync-replicas = 1
            retention = "{retention}"
            dlq-retention = "unlimited"
            retry = {retry:?}
            execution = "batched"
            behind-dead-letter = "continue"
            handler-timeout = "{handler_timeout}"
            "#
        )
    }
}
