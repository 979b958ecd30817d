//! The APIs that the broker serves, one file each, numbered by its API key. What is not served stands under the
//! same numbers in `SKIPPED.md`.

#[path = "00_produce.rs"]
mod produce;
#[path = "01_fetch.rs"]
mod fetch;
#[path = "02_list_offsets.rs"]
mod list_offsets;
#[path = "03_metadata.rs"]
mod metadata;
#[path = "08_offset_commit.rs"]
mod offset_commit;
#[path = "09_offset_fetch.rs"]
mod offset_fetch;
#[path = "10_find_coordinator.rs"]
mod find_coordinator;
#[path = "11_join_group.rs"]
mod join_group;
#[path = "12_heartbeat.rs"]
mod heartbeat;
#[path = "13_leave_group.rs"]
mod leave_group;
#[path = "14_sync_group.rs"]
mod sync_group;
#[path = "15_describe_groups.rs"]
mod describe_groups;
#[path = "16_list_groups.rs"]
mod list_groups;
#[path = "17_sasl_handshake.rs"]
mod sasl_handshake;
#[path = "18_api_versions.rs"]
mod api_versions;
#[path = "19_create_topics.rs"]
mod create_topics;
#[path = "20_delete_topics.rs"]
mod delete_topics;
#[path = "21_delete_records.rs"]
mod delete_records;
#[path = "22_init_producer_id.rs"]
mod init_producer_id;
#[path = "23_offset_for_leader_epoch.rs"]
mod offset_for_leader_epoch;
#[path = "24_add_partitions_to_txn.rs"]
mod add_partitions_to_txn;
#[path = "25_add_offsets_to_txn.rs"]
mod add_offsets_to_txn;
#[path = "26_end_txn.rs"]
mod end_txn;
#[path = "28_txn_offset_commit.rs"]
mod txn_offset_commit;
#[path = "29_describe_acls.rs"]
mod describe_acls;
#[path = "30_create_acls.rs"]
mod create_acls;
#[path = "31_delete_acls.rs"]
mod delete_acls;
#[path = "32_describe_configs.rs"]
mod describe_configs;
#[path = "33_alter_configs.rs"]
mod alter_configs;
#[path = "35_describe_log_dirs.rs"]
mod describe_log_dirs;
#[path = "36_sasl_authenticate.rs"]
mod sasl_authenticate;
#[path = "37_create_partitions.rs"]
mod create_partitions;
#[path = "42_delete_groups.rs"]
mod delete_groups;
#[path = "44_incremental_alter_configs.rs"]
mod incremental_alter_configs;
#[path = "47_offset_delete.rs"]
mod offset_delete;
#[path = "60_describe_cluster.rs"]
mod describe_cluster;
#[path = "61_describe_producers.rs"]
mod describe_producers;
#[path = "65_describe_transactions.rs"]
mod describe_transactions;
#[path = "66_list_transactions.rs"]
mod list_transactions;
#[path = "74_list_config_resources.rs"]
mod list_config_resources;
#[path = "75_describe_topic_partitions.rs"]
mod describe_topic_partitions;

mod acls;
pub(crate) mod operations;
mod resource;

#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::future::Future;
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::pin::Pin;
use std::sync::{Arc, LazyLock};

use bytes::{Bytes, BytesMut};
use kafka_protocol::ResponseError;
use kafka_protocol::messages::ApiKey;
use kafka_protocol::protocol::{Encodable, Request, StrBytes};

use crate::access::{Asking, Kind, Operation};
use crate::login::Session;
use crate::node::Node;
use crate::server::{Body, shape};

/// Who asks, and in which version of the API.
#[derive(Clone)]
pub(crate) struct Call {
    /// What the request works on.
    pub node: Arc<Node>,
    /// The version that request and response are written in.
    pub version: i16,
    /// The name that the client gives itself.
    pub client_id: Option<StrBytes>,
    /// Where the request came from.
    pub peer: SocketAddr,
    /// What its connection knows of who is at the other end.
    pub session: Arc<Session>,
    /// Who is at the other end: nobody before the log-in, in which nothing is asked that it would matter for.
    pub principal: Option<String>,
}

/// A text for an answer, that is always the same.
pub(crate) type StaticText = &'static str;

impl Call {
    /// Whether who asks may do this with the thing of that name.
    pub fn may(&self, operation: Operation, kind: Kind, name: &str) -> bool {
        self.asking().is_some_and(|asking| self.node.access.allows(asking, operation, kind, name))
    }

