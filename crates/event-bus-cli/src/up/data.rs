//! The directory in which `up` keeps everything.
//!
//! `broker/` is the embedded broker's, `services/NAMESPACE/` holds a database per service. A cluster of one's own gets
//! databases of its own, for what a service has handled is true of one cluster only.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use event_bus::names::Namespace;

/// A directory that can't be used.
#[derive(Debug, thiserror::Error)]
pub enum DataError {
    #[error("the data directory {} can't be made or written: choose another with --data", path.display())]
    Unusable { path: PathBuf, source: io::Error },
    #[error("another `event-bus up` runs on {}: stop it, or choose another directory with --data", path.display())]
    InUse { path: PathBuf },
    #[error("the path {} is no valid text, and a database can't be named by it: choose another with --data", path.display())]
    NotText { path: PathBuf },
}

/// The directory, ours as long as this lives.
pub struct DataDir {
    path: PathBuf,
    /// Its lock ends with the file, and so with the process, however that ends.
    _lock: File,
}

impl DataDir {
    /// Makes the directory if need be, and takes it.
    pub fn open(path: &Path) -> Result<Self, DataError> {
        let unusable = |source| DataError::Unusable { path: path.to_owned(), source };
        fs::create_dir_all(path).map_err(unusable)?;
        let lock = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(path.join("up.lock"))
            .map_err(unusable)?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { path: path.to_owned(), _lock: lock }),
            Err(TryLockError::WouldBlock) => Err(DataError::InUse { path: path.to_owned() }),
            Err(TryLockError::Error(source)) => Err(unusable(source)),
        }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The embedded broker's part.
    pub fn broker(&self) -> PathBuf {
        self.path.join("broker")
    }

    /// The services' databases on the embedded broker or, with `bootstrap`, on another cluster.
    pub fn databases(
        &self,
        bootstrap: Option<&str>,
        namespace: &Namespace,
    ) -> Result<Databases, DataError> {
        let cluster = match bootstrap {
            None => "services".to_owned(),
            Some(bootstrap) => format!("services@{}", file_name(bootstrap)),
        };
        let dir = self.path.join(cluster).join(namespace.as_ref());
        fs::create_dir_all(&dir)
            .map_err(|source| DataError::Unusable { path: dir.clone(), source })?;
        match dir.to_str() {
            Some(dir) => Ok(Databases { dir: url_path(dir) }),
            None => Err(DataError::NotText { path: dir }),
        }
    }
}

/// Where the services' databases are.
pub struct Databases {
    /// As it stands in a URL.
    dir: String,
}

impl Databases {
    /// The URL of a service's database.
    pub fn of(&self, service: &str) -> String {
        format!("sqlite://{}/{service}.db", self.dir)
    }
}

/// What may not stand in a file's name is a `_`.
fn file_name(bootstrap: &str) -> String {
    let fits = |c: char| c.is_ascii_alphanumeric() || ".-".contains(c);
    bootstrap.chars().map(|c| if fits(c) { c } else { '_' }).collect()
}

/// Escapes what would end a path or begin an escape in a URL.
fn url_path(path: &str) -> String {
    path.replace('%', "%25").replace('?', "%3F").replace('#', "%23")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_is_used_by_one_at_a_time() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("new");
        let first = DataDir::open(&path).unwrap();
        assert!(matches!(DataDir::open(&path), Err(DataError::InUse { .. })));
        drop(first);
        DataDir::open(&path).unwrap();
    }

    #[test]
    fn clusters_and_namespaces_have_databases_of_their_own() {
        let dir = tempfile::tempdir().unwrap();
        let data = DataDir::open(&dir.path().join("50% off?")).unwrap();
        let namespace = Namespace::new("acme").unwrap();
        let own = data.databases(None, &namespace).unwrap().of("brand");
        assert!(own.ends_with("/50%25 off%3F/services/acme/brand.db"), "{own}");
        let other = data.databases(Some("a:1,b:2"), &namespace).unwrap().of("brand");
        assert!(other.ends_with("/services@a_1_b_2/acme/brand.db"), "{other}");
    }
}
