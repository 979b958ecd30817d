//! Who is signed in.

use std::time::Duration;

use jiff::Timestamp;

use super::super::sql::Row;
use super::OpsStore;
use super::letters::{moment, stamp};
use super::tokens::{secret, sha256};
use super::users::{USER, User, UserName, user_of};

/// Somebody who is signed in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// Who.
    pub user: User,
    /// When the password was given last, here or to the provider by which the user signs in.
    pub proved_at: Timestamp,
}

impl Session {
    /// A session that nobody uses ends after so long.
    pub const IDLE: Duration = Duration::from_secs(30 * 60);
    /// Each session ends after so long.
    pub const LONGEST: Duration = Duration::from_secs(12 * 60 * 60);
    /// That somebody uses a session is written no more often than this.
    const NOTE: Duration = Duration::from_secs(60);
}

/// The stamp of so long before.
fn before(now: Timestamp, time: Duration) -> i64 {
    stamp(now).saturating_sub(i64::try_from(time.as_nanos()).unwrap_or(i64::MAX))
}

impl OpsStore {
    /// Signs a user in who has given the password, under an id that is told only now.
    ///
    /// # Errors
    /// The database's.
    pub async fn open_session(
        &self,
        name: &UserName,
        now: Timestamp,
    ) -> Result<String, sqlx::Error> {
        self.open_session_proved(name, now, now).await
    }

    /// Signs a user in who gave the password at another time, under an id that is told only now.
    ///
    /// # Errors
    /// The database's.
    pub async fn open_session_proved(
        &self,
        name: &UserName,
        proved_at: Timestamp,
        now: Timestamp,
    ) -> Result<String, sqlx::Error> {
        let id = secret("");
        let mut tx = self.write.begin().await?;
        let over = "DELETE FROM ops_sessions WHERE seen_at < $1 OR opened_at < $2";
        let over_since = [before(now, Session::IDLE), before(now, Session::LONGEST)];
        tx.execute(over, &over_since.map(Into::into)).await?;
        let insert =
            "INSERT INTO ops_sessions (id_sha256, user_name, opened_at, seen_at, proved_at)
            VALUES ($1, $2, $3, $3, $4)";
        let (now, proved_at) = (stamp(now).into(), stamp(proved_at).into());
        let values = [sha256(&id).into(), name.as_str().into(), now, proved_at];
        tx.execute(insert, &values).await?;
        tx.commit().await?;
        Ok(id)
    }

    /// Whose session this is, while it is neither too old nor idle for too long, and its user is not shut out.
    ///
    /// # Errors
    /// The database's.
    pub async fn session(&self, id: &str, now: Timestamp) -> Result<Option<Session>, sqlx::Error> {
        let Some(row) = self.open_row(id, now).await? else { return Ok(None) };
        if row.get::<i64>("seen_at")? < before(now, Session::NOTE) {
            let update = "UPDATE ops_sessions SET seen_at = $2 WHERE id_sha256 = $1";
            self.write.execute(update, &[sha256(id).into(), stamp(now).into()]).await?;
        }
        let proved_at = moment(row.get("proved_at")?)?;
        Ok(Some(Session { user: user_of(&row)?, proved_at }))
    }

    async fn open_row(&self, id: &str, now: Timestamp) -> Result<Option<Row>, sqlx::Error> {
        let select = format!(
            "SELECT session.seen_at, session.proved_at, {USER} FROM ops_sessions AS session
             JOIN ops_users AS account ON account.name = session.user_name
             WHERE session.id_sha256 = $1 AND session.seen_at >= $2 AND session.opened_at >= $3
               AND account.is_disabled = 0"
        );
        let since = [before(now, Session::IDLE), before(now, Session::LONGEST)];
        let values = [sha256(id).into(), since[0].into(), since[1].into()];
        Ok(self.read.read_all(select, &values).await?.into_iter().next())
    }

    /// Whether a session is open; asking is no use of it.
    ///
    /// # Errors
    /// The database's.
    pub async fn is_signed_in(&self, id: &str, now: Timestamp) -> Result<bool, sqlx::Error> {
        Ok(self.open_row(id, now).await?.is_some())
    }

    /// Ends a session.
    ///
    /// # Errors
    /// The database's.
    pub async fn close_session(&self, id: &str) -> Result<(), sqlx::Error> {
        let delete = "DELETE FROM ops_sessions WHERE id_sha256 = $1";
        self.write.execute(delete, &[sha256(id).into()]).await
    }
}