    /// Whether who asks may do this with anything of that kind.
    pub fn may_any(&self, operation: Operation, kind: Kind) -> bool {
        self.asking().is_some_and(|asking| self.node.access.allows_any(asking, operation, kind))
    }

    /// # Errors
    /// When who asks may not do this with the thing of that name: the error of things of that kind.
    pub fn check(&self, operation: Operation, kind: Kind, name: &str) -> Result<(), ResponseError> {
        match (self.may(operation, kind, name), kind) {
            (true, _) => Ok(()),
            (false, Kind::Topic) => Err(ResponseError::TopicAuthorizationFailed),
            (false, Kind::Group) => Err(ResponseError::GroupAuthorizationFailed),
            (false, Kind::TransactionalId) => {
                Err(ResponseError::TransactionalIdAuthorizationFailed)
            }
            (false, Kind::Cluster | Kind::DelegationToken | Kind::User) => {
                Err(ResponseError::ClusterAuthorizationFailed)
            }
        }
    }

    /// As [`Call::check`], of a topic.
    pub fn check_topic(&self, operation: Operation, topic: &str) -> Result<(), ResponseError> {
        self.check(operation, Kind::Topic, topic)
    }

    /// As [`Call::check`], of a group.
    pub fn check_group(&self, operation: Operation, group: &str) -> Result<(), ResponseError> {
        self.check(operation, Kind::Group, group)
    }

    fn asking(&self) -> Option<Asking<'_>> {
        let principal = self.principal.as_deref()?;
        Some(Asking { principal, host: self.peer.ip() })
    }
}

/// Why a request got no answer and its connection has to be closed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CallError {
    /// The bytes are not a request of this API and version.
    #[error("not a valid {api:?} request of version {version}: {source}")]
    Malformed { api: ApiKey, version: i16, source: anyhow::Error },
    /// The response can't be written in the version that was asked for: a defect of the broker.
    #[error("the response to {api:?} of version {version} can't be encoded: {source}")]
    Unanswerable { api: ApiKey, version: i16, source: anyhow::Error },
    /// A request without an answer failed. Its client learns of that, as from Apache Kafka, by the connection's end.
    #[error("a {api:?} request that wants no answer was refused: {refusal}")]
    Unacknowledged { api: ApiKey, refusal: ResponseError },
}

type Answering = Pin<Box<dyn Future<Output = Result<Option<Body>, CallError>> + Send>>;
type Handle = Box<dyn Fn(Call, Bytes) -> Answering + Send + Sync>;

/// One API: the versions that are served, and how.
pub(crate) struct Api {
    pub key: ApiKey,
    pub versions: RangeInclusive<i16>,
    /// See [`Api::overlapping`].
    pub overlaps: bool,
    /// See [`Api::waiting`].
    pub waits: bool,
    handle: Handle,
}

impl Api {
    /// Serves the requests of type `R` in `versions` by `handler`, which answers `None` where the protocol has no
    /// answer.
    pub fn new<R, H, F>(key: ApiKey, versions: RangeInclusive<i16>, handler: H) -> Self
    where
        R: Request + Send + 'static,
        R::Response: Send,
        H: Fn(Call, R) -> F + Send + Sync + Clone + 'static,
        F: Future<Output = Option<R::Response>> + Send + 'static,
    {
        Self::refusing(key, versions, move |call, request| {
            let answering = handler(call, request);
            async move { Ok(answering.await) }
        })
    }

    /// The same, where the handler may end the connection instead of answering.
    pub fn refusing<R, H, F>(key: ApiKey, versions: RangeInclusive<i16>, handler: H) -> Self
    where
        R: Request + Send + 'static,
        R::Response: Send,
        H: Fn(Call, R) -> F + Send + Sync + Clone + 'static,
        F: Future<Output = Result<Option<R::Response>, CallError>> + Send + 'static,
    {
        Self::encoding(key, versions, move |call: Call, request| {
            let version = call.version;
            let answering = handler(call, request);
            async move {
                let Some(response) = answering.await? else { return Ok(None) };
                encode(key, &response, version).map(Some)
            }
        })
    }

