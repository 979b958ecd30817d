//! The index is searched.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::super::sql::{Row, Value};
use super::OpsStore;
use super::letters::{moment, parsed, stamp};
use super::names::Names;
use crate::dead_letters::{Failure, Filter, Found, Letter, Scope, State};

/// The number that stands for a state.
pub(super) fn code(state: State) -> i64 {
    State::NAMES.iter().zip(0..).find(|(name, _)| **name == state.as_str()).map_or(0, |(_, at)| at)
}

/// The state that a number stands for, with what else is known of it.
pub(super) fn state_of(
    code: i64,
    replay: Option<Uuid>,
    resolved_at: Option<Timestamp>,
) -> Result<State, sqlx::Error> {
    let states = [
        State::Open,
        State::Replaying { replay: replay.unwrap_or_default() },
        State::Resolved { at: resolved_at.unwrap_or(Timestamp::UNIX_EPOCH) },
        State::DeadAgain,
        State::Discarded,
    ];
    let state = usize::try_from(code).ok().and_then(|code| states.get(code).copied());
    state.ok_or_else(|| sqlx::Error::Decode(format!("no state is {code}").into()))
}

/// Where a page of dead letters ended. They are in the order of their failures, the latest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// When the last one failed, in nanoseconds since 1970.
    pub failed_at: i64,
    /// Its number in the index.
    pub seq: i64,
}

/// A page of dead letters.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shown {
    /// They.
    pub letters: Vec<Found>,
    /// Where the next page begins; `None` where there is no other.
    pub next: Option<Place>,
}

/// The columns of a letter, and nothing that is large.
const LETTER: &str = "seq, id, event_id, dlq_topic, dlq_partition, dlq_offset, topic, partition_id, record_offset,
    consumer_group, service, tenant, event, version, reason, error_type, fingerprint, message, record_key, attempts,
    replays, previous, chain_seq, first_failed_at, failed_at, state, replay, resolved_at";

/// Those of them that are names.
const NAMED: [&str; 10] = [
    "dlq_topic",
    "topic",
    "consumer_group",
    "service",
    "tenant",
    "event",
    "version",
    "reason",
    "error_type",
    "fingerprint",
];

/// What a `WHERE` says, with its values.
#[derive(Debug, Default)]
pub(super) struct Conditions {
    texts: Vec<String>,
    pub(super) values: Vec<Value>,
    /// Whether the sums of the index have all that is asked for.
    is_summed: bool,
}

impl Conditions {
    fn bind(&mut self, value: impl Into<Value>) -> String {
        self.values.push(value.into());
        format!("${}", self.values.len())
    }

    fn one_of<V: Into<Value>>(&mut self, column: &str, values: impl IntoIterator<Item = V>) {
        let places: Vec<String> = values.into_iter().map(|value| self.bind(value)).collect();
        self.texts.push(if places.is_empty() {
            "1 = 0".to_owned()
        } else {
            format!("{column} IN ({})", places.join(", "))
        });
    }

    pub(super) fn also(&mut self, text: impl Into<String>) {
        self.texts.push(text.into());
    }

    /// The query of the sums of what is meant.
    pub(super) fn summed(&self) -> String {
        if self.is_summed {
            return format!("SELECT * FROM ops_sums{}", self.text());
        }
        format!(
            "SELECT fingerprint, consumer_group, topic, service, tenant, event, version, reason, state,
               count(*) AS letters, min(first_failed_at) AS first_seen, max(failed_at) AS last_seen,
               min(resolved_at) AS first_resolved
             FROM ops_letters{}
             GROUP BY fingerprint, consumer_group, topic, service, tenant, event, version, reason, state",
            self.text()
        )
    }

    /// ` WHERE …`, or nothing.
    pub(super) fn text(&self) -> String {
        if self.texts.is_empty() {
            String::new()
        } else {
            format!(" WHERE {}", self.texts.join(" AND "))
        }
    }
}

impl OpsStore {
    /// A page of the dead letters that are meant, from the latest failure on or behind `after`.
    ///
    /// # Errors
    /// The database's.
    pub async fn letters(
        &self,
        filter: &Filter,
        after: Option<Place>,
        most: u32,
    ) -> Result<Shown, sqlx::Error> {
        let mut conditions = self.conditions(filter).await?;
        if let Some(Place { failed_at, seq }) = after {
            let (failed_at, seq) = (conditions.bind(failed_at), conditions.bind(seq));
            conditions.also(format!("(failed_at, seq) < ({failed_at}, {seq})"));
        }
        let limit = conditions.bind(most.saturating_add(1));
        let select = format!(
            "SELECT {LETTER} FROM ops_letters{} ORDER BY failed_at DESC, seq DESC LIMIT {limit}",
            conditions.text()
        );
        let rows = self.read.read_all(select, &conditions.values).await?;
        let has_more = rows.len() > most as usize;
        let rows = &rows[..rows.len().min(most as usize)];
        let place = |row: &Row| {
            Ok::<_, sqlx::Error>(Place { failed_at: row.get("failed_at")?, seq: row.get("seq")? })
        };
        let next = rows.last().filter(|_| has_more).map(place).transpose()?;
        Ok(Shown { letters: self.found(rows).await?, next })
    }

