//! The panel over HTTP, and in a browser.

mod access;
mod browser;
mod consumers;
mod canary;
mod cells;
mod contract;
mod dead_letters;
mod hostile;
mod live;
mod matrix;
mod notes;
mod oidc;
mod openapi;
mod outbox;
mod relays;
mod scopes;
mod pages;
mod served;
mod two;
mod timeline;
mod visitor;
