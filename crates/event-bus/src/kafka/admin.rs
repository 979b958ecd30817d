//! Questions and orders to the cluster: topics and their configs, consumer groups, offsets.

mod acls;
mod groups;
mod lag;
mod layout;
mod survey;
mod topics;

use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::admin::AdminClient;
use rdkafka::client::Client;
use rdkafka::config::FromClientConfigAndContext;
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};

use super::admin_native::Complaint;
use super::context::Logged;
use super::{KafkaConfig, READER_GROUP, admin_native};
use crate::names::TopicName;

pub use acls::Acl;
pub use groups::{GroupMember, GroupState, Offsets, Position};
pub use layout::{Layout, Replicas};
pub use survey::{Committed, GroupOffsets, Span, Survey, TopicOffsets, Wanted};
pub use topics::{Cluster, NewTopic, TopicState};

/// How long one request may take, finding the broker included.
const REQUEST: Duration = Duration::from_secs(15);

/// How often is looked whether the client was let in.
const LOOK: Duration = Duration::from_millis(50);

/// How long a client that was not let in may try on.
const REFUSED_FOR: Duration = Duration::from_millis(250);

/// What OpenSSL says where a broker ended a connection because of who asks, or how.
const TLS_ALERT: &str = "SSL alert number";

/// A partition of a topic.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TopicPartition {
    /// The topic.
    pub topic: TopicName,
    /// The partition's number, from 0.
    pub partition: i32,
}

/// A question or order that Kafka did not answer or refused.
#[derive(Clone, Debug, thiserror::Error)]
pub enum AdminError {
    /// No client could be made from this configuration.
    #[error("no admin client could be made")]
    Client(#[source] KafkaError),
    /// The request as a whole failed.
    #[error("Kafka at {bootstrap} did not {operation}{}", detail_after_colon(.detail))]
    Failed {
        /// The bootstrap servers.
        bootstrap: Box<str>,
        /// What was asked, as a verb.
        operation: &'static str,
        /// What the client says of its connections; empty when they are well.
        detail: Box<str>,
        /// The client's error.
        #[source]
        source: Box<KafkaError>,
    },
    /// The brokers don't let this client in.
    #[error(
        "Kafka at {bootstrap} did not let us in: {reason}. Check user, password and certificates of the client"
    )]
    Unauthenticated {
        /// The bootstrap servers.
        bootstrap: Box<str>,
        /// What the client says of it.
        reason: Box<str>,
    },
    /// The request was answered, but this item of it refused.
    #[error("Kafka refused to {operation} {item}{}", detail_after_colon(.detail))]
    Refused {
        /// What was asked, as a verb.
        operation: &'static str,
        /// The topic, partition or group.
        item: String,
        /// What Kafka says beyond the code; often empty.
        detail: String,
        /// Kafka's error.
        #[source]
        code: RDKafkaErrorCode,
    },
}

fn detail_after_colon(detail: &str) -> String {
    if detail.is_empty() { String::new() } else { format!(": {detail}") }
}

/// An admin client. Clones share one connection pool.
#[derive(Clone, Debug)]
pub struct Admin {
    client: Arc<AdminClient<Logged>>,
    /// Asks for committed offsets, made when that is first needed.
    ///
    /// When librdkafka 2.12 hears that a group's coordinator has moved or still loads, it tells the consumer group of
    /// its own client, without asking whether that has one (`rd_kafka_handle_OffsetFetch`): the process dies. So this
    /// client has a group, which it never joins.
    /// One that left a request unanswered is replaced, see [`admin_native::list_group_offsets`].
    grouped: Arc<Mutex<Option<Arc<Grouped>>>>,
    config: Arc<KafkaConfig>,
}

/// A consumer's client.
struct Grouped(Client<Logged>);

impl Grouped {
    /// The one that there is, or a new one.
    fn of(slot: &Mutex<Option<Arc<Self>>>, config: &KafkaConfig) -> KafkaResult<Arc<Self>> {
        let mut slot = Self::lock(slot);
        if let Some(grouped) = &*slot {
            return Ok(Arc::clone(grouped));
        }
        let made = admin_native::consumer_client(&config.consumer(READER_GROUP), Logged)?;
        Ok(Arc::clone(slot.insert(Arc::new(Self(made)))))
    }

    /// Has nobody begin anything with it any more. It ends with the last request that runs.
    fn retire(self: &Arc<Self>, slot: &Mutex<Option<Arc<Self>>>) {
        let mut slot = Self::lock(slot);
        if slot.as_ref().is_some_and(|present| Arc::ptr_eq(present, self)) {
            *slot = None;
        }
    }

    fn lock(slot: &Mutex<Option<Arc<Self>>>) -> MutexGuard<'_, Option<Arc<Self>>> {
        slot.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Grouped {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Grouped").finish_non_exhaustive()
    }
}

impl Admin {
    /// A client with its own connection pool. Nothing is sent yet.
    ///
    /// # Errors
    /// When librdkafka can't start a client with this configuration.
    pub fn connect(config: &KafkaConfig) -> Result<Self, AdminError> {
        let mut native = config.client();
        // Asking after a topic must not make it.
        native.set("allow.auto.create.topics", "false");
        let client =
            AdminClient::from_config_and_context(&native, Logged).map_err(AdminError::Client)?;
        let config = Arc::new(config.clone());
        Ok(Self { client: Arc::new(client), grouped: Arc::default(), config })
    }

