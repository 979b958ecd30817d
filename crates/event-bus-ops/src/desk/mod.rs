//! What operators ask for, by the API or by the panel: each time the policy is asked, and then the library's verb is called.

mod audit;
mod catalogue;
mod error;
mod failures;
mod groups;
mod letters;
mod live;
mod notes;
mod outbox;
mod repairs;
mod replays;
mod requests;
mod resets;
mod seen;
mod timeline;
mod topics;
mod trail;

use std::sync::Arc;
use std::time::Duration;

use event_bus::dead_letters::{Filter, Found};
use event_bus::kafka::admin::Admin;
use event_bus::publisher::Publisher;
use event_bus::store::ops::OpsStore;
use event_bus::{Catalogue, KafkaConfig};
use tokio::sync::Semaphore;

use crate::Watch;
use crate::access::policy::{Action, Actor, Object, decide};
use crate::condition::{Condition, ConditionError, Sight};

pub use audit::{AuditPage, ChainState};
pub use catalogue::{ConsumerRow, Contract, EventPage, EventRow};
pub use error::DeskError;
pub use failures::FailureRow;
pub use groups::{Behind, GroupPage, GroupRow, LagAt, Member, Standing};
pub use letters::{Decided, Edited, Lineage, Page};
pub use live::{Glimpse, Looking, Told, Wanted};
pub use outbox::{
    AskAboutRow, Lifted, OutboxOf, OutboxPage, OutboxStanding, RelayOf, RowDecision, RowSeen,
};
pub use repairs::{Repaired, Sample};
pub use replays::{AskedFor, Preview};
pub(crate) use resets::target;
pub use resets::{AskForReset, PlannedMove, PlannedReset, ResetDone};
pub(crate) use seen::VALUES;
pub use seen::{Content, Contents, Known, Seen};
pub use timeline::{AskedWay, Moment, Settled, Stopped, Timeline, What};
pub use topics::{TopicRow, Topics};

/// So many dead letters are decided about at once, or judged by what their events say.
const MOST: u32 = 100_000;
/// So many read topics at once for those who look.
const READERS: usize = 4;

/// What it all stands on.
#[derive(Clone)]
pub struct Desk {
    pub(crate) store: Arc<OpsStore>,
    pub(crate) catalogue: Arc<Catalogue>,
    pub(crate) kafka: KafkaConfig,
    pub(crate) publisher: Arc<Publisher>,
    pub(crate) watch: Watch,
    pub(crate) admin: Admin,
    /// More dead letters at once than this take two.
    second_person_above: Option<u64>,
    readers: Arc<Semaphore>,
    live: Arc<live::Live>,
    times: Arc<topics::Times>,
    /// How long relays have to say that they are there.
    patience: Duration,
}

impl Desk {
    /// On this store, for the dead letters of this catalogue. How its groups are, somebody has to have the watch look at.
    #[must_use]
    pub fn new(
        store: Arc<OpsStore>,
        catalogue: Arc<Catalogue>,
        kafka: KafkaConfig,
        publisher: Arc<Publisher>,
        watch: Watch,
        admin: Admin,
    ) -> Self {
        let readers = Arc::new(Semaphore::new(READERS));
        let live = live::Live::new(Arc::clone(&catalogue), kafka.clone(), admin.clone());
        Self {
            store,
            catalogue,
            kafka,
            publisher,
            watch,
            admin,
            readers,
            live,
            times: topics::Times::new(),
            second_person_above: None,
            patience: outbox::PATIENCE,
        }
    }

    /// What a filter means for somebody who wants to do this: nothing out of scope, and in place of a condition the dead
    /// letters of whose events it is true.
    pub(crate) async fn meant(
        &self,
        actor: &Actor,
        action: Action,
        mut filter: Filter,
    ) -> Result<Filter, DeskError> {
        decide(actor, action, Object::InScope)?;
        filter.scope = actor.scope.clone();
        let unclear = |error: ConditionError| match error {
            ConditionError::Read(_) => DeskError::failed(&error),
            _ => DeskError::Unclear(event_bus::dead_letter::error_chain(&error)),
        };
        let Some(condition) = Condition::of(&mut filter).map_err(unclear)? else {
            return Ok(filter);
        };
        let shown = self.store.letters(&filter, None, MOST).await?;
        if shown.next.is_some() {
            return Err(DeskError::Unclear(format!(
                "a condition is judged of at most {MOST} dead letters: narrow them by a topic, a time or the like"
            )));
        }
        let letters: Vec<&Found> = shown.letters.iter().collect();
        // Who may not see a value does not find it out by asking about it.
        let may_reveal = decide(actor, Action::Reveal, Object::InScope).is_ok();
        let sight = if may_reveal { Sight::AsItIs } else { Sight::Masked };
        let ids = condition.ids(&self.admin, &self.catalogue, &letters, sight).await;
        filter.ids = ids.map_err(unclear)?;
        Ok(filter)
    }
}

/// The filter, which means these states where it names none.
pub(crate) fn in_states(mut filter: Filter, states: &[&str]) -> Filter {
    if filter.states.is_empty() && filter.ids.is_empty() {
        filter.states = states.iter().map(|state| (*state).to_owned()).collect();
    }
    filter
}
