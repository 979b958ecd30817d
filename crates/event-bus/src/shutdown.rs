//! The signal that a service's parts stop on.

use tokio::sync::watch;

/// Waits until stopping is asked for, or nobody is left who could ask.
pub(crate) async fn requested(stop: &mut watch::Receiver<bool>) {
    drop(stop.wait_for(|stop| *stop).await);
}
