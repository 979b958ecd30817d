//! The signal that a service's parts stop on.

use tokio::sync::watch;

/// Whether stopping was asked for, or nobody is left who could ask.
pub(crate) fn is_requested(stop: &watch::Receiver<bool>) -> bool {
    *stop.borrow() || stop.has_changed().is_err()
}

/// Waits until stopping is asked for, or nobody is left who could ask.
pub(crate) async fn requested(stop: &mut watch::Receiver<bool>) {
    drop(stop.wait_for(|stop| *stop).await);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signal_that_nobody_can_give_any_more_counts_as_given() {
        let (ask, stop) = watch::channel(false);
        assert!(!is_requested(&stop));
        drop(ask);
        assert!(is_requested(&stop));
    }

    #[test]
    fn a_given_signal_counts_until_the_end() {
        let (ask, stop) = watch::channel(false);
        ask.send_replace(true);
        assert!(is_requested(&stop));
    }
}
