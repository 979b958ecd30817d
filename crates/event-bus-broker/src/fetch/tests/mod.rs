//! Fetch sessions, and waiting for records.

mod collecting;
mod sessions;
