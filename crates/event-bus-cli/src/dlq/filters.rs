//! Which dead letters a command is about.

use event_bus::dead_letters::{Filter, State};
use jiff::Timestamp;
use uuid::Uuid;

use crate::exit::usage;

/// Options that choose dead letters. Each may be given several times, for one or the other.
#[derive(clap::Args)]
#[command(next_help_heading = "Which dead letters")]
pub struct Filters {
    /// Those with these ids
    ids: Vec<Uuid>,
    /// All of them
    #[arg(long, conflicts_with_all = ["ids", "topic", "group", "service", "tenant", "event", "why", "fingerprint", "text", "condition"])]
    all: bool,
    /// Of this original topic
    #[arg(long)]
    topic: Vec<String>,
    /// Of this consumer group
    #[arg(long)]
    group: Vec<String>,
    /// Of the groups of this service
    #[arg(long)]
    service: Vec<String>,
    /// Of this tenant
    #[arg(long)]
    tenant: Vec<String>,
    /// Of this event
    #[arg(long)]
    event: Vec<String>,
    /// Dead for this reason, such as retries-exhausted
    #[arg(long, value_name = "REASON")]
    why: Vec<String>,
    /// Of this failure, as `dlq groups` shows it
    #[arg(long)]
    fingerprint: Vec<String>,
    /// In this state
    #[arg(long, value_parser = State::NAMES)]
    state: Vec<String>,
    /// Failed at this time or later, such as 2025-06-01T10:30:00Z
    #[arg(long, value_name = "TIME")]
    since: Option<Timestamp>,
    /// Failed before this time
    #[arg(long, value_name = "TIME")]
    until: Option<Timestamp>,
    /// With this text in the error, the key or an id
    #[arg(long)]
    text: Option<String>,
    /// Where this is true of the event, in CEL, such as 'double(payload.total) > 100.0 && key.startsWith("acme/")'
    #[arg(long = "where", value_name = "EXPR")]
    condition: Option<String>,
}

impl Filters {
    pub fn filter(&self) -> Filter {
        Filter {
            ids: self.ids.clone(),
            topics: self.topic.clone(),
            groups: self.group.clone(),
            services: self.service.clone(),
            tenants: self.tenant.clone(),
            events: self.event.clone(),
            reasons: self.why.clone(),
            fingerprints: self.fingerprint.clone(),
            states: self.state.clone(),
            since: self.since,
            until: self.until,
            text: self.text.clone(),
            condition: self.condition.clone(),
            ..Filter::default()
        }
    }

    /// The filter. Refuses to do something to all of them unless that was said.
    pub fn chosen(&self, verb: &str) -> anyhow::Result<Filter> {
        let filter = self.filter();
        if filter == Filter::default() && !self.all {
            return usage(format!(
                "which dead letters to {verb}? Give ids or options such as --fingerprint, or --all"
            ));
        }
        Ok(filter)
    }
}
