//! The panel over HTTP, and in a browser.

mod access;
mod browser;
mod consumers;
mod contract;
mod dead_letters;
mod matrix;
mod scopes;
mod served;
mod visitor;
