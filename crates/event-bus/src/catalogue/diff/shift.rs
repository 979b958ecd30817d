//! What differs between two schemas, at one place of a payload.

/// One difference, and whom it may hurt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Shift {
    /// From the payload down, `*` for any item or any field of a map; empty for the payload.
    pub(super) pointer: String,
    pub(super) code: &'static str,
    /// A sentence without its subject and full stop.
    pub(super) what: String,
    pub(super) effect: Effect,
    /// Whether who checks by the schema of before may refuse what is valid now.
    pub(super) is_refused_before: bool,
}

/// What a difference does to the set of payloads that are valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Effect {
    /// None that anybody has to know of before.
    Harmless,
    /// What was valid may not be any more: hurts those who write as before.
    Narrows,
    /// What was not valid may be now: hurts those who read as before.
    Widens,
    /// Both, or it can't be told.
    Either,
}

impl Effect {
    pub(super) fn narrows(self) -> bool {
        matches!(self, Effect::Narrows | Effect::Either)
    }

    pub(super) fn widens(self) -> bool {
        matches!(self, Effect::Widens | Effect::Either)
    }

    /// Of a set that became another, by what it gained and lost.
    pub(super) fn of(gained: bool, lost: bool) -> Option<Effect> {
        match (gained, lost) {
            (false, false) => None,
            (true, false) => Some(Effect::Widens),
            (false, true) => Some(Effect::Narrows),
            (true, true) => Some(Effect::Either),
        }
    }
}

/// Whether a consumer that reads `read` sees a difference at `pointer`: there, above or below.
pub(super) fn sees(read: &str, pointer: &str) -> bool {
    let mut pairs = read.split('/').zip(pointer.split('/'));
    pairs.all(|(read, changed)| read == changed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reader_sees_what_is_at_above_and_below_what_it_reads() {
        for pointer in ["", "/customer", "/customer/email", "/customer/email/domain"] {
            assert!(sees("/customer/email", pointer), "{pointer}");
        }
        for pointer in ["/customer/name", "/order_id", "/custom", "/*"] {
            assert!(!sees("/customer/email", pointer), "{pointer}");
        }
        assert!(sees("/lines/*/sku", "/lines/*"));
    }
}
