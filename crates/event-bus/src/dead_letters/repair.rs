//! Many dead letters go back with other values, each changed in the same way.

use bytes::Bytes;
use uuid::Uuid;

use super::act::send;
use super::{ActError, Done, Edit, EditError, Plan, originals};
use crate::audit::{Action, Deed};
use crate::catalogue::Catalogue;
use crate::dead_letter::error_chain;
use crate::kafka::admin::Admin;
use crate::kafka::reader::ReadError;
use crate::publisher::Publisher;

/// Dead letters with other values, which their consumers would handle.
#[derive(Debug)]
pub struct Repair<'a> {
    /// They, in the order in which they go back.
    pub edits: Vec<Edit<'a>>,
    /// Those that stay as they are, and why.
    pub left_out: Vec<(Uuid, String)>,
}

impl<'a> Repair<'a> {
    /// Changes the values of what a plan would replay, and checks each. `change` says why it can't.
    ///
    /// # Errors
    /// When Kafka does not answer.
    pub async fn plan(
        admin: &Admin,
        catalogue: &Catalogue,
        plan: &Plan<'a>,
        change: impl Fn(&[u8]) -> Result<Bytes, String>,
    ) -> Result<Self, ReadError> {
        let mut originals = originals(admin, &plan.letters).await?;
        let mut repair = Self { edits: Vec::new(), left_out: Vec::new() };
        for found in &plan.letters {
            let id = found.letter.id;
            let edit = match originals.remove(&id) {
                None => Err(error_chain(&EditError::Gone)),
                Some(record) => match change(record.value.as_deref().unwrap_or_default()) {
                    Ok(value) => Edit::of(catalogue, found, record, value)
                        .map_err(|error| error_chain(&error)),
                    Err(why) => Err(why),
                },
            };
            match edit {
                Ok(edit) => repair.edits.push(edit),
                Err(why) => repair.left_out.push((id, why)),
            }
        }
        Ok(repair)
    }

    /// Sends them, each to its group alone and all as one replay. The dead letters and their bytes stay; the headers of
    /// what is sent say who changed it.
    ///
    /// # Errors
    /// See [`ActError`].
    pub async fn carry_out(
        self,
        publisher: &Publisher,
        by: &str,
        reason: &str,
    ) -> Result<Done, ActError> {
        let ids: Vec<Uuid> = self.edits.iter().map(Edit::id).collect();
        let letters = ids.len() as u64;
        let reason = format!("edited: {reason}");
        let deed = Deed::about_letters(Action::Replay, ids, by, Some(&reason));
        let done = Done { id: deed.id, letters: 0, gone: 0, refused: 0 };
        if self.edits.is_empty() {
            return Ok(done);
        }
        deed.write(publisher).await?;
        let records = self.edits.into_iter().map(|edit| edit.record(done.id, by));
        send(publisher, records, done, letters).await
    }
}
