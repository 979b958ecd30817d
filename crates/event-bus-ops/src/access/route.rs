//! The ways in: a table says of each what it takes, and from that table the router is made.

use axum::routing::MethodFilter;

use super::policy::Action;

/// Who gets in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Needs {
    /// Everybody.
    Nothing,
    /// Whoever has signed in, or has a token.
    Somebody,
    /// Whoever may do this.
    May(Action),
}

/// How it is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    /// To be shown something. It changes nothing.
    Get,
    /// To have something done.
    Post,
}

impl From<Verb> for MethodFilter {
    fn from(verb: Verb) -> Self {
        match verb {
            Verb::Get => Self::GET,
            Verb::Post => Self::POST,
        }
    }
}

/// A way in.
#[derive(Clone, Copy, Debug)]
pub struct Route<E> {
    /// How it is asked.
    pub verb: Verb,
    /// Where, as axum writes it.
    pub path: &'static str,
    /// Who gets in.
    pub needs: Needs,
    /// What answers.
    pub(crate) endpoint: E,
}

impl<E> Route<E> {
    pub(crate) const fn get(path: &'static str, needs: Needs, endpoint: E) -> Self {
        Self { verb: Verb::Get, path, needs, endpoint }
    }

    pub(crate) const fn post(path: &'static str, needs: Needs, endpoint: E) -> Self {
        Self { verb: Verb::Post, path, needs, endpoint }
    }
}
