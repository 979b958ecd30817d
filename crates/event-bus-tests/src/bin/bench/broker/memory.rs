//! The memory that a process has in use, as the operating system counts it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

/// How often a watched process is looked at.
const EVERY: Duration = Duration::from_millis(50);

/// The resident set of a process, in bytes; none of one that has ended.
pub fn resident_bytes(pid: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kibibytes: u64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kibibytes * 1024)
}

/// Bytes as whole mebibytes.
pub fn mebibytes(bytes: u64) -> u64 {
    bytes.div_ceil(1 << 20)
}

/// Watches a process's memory until it is asked for the peak.
pub struct Watch {
    peak: Arc<AtomicU64>,
    is_over: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl Watch {
    pub fn start(pid: u32) -> Self {
        let (peak, is_over) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
        let (highest, over) = (Arc::clone(&peak), Arc::clone(&is_over));
        let thread = std::thread::spawn(move || {
            while !over.load(Ordering::Relaxed) {
                highest.fetch_max(resident_bytes(pid).unwrap_or(0), Ordering::Relaxed);
                std::thread::park_timeout(EVERY);
            }
        });
        Self { peak, is_over, thread }
    }

    /// The most that the process had since the start.
    pub fn peak_bytes(self) -> u64 {
        self.is_over.store(true, Ordering::Relaxed);
        self.thread.thread().unpark();
        self.thread.join().expect("the watch does not panic");
        self.peak.load(Ordering::Relaxed)
    }
}
