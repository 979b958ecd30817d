//! Users for whom a provider of identities vouches: they are known by what it calls them, and have no password.

use jiff::Timestamp;

use super::OpsStore;
use super::letters::stamp;
use super::tokens::Role;
use super::users::{USER, User, UserName, columns_of, end_all, name_of, user_of};
use crate::dead_letters::Scope;

/// Somebody for whom a provider vouches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Vouched {
    /// The provider.
    pub issuer: String,
    /// What the provider never calls anybody else.
    pub subject: String,
    /// What the user is called here, from the first time on.
    pub name: UserName,
    /// What the user may do.
    pub role: Role,
    /// With whose dead letters.
    pub scope: Scope,
}

impl OpsStore {
    /// Makes a user for whom a provider vouches, or gives one who is known the role and the scope of now. Says what the
    /// user is called; `None` where an administrator has shut the user out.
    ///
    /// # Errors
    /// The database's.
    pub async fn admit(&self, vouched: &Vouched) -> Result<Option<UserName>, sqlx::Error> {
        let Vouched { issuer, subject, name, role, scope } = vouched;
        let insert =
            "INSERT INTO ops_users (name, role, services, tenants, made_at, issuer, subject)
            VALUES ($1, $2, $3, $4, $5, $6, $7)
            ON CONFLICT (issuer, subject) DO UPDATE
                SET role = excluded.role, services = excluded.services, tenants = excluded.tenants
            RETURNING name, is_disabled";
        let [services, tenants] = columns_of(scope)?;
        let now = stamp(Timestamp::now()).into();
        let (issuer, subject) = (issuer.as_str().into(), subject.as_str().into());
        let (name, role) = (name.as_str().into(), role.as_str().into());
        let mut tx = self.write.begin().await?;
        let values = [name, role, services, tenants, now, issuer, subject];
        let row = tx.fetch_optional(insert, &values).await?.ok_or(sqlx::Error::RowNotFound)?;
        tx.commit().await?;
        let is_disabled = row.get::<i64>("is_disabled")? != 0;
        Ok(if is_disabled { None } else { Some(name_of(&row, "name")?) })
    }

    /// Somebody for whom a provider vouched before.
    ///
    /// # Errors
    /// The database's.
    pub async fn vouched_user(
        &self,
        issuer: &str,
        subject: &str,
    ) -> Result<Option<User>, sqlx::Error> {
        let select = format!(
            "SELECT {USER} FROM ops_users AS account
             WHERE account.issuer = $1 AND account.subject = $2"
        );
        let rows = self.read.read_all(select, &[issuer.into(), subject.into()]).await?;
        rows.first().map(user_of).transpose()
    }

    /// Ends all sessions of a user.
    ///
    /// # Errors
    /// The database's.
    pub async fn end_sessions(&self, name: &UserName) -> Result<(), sqlx::Error> {
        let mut tx = self.write.begin().await?;
        end_all(&mut tx, name).await?;
        tx.commit().await
    }
}
