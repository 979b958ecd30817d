//! What a figure must reach.

use std::fmt;

/// A figure beside the one that it must reach.
pub struct Mark {
    what: String,
    figure: f64,
    wanted: Wanted,
}

enum Wanted {
    AtLeast(f64),
    AtMost(f64),
}

impl Mark {
    pub fn at_least(what: impl Into<String>, figure: f64, wanted: f64) -> Mark {
        Mark { what: what.into(), figure, wanted: Wanted::AtLeast(wanted) }
    }

    pub fn at_most(what: impl Into<String>, figure: f64, wanted: f64) -> Mark {
        Mark { what: what.into(), figure, wanted: Wanted::AtMost(wanted) }
    }

    /// What is no number is missed.
    pub fn is_reached(&self) -> bool {
        match self.wanted {
            Wanted::AtLeast(wanted) => self.figure >= wanted,
            Wanted::AtMost(wanted) => self.figure <= wanted,
        }
    }
}

impl fmt::Display for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (order, wanted) = match self.wanted {
            Wanted::AtLeast(wanted) => ("at least", wanted),
            Wanted::AtMost(wanted) => ("at most", wanted),
        };
        let answer = if self.is_reached() { "reached" } else { "MISSED" };
        write!(f, "{answer}: {}: {:.2}, wanted {order} {wanted:.2}", self.what, self.figure)
    }
}
