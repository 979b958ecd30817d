//! Who may sign in.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::super::sql::{Row, Value};
use super::super::tx::Tx;
use super::OpsStore;
use super::letters::{moment, parsed, stamp};
use super::tokens::{Role, sha256};
use crate::dead_letters::Scope;

/// The name of a user: what is done is audited under it. A text that is read as one is of a user with a password; who comes by a
/// provider of identities has a name that nobody else can be given, see [`UserName::vouched`].
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct UserName(String);

/// The text is no user's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a user's name has 1 to 64 letters, digits and . _ - @ and begins with a letter or a digit"
)]
pub struct NotAUserName;

impl UserName {
    /// The longest has so many bytes.
    pub const MAX_BYTES: usize = 64;

    /// What the name begins with of whoever comes by a provider of identities.
    pub const VOUCHED: &'static str = "oidc:";
    /// Of what a provider calls somebody, so much is in the name.
    const LABEL_BYTES: usize = 48;
    /// Of the hash that tells two of one label apart, so many hexadecimal digits.
    const DIGITS: usize = 10;

    /// It as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Of somebody for whom a provider vouches: `oidc:LABEL~HASH`. The label is what the provider calls the user, which others
    /// may have been called before, and the hash is of the provider and of what it never calls anybody else.
    #[must_use]
    pub fn vouched(label: &str, issuer: &str, subject: &str) -> Self {
        let is_plain = |one: char| u8::try_from(one).is_ok_and(fits);
        let plain = label.chars().map(|one| if is_plain(one) { one } else { '_' });
        let label: String = plain.take(Self::LABEL_BYTES).collect();
        let label = if label.is_empty() { "somebody" } else { &label };
        // No address of a provider has a line's end.
        let hash = sha256(&format!("{issuer}\n{subject}"));
        Self(format!("{}{label}~{}", Self::VOUCHED, &hash[..Self::DIGITS]))
    }

    /// Reads the name of a user with a password, or of one for whom a provider vouches.
    ///
    /// # Errors
    /// When it is neither.
    pub fn of_anybody(text: &str) -> Result<Self, NotAUserName> {
        let Some(vouched) = text.strip_prefix(Self::VOUCHED) else { return text.parse() };
        let (label, hash) = vouched.rsplit_once('~').ok_or(NotAUserName)?;
        let is_label = (1..=Self::LABEL_BYTES).contains(&label.len()) && label.bytes().all(fits);
        let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        if is_label && hash.len() == Self::DIGITS && hash.bytes().all(is_digit) {
            Ok(Self(text.to_owned()))
        } else {
            Err(NotAUserName)
        }
    }
}

/// Whether a name may have it.
fn fits(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"._-@".contains(&byte)
}

impl std::str::FromStr for UserName {
    type Err = NotAUserName;

    fn from_str(text: &str) -> Result<Self, NotAUserName> {
        let begins = text.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric());
        if begins && text.len() <= Self::MAX_BYTES && text.bytes().all(fits) {
            Ok(Self(text.to_owned()))
        } else {
            Err(NotAUserName)
        }
    }
}

impl TryFrom<String> for UserName {
    type Error = NotAUserName;

    fn try_from(text: String) -> Result<Self, NotAUserName> {
        Self::of_anybody(&text)
    }
}

impl From<UserName> for String {
    fn from(name: UserName) -> Self {
        name.0
    }
}

impl fmt::Display for UserName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(&self.0)
    }
}

/// Somebody who may sign in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct User {
    /// The name.
    pub name: UserName,
    /// What the user may do.
    pub role: Role,
    /// With whose dead letters.
    pub scope: Scope,
    /// Whether an administrator has shut the user out.
    pub is_disabled: bool,
    /// Whether the user has chosen a password; before that, an invitation waits.
    pub has_password: bool,
    /// The provider of identities by which the user signs in, in place of a password.
    pub issuer: Option<String>,
    /// When the user was made.
    pub made_at: Timestamp,
}

