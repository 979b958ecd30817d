//! The panel over HTTP, and in a browser.

mod access;
mod browser;
mod consumers;
mod dead_letters;
mod matrix;
mod scopes;
mod served;
mod visitor;
