//! Disk faults on request: what a script of faults, or a test, makes the log's files do.

use std::io;
use std::sync::atomic::{AtomicU32, Ordering};

/// Counts of operations that are to fail; all zero, and cheap to ask, unless a script says otherwise.
#[derive(Debug, Default)]
pub(crate) struct DiskFaults {
    writes: AtomicU32,
    syncs: AtomicU32,
}

/// As a count: until [`DiskFaults::heal`].
const FOR_EVER: u32 = u32::MAX;

impl DiskFaults {
    /// The next `count` writes fail as on a full disk; `None` is all of them.
    pub fn fail_writes(&self, count: Option<u32>) {
        self.writes.store(count.unwrap_or(FOR_EVER), Ordering::SeqCst);
    }

    /// The next `count` syncs fail as on a broken disk; `None` is all of them.
    pub fn fail_syncs(&self, count: Option<u32>) {
        self.syncs.store(count.unwrap_or(FOR_EVER), Ordering::SeqCst);
    }

    /// The disk is well again.
    pub fn heal(&self) {
        self.fail_writes(Some(0));
        self.fail_syncs(Some(0));
    }

    pub(crate) fn before_write(&self) -> io::Result<()> {
        if take_one(&self.writes) { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
    }

    pub(crate) fn before_sync(&self) -> io::Result<()> {
        if take_one(&self.syncs) { Err(io::Error::from_raw_os_error(EIO)) } else { Ok(()) }
    }
}

/// The operating system's number for a failed transfer, which has no `ErrorKind`.
const EIO: i32 = 5;

fn take_one(left: &AtomicU32) -> bool {
    left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| match left {
        0 => None,
        FOR_EVER => Some(FOR_EVER),
        left => Some(left - 1),
    })
    .is_ok()
}
