//! What every request works on: the parts of the one node.

/// The node.
pub(crate) struct Node {}
