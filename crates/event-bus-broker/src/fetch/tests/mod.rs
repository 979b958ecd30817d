//! Fetch sessions, and waiting for records.

mod answers;
mod collecting;
mod sessions;
