//! Links that are good once: for the first administrator, and for users who have no password yet.

use std::time::Duration;

use jiff::Timestamp;

use super::letters::{parsed, stamp};
use super::tokens::{Role, secret, sha256};
use super::users::{UserName, insert_user, write_password};
use super::{OpsStore, in_turn};
use crate::dead_letters::Scope;

/// Whom a link is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Invited {
    /// Whoever sets the panel up.
    First,
    /// A user, who chooses a password.
    User(UserName),
}

impl Invited {
    /// A link is good for so long.
    pub const LASTS: Duration = Duration::from_secs(24 * 60 * 60);
}

const INSERT: &str =
    "INSERT INTO ops_invitations (token_sha256, user_name, expires_at) VALUES ($1, $2, $3)";

fn expiry(now: Timestamp) -> i64 {
    stamp(now).saturating_add(i64::try_from(Invited::LASTS.as_nanos()).unwrap_or(i64::MAX))
}

impl OpsStore {
    /// Invites whoever sets the panel up; `None` where there are users already.
    ///
    /// # Errors
    /// The database's.
    pub async fn invite_first(&self, now: Timestamp) -> Result<Option<String>, sqlx::Error> {
        let token = secret("");
        let mut tx = self.write.begin().await?;
        in_turn(&mut tx).await?;
        if tx.fetch_optional("SELECT name FROM ops_users LIMIT 1", &[]).await?.is_some() {
            return Ok(None);
        }
        let values = [sha256(&token).into(), None::<String>.into(), expiry(now).into()];
        tx.execute(INSERT, &values).await?;
        tx.commit().await?;
        Ok(Some(token))
    }

    /// Invites a user to choose a password, in place of earlier invitations; `None` where there is no such user, or only one
    /// for whom a provider vouches.
    ///
    /// # Errors
    /// The database's.
    pub async fn invite(
        &self,
        name: &UserName,
        now: Timestamp,
    ) -> Result<Option<String>, sqlx::Error> {
        let token = secret("");
        let mut tx = self.write.begin().await?;
        let known = "SELECT name FROM ops_users WHERE name = $1 AND issuer IS NULL";
        if tx.fetch_optional(known, &[name.as_str().into()]).await?.is_none() {
            return Ok(None);
        }
        let delete = "DELETE FROM ops_invitations WHERE user_name = $1";
        tx.execute(delete, &[name.as_str().into()]).await?;
        let values = [sha256(&token).into(), name.as_str().into(), expiry(now).into()];
        tx.execute(INSERT, &values).await?;
        tx.commit().await?;
        Ok(Some(token))
    }

    /// Whom a token invites.
    ///
    /// # Errors
    /// The database's.
    pub async fn invited(
        &self,
        token: &str,
        now: Timestamp,
    ) -> Result<Option<Invited>, sqlx::Error> {
        let select =
            "SELECT user_name FROM ops_invitations WHERE token_sha256 = $1 AND expires_at > $2";
        let values = [sha256(token).into(), stamp(now).into()];
        let rows = self.read.read_all(select.to_owned(), &values).await?;
        let Some(row) = rows.first() else { return Ok(None) };
        Ok(Some(match row.get::<Option<String>>("user_name")? {
            Some(name) => Invited::User(parsed(&name)?),
            None => Invited::First,
        }))
    }

    /// Makes the first administrator, and has no other be made. Says whether the token was good.
    ///
    /// # Errors
    /// The database's.
    pub async fn accept_first(
        &self,
        token: &str,
        name: &UserName,
        password: &str,
        now: Timestamp,
    ) -> Result<bool, sqlx::Error> {
        let mut tx = self.write.begin().await?;
        in_turn(&mut tx).await?;
        let take = "DELETE FROM ops_invitations
            WHERE token_sha256 = $1 AND user_name IS NULL AND expires_at > $2";
        let taken = tx.execute(take, &[sha256(token).into(), stamp(now).into()]).await?;
        let somebody = "SELECT name FROM ops_users LIMIT 1";
        if taken == 0 || tx.fetch_optional(somebody, &[]).await?.is_some() {
            return Ok(false);
        }
        insert_user(&mut tx, name, Role::Admin, &Scope::default(), Some(password)).await?;
        tx.execute("DELETE FROM ops_invitations WHERE user_name IS NULL", &[]).await?;
        tx.commit().await?;
        Ok(true)
    }

    /// Gives an invited user a password. Says who that is, if the token was good.
    ///
    /// # Errors
    /// The database's.
    pub async fn accept(
        &self,
        token: &str,
        password: &str,
        now: Timestamp,
    ) -> Result<Option<UserName>, sqlx::Error> {
        let mut tx = self.write.begin().await?;
        let take = "DELETE FROM ops_invitations
            WHERE token_sha256 = $1 AND user_name IS NOT NULL AND expires_at > $2 RETURNING user_name";
        let values = [sha256(token).into(), stamp(now).into()];
        let Some(row) = tx.fetch_optional(take, &values).await? else { return Ok(None) };
        let name = parsed(&row.get::<String>("user_name")?)?;
        write_password(&mut tx, &name, password).await?;
        tx.commit().await?;
        Ok(Some(name))
    }
}
