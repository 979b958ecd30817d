//! What a broker that is not running has written, told from its files: record batches one behind the other in the
//! `.log` files of each partition's directory.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Bytes of a batch that its length field does not count.
const PREFIX_BYTES: usize = 12;

/// The offset behind the last whole batch of each partition of a topic, whose directory is `{topic}-{partition}`.
pub fn written_ends(data: &Path, topic: &str) -> BTreeMap<i32, i64> {
    let mut ends = BTreeMap::new();
    for file in files(data) {
        let Some(partition) = partition_of(&file, topic) else { continue };
        let end = ends.entry(partition).or_insert(0);
        *end = written_end(&fs::read(&file).expect("a log can be read")).max(*end);
    }
    ends
}

/// All files below a directory.
pub fn files(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).expect("the directory can be read") {
        let path = entry.expect("an entry can be read").path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found
}

fn partition_of(file: &Path, topic: &str) -> Option<i32> {
    if file.extension()? != "log" {
        return None;
    }
    let directory = file.parent()?.file_name()?.to_str()?;
    directory.strip_prefix(topic)?.strip_prefix('-')?.parse().ok()
}

fn written_end(log: &[u8]) -> i64 {
    let (mut at, mut end) = (0, 0);
    while let Some(header) = log.get(at..at + 27) {
        let base = i64::from_be_bytes(header[..8].try_into().expect("8 bytes"));
        let length = u32::from_be_bytes(header[8..12].try_into().expect("4 bytes"));
        let last_delta = u32::from_be_bytes(header[23..27].try_into().expect("4 bytes"));
        at += PREFIX_BYTES + usize::try_from(length).expect("a length fits");
        if at > log.len() {
            break;
        }
        end = base + i64::from(last_delta) + 1;
    }
    end
}
