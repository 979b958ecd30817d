//! The broker's bounds, each with its reason.
