//! The panel over HTTP, and in a browser.

mod access;
mod browser;
mod canary;
mod cells;
mod dead_letters;
mod matrix;
mod scopes;
mod served;
mod two;
mod visitor;
