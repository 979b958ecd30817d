//! Transactions: the state of one id, and what a node carries out.

mod node;
mod state;
