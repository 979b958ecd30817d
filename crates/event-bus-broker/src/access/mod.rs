//! Who may do what: access control lists as Kafka's StandardAuthorizer has them. What changes them is durable before it
//! takes effect.

mod entry;
mod rule;

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::path::Path;
use std::sync::{PoisonError, RwLock, RwLockReadGuard};

use tokio::sync::Mutex;

use crate::journal::{Journal, JournalError};
use crate::log::Flusher;
use entry::Entry;

pub use entry::ReplayError as AccessReplayError;
pub(crate) use rule::{Binding, CLUSTER, Kind, Operation, Pattern, Permission};

/// Who somebody is that did not have to say it.
pub(crate) const ANONYMOUS: &str = "User:ANONYMOUS";

/// The lists.
#[derive(Debug)]
pub(crate) struct Access {
    /// Those who may do everything; `None` where everybody may.
    super_users: Option<BTreeSet<String>>,
    journal: Journal,
    /// Held by whoever changes them, from the check to the effect.
    changing: Mutex<()>,
    bindings: RwLock<BTreeSet<Binding>>,
}

/// Who asks, and from where.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asking<'a> {
    pub principal: &'a str,
    pub host: IpAddr,
}

/// Why the lists can't be loaded.
#[derive(Debug, thiserror::Error)]
pub enum AccessError {
    /// The journal can't be read.
    #[error("the access control lists can't be read: {0}")]
    Journal(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// An entry makes no sense.
    #[error(transparent)]
    Entry(#[from] AccessReplayError),
}

impl Access {
    /// Loads the lists. They are kept where nobody is asked for, too.
    ///
    /// # Errors
    /// When the journal can't be read or understood.
    pub fn open(
        path: Option<&Path>,
        flusher: Flusher,
        super_users: Option<BTreeSet<String>>,
    ) -> Result<Self, AccessError> {
        let (journal, entries) = Journal::open(path, flusher)
            .map_err(|error: JournalError| AccessError::Journal(error.into()))?;
        let bindings = RwLock::new(entry::replay(&entries)?);
        Ok(Self { super_users, journal, changing: Mutex::default(), bindings })
    }

    /// Whether anybody is kept from anything.
    pub fn is_on(&self) -> bool {
        self.super_users.is_some()
    }

    /// Whether somebody may do this with the thing of that name.
    pub fn allows(&self, asking: Asking<'_>, operation: Operation, kind: Kind, name: &str) -> bool {
        self.is_super(asking) || rule::allows(self.read().iter(), asking, operation, kind, name)
    }

    /// Whether there is any thing of that kind that somebody may do this with.
    pub fn allows_any(&self, asking: Asking<'_>, operation: Operation, kind: Kind) -> bool {
        self.is_super(asking) || rule::allows_any(&self.read(), asking, operation, kind)
    }

    /// All that there is.
    pub fn all(&self) -> Vec<Binding> {
        self.read().iter().cloned().collect()
    }

    /// Makes entries; those that are there already stay.
    ///
    /// # Errors
    /// When they can't be made durable; nothing has changed then.
    pub async fn add(&self, bindings: Vec<Binding>) -> Result<(), JournalError> {
        let _changing = self.changing.lock().await;
        let new: Vec<Binding> = {
            let present = self.read();
            bindings.into_iter().filter(|binding| !present.contains(binding)).collect()
        };
        if !new.is_empty() {
            let entry = Entry::Added(new);
            self.journal.push(&entry.encode())?.durable().await?;
            let Entry::Added(new) = entry else { return Ok(()) };
            self.bindings.write().unwrap_or_else(PoisonError::into_inner).extend(new);
        }
        Ok(())
    }

    /// Takes those away that pass, and gives them.
    ///
    /// # Errors
    /// When that can't be made durable; nothing has changed then.
    pub async fn remove(
        &self,
        passes: impl Fn(&Binding) -> bool,
    ) -> Result<Vec<Binding>, JournalError> {
        let _changing = self.changing.lock().await;
        let gone: Vec<Binding> =
            self.read().iter().filter(|binding| passes(binding)).cloned().collect();
        if gone.is_empty() {
            return Ok(gone);
        }
        self.journal.push(&Entry::Removed(gone.clone()).encode())?.durable().await?;
        let mut bindings = self.bindings.write().unwrap_or_else(PoisonError::into_inner);
        bindings.retain(|binding| !gone.contains(binding));
        if self.journal.wants_rewrite() {
            let all = Entry::Added(bindings.iter().cloned().collect()).encode();
            if let Err(error) = self.journal.rewrite([all]) {
                tracing::warn!(%error, "the journal of access control lists can't be shortened; it goes on growing");
            }
        }
        Ok(gone)
    }

    /// Refuses further changes, and puts everything on disk.
    ///
    /// # Errors
    /// When the journal can't be synced.
    pub async fn close(&self) -> Result<(), JournalError> {
        let _changing = self.changing.lock().await;
        self.journal.close()
    }

    fn is_super(&self, asking: Asking<'_>) -> bool {
        self.super_users.as_ref().is_none_or(|users| users.contains(asking.principal))
    }

    fn read(&self) -> RwLockReadGuard<'_, BTreeSet<Binding>> {
        // Every change is an insertion or removal of whole entries.
        self.bindings.read().unwrap_or_else(PoisonError::into_inner)
    }
}
