//! Waits for a condition, and tells what it saw last when it never came.

use std::fmt::Debug;
use std::time::{Duration, Instant};

/// The pause between two looks.
const PAUSE: Duration = Duration::from_millis(50);

/// Looks until `look` gives `Ok`, at most for `limit`.
///
/// # Panics
/// When that never happened, with what the last look gave.
pub async fn eventually<T, E: Debug>(
    limit: Duration,
    mut look: impl AsyncFnMut() -> Result<T, E>,
) -> T {
    let deadline = Instant::now() + limit;
    loop {
        match look().await {
            Ok(found) => return found,
            Err(seen) => {
                assert!(Instant::now() < deadline, "not within {limit:?}; seen last: {seen:?}");
            }
        }
        // The only pause of the tests: it ends in a look at the condition, never in a guess that it holds.
        tokio::time::sleep(PAUSE).await;
    }
}

/// `Ok` when what was seen is what was wanted, and otherwise what was seen: for use in [`eventually`].
///
/// # Errors
/// With `seen`, when it is not `wanted`.
#[expect(clippy::needless_pass_by_value, reason = "a wanted value is written in place")]
pub fn equal<T: PartialEq>(seen: T, wanted: T) -> Result<(), T> {
    if seen == wanted { Ok(()) } else { Err(seen) }
}
