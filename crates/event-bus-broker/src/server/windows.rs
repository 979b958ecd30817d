//! Buffers between disk and consumers that are kept for the next answer: a new one would have to be filled with zeros.

use std::sync::{Mutex, PoisonError};

use crate::limits::{MAX_SPARE_WINDOW_BYTES, MAX_SPARE_WINDOWS};
use crate::log::Window;

/// Buffers that are free.
#[derive(Debug, Default)]
pub(crate) struct Windows(Mutex<Vec<Window>>);

impl Windows {
    /// A buffer for an answer.
    pub fn take(&self) -> Window {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).pop().unwrap_or_default()
    }

    /// Takes it back, if it is worth it. One that is dropped on the way is no loss.
    pub fn give(&self, mut window: Window) {
        let mut spare = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if spare.len() < MAX_SPARE_WINDOWS && window.capacity() <= MAX_SPARE_WINDOW_BYTES {
            window.clear();
            spare.push(window);
        }
    }
}
