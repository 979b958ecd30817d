//! What a node notes beside its work, for whoever asks afterwards whether a fault bit. A line is with the operating
//! system once it is noted, so it outlives the node's process.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

/// The notes of one node, over all its processes.
#[derive(Debug)]
pub struct Journal(File);

/// A line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Note {
    /// A process begins. What the last one had begun it did not end.
    Started,
    /// The bank began a transaction.
    Began,
    /// It ended, whichever way.
    Ended,
    /// It rolled back what was to be published under this id.
    RolledBack(String),
    /// The database refused its commit, as it was meant to.
    Refused(String),
    /// Nobody told it how the commit ended.
    Unknown(String),
    /// The ledger began to handle this event.
    Handling(String),
    /// It holds its transaction open for a moment.
    Pausing(String),
    /// The ledger is about to end its process for this event.
    Aborting(String),
}

impl Note {
    fn line(&self) -> String {
        match self {
            Self::Started => "started -\n".to_owned(),
            Self::Began => "began -\n".to_owned(),
            Self::Ended => "ended -\n".to_owned(),
            Self::RolledBack(id) => format!("rolled-back {id}\n"),
            Self::Refused(id) => format!("refused {id}\n"),
            Self::Unknown(id) => format!("unknown {id}\n"),
            Self::Handling(id) => format!("handling {id}\n"),
            Self::Pausing(id) => format!("pausing {id}\n"),
            Self::Aborting(id) => format!("aborting {id}\n"),
        }
    }

    fn parse(line: &str) -> Option<Self> {
        let (word, id) = line.split_once(' ')?;
        let id = id.to_owned();
        Some(match word {
            "started" => Self::Started,
            "began" => Self::Began,
            "ended" => Self::Ended,
            "rolled-back" => Self::RolledBack(id),
            "refused" => Self::Refused(id),
            "unknown" => Self::Unknown(id),
            "handling" => Self::Handling(id),
            "pausing" => Self::Pausing(id),
            "aborting" => Self::Aborting(id),
            _ => return None,
        })
    }
}

impl Journal {
    /// Goes on with the journal that is there already, or a new one.
    pub fn open(path: &Path) -> Self {
        let file = File::options().create(true).append(true).open(path);
        let journal = Self(file.expect("the journal can be opened"));
        journal.note(&Note::Started);
        journal
    }

    /// Adds a line.
    pub fn note(&self, note: &Note) {
        // One write, at the file's end: lines of several tasks stay whole.
        (&self.0).write_all(note.line().as_bytes()).expect("the journal can be written");
    }
}

/// All notes of a node so far.
pub fn read(path: &PathBuf) -> Vec<Note> {
    // A node that was never started has none.
    let text = std::fs::read_to_string(path).unwrap_or_default();
    text.lines().filter_map(Note::parse).collect()
}

/// How many transactions of the last process are open.
pub fn open_transactions(notes: &[Note]) -> usize {
    let started = notes.iter().rposition(|note| *note == Note::Started).unwrap_or(0);
    let notes = &notes[started..];
    let began = notes.iter().filter(|note| **note == Note::Began).count();
    let ended = notes.iter().filter(|note| **note == Note::Ended).count();
    began.saturating_sub(ended)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_noted_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal");
        assert_eq!(read(&path), []);
        let notes = [
            Note::Began,
            Note::Ended,
            Note::RolledBack("a".into()),
            Note::Refused("b".into()),
            Note::Unknown("c".into()),
            Note::Handling("d".into()),
            Note::Pausing("e".into()),
            Note::Aborting("f".into()),
        ];
        let journal = Journal::open(&path);
        for note in &notes {
            journal.note(note);
        }
        assert_eq!(read(&path), [&[Note::Started], &notes[..]].concat());
    }

    #[test]
    fn what_a_dead_process_had_begun_is_not_open() {
        let notes =
            [Note::Started, Note::Began, Note::Started, Note::Began, Note::Began, Note::Ended];
        assert_eq!(open_transactions(&notes), 1);
        assert_eq!(open_transactions(&notes[..2]), 1);
        assert_eq!(open_transactions(&notes[..3]), 0);
    }
}