    /// How many dead letters are meant, where the sums of the index tell it; `None` where each would have to be looked at.
    ///
    /// # Errors
    /// The database's.
    pub async fn count(&self, filter: &Filter) -> Result<Option<u64>, sqlx::Error> {
        let conditions = self.conditions(filter).await?;
        if !conditions.is_summed {
            return Ok(None);
        }
        let select = format!(
            "SELECT CAST(coalesce(sum(letters), 0) AS bigint) AS letters FROM ops_sums{}",
            conditions.text()
        );
        let rows = self.read.read_all(select, &conditions.values).await?;
        rows.first().map(|row| unsigned(row, "letters")).transpose()
    }

    /// A dead letter, and the others of its event and group in the order in which they died.
    ///
    /// # Errors
    /// The database's.
    pub async fn lineage(&self, id: Uuid) -> Result<Option<(Found, Vec<Found>)>, sqlx::Error> {
        let select = format!("SELECT {LETTER} FROM ops_letters WHERE id = $1");
        let rows = self.read.read_all(select, &[id.to_string().into()]).await?;
        let Some(found) = self.found(&rows).await?.pop() else { return Ok(None) };
        let event = found.letter.event_id.to_string();
        let select =
            format!("SELECT {LETTER} FROM ops_letters WHERE event_id = $1 ORDER BY failed_at, seq");
        let rows = self.read.read_all(select, &[event.into()]).await?;
        let mut lineage = self.found(&rows).await?;
        lineage.retain(|other| other.letter.group == found.letter.group);
        Ok(Some((found, lineage)))
    }

    /// The failures of the dead letters that are meant, those with most open ones first.
    ///
    /// # Errors
    /// The database's.
    pub async fn failures(&self, filter: &Filter) -> Result<Vec<Failure>, sqlx::Error> {
        let conditions = self.conditions(filter).await?;
        let (summed, open) = (conditions.summed(), code(State::Open));
        let select = format!(
            "SELECT fingerprint, consumer_group, reason, tenant, version,
               CAST(sum(letters) AS bigint) AS letters,
               CAST(sum(CASE WHEN state = {open} THEN letters ELSE 0 END) AS bigint) AS open,
               min(first_seen) AS first_seen, max(last_seen) AS last_seen
             FROM ({summed}) AS summed WHERE letters > 0
             GROUP BY fingerprint, consumer_group, reason, tenant, version"
        );
        let rows = self.read.read_all(select, &conditions.values).await?;
        let named = ["fingerprint", "consumer_group", "reason", "tenant", "version"];
        self.tell_names(&rows, &named).await?;
        let mut failures: BTreeMap<i64, Failure> = BTreeMap::new();
        for row in &rows {
            let new = self.failure_of(row)?;
            match failures.entry(row.get("fingerprint")?) {
                Entry::Vacant(entry) => drop(entry.insert(new)),
                Entry::Occupied(mut entry) => entry.get_mut().join(new),
            }
        }
        let within = self.within(&filter.scope, "").await?;
        let mut told = Vec::with_capacity(failures.len());
        for (fingerprint, failure) in failures {
            told.push(self.with_latest(fingerprint, &within, failure).await?);
        }
        Failure::sort(&mut told);
        Ok(told)
    }

    fn failure_of(&self, row: &Row) -> Result<Failure, sqlx::Error> {
        let name = |column: &str| Ok::<_, sqlx::Error>(self.names.name(row.get(column)?));
        Ok(Failure {
            fingerprint: name("fingerprint")?.unwrap_or_default(),
            group: name("consumer_group")?.unwrap_or_default(),
            reason: name("reason")?.unwrap_or_default(),
            error_type: String::new(),
            message: String::new(),
            letters: unsigned(row, "letters")?,
            open: unsigned(row, "open")?,
            first_seen: moment(row.get("first_seen")?)?,
            last_seen: moment(row.get("last_seen")?)?,
            tenants: name("tenant")?.into_iter().collect(),
            versions: name("version")?.into_iter().collect(),
            is_regressed: false,
        })
    }

