use std::fmt;

use rdkafka::admin::AdminClient;
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use serde::Serialize;

use super::super::admin_native;
use super::super::context::Logged;
use super::{Admin, AdminError, REQUEST, refused};

/// An entry of the access control lists, its words as Kafka's tools write them.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Acl {
    /// What kind of thing it is about, such as `TOPIC` or `GROUP`; `UNKNOWN` where the client has no word for it.
    pub resource_type: String,
    /// That thing's name, `*`, or the beginning of names.
    pub resource: String,
    /// How the name is meant: `LITERAL` or `PREFIXED`.
    pub pattern: String,
    /// Who, for example `User:CN=shop`; `User:*` is everybody.
    pub principal: String,
    /// From where; `*` is everywhere.
    pub host: String,
    /// What is done, such as `WRITE` or `ALL`.
    pub operation: String,
    /// `ALLOW` or `DENY`.
    pub permission: String,
}

impl fmt::Display for Acl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { resource_type, resource, principal, host, operation, permission, .. } = self;
        let (kind, more) =
            (resource_type.to_lowercase(), if self.pattern == "PREFIXED" { "…" } else { "" });
        write!(f, "{permission} {principal} {operation} {kind} {resource}{more}")?;
        if host == "*" { Ok(()) } else { write!(f, " from {host}") }
    }
}

/// What Kafka says of each entry of a request.
type Codes = Vec<Result<(), RDKafkaErrorCode>>;

/// What became of each entry of a request.
type Outcomes = Result<Vec<Result<(), AdminError>>, AdminError>;

impl Admin {
    /// All entries of the access control lists; `None` where the cluster has none, so that everybody may do everything.
    ///
    /// # Errors
    /// When the cluster did not answer, or does not tell this user.
    pub async fn acls(&self) -> Result<Option<Vec<Acl>>, AdminError> {
        const OPERATION: &str = "tell its access control lists";
        let list = |client: &AdminClient<_>| {
            match admin_native::describe_acls(client.inner(), REQUEST) {
                // A broker without authoriser, and one that has never heard of any.
                Err(KafkaError::AdminOp(
                    RDKafkaErrorCode::SecurityDisabled
                    | RDKafkaErrorCode::UnsupportedFeature
                    | RDKafkaErrorCode::UnsupportedVersion,
                )) => Ok(None),
                listed => listed.map(Some),
            }
        };
        self.blocking(OPERATION, list).await
    }

    /// Makes entries. One that is there already stays as it is.
    ///
    /// # Errors
    /// When the cluster did not answer; what it refuses is told entry by entry.
    pub async fn create_acls(&self, acls: Vec<Acl>) -> Outcomes {
        self.change_acls("grant", acls, |client, acls| {
            admin_native::create_acls(client.inner(), acls, REQUEST)
        })
        .await
    }

    /// Takes entries away. One that is not there is no error.
    ///
    /// # Errors
    /// As [`Self::create_acls`].
    pub async fn delete_acls(&self, acls: Vec<Acl>) -> Outcomes {
        self.change_acls("revoke", acls, |client, acls| {
            admin_native::delete_acls(client.inner(), acls, REQUEST)
        })
        .await
    }

    async fn change_acls(
        &self,
        operation: &'static str,
        acls: Vec<Acl>,
        change: fn(&AdminClient<Logged>, &[Acl]) -> KafkaResult<Codes>,
    ) -> Outcomes {
        let asked = acls.clone();
        let outcomes = self.blocking(operation, move |client| change(client, &asked)).await?;
        let pairs = acls.into_iter().zip(outcomes);
        Ok(pairs
            .map(|(acl, outcome)| outcome.map_err(|code| refused(operation, acl.to_string(), code)))
            .collect())
    }
}
