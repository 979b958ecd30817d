//! What operators write about failures.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::super::sql::{Row, Value, rows_of};
use super::OpsStore;
use super::letters::{clean, moment, parsed, stamp};
use super::search::unsigned;

/// A note about a failure.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Note {
    /// Names it.
    pub id: Uuid,
    /// About which failure.
    pub fingerprint: String,
    /// Who wrote it.
    pub author: String,
    /// What it says.
    pub text: String,
    /// When it was written.
    pub at: Timestamp,
}

impl Note {
    /// It has so many characters at most.
    pub const MAX_CHARACTERS: usize = 2_000;
    /// There are so many about a failure at most.
    pub const MOST: usize = 100;
}

/// Of so many failures they are asked for by one statement.
const AT_ONCE: usize = 250;

const NOTE: &str = "id, fingerprint, author, body, written_at";

impl OpsStore {
    /// The notes about these failures, the latest first.
    ///
    /// # Errors
    /// The database's.
    pub async fn notes(
        &self,
        fingerprints: &[&str],
    ) -> Result<BTreeMap<String, Vec<Note>>, sqlx::Error> {
        let mut notes: BTreeMap<String, Vec<Note>> = BTreeMap::new();
        for fingerprints in fingerprints.chunks(AT_ONCE) {
            let values: Vec<Value> =
                fingerprints.iter().map(|one| Value::from(clean(one))).collect();
            let select = format!(
                "SELECT {NOTE} FROM ops_notes WHERE fingerprint IN ({}) ORDER BY written_at DESC, id DESC",
                rows_of(values.len(), 1)
            );
            for row in self.read.read_all(select, &values).await? {
                let note = note_of(&row)?;
                notes.entry(note.fingerprint.clone()).or_default().push(note);
            }
        }
        Ok(notes)
    }

    /// How many notes there are about each of these failures, and what the latest one says; nothing of those without one.
    ///
    /// # Errors
    /// The database's.
    pub async fn latest_notes(
        &self,
        fingerprints: &[&str],
    ) -> Result<BTreeMap<String, (usize, String)>, sqlx::Error> {
        let mut latest = BTreeMap::new();
        for fingerprints in fingerprints.chunks(AT_ONCE) {
            let values: Vec<Value> =
                fingerprints.iter().map(|one| Value::from(clean(one))).collect();
            let select = format!(
                "SELECT fingerprint, body, notes FROM (
                   SELECT fingerprint, body, count(*) OVER (PARTITION BY fingerprint) AS notes,
                     row_number() OVER (PARTITION BY fingerprint ORDER BY written_at DESC, id DESC) AS place
                   FROM ops_notes WHERE fingerprint IN ({})) AS counted WHERE place = 1",
                rows_of(values.len(), 1)
            );
            for row in self.read.read_all(select, &values).await? {
                let notes = usize::try_from(unsigned(&row, "notes")?).unwrap_or(usize::MAX);
                latest.insert(row.get("fingerprint")?, (notes, row.get("body")?));
            }
        }
        Ok(latest)
    }

    /// A note.
    ///
    /// # Errors
    /// The database's.
    pub async fn note(&self, id: Uuid) -> Result<Option<Note>, sqlx::Error> {
        let select = format!("SELECT {NOTE} FROM ops_notes WHERE id = $1");
        let rows = self.read.read_all(select, &[id.to_string().into()]).await?;
        rows.first().map(note_of).transpose()
    }

    /// Writes a note. Writing it twice is writing it once.
    ///
    /// # Errors
    /// The database's.
    pub async fn write_note(&self, note: &Note) -> Result<(), sqlx::Error> {
        let insert = "INSERT INTO ops_notes (id, fingerprint, author, body, written_at)
            VALUES ($1, $2, $3, $4, $5) ON CONFLICT (id) DO NOTHING";
        let values = [
            note.id.to_string().into(),
            clean(&note.fingerprint).into(),
            note.author.as_str().into(),
            clean(&note.text).into(),
            stamp(note.at).into(),
        ];
        self.write.execute(insert, &values).await
    }

    /// Removes a note, if it is there.
    ///
    /// # Errors
    /// The database's.
    pub async fn remove_note(&self, id: Uuid) -> Result<(), sqlx::Error> {
        let delete = "DELETE FROM ops_notes WHERE id = $1";
        self.write.execute(delete, &[id.to_string().into()]).await
    }
}

fn note_of(row: &Row) -> Result<Note, sqlx::Error> {
    Ok(Note {
        id: parsed(&row.get::<String>("id")?)?,
        fingerprint: row.get("fingerprint")?,
        author: row.get("author")?,
        text: row.get("body")?,
        at: moment(row.get("written_at")?)?,
    })
}
