//! What is done from here is written to the audit before.

use event_bus::dead_letter::error_chain;

use super::{Desk, DeskError};
use crate::access::policy::Actor;
use crate::access::trail::{Note, not_done};

impl Desk {
    /// Does it once it is written that it is to be done; and where it could not be done, that is written as well.
    pub(crate) async fn does<T>(
        &self,
        actor: &Actor,
        note: Note,
        deed: impl Future<Output = Result<T, DeskError>>,
    ) -> Result<T, DeskError> {
        let link = note.write(&self.store, actor.into()).await?;
        let done = deed.await;
        if let Err(error) = &done
            && let Err(unwritten) = not_done(&self.store, &link, &error.to_string()).await
        {
            let unwritten = error_chain(&unwritten);
            tracing::warn!(
                error = unwritten,
                seq = link.seq,
                "what was not done is audited as done"
            );
        }
        done
    }
}
