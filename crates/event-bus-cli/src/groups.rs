//! `event-bus groups`: who consumes, and how far behind.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use clap::Subcommand;
use event_bus::audit::OffsetMove;
use event_bus::catalogue::Catalogue;
use event_bus::control::Asker;
use event_bus::dead_letter::error_chain;
use event_bus::kafka::KafkaConfig;
use event_bus::kafka::admin::{Admin, GroupState};
use event_bus::lag::{GroupLag, PartitionReading, Reading, Standing};
use event_bus::names::{GroupName, TopicName};
use event_bus::publisher::Publisher;
use event_bus::reset::{Moves, Reset, ResetError, Target};
use jiff::{Timestamp, Unit};
use serde_json::{Value, json};
use tokio::time::MissedTickBehavior;

use crate::exit::{Exit, usage};
use crate::global::Global;
use crate::operator::Operator;
use crate::output::{Output, printable};
use crate::settings::Settings;
use crate::stop;

/// The state shown for a group of the catalogue that the cluster has never seen.
const ABSENT: &str = "absent";

#[derive(Subcommand)]
pub enum Command {
    /// Show the catalogue's consumer groups and who is in them
    List {
        /// Also the cluster's other groups
        #[arg(long)]
        all: bool,
    },
    /// Show how many events each group still has to settle
    Lag {
        /// Only these groups [default: all of the catalogue]
        groups: Vec<String>,
        /// A row per partition
        #[arg(long)]
        partitions: bool,
        /// Look again every so many seconds, until Ctrl-C
        #[arg(long, value_name = "SECONDS", num_args = 0..=1, default_missing_value = "2", value_parser = clap::value_parser!(u64).range(1..=3600))]
        watch: Option<u64>,
    },
    /// Have a group that nobody is in go on from somewhere else. What its inbox knows takes no effect again
    Reset {
        /// The group
        group: GroupName,
        /// Where to: earliest, latest, an offset, -N or +N for N records back or on, or a time such as 2025-06-01T10:30:00Z
        #[arg(long, allow_hyphen_values = true)]
        to: Target,
        /// Only this topic [default: the group's in the catalogue, or all that it has committed]
        #[arg(long)]
        topic: Option<TopicName>,
        /// Only this partition; may be given several times
        #[arg(long)]
        partition: Vec<i32>,
        /// Say what would change, and change nothing
        #[arg(long)]
        dry_run: bool,
        /// Have the group's running service leave it for the reset, and come back by itself
        #[arg(long, conflicts_with = "dry_run")]
        coordinate: bool,
        /// Why, for those who ask later
        #[arg(long)]
        reason: Option<String>,
        #[command(flatten)]
        operator: Operator,
    },
}

impl Command {
    pub async fn run(self, global: &Global) -> anyhow::Result<Exit> {
        let settings = Settings::of(global)?;
        let catalogue = settings.catalogue()?;
        let kafka = settings.kafka()?;
        let admin = Admin::connect(&kafka)?;
        let mut output = global.output();
        match self {
            Self::List { all } => list(&catalogue, admin.groups().await?, all, &mut output)?,
            Self::Lag { groups, partitions, watch } => {
                let groups = named(&catalogue, &groups)?;
                match watch {
                    None => show_lag(&admin.lag(&groups).await?, partitions, &mut output)?,
                    Some(seconds) => {
                        watch_lag(&admin, &groups, partitions, seconds, &mut output).await?;
                    }
                }
            }
            Self::Reset { group, to, topic, partition, dry_run, coordinate, reason, operator } => {
                let reset = Reset { group, topic, partitions: partition, target: to };
                let (by, reason) = (&*operator.by, reason.as_deref());
                let planned = match reset.plan(&catalogue, &admin).await {
                    Err(ResetError::HasMembers { .. }) if coordinate => {
                        let publisher = Arc::new(Publisher::connect(catalogue, &kafka)?);
                        coordinated(&reset, (&kafka, &admin, publisher), by, reason).await?
                    }
                    planned => {
                        let planned = planned.or_else(by_its_kind)?;
                        if !dry_run {
                            let publisher = Publisher::connect(catalogue, &kafka)?;
                            planned.carry_out(&admin, &publisher, by, reason).await?;
                        }
                        planned
                    }
                };
                if planned.left > 0 {
                    eprintln!("event-bus: {} partitions are left as they are", planned.left);
                }
                show_moves(&planned.moves, dry_run, &mut output)?;
            }
        }
        Ok(Exit::Done)
    }
}

