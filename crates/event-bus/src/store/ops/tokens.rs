//! Who may use the API of an ops process, and what roles there are.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::super::sql::Row;
use super::OpsStore;
use super::letters::{moment, parsed, stamp};
use super::users::{columns_of, scope_of};
use crate::dead_letters::Scope;

/// What the holder of a token or a user may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// See.
    Viewer,
    /// See, replay, discard and restore.
    Operator,
    /// All of that, and say who else may.
    Admin,
}

impl Role {
    /// All of them, from the smallest on.
    pub const ALL: [Self; 3] = [Self::Viewer, Self::Operator, Self::Admin];
    /// The names of all roles.
    pub const NAMES: [&str; 3] = ["viewer", "operator", "admin"];

    /// Its name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        let [viewer, operator, admin] = Self::NAMES;
        match self {
            Self::Viewer => viewer,
            Self::Operator => operator,
            Self::Admin => admin,
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.as_str())
    }
}

/// The text is no role's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a role is viewer, operator or admin")]
pub struct NotARole;

impl std::str::FromStr for Role {
    type Err = NotARole;

    fn from_str(text: &str) -> Result<Self, NotARole> {
        Self::ALL.into_iter().find(|role| role.as_str() == text).ok_or(NotARole)
    }
}

/// A token, of which only the hash is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ApiToken {
    /// Who has it: what is done with it is audited under this name.
    pub name: String,
    /// What its holder may do.
    pub role: Role,
    /// With whose dead letters.
    pub scope: Scope,
    /// When it was made.
    pub made_at: Timestamp,
}

/// Tokens begin so, for those who find one somewhere.
const PREFIX: &str = "ebus_";

/// A text that nobody guesses.
pub(super) fn secret(prefix: &str) -> String {
    format!("{prefix}{}{}", Uuid::new_v4().as_simple(), Uuid::new_v4().as_simple())
}

/// A secret has 244 random bits, so its hash needs no salt and no work.
pub(super) fn sha256(token: &str) -> String {
    let digest: [u8; 32] = Sha256::digest(token.as_bytes()).into();
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

impl OpsStore {
    /// Makes a token, which is told only now; `None` where the name has one.
    ///
    /// # Errors
    /// The database's.
    pub async fn make_token(
        &self,
        name: &str,
        role: Role,
        scope: &Scope,
    ) -> Result<Option<String>, sqlx::Error> {
        let token = secret(PREFIX);
        let insert = "INSERT INTO ops_tokens (name, role, token_sha256, made_at, services, tenants)
            VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (name) DO NOTHING";
        let now = stamp(Timestamp::now()).into();
        let [services, tenants] = columns_of(scope)?;
        let hash = sha256(&token).into();
        let values = [name.into(), role.as_str().into(), hash, now, services, tenants];
        let mut tx = self.write.begin().await?;
        let made = tx.execute(insert, &values).await?;
        tx.commit().await?;
        Ok((made == 1).then_some(token))
    }

    /// All tokens, by name.
    ///
    /// # Errors
    /// The database's.
    pub async fn tokens(&self) -> Result<Vec<ApiToken>, sqlx::Error> {
        let select = "SELECT name, role, services, tenants, made_at FROM ops_tokens ORDER BY name";
        self.read.read_all(select.to_owned(), &[]).await?.iter().map(token).collect()
    }

    /// Whose token this is.
    ///
    /// # Errors
    /// The database's.
    pub async fn token(&self, token_text: &str) -> Result<Option<ApiToken>, sqlx::Error> {
        let select =
            "SELECT name, role, services, tenants, made_at FROM ops_tokens WHERE token_sha256 = $1";
        let rows = self.read.read_all(select.to_owned(), &[sha256(token_text).into()]).await?;
        rows.first().map(token).transpose()
    }

    /// Takes a token away. Says whether there was one.
    ///
    /// # Errors
    /// The database's.
    pub async fn revoke_token(&self, name: &str) -> Result<bool, sqlx::Error> {
        let mut tx = self.write.begin().await?;
        let gone = tx.execute("DELETE FROM ops_tokens WHERE name = $1", &[name.into()]).await?;
        tx.commit().await?;
        Ok(gone == 1)
    }
}

fn token(row: &Row) -> Result<ApiToken, sqlx::Error> {
    Ok(ApiToken {
        name: row.get("name")?,
        role: parsed(&row.get::<String>("role")?)?,
        scope: scope_of(row)?,
        made_at: moment(row.get("made_at")?)?,
    })
}
