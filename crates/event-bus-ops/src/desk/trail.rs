//! What is done from here is written to the audit before.

use super::{Desk, DeskError};
use crate::access::policy::Actor;
use crate::access::trail::{self, Note};

impl Desk {
    /// Does it once it is written that it is to be done; and where it could not be done, that is written as well.
    pub(crate) async fn does<T>(
        &self,
        actor: &Actor,
        note: Note,
        deed: impl Future<Output = Result<T, DeskError>>,
    ) -> Result<T, DeskError> {
        trail::does(&self.store, actor.into(), note, Box::pin(deed)).await
    }
}