/// Resets a group whose service runs: that leaves the group for as long.
async fn coordinated(
    reset: &Reset,
    (kafka, admin, publisher): (&KafkaConfig, &Admin, Arc<Publisher>),
    by: &str,
    reason: Option<&str>,
) -> anyhow::Result<Moves> {
    let group = reset.group.clone();
    let mut asker = Asker::of(group, by, kafka, Arc::clone(&publisher)).await?;
    let work = async {
        let planned = reset.plan(publisher.catalogue(), admin).await.or_else(by_its_kind)?;
        planned.carry_out(admin, &publisher, by, reason).await?;
        Ok(planned)
    };
    asker.while_away(admin, work).await
}

fn list(
    catalogue: &Catalogue,
    found: Vec<GroupState>,
    all: bool,
    output: &mut Output,
) -> anyhow::Result<()> {
    let mut found: BTreeMap<String, GroupState> =
        found.into_iter().map(|group| (group.name.clone(), group)).collect();
    let mut rows = Vec::new();
    for subscription in catalogue.subscriptions() {
        let consumer = subscription.consumer;
        let state = found.remove(consumer.group.as_str());
        rows.push((
            consumer.group.to_string(),
            consumer.service.as_str(),
            subscription.event.topic.as_str(),
            state,
        ));
    }
    if all {
        rows.extend(found.into_iter().map(|(name, group)| (name, "", "", Some(group))));
    }
    if output.is_json() {
        let groups: Vec<Value> = rows
            .iter()
            .map(|(name, service, topic, state)| of_group(name, service, topic, state.as_ref()))
            .collect();
        return output.json_document(&groups);
    }
    let rows = rows.into_iter().map(|(name, service, topic, state)| {
        let (word, members, protocol) = match &state {
            Some(group) => (group.state.as_str(), group.members.len(), group.protocol.as_str()),
            None => (ABSENT, 0, ""),
        };
        vec![
            printable(&name),
            service.to_owned(),
            topic.to_owned(),
            word.to_owned(),
            members.to_string(),
            printable(protocol),
        ]
    });
    output.table(&["GROUP", "SERVICE", "TOPIC", "STATE", "MEMBERS", "PROTOCOL"], rows)
}

fn of_group(name: &str, service: &str, topic: &str, state: Option<&GroupState>) -> Value {
    let given = |text: &str| if text.is_empty() { Value::Null } else { text.into() };
    let members: Vec<Value> = state
        .iter()
        .flat_map(|group| &group.members)
        .map(
            |member| json!({ "id": member.id, "client_id": member.client_id, "host": member.host }),
        )
        .collect();
    json!({
        "group": name,
        "service": given(service),
        "topic": given(topic),
        "state": state.map_or(ABSENT, |group| group.state.as_str()),
        "protocol": state.map_or(Value::Null, |group| given(&group.protocol)),
        "members": members,
    })
}

/// The catalogue's groups, or those of them that are named.
fn named(catalogue: &Catalogue, only: &[String]) -> anyhow::Result<Vec<(GroupName, TopicName)>> {
    let known =
        || catalogue.subscriptions().map(|found| (&found.consumer.group, &found.event.topic));
    if let Some(unknown) =
        only.iter().find(|name| !known().any(|(group, _)| group.as_str() == *name))
    {
        return usage(format!(
            "the catalogue has no consumer group {unknown}: `event-bus groups list` shows them"
        ));
    }
    let named = known()
        .filter(|(group, _)| only.is_empty() || only.iter().any(|name| name == group.as_str()))
        .map(|(group, topic)| (group.clone(), topic.clone()));
    Ok(named.collect())
}

/// Shows it again and again, on a screen in the same place. A Kafka that does not answer may do so at the next look.
async fn watch_lag(
    admin: &Admin,
    groups: &[(GroupName, TopicName)],
    partitions: bool,
    seconds: u64,
    output: &mut Output,
) -> anyhow::Result<()> {
    let requested = stop::requested(false)?;
    let screen = Some(console::Term::stdout()).filter(console::Term::is_term);
    let mut ticks = tokio::time::interval(Duration::from_secs(seconds));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let looked = async {
            ticks.tick().await;
            admin.lag(groups).await
        };
        let lags = tokio::select! {
            lags = looked => lags,
            () = stop::of(requested.clone()) => return Ok(()),
        };
        let now = Timestamp::now().round(Unit::Second)?;
        match lags {
            Ok(lags) if output.is_json() => {
                for lag in &lags {
                    let mut line = of_lag(lag);
                    line["at"] = now.to_string().into();
                    output.json_line(&line)?;
                }
                output.flush()?;
            }
            Ok(lags) => {
                if let Some(screen) = &screen {
                    screen.clear_screen()?;
                }
                output.line(&now.to_string())?;
                show_lag(&lags, partitions, output)?;
            }
            Err(error) => eprintln!("event-bus: {}", error_chain(&error)),
        }
    }
}

