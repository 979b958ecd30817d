//! The data directory: whose it is, and which cluster's.
//!
//! `lock` is locked by the broker that runs on it, and `cluster.json` names the cluster and the format.

use std::fs::{File, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::time::Instant;
use uuid::Uuid;

use crate::limits::LOCK_TIMEOUT;
use crate::log::sync_dir_of;

/// The format that this version writes and reads.
const FORMAT: u32 = 1;

const LOCK_FILE: &str = "lock";
const CLUSTER_FILE: &str = "cluster.json";

/// How often a lock that another broker holds is tried again.
const LOCK_RETRY: Duration = Duration::from_millis(20);

/// Why a data directory can't be used.
#[derive(Debug, thiserror::Error)]
pub enum DataDirError {
    /// Another broker runs on it.
    #[error("another broker runs on {}: stop it, or choose another data directory", .0.display())]
    Locked(PathBuf),
    /// It was written by another version.
    #[error(
        "{} holds data of format {found}, this version reads {FORMAT}: use the version that wrote it, or an empty directory",
        dir.display()
    )]
    Format {
        /// The directory.
        dir: PathBuf,
        /// Its format.
        found: u32,
    },
    /// The file that names the cluster can't be understood.
    #[error("{} is damaged: restore it from a backup, or move the directory away", .path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// A file of it can't be read or written.
    #[error("{} can't be used: check that it exists and that its owner runs the broker", .path.display())]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// What the operating system says.
        source: io::Error,
    },
}

/// A data directory that is this broker's own until it is dropped.
#[derive(Debug)]
pub(crate) struct DataDir {
    path: PathBuf,
    /// Locked for as long as it is open.
    _lock: File,
    pub cluster_id: String,
}

#[derive(Serialize, Deserialize)]
struct Cluster {
    format: u32,
    cluster_id: String,
}

impl DataDir {
    /// Takes the directory, and makes it when there is none.
    ///
    /// # Errors
    /// When another broker runs on it, it is of another format, or it can't be read or written.
    pub async fn open(path: &Path) -> Result<Self, DataDirError> {
        let failed = |path: &Path| {
            let path = path.to_owned();
            |source| DataDirError::Io { path, source }
        };
        make(path).map_err(failed(path))?;
        let lock = lock(path).await?;
        let file = path.join(CLUSTER_FILE);
        let cluster = match std::fs::read(&file) {
            Ok(bytes) => serde_json::from_slice(&bytes)
                .map_err(|source| DataDirError::Damaged { path: file, source })?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let cluster = Cluster { format: FORMAT, cluster_id: new_cluster_id() };
                write(path, &file, &cluster).map_err(failed(&file))?;
                // An earlier start may have died between making the directory and this.
                sync_dir_of(path).map_err(failed(path))?;
                cluster
            }
            Err(error) => return Err(failed(&file)(error)),
        };
        if cluster.format != FORMAT {
            return Err(DataDirError::Format { dir: path.to_owned(), found: cluster.format });
        }
        Ok(Self { path: path.to_owned(), _lock: lock, cluster_id: cluster.cluster_id })
    }

    /// Where topics' records are.
    pub fn topics(&self) -> PathBuf {
        self.path.join("topics")
    }

    /// The journal of that name.
    pub fn journal(&self, name: &str) -> PathBuf {
        self.path.join(format!("{name}.journal"))
    }
}

/// Makes the directory and those above it that are missing. They outlive a power failure, as what is in them will.
fn make(path: &Path) -> io::Result<()> {
    let missing: Vec<&Path> = path.ancestors().take_while(|dir| !dir.exists()).collect();
    std::fs::create_dir_all(path)?;
    missing.into_iter().try_for_each(sync_dir_of)
}

async fn lock(dir: &Path) -> Result<File, DataDirError> {
    let path = dir.join(LOCK_FILE);
    let failed = |source| DataDirError::Io { path: path.clone(), source };
    let file =
        File::options().create(true).truncate(false).write(true).open(&path).map_err(failed)?;
    let deadline = Instant::now() + LOCK_TIMEOUT;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::WouldBlock) if Instant::now() < deadline => {
                tokio::time::sleep(LOCK_RETRY).await;
            }
            Err(TryLockError::WouldBlock) => return Err(DataDirError::Locked(dir.to_owned())),
            Err(TryLockError::Error(source)) => return Err(failed(source)),
        }
    }
}

/// Written aside and renamed: a crash leaves the file whole or absent.
fn write(dir: &Path, file: &Path, cluster: &Cluster) -> io::Result<()> {
    let mut aside = tempfile::NamedTempFile::new_in(dir)?;
    serde_json::to_writer(&mut aside, cluster)?;
    aside.write_all(b"\n")?;
    aside.as_file().sync_all()?;
    aside.persist(file)?;
    File::open(dir)?.sync_all()
}

/// A random id of 22 characters, in the form that Kafka gives its clusters: base64 of 128 bits, without padding.
/// It does not begin with a hyphen, which command lines take for an option.
pub(crate) fn new_cluster_id() -> String {
    std::iter::repeat_with(random_id).find(|id| !id.starts_with('-')).unwrap_or_default()
}

fn random_id() -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let bits = Uuid::new_v4().as_u128();
    // 21 digits of six bits and a last one of two bits, which stand at its top.
    let digit = |bits: u128| char::from(DIGITS[usize::try_from(bits & 63).unwrap_or(0)]);
    let leading = (0..21).map(|at| digit(bits >> (122 - 6 * at)));
    leading.chain(std::iter::once(digit((bits & 3) << 4))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_cluster_keeps_its_id() {
        let dir = tempfile::tempdir().unwrap();
        let first = DataDir::open(dir.path()).await.unwrap().cluster_id;
        assert_eq!(first.len(), 22);
        assert_eq!(DataDir::open(dir.path()).await.unwrap().cluster_id, first);
    }

    #[tokio::test(start_paused = true)]
    async fn a_second_broker_on_the_directory_is_refused_with_the_cure() {
        let dir = tempfile::tempdir().unwrap();
        let _first = DataDir::open(dir.path()).await.unwrap();
        let refused = DataDir::open(dir.path()).await.unwrap_err();
        assert!(matches!(refused, DataDirError::Locked(_)), "{refused}");
        assert!(refused.to_string().contains("choose another data directory"));
    }

    #[tokio::test]
    async fn another_format_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join(CLUSTER_FILE), r#"{"format":9,"cluster_id":"x"}"#).unwrap();
        let refused = DataDir::open(dir.path()).await.unwrap_err();
        assert!(matches!(refused, DataDirError::Format { found: 9, .. }), "{refused}");
    }

    #[test]
    fn cluster_ids_are_as_kafkas() {
        let id = new_cluster_id();
        assert!(
            id.len() == 22 && id.chars().all(|c| c.is_ascii_alphanumeric() || "-_".contains(c))
        );
        assert_ne!(id, new_cluster_id());
    }
}