/// What [`user_of`] reads, of a table that is called `account`.
pub(super) const USER: &str = "account.name, account.role, account.services, account.tenants, account.is_disabled,
    account.issuer, CAST(CASE WHEN account.password IS NULL THEN 0 ELSE 1 END AS bigint) AS has_password, account.made_at";

impl OpsStore {
    /// Makes a user, whose password is an argon2id hash as a PHC string. Says whether the name was free.
    ///
    /// # Errors
    /// The database's.
    pub async fn make_user(
        &self,
        name: &UserName,
        role: Role,
        scope: &Scope,
        password: Option<&str>,
    ) -> Result<bool, sqlx::Error> {
        let mut tx = self.write.begin().await?;
        let made = insert_user(&mut tx, name, role, scope, password).await?;
        tx.commit().await?;
        Ok(made)
    }

    /// All users, by name.
    ///
    /// # Errors
    /// The database's.
    pub async fn users(&self) -> Result<Vec<User>, sqlx::Error> {
        let select = format!("SELECT {USER} FROM ops_users AS account ORDER BY account.name");
        self.read.read_all(select, &[]).await?.iter().map(user_of).collect()
    }

    /// A user who may sign in, and the hash of the password.
    ///
    /// # Errors
    /// The database's.
    pub async fn password_of(&self, name: &UserName) -> Result<Option<String>, sqlx::Error> {
        let select = "SELECT password FROM ops_users WHERE name = $1 AND is_disabled = 0";
        let rows = self.read.read_all(select.to_owned(), &[name.as_str().into()]).await?;
        rows.first().map_or(Ok(None), |row| row.get("password"))
    }

    /// Gives a user another password, and ends what the user is signed in to and invited by. Says whether there is such a
    /// user.
    ///
    /// # Errors
    /// The database's.
    pub async fn set_password(&self, name: &UserName, password: &str) -> Result<bool, sqlx::Error> {
        let mut tx = self.write.begin().await?;
        let is_set = write_password(&mut tx, name, password).await?;
        tx.commit().await?;
        Ok(is_set)
    }

    /// Shuts a user out, whose sessions end, or lets the user in again. Says whether there is such a user.
    ///
    /// # Errors
    /// The database's.
    pub async fn set_disabled(
        &self,
        name: &UserName,
        is_disabled: bool,
    ) -> Result<bool, sqlx::Error> {
        let mut tx = self.write.begin().await?;
        let update = "UPDATE ops_users SET is_disabled = $2 WHERE name = $1";
        let values = [name.as_str().into(), i64::from(is_disabled).into()];
        let is_set = tx.execute(update, &values).await? == 1;
        if is_disabled {
            end_all(&mut tx, name).await?;
        }
        tx.commit().await?;
        Ok(is_set)
    }

    /// Removes a user. Says whether there was one.
    ///
    /// # Errors
    /// The database's.
    pub async fn remove_user(&self, name: &UserName) -> Result<bool, sqlx::Error> {
        let mut tx = self.write.begin().await?;
        end_all(&mut tx, name).await?;
        let delete = "DELETE FROM ops_users WHERE name = $1";
        let gone = tx.execute(delete, &[name.as_str().into()]).await?;
        tx.commit().await?;
        Ok(gone == 1)
    }
}

pub(super) async fn insert_user(
    tx: &mut Tx,
    name: &UserName,
    role: Role,
    scope: &Scope,
    password: Option<&str>,
) -> Result<bool, sqlx::Error> {
    let insert = "INSERT INTO ops_users (name, role, services, tenants, password, made_at)
        VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (name) DO NOTHING";
    let [services, tenants] = columns_of(scope)?;
    let password = password.map(str::to_owned).into();
    let now = stamp(Timestamp::now()).into();
    let values = [name.as_str().into(), role.as_str().into(), services, tenants, password, now];
    Ok(tx.execute(insert, &values).await? == 1)
}

