//! What a service keeps of the organisations it deals with.
//!
//! An organisation's creation and its termination come by different topics, so either may be first. Both write the
//! same row, and each reads from it whether the other was there.

use event_bus::store::{Migration, Row, Tx};

use crate::events::OrganisationKind;

/// Makes the registry. A service that needs it has this as its second step, behind the gate.
pub(crate) const MIGRATION: Migration = Migration::same(
    2,
    "registry of organisations",
    "CREATE TABLE organisations (
         organisation_id text PRIMARY KEY,
         kind text,
         name text,
         created bigint NOT NULL,
         terminated bigint NOT NULL
     );",
);

/// How often an organisation was reported created and terminated: once each, unless somebody published it twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Standing {
    pub created: i64,
    pub terminated: i64,
}

impl Standing {
    /// Whether it is on the platform. A termination is final, also when it comes before the creation.
    pub(crate) fn is_active(self) -> bool {
        self.created > 0 && self.terminated == 0
    }
}

/// Notes that an organisation was created.
pub(crate) async fn created(
    tx: &mut Tx,
    organisation_id: &str,
    kind: OrganisationKind,
    name: &str,
) -> Result<Standing, sqlx::Error> {
    let sql = "INSERT INTO organisations (organisation_id, kind, name, created, terminated)
               VALUES ($1, $2, $3, 1, 0)
               ON CONFLICT (organisation_id) DO UPDATE SET
                   kind = excluded.kind, name = excluded.name, created = organisations.created + 1
               RETURNING created, terminated";
    let rows =
        tx.fetch_all(sql, &[organisation_id.into(), kind.as_str().into(), name.into()]).await?;
    standing(&rows)
}

/// Notes that an organisation was terminated.
pub(crate) async fn terminated(
    tx: &mut Tx,
    organisation_id: &str,
) -> Result<Standing, sqlx::Error> {
    let sql = "INSERT INTO organisations (organisation_id, created, terminated)
               VALUES ($1, 0, 1)
               ON CONFLICT (organisation_id) DO UPDATE SET terminated = organisations.terminated + 1
               RETURNING created, terminated";
    standing(&tx.fetch_all(sql, &[organisation_id.into()]).await?)
}

fn standing(rows: &[Row]) -> Result<Standing, sqlx::Error> {
    let row = rows.first().ok_or(sqlx::Error::RowNotFound)?;
    Ok(Standing { created: row.get("created")?, terminated: row.get("terminated")? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_organisation_is_active_from_its_creation_to_its_termination_whichever_came_first() {
        assert!(!Standing { created: 0, terminated: 0 }.is_active());
        assert!(Standing { created: 1, terminated: 0 }.is_active());
        assert!(!Standing { created: 1, terminated: 1 }.is_active());
        assert!(!Standing { created: 0, terminated: 1 }.is_active());
    }
}
