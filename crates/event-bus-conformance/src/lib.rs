//! What the conformance suite speaks with: Kafka's wire protocol, request by request.
//!
//! A client library retries, refreshes and hides; here each test sends exactly one request and sees exactly one
//! answer, whichever broker gives it.

pub mod subject;
pub mod connection;
pub mod outcome;
pub mod eventually;
pub mod batch;
pub mod topic;
pub mod coordinators;
pub mod records;
pub mod producer;
pub mod member;
pub mod offsets;
pub mod groups;
pub mod program;
