//! The audit: rows that are only ever added, each with the hash of the one before it.

use jiff::Timestamp;
use uuid::Uuid;

use super::super::sql::{Row, Value};
use super::super::tx::{Connection, Tx};
use super::OpsStore;
use super::letters::{parsed, stamp};
use crate::audit::chain::{Entry, Link};

/// Which rows are meant.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AuditFilter {
    /// Of this actor.
    pub actor: Option<String>,
    /// Of this action.
    pub action: Option<String>,
    /// With this object.
    pub object: Option<String>,
    /// Not before.
    pub since: Option<Timestamp>,
    /// Before.
    pub until: Option<Timestamp>,
    /// Only rows before this one.
    pub before: Option<i64>,
}

const LINK: &str = "chain.id AS chain, link.seq, link.at, link.actor, link.role, link.action, link.object, link.reason,
    link.detail, link.previous, link.hash
    FROM ops_audit AS link CROSS JOIN ops_audit_chain AS chain";

impl OpsStore {
    /// Writes what somebody is about to do, behind what was written before: by whichever process, there is one chain.
    ///
    /// # Errors
    /// The database's.
    pub async fn audit(&self, entry: &Entry) -> Result<Link, sqlx::Error> {
        let mut tx = self.write.begin().await?;
        let link = append(&mut tx, entry).await?;
        tx.commit().await?;
        self.written.notify_one();
        Ok(link)
    }

    /// Completes once somebody wrote a row in this process, also if that was before.
    pub async fn audited(&self) {
        self.written.notified().await;
    }

    /// Which chain this store's is; `None` before the first row.
    ///
    /// # Errors
    /// The database's.
    pub async fn audit_chain(&self) -> Result<Option<Uuid>, sqlx::Error> {
        let rows = self.read.read_all("SELECT id FROM ops_audit_chain".to_owned(), &[]).await?;
        rows.first().map(|row| parsed(&row.get::<String>("id")?)).transpose()
    }

    /// The latest rows that are meant, the last one first.
    ///
    /// # Errors
    /// The database's.
    pub async fn audit_rows(
        &self,
        filter: &AuditFilter,
        most: u32,
    ) -> Result<Vec<Link>, sqlx::Error> {
        let (mut texts, mut values) = (Vec::new(), Vec::<Value>::new());
        let mut also = |comparison: &str, value: Option<Value>| {
            if let Some(value) = value {
                values.push(value);
                texts.push(format!("{comparison} ${}", values.len()));
            }
        };
        also("link.actor =", filter.actor.as_ref().map(Value::from));
        also("link.action =", filter.action.as_ref().map(Value::from));
        also("link.object =", filter.object.as_ref().map(Value::from));
        also("link.at >=", filter.since.map(|since| stamp(since).into()));
        also("link.at <", filter.until.map(|until| stamp(until).into()));
        also("link.seq <", filter.before.map(Value::from));
        values.push(most.into());
        let conditions = if texts.is_empty() {
            String::new()
        } else {
            format!(" WHERE {}", texts.join(" AND "))
        };
        let select =
            format!("SELECT {LINK}{conditions} ORDER BY link.seq DESC LIMIT ${}", values.len());
        self.read.read_all(select, &values).await?.iter().map(link_of).collect()
    }

    /// Rows from the one behind `after` on, in their order.
    pub(crate) async fn audit_behind(
        &self,
        after: i64,
        most: u32,
    ) -> Result<Vec<Link>, sqlx::Error> {
        let select = format!("SELECT {LINK} WHERE link.seq > $1 ORDER BY link.seq LIMIT $2");
        let rows = self.read.read_all(select, &[after.into(), most.into()]).await?;
        rows.iter().map(link_of).collect()
    }

    /// Up to which row they were sent to the topic of audit; 0 where none was.
    pub(crate) async fn audit_sent_up_to(&self) -> Result<i64, sqlx::Error> {
        let last = "SELECT seq FROM ops_audit WHERE is_sent = 1 ORDER BY seq DESC LIMIT 1";
        let rows = self.read.read_all(last.to_owned(), &[]).await?;
        rows.first().map_or(Ok(0), |row| row.get("seq"))
    }

    /// The first rows that were not sent to the topic of audit.
    pub(crate) async fn audit_to_send(&self, most: u32) -> Result<Vec<Link>, sqlx::Error> {
        let select = format!("SELECT {LINK} WHERE link.is_sent = 0 ORDER BY link.seq LIMIT $1");
        self.read.read_all(select, &[most.into()]).await?.iter().map(link_of).collect()
    }

    /// Notes that the rows up to this one were sent.
    pub(crate) async fn audit_was_sent(&self, up_to: i64) -> Result<(), sqlx::Error> {
        let update = "UPDATE ops_audit SET is_sent = 1 WHERE is_sent = 0 AND seq <= $1";
        self.write.execute(update, &[up_to.into()]).await
    }
}

async fn append(tx: &mut Tx, entry: &Entry) -> Result<Link, sqlx::Error> {
    /// Any number that the library locks nothing else by. SQLite has one writer anyway.
    const TURN: &str = "SELECT pg_advisory_xact_lock(7305809155012321570)";
    if let Connection::Postgres(_) = &tx.connection {
        tx.execute(TURN, &[]).await?;
    }
    let known = tx.fetch_optional("SELECT id FROM ops_audit_chain", &[]).await?;
    let chain = match known {
        Some(row) => parsed(&row.get::<String>("id")?)?,
        None => {
            let chain = Uuid::new_v4();
            let insert = "INSERT INTO ops_audit_chain (id) VALUES ($1)";
            tx.execute(insert, &[chain.to_string().into()]).await?;
            chain
        }
    };
    let last = "SELECT seq, hash FROM ops_audit ORDER BY seq DESC LIMIT 1";
    let last = tx.fetch_optional(last, &[]).await?;
    let last =
        last.map(|row| Ok::<_, sqlx::Error>((row.get("seq")?, row.get("hash")?))).transpose()?;
    let link = Link::next(chain, last, Timestamp::now(), entry);
    let insert =
        "INSERT INTO ops_audit (seq, at, actor, role, action, object, reason, detail, previous, hash)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)";
    let values: [Value; 10] = [
        link.seq.into(),
        link.at.into(),
        (&link.actor).into(),
        (&link.role).into(),
        (&link.action).into(),
        (&link.object).into(),
        link.reason.clone().into(),
        (&link.detail).into(),
        (&link.previous).into(),
        (&link.hash).into(),
    ];
    tx.execute(insert, &values).await?;
    Ok(link)
}

fn link_of(row: &Row) -> Result<Link, sqlx::Error> {
    Ok(Link {
        chain: parsed(&row.get::<String>("chain")?)?,
        seq: row.get("seq")?,
        at: row.get("at")?,
        actor: row.get("actor")?,
        role: row.get("role")?,
        action: row.get("action")?,
        object: row.get("object")?,
        reason: row.get("reason")?,
        detail: row.get("detail")?,
        previous: row.get("previous")?,
        hash: row.get("hash")?,
    })
}
