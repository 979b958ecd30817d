//! The files in `deploy/` and the runbooks: whether they are what the catalogue says, and fit together.

mod alerts;
mod dashboards;
mod generated;
mod promql;
mod series;

use std::fs;
use std::path::{Path, PathBuf};

use event_bus::Catalogue;

/// A path below the repository's root.
fn path(relative: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(relative)
}

/// A file of the repository.
fn read(relative: &str) -> String {
    fs::read_to_string(path(relative)).unwrap_or_else(|error| panic!("{relative}: {error}"))
}

/// The names of the files in a directory of the repository that end like this, without that end.
fn stems(directory: &str, end: &str) -> Vec<String> {
    let entries =
        fs::read_dir(path(directory)).unwrap_or_else(|error| panic!("{directory}: {error}"));
    let names = entries.map(|entry| {
        entry.expect("a directory can be read").file_name().to_string_lossy().into_owned()
    });
    let mut stems: Vec<String> =
        names.filter_map(|name| name.strip_suffix(end).map(str::to_owned)).collect();
    stems.sort();
    stems
}

/// A catalogue with other thresholds for one topic, and topics that keep their events for a time.
fn other_catalogue() -> Catalogue {
    let file = path("crates/event-bus-cli/tests/deploy/other/catalogue.toml");
    Catalogue::load(&file).unwrap_or_else(|error| panic!("{error}"))
}
