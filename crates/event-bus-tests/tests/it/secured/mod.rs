//! A bus on which each may do what the catalogue says, and nothing else.

mod certificates;
mod cluster;
mod logins;
mod matrix;