    /// Which Kafka it asks.
    #[must_use]
    pub fn config(&self) -> &KafkaConfig {
        &self.config
    }

    /// Runs a call that blocks, away from the threads that tasks run on.
    async fn blocking<T: Send + 'static>(
        &self,
        operation: &'static str,
        call: impl FnOnce(&AdminClient<Logged>) -> KafkaResult<T> + Send + 'static,
    ) -> Result<T, AdminError> {
        let client = Arc::clone(&self.client);
        let mut answer = pin!(away(move || call(&client)));
        let mut looks = tokio::time::interval(LOOK);
        let mut heard = Vec::new();
        let mut refused_since = None;
        // A client that is not let in tries on until the request's time is up. Nobody has to wait for that.
        loop {
            tokio::select! {
                biased;
                answer = &mut answer => break answer.map_err(|source| {
                    heard.extend(admin_native::complaints(self.client.inner()));
                    self.failed_with(operation, last_of(heard), source)
                }),
                _ = looks.tick() => {
                    heard.extend(admin_native::complaints(self.client.inner()));
                    let Some(reason) = refusal(&heard) else { continue };
                    // Another broker may let it in, or the same one that has just heard of its user.
                    if refused_since.get_or_insert_with(Instant::now).elapsed() >= REFUSED_FOR {
                        let (bootstrap, reason) = (self.config.bootstrap().into(), reason.into());
                        break Err(AdminError::Unauthenticated { bootstrap, reason });
                    }
                }
            }
        }
    }

    /// As [`Self::blocking`], with the client that has a consumer group. It is not used again after an answer with requests
    /// that are left unanswered.
    async fn blocking_grouped<T: Send + 'static>(
        &self,
        operation: &'static str,
        call: impl FnOnce(&Client<Logged>) -> KafkaResult<T> + Send + 'static,
        leaves_unanswered: fn(&KafkaResult<T>) -> bool,
    ) -> Result<T, AdminError> {
        let (grouped, config) = (Arc::clone(&self.grouped), Arc::clone(&self.config));
        let answered = away(move || {
            let client = Grouped::of(&grouped, &config)?;
            let answer = call(&client.0);
            if leaves_unanswered(&answer) {
                client.retire(&grouped);
            }
            // Asked after each call, for nobody else listens to this client: what it says would pile up.
            let complaint = last_of(admin_native::complaints(&client.0));
            Ok((answer, complaint))
        });
        match answered.await {
            Ok((Ok(answer), _)) => Ok(answer),
            Ok((Err(source), complaint)) => Err(self.failed_with(operation, complaint, source)),
            Err(source) => Err(self.failed_with(operation, None, source)),
        }
    }

    fn failed(&self, operation: &'static str, source: KafkaError) -> AdminError {
        let complaint = last_of(admin_native::complaints(self.client.inner()));
        self.failed_with(operation, complaint, source)
    }

    fn failed_with(
        &self,
        operation: &'static str,
        complaint: Option<String>,
        source: KafkaError,
    ) -> AdminError {
        let (bootstrap, detail) =
            (Box::from(self.config.bootstrap()), complaint.unwrap_or_default().into_boxed_str());
        AdminError::Failed { bootstrap, operation, detail, source: Box::new(source) }
    }
}

/// What the client said last of a connection.
fn last_of(complaints: Vec<Complaint>) -> Option<String> {
    let mut last = complaints.into_iter().rev().filter(|one| !one.is_of_all());
    last.next().map(|complaint| complaint.text)
}

/// What was said by a broker that does not let the client in.
fn refusal(complaints: &[Complaint]) -> Option<&str> {
    let is_refusal = |complaint: &&Complaint| {
        matches!(complaint.code, RDKafkaErrorCode::Authentication | RDKafkaErrorCode::SSL)
            // With TLS 1.3 a broker says only after the handshake what it thinks of the client's certificate.
            || complaint.text.contains(TLS_ALERT)
    };
    complaints.iter().find(is_refusal).map(|complaint| complaint.text.as_str())
}

/// Whether a request got no answer, so that it is still there.
fn is_unanswered<T>(answer: &KafkaResult<T>) -> bool {
    matches!(answer, Err(KafkaError::AdminOp(RDKafkaErrorCode::OperationTimedOut)))
}

/// Runs what blocks away from the threads that tasks run on.
async fn away<T: Send + 'static>(
    call: impl FnOnce() -> KafkaResult<T> + Send + 'static,
) -> KafkaResult<T> {
    match tokio::task::spawn_blocking(call).await {
        Ok(answer) => answer,
        Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
        // The runtime is shutting down.
        Err(_) => Err(KafkaError::Canceled),
    }
}

fn refused(operation: &'static str, item: impl Into<String>, code: RDKafkaErrorCode) -> AdminError {
    AdminError::Refused { operation, item: item.into(), detail: String::new(), code }
}