    /// The same, where the handler encodes its answer.
    pub fn encoding<R, H, F>(key: ApiKey, versions: RangeInclusive<i16>, handler: H) -> Self
    where
        R: Request + Send + 'static,
        H: Fn(Call, R) -> F + Send + Sync + Clone + 'static,
        F: Future<Output = Result<Option<Body>, CallError>> + Send + 'static,
    {
        debug_assert_eq!(key as i16, R::KEY, "{key:?} is registered with another API's request");
        let handle = move |call: Call, body: Bytes| -> Answering {
            let handler = handler.clone();
            Box::pin(async move {
                let version = call.version;
                let request = shape::decode::<R>(&body, version)
                    .map_err(|source| CallError::Malformed { api: key, version, source })?;
                // From here on the handler says how long the request's bytes are held.
                drop(body);
                handler(call, request).await
            })
        };
        Self { key, versions, overlaps: false, waits: false, handle: Box::new(handle) }
    }

    /// Requests of this API that follow each other on a connection may be worked on at the same time: each runs up
    /// to its first `await` that waits before the next begins, so what a handler does before that is in order.
    /// Answers are in order anyway. Only for handlers that have done what is visible before they wait.
    pub fn overlapping(mut self) -> Self {
        self.overlaps = true;
        self
    }

    /// The handler may be dropped while it waits, when its peer is gone. All others run to their end.
    pub fn waiting(mut self) -> Self {
        self.waits = true;
        self
    }

    /// Decodes the request's body, handles it and encodes the response's body.
    ///
    /// # Errors
    /// When the bytes are no request; its connection can't be used any more then.
    pub async fn answer(&self, call: Call, body: Bytes) -> Result<Option<Body>, CallError> {
        (self.handle)(call, body).await
    }

    /// The version of the response's header.
    pub fn response_header_version(&self, version: i16) -> i16 {
        self.key.response_header_version(version)
    }
}

impl fmt::Debug for Api {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Api").field("key", &self.key).field("versions", &self.versions).finish()
    }
}

/// All APIs that are served, by key. What `ApiVersions` tells clients is derived from this.
pub(crate) fn registry() -> &'static BTreeMap<i16, Api> {
    static REGISTRY: LazyLock<BTreeMap<i16, Api>> = LazyLock::new(|| {
        let apis = [
            produce::api(),
            fetch::api(),
            list_offsets::api(),
            metadata::api(),
            offset_commit::api(),
            offset_fetch::api(),
            find_coordinator::api(),
            join_group::api(),
            heartbeat::api(),
            leave_group::api(),
            sync_group::api(),
            describe_groups::api(),
            list_groups::api(),
            sasl_handshake::api(),
            api_versions::api(),
            create_topics::api(),
            delete_topics::api(),
            delete_records::api(),
            init_producer_id::api(),
            offset_for_leader_epoch::api(),
            add_partitions_to_txn::api(),
            add_offsets_to_txn::api(),
            end_txn::api(),
            txn_offset_commit::api(),
            describe_acls::api(),
            create_acls::api(),
            delete_acls::api(),
            describe_configs::api(),
            alter_configs::api(),
            describe_log_dirs::api(),
            sasl_authenticate::api(),
            create_partitions::api(),
            delete_groups::api(),
            incremental_alter_configs::api(),
            offset_delete::api(),
            describe_cluster::api(),
            describe_producers::api(),
            describe_transactions::api(),
            list_transactions::api(),
            list_config_resources::api(),
            describe_topic_partitions::api(),
        ];
        apis.into_iter().map(|api| (api.key as i16, api)).collect()
    });
    &REGISTRY
}

/// Encodes an answer of this API.
fn encode(key: ApiKey, response: &impl Encodable, version: i16) -> Result<Body, CallError> {
    let unanswerable = |source| CallError::Unanswerable { api: key, version, source };
    let size = response.compute_size(version).map_err(unanswerable)?;
    let mut bytes = BytesMut::with_capacity(size);
    response.encode(&mut bytes, version).map_err(unanswerable)?;
    Ok(bytes.into())
}

/// What is named more than once in a request: what should become of it can't be known.
fn repeated<T: Clone + Ord>(named: impl Iterator<Item = T>) -> BTreeSet<T> {
    let mut seen = BTreeSet::new();
    named.filter(|name| !seen.insert(name.clone())).collect()
}

/// A text for an answer, where it may be missing.
pub(crate) fn text(text: impl Into<String>) -> Option<StrBytes> {
    Some(StrBytes::from_string(text.into()))
}

/// The body of the answer to `ApiVersions` in a version that is not known, in version 0.
pub(crate) fn unsupported_version() -> BytesMut {
    let answer = api_versions::served().with_error_code(ResponseError::UnsupportedVersion.code());
    let mut bytes = BytesMut::new();
    answer.encode(&mut bytes, 0).expect("a list of numbers can be encoded");
    bytes
}