pub(super) async fn write_password(
    tx: &mut Tx,
    name: &UserName,
    password: &str,
) -> Result<bool, sqlx::Error> {
    let update = "UPDATE ops_users SET password = $2 WHERE name = $1 AND issuer IS NULL";
    let is_set = tx.execute(update, &[name.as_str().into(), password.into()]).await? == 1;
    end_all(tx, name).await?;
    Ok(is_set)
}

/// Ends all sessions and invitations of a user.
pub(super) async fn end_all(tx: &mut Tx, name: &UserName) -> Result<(), sqlx::Error> {
    for delete in [
        "DELETE FROM ops_sessions WHERE user_name = $1",
        "DELETE FROM ops_invitations WHERE user_name = $1",
    ] {
        tx.execute(delete, &[name.as_str().into()]).await?;
    }
    Ok(())
}

/// A scope as its two columns say it.
pub(super) fn columns_of(scope: &Scope) -> Result<[Value; 2], sqlx::Error> {
    let column = |names: &Option<_>| {
        let text = names.as_ref().map(serde_json::to_string).transpose();
        text.map(Value::from).map_err(|error| sqlx::Error::Encode(error.into()))
    };
    Ok([column(&scope.services)?, column(&scope.tenants)?])
}

/// The scope that two columns say.
pub(super) fn scope_of(row: &Row) -> Result<Scope, sqlx::Error> {
    let column = |name: &str| {
        let text = row.get::<Option<String>>(name)?;
        let names = text.as_deref().map(serde_json::from_str).transpose();
        names.map_err(|error| sqlx::Error::Decode(error.into()))
    };
    Ok(Scope { services: column("services")?, tenants: column("tenants")? })
}

/// The name in a column.
pub(super) fn name_of(row: &Row, column: &str) -> Result<UserName, sqlx::Error> {
    UserName::of_anybody(&row.get::<String>(column)?)
        .map_err(|error| sqlx::Error::Decode(error.into()))
}

pub(super) fn user_of(row: &Row) -> Result<User, sqlx::Error> {
    Ok(User {
        name: name_of(row, "name")?,
        role: parsed(&row.get::<String>("role")?)?,
        scope: scope_of(row)?,
        is_disabled: row.get::<i64>("is_disabled")? != 0,
        has_password: row.get::<i64>("has_password")? != 0,
        issuer: row.get("issuer")?,
        made_at: moment(row.get("made_at")?)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_nothing_that_could_be_taken_for_something_else() {
        for name in ["ann", "ann.b-c_d@example", "7of9"] {
            assert_eq!(name.parse::<UserName>().unwrap().as_str(), name);
        }
        for name in ["", "-ann", "ann b", "ann\n", "änne", &"a".repeat(65)] {
            assert_eq!(name.parse::<UserName>(), Err(NotAUserName), "{name}");
        }
    }

    #[test]
    fn who_comes_by_a_provider_is_called_as_nobody_with_a_password_can_be() {
        let (issuer, subject) = ("https://id.example.com", "00u1");
        let ann = UserName::vouched("ann@example.com", issuer, subject);
        assert_eq!(ann.as_str(), "oidc:ann@example.com~ea865d0309");
        assert!(ann.as_str().parse::<UserName>().is_err());
        let others = [(issuer, "00u2"), ("https://other.example.com", subject)];
        for (issuer, subject) in others {
            assert_ne!(UserName::vouched("ann@example.com", issuer, subject), ann);
        }
        for label in ["", "Zoë\u{202e} <b>", &"long".repeat(40), "a~b:c/d?e#f"] {
            let name = UserName::vouched(label, issuer, subject);
            assert!(name.as_str().len() <= UserName::MAX_BYTES, "{name}");
            assert_eq!(UserName::of_anybody(name.as_str()), Ok(name), "{label}");
        }
        for text in ["oidc:ann", "oidc:~0123456789", "oidc:a b~0123456789", "oidc:a~012345678g"] {
            assert_eq!(UserName::of_anybody(text), Err(NotAUserName), "{text}");
        }
        assert_eq!(UserName::of_anybody("ann"), "ann".parse());
    }
}
