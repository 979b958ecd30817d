//! What a broker that is not running has written, told from its files: `topics/{id}/{partition}/{offset}.log`, with
//! record batches one behind the other; the topics' journal tells their ids.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Bytes of a batch that its length field does not count.
const PREFIX_BYTES: usize = 12;

/// The offset behind the last whole batch of each partition of a topic.
pub fn written_ends(data: &Path, topic: &str) -> BTreeMap<i32, i64> {
    let directory = data.join("topics").join(id_of(data, topic));
    let mut ends = BTreeMap::new();
    for file in files(&directory) {
        if file.extension().is_none_or(|extension| extension != "log") {
            continue;
        }
        let partition = file.parent().and_then(|parent| parent.file_name()?.to_str()?.parse().ok());
        let end =
            ends.entry(partition.expect("a partition's directory is its number")).or_insert(0);
        *end = written_end(&fs::read(&file).expect("a log can be read")).max(*end);
    }
    ends
}

/// The journal's entries are JSON between bytes that are none.
fn id_of(data: &Path, topic: &str) -> String {
    let journal = fs::read(data.join("topics.journal")).expect("the journal can be read");
    let journal = String::from_utf8_lossy(&journal).into_owned();
    let (before, _) =
        journal.split_once(&format!("\"name\":\"{topic}\"")).expect("the topic is known");
    let (_, id) = before.rsplit_once("\"id\":\"").expect("a topic has an id");
    id.chars().take_while(|c| *c != '"').collect()
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
