//! How many files the process may hold open: each partition holds two, each connection one.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Enough for [`MAX_PARTITIONS`](crate::limits::MAX_PARTITIONS), some segments more, and all connections.
const WANTED: u64 = 65_536;

/// Raises the limit as far as the system lets it. Shells start processes with 1,024, on some systems 256, for the sake
/// of programs that use `select`; this one does not.
pub(crate) fn raise() {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let Some(current) = current else { return };
    let reachable = maximum.map_or(WANTED, |maximum| maximum.min(WANTED));
    if current >= reachable {
        return;
    }
    let raised = Rlimit { current: Some(reachable), maximum };
    match setrlimit(Resource::Nofile, raised) {
        Ok(()) => tracing::debug!(from = current, to = reachable, "raised the limit of open files"),
        Err(error) => tracing::warn!(
            limit = current,
            %error,
            "the limit of open files can't be raised: each partition takes two, raise it with `ulimit -n`"
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn afterwards_there_is_room_for_what_the_system_allows() {
        raise();
        let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
        let reachable = maximum.map_or(WANTED, |maximum| maximum.min(WANTED));
        assert!(current.is_none_or(|current| current >= reachable));
    }
}