fn show_lag(lags: &[GroupLag], partitions: bool, output: &mut Output) -> anyhow::Result<()> {
    if output.is_json() {
        let documents: Vec<Value> = lags.iter().map(of_lag).collect();
        return output.json_document(&documents);
    }
    if partitions {
        let rows = lags
            .iter()
            .flat_map(|group| group.partitions.iter().map(move |partition| row(group, partition)));
        return output
            .table(&["GROUP", "TOPIC", "PARTITION", "COMMITTED", "END", "LAG", "NOTE"], rows);
    }
    let rows = lags.iter().map(|group| {
        let topic = group.topic.to_string();
        vec![group.group.to_string(), topic, group.total().to_string(), notes(group).join(", ")]
    });
    output.table(&["GROUP", "TOPIC", "LAG", "NOTE"], rows)
}

fn notes(group: &GroupLag) -> Vec<String> {
    let all = group.partitions.len();
    let mut notes = Vec::new();
    if all == 0 {
        notes.push("the topic does not exist".to_owned());
    }
    // Most groups have no commit in a partition that never had an event, which says nothing.
    let uncommitted = group.partitions.iter().filter(|partition| match &partition.reading {
        Reading::Known(lag) => lag.standing == Standing::NeverCommitted && lag.lag > 0,
        Reading::Unknown { .. } => false,
    });
    for (count, what) in [
        (uncommitted.count(), "without a commit, counted from the start"),
        (group.count(Standing::BelowLogStart), "committed below the start of the log"),
        (group.count(Standing::BeyondLogEnd), "committed beyond the end of the log"),
        (group.unknown(), "unknown, so the lag is at least this"),
    ] {
        if count > 0 {
            notes.push(format!("{count} of {all} partitions {what}"));
        }
    }
    if group.lost() > 0 {
        notes.push(format!("{} events lost to retention", group.lost()));
    }
    notes
}

fn row(group: &GroupLag, partition: &PartitionReading) -> Vec<String> {
    let number =
        |offset: Option<i64>| offset.map_or_else(|| "-".to_owned(), |offset| offset.to_string());
    let (lag, note) = match &partition.reading {
        Reading::Known(lag) => {
            let note = match lag.standing {
                Standing::Committed => String::new(),
                Standing::NeverCommitted => "no commit".to_owned(),
                Standing::BelowLogStart => format!("{} events lost to retention", lag.lost),
                Standing::BeyondLogEnd => "committed beyond the end".to_owned(),
            };
            (lag.lag.to_string(), note)
        }
        Reading::Unknown { error } => ("?".to_owned(), error.clone()),
    };
    vec![
        group.group.to_string(),
        group.topic.to_string(),
        partition.partition.to_string(),
        number(partition.committed),
        number(partition.log_end),
        lag,
        note,
    ]
}

fn of_lag(group: &GroupLag) -> Value {
    json!({
        "group": group.group,
        "topic": group.topic,
        "lag": group.total(),
        "lost": group.lost(),
        "unknown_partitions": group.unknown(),
        "partitions": group.partitions,
    })
}

/// What can't be meant is wrong usage.
fn by_its_kind<T>(error: ResetError) -> anyhow::Result<T> {
    match error {
        ResetError::OtherTopic { .. }
        | ResetError::UnknownGroup { .. }
        | ResetError::UnknownPartition { .. }
        | ResetError::NothingToReset { .. } => usage(error.to_string()),
        error => Err(error.into()),
    }
}

fn show_moves(moves: &[OffsetMove], dry_run: bool, output: &mut Output) -> anyhow::Result<()> {
    if output.is_json() {
        return output.json_document(&json!({ "done": !dry_run, "moves": moves }));
    }
    let cells = |step: &OffsetMove| {
        let from = step.from.map_or_else(|| "-".to_owned(), |from| from.to_string());
        vec![step.topic.to_string(), step.partition.to_string(), from, step.to.to_string()]
    };
    let after = if dry_run { "WOULD BE" } else { "AFTER" };
    output.table(&["TOPIC", "PARTITION", "BEFORE", after], moves.iter().map(cells))
}
