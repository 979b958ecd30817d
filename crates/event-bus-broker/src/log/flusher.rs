//! Group commit: one sync serves all who wait for the same file.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;

use tokio::sync::oneshot;

use super::DiskFaults;
use super::sync_file::{FlushError, SyncFile};
use crate::config::Durability;

/// Threads that sync. File systems put the commits of concurrent syncs together, so that several files become
/// durable in little more than the time of one: on ext4, six files written to by 48 connections took 10 times as many
/// batches with six threads as with one, and more threads brought nothing.
const THREADS: usize = 6;

/// Makes files durable. Clones share their threads, which end with the last clone.
#[derive(Clone, Debug)]
pub(crate) struct Flusher {
    durability: Durability,
    disk_faults: Arc<DiskFaults>,
    threads: Arc<Threads>,
}

#[derive(Debug)]
struct Threads {
    shared: Arc<Shared>,
    handles: Vec<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Shared {
    work: Mutex<Work>,
    came: Condvar,
}

#[derive(Debug, Default)]
struct Work {
    files: VecDeque<Arc<SyncFile>>,
    is_closed: bool,
}

impl Flusher {
    /// Starts the threads; none under [`Durability::Lazy`], where nobody waits for a sync.
    pub fn start(durability: Durability) -> Self {
        Self::with_disk_faults(durability, Arc::default())
    }

    /// As [`Flusher::start`], with scripted faults for the files that are opened through this flusher.
    pub fn with_disk_faults(durability: Durability, disk_faults: Arc<DiskFaults>) -> Self {
        let shared = Arc::new(Shared::default());
        let threads = match durability {
            Durability::Fsync => THREADS,
            Durability::Lazy => 0,
        };
        let handles = (0..threads)
            .map(|_| {
                let shared = shared.clone();
                std::thread::spawn(move || shared.run())
            })
            .collect();
        Self { durability, disk_faults, threads: Arc::new(Threads { shared, handles }) }
    }

    pub fn durability(&self) -> Durability {
        self.durability
    }

    /// The faults of the disk, to be handed to the files' owners.
    pub fn disk_faults(&self) -> &Arc<DiskFaults> {
        &self.disk_faults
    }

    /// Waits until everything that was written to `file` before this call is durable; under [`Durability::Lazy`] only
    /// asks whether the file failed.
    ///
    /// # Errors
    /// When the sync that covers the caller's write fails, or one failed before.
    pub async fn durable(&self, file: &Arc<SyncFile>) -> Result<(), FlushError> {
        if self.durability == Durability::Lazy {
            return file.failure().map_or(Ok(()), Err);
        }
        let (waiter, done) = oneshot::channel();
        {
            let mut queue = lock(&file.queue);
            if let Some(failure) = &queue.failure {
                return Err(failure.clone());
            }
            queue.waiters.push(waiter);
            if !queue.is_scheduled {
                queue.is_scheduled = true;
                self.threads.shared.schedule(file.clone());
            }
        }
        done.await.expect("the threads outlive their flusher, and answer each waiter")
    }

    /// As [`Flusher::durable`], on this thread.
    ///
    /// # Errors
    /// As there.
    pub fn durable_blocking(&self, file: &SyncFile) -> Result<(), FlushError> {
        match self.durability {
            Durability::Fsync => file.sync(),
            Durability::Lazy => file.failure().map_or(Ok(()), Err),
        }
    }
}

impl Shared {
    fn schedule(&self, file: Arc<SyncFile>) {
        lock(&self.work).files.push_back(file);
        self.came.notify_one();
    }

    fn run(&self) {
        while let Some(file) = self.next() {
            let waiters = std::mem::take(&mut lock(&file.queue).waiters);
            let result = file.sync();
            for waiter in waiters {
                // Who no longer waits is gone with its connection.
                let _ = waiter.send(result.clone());
            }
            self.go_on(&file);
        }
    }

    fn next(&self) -> Option<Arc<SyncFile>> {
        let mut work = lock(&self.work);
        loop {
            if let Some(file) = work.files.pop_front() {
                return Some(file);
            }
            if work.is_closed {
                return None;
            }
            work = self.came.wait(work).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Those who asked while the sync ran may have written after it began: they get the next one, or the failure.
    fn go_on(&self, file: &Arc<SyncFile>) {
        let mut queue = lock(&file.queue);
        if let Some(failure) = queue.failure.clone() {
            for waiter in queue.waiters.drain(..) {
                let _ = waiter.send(Err(failure.clone()));
            }
        }
        queue.is_scheduled = !queue.waiters.is_empty();
        if queue.is_scheduled {
            self.schedule(file.clone());
        }
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        lock(&self.shared.work).is_closed = true;
        self.shared.came.notify_all();
        for handle in self.handles.drain(..) {
            // A thread that panicked has nothing left to end.
            let _ = handle.join();
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