    /// What the latest dead letter of a failure says, and whether it failed after another one was resolved.
    async fn with_latest(
        &self,
        fingerprint: i64,
        within: &str,
        mut failure: Failure,
    ) -> Result<Failure, sqlx::Error> {
        // Of each state, for that is how the index has them.
        let latest = (0..State::NAMES.len()).map(|state| {
            format!(
                "SELECT * FROM (SELECT error_type, message, failed_at FROM ops_letters
                   WHERE fingerprint = $1 AND state = {state}{within} ORDER BY failed_at DESC, seq DESC LIMIT 1) AS of_{state}"
            )
        });
        let latest = latest.collect::<Vec<_>>().join(" UNION ALL ");
        let select = format!("SELECT * FROM ({latest}) AS latest ORDER BY failed_at DESC LIMIT 1");
        let rows = self.read.read_all(select, &[fingerprint.into()]).await?;
        if let Some(row) = rows.first() {
            let error_type: i64 = row.get("error_type")?;
            self.names.tell(&self.read, &[error_type].into()).await?;
            failure.error_type = self.names.name(error_type).unwrap_or_default();
            failure.message = row.get("message")?;
        }
        if failure.open > 0 {
            let later = format!(
                "SELECT 1 AS later FROM ops_letters WHERE fingerprint = $1 AND state = {}{within} AND failed_at >
                   (SELECT min(first_resolved) FROM ops_sums WHERE fingerprint = $1{within}) LIMIT 1",
                code(State::Open)
            );
            let later = self.read.read_all(later, &[fingerprint.into()]).await?;
            failure.is_regressed = !later.is_empty();
        }
        Ok(failure)
    }

    /// What the columns say that [`LETTER`] names.
    pub(super) async fn found(&self, rows: &[Row]) -> Result<Vec<Found>, sqlx::Error> {
        self.tell_names(rows, &NAMED).await?;
        rows.iter().map(|row| found(row, &self.names)).collect()
    }

    /// Has the names known that stand in these columns.
    pub(super) async fn tell_names(
        &self,
        rows: &[Row],
        columns: &[&str],
    ) -> Result<(), sqlx::Error> {
        let mut ids = BTreeSet::new();
        for row in rows {
            for column in columns {
                ids.insert(row.get::<i64>(column)?);
            }
        }
        self.names.tell(&self.read, &ids).await
    }

    /// ` AND …` that leaves what is in scope, or nothing where that is all.
    pub(super) async fn within(&self, scope: &Scope, of: &str) -> Result<String, sqlx::Error> {
        let mut text = String::new();
        for (column, names) in [("service", &scope.services), ("tenant", &scope.tenants)] {
            let Some(names) = names else { continue };
            let mut ids = Vec::with_capacity(names.len());
            for name in names {
                ids.extend(self.names.find(&self.read, name).await?);
            }
            let ids: Vec<String> = ids.iter().map(i64::to_string).collect();
            text.push_str(&match ids.is_empty() {
                true => " AND 1 = 0".to_owned(),
                false => format!(" AND {of}{column} IN ({})", ids.join(", ")),
            });
        }
        Ok(text)
    }

    /// What a filter says of `ops_letters`. Whatever no dead letter has leaves nothing.
    pub(super) async fn conditions(&self, filter: &Filter) -> Result<Conditions, sqlx::Error> {
        let mut conditions = Conditions { is_summed: true, ..Conditions::default() };
        if !filter.scope.is_all() {
            conditions.also(format!("1 = 1{}", self.within(&filter.scope, "").await?));
        }
        for (column, names) in [
            ("topic", &filter.topics),
            ("consumer_group", &filter.groups),
            ("service", &filter.services),
            ("tenant", &filter.tenants),
            ("event", &filter.events),
            ("reason", &filter.reasons),
            ("fingerprint", &filter.fingerprints),
        ] {
            if names.is_empty() {
                continue;
            }
            let mut ids = Vec::with_capacity(names.len());
            for name in names {
                ids.extend(self.names.find(&self.read, name).await?);
            }
            conditions.one_of(column, ids);
        }
        if !filter.states.is_empty() {
            let names = State::NAMES.iter().zip(0_i64..);
            let codes = names.filter(|(name, _)| filter.states.iter().any(|state| state == *name));
            conditions.one_of("state", codes.map(|(_, code)| code));
        }
        if !filter.ids.is_empty() {
            // One value, however many they are: databases take a bounded number, and slowly.
            let ids = serde_json::to_string(&filter.ids)
                .map_err(|error| sqlx::Error::Encode(error.into()))?;
            let ids = self.read.elements_of(&conditions.bind(ids));
            conditions.also(format!("id IN ({ids})"));
            conditions.is_summed = false;
        }
        if let Some(request) = filter.request {
            let place = conditions.bind(request.to_string());
            conditions.also(format!(
                "id IN (SELECT letter FROM ops_request_letters WHERE request = {place})"
            ));
            conditions.is_summed = false;
        }
        for (bound, comparison) in [(filter.since, ">="), (filter.until, "<")] {
            if let Some(bound) = bound {
                let place = conditions.bind(stamp(bound));
                conditions.also(format!("failed_at {comparison} {place}"));
                conditions.is_summed = false;
            }
        }
        if filter.condition.is_some() {
            // Somebody has to judge it first.
            conditions.also("1 = 0");
            conditions.is_summed = false;
        }
        if let Some(text) = &filter.text {
            let place = conditions.bind(format!("%{}%", escaped(text)));
            let says = |column: &str| self.read.is_like(column, &place);
            let error_type = format!(
                "error_type IN (SELECT names.id FROM ops_names AS names WHERE {})",
                says("names.name")
            );
            let mut columns = vec!["message", "record_key"];
            if is_in_an_id(text) {
                columns.extend(["id", "event_id"]);
            }
            let columns = columns.into_iter().map(says).collect::<Vec<_>>().join(" OR ");
            conditions.also(format!("({columns} OR {error_type})"));
            conditions.is_summed = false;
        }
        Ok(conditions)
    }
}

