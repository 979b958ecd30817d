//! What many dead letters say alike, kept once: a topic, a tenant, a reason.

use std::collections::{BTreeSet, HashMap};
use std::sync::{PoisonError, RwLock};

use super::super::connect::Store;
use super::super::sql::{Value, rows_of};

/// What a dead letter has that says nothing.
pub(super) const NOTHING: i64 = 0;

/// Names that were seen, both ways. A name never changes and never goes, so what is here stays right.
#[derive(Debug, Default)]
pub(super) struct Names {
    known: RwLock<Known>,
}

#[derive(Debug, Default)]
struct Known {
    ids: HashMap<String, i64>,
    names: HashMap<i64, String>,
}

impl Known {
    fn learn(&mut self, id: i64, name: String) {
        self.ids.insert(name.clone(), id);
        self.names.insert(id, name);
    }
}

/// So many names are asked for by one statement.
const AT_ONCE: usize = 250;

impl Names {
    /// The id of a name; `None` where no dead letter has it.
    pub(super) async fn find(&self, store: &Store, name: &str) -> Result<Option<i64>, sqlx::Error> {
        if let Some(id) = self.id(name) {
            return Ok(Some(id));
        }
        let rows = store
            .read_all("SELECT id FROM ops_names WHERE name = $1".to_owned(), &[name.into()])
            .await?;
        let Some(row) = rows.first() else { return Ok(None) };
        let id = row.get("id")?;
        self.learn([(id, name.to_owned())]);
        Ok(Some(id))
    }

    /// Has all of these names known and in the database.
    pub(super) async fn keep(
        &self,
        store: &Store,
        names: impl Iterator<Item = String>,
    ) -> Result<(), sqlx::Error> {
        let unknown: BTreeSet<String> = names.filter(|name| self.id(name).is_none()).collect();
        let unknown: Vec<String> = unknown.into_iter().collect();
        for names in unknown.chunks(AT_ONCE) {
            let values: Vec<Value> = names.iter().map(Value::from).collect();
            let places = rows_of(names.len(), 1);
            let mut tx = store.begin().await?;
            let insert = format!(
                "INSERT INTO ops_names (name) VALUES {places} ON CONFLICT (name) DO NOTHING"
            );
            tx.execute_made(insert, &values).await?;
            let select = format!("SELECT id, name FROM ops_names WHERE name IN ({places})");
            let found = tx.fetch_made(select, &values).await?;
            tx.commit().await?;
            let learnt = found.iter().map(|row| Ok((row.get("id")?, row.get("name")?)));
            self.learn(learnt.collect::<Result<Vec<(i64, String)>, sqlx::Error>>()?);
        }
        Ok(())
    }

    /// The id of a name that was kept or found.
    pub(super) fn id(&self, name: &str) -> Option<i64> {
        self.known.read().unwrap_or_else(PoisonError::into_inner).ids.get(name).copied()
    }

    /// The names of these ids.
    pub(super) async fn tell(&self, store: &Store, ids: &BTreeSet<i64>) -> Result<(), sqlx::Error> {
        let unknown: Vec<i64> = {
            let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
            ids.iter()
                .filter(|id| **id != NOTHING && !known.names.contains_key(id))
                .copied()
                .collect()
        };
        for ids in unknown.chunks(AT_ONCE) {
            let values: Vec<Value> = ids.iter().map(|id| Value::from(*id)).collect();
            let places = rows_of(ids.len(), 1);
            let select = format!("SELECT id, name FROM ops_names WHERE id IN ({places})");
            let found = store.read_all(select, &values).await?;
            let learnt = found.iter().map(|row| Ok((row.get("id")?, row.get("name")?)));
            self.learn(learnt.collect::<Result<Vec<(i64, String)>, sqlx::Error>>()?);
        }
        Ok(())
    }

    /// The name of an id that was told before; `None` where nothing was said.
    pub(super) fn name(&self, id: i64) -> Option<String> {
        self.known.read().unwrap_or_else(PoisonError::into_inner).names.get(&id).cloned()
    }

    fn learn(&self, names: impl IntoIterator<Item = (i64, String)>) {
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        names.into_iter().for_each(|(id, name)| known.learn(id, name));
    }
}
