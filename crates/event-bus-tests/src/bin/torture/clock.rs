//! The one place of torture that lets time pass: how long a fault lasts is what it is.

use std::time::Duration;

/// Returns after this time.
pub async fn pass(time: Duration) {
    tokio::time::sleep(time).await;
}