/// Whether a text can be a part of an id, so that ids are looked at at all.
fn is_in_an_id(text: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_hexdigit() || byte == b'-';
    text.len() <= uuid::fmt::Hyphenated::LENGTH && text.bytes().all(fits)
}

/// A text in which `LIKE` finds no wildcards.
fn escaped(text: &str) -> String {
    text.replace('\\', r"\\").replace('%', r"\%").replace('_', r"\_")
}

pub(super) fn unsigned(row: &Row, column: &str) -> Result<u64, sqlx::Error> {
    u64::try_from(row.get::<i64>(column)?).map_err(|error| sqlx::Error::Decode(error.into()))
}

fn narrow<T: TryFrom<i64>>(row: &Row, column: &str) -> Result<T, sqlx::Error> {
    T::try_from(row.get::<i64>(column)?)
        .map_err(|_| sqlx::Error::Decode(format!("{column} is out of range").into()))
}

fn found(row: &Row, names: &Names) -> Result<Found, sqlx::Error> {
    let name = |column: &str| Ok::<_, sqlx::Error>(names.name(row.get(column)?));
    let said = |column: &str| Ok::<_, sqlx::Error>(name(column)?.unwrap_or_default());
    let id = |column: &str| -> Result<Option<Uuid>, sqlx::Error> {
        row.get::<Option<String>>(column)?.map(|id| parsed(&id)).transpose()
    };
    let letter = Letter {
        id: parsed(&row.get::<String>("id")?)?,
        event_id: parsed(&row.get::<String>("event_id")?)?,
        dead_letter_topic: parsed(&said("dlq_topic")?)?,
        dead_letter_partition: narrow(row, "dlq_partition")?,
        dead_letter_offset: row.get("dlq_offset")?,
        topic: parsed(&said("topic")?)?,
        partition: narrow(row, "partition_id")?,
        offset: row.get("record_offset")?,
        group: parsed(&said("consumer_group")?)?,
        service: said("service")?,
        reason: said("reason")?,
        error_type: said("error_type")?,
        message: row.get("message")?,
        fingerprint: said("fingerprint")?,
        attempts: narrow(row, "attempts")?,
        first_failed_at: moment(row.get("first_failed_at")?)?,
        failed_at: moment(row.get("failed_at")?)?,
        replays: narrow(row, "replays")?,
        previous: id("previous")?,
        chain_seq: row.get("chain_seq")?,
        tenant: name("tenant")?,
        event: name("event")?,
        version: name("version")?,
        key: row.get::<Option<String>>("record_key")?.map(Bytes::from),
    };
    let resolved_at = row.get::<Option<i64>>("resolved_at")?.map(moment).transpose()?;
    let state = state_of(row.get("state")?, id("replay")?, resolved_at)?;
    Ok(Found { letter, state })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_state_has_a_number_of_its_own() {
        let again = [0, 1, 2, 3, 4].map(|number| code(state_of(number, None, None).unwrap()));
        assert_eq!(again, [0, 1, 2, 3, 4]);
        assert!(state_of(5, None, None).is_err() && state_of(-1, None, None).is_err());
    }
}
