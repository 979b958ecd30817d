use std::fmt;

/// One thing wrong with a catalogue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The file it is in, and for the catalogue file the line: `blindstrader.toml:34`.
    pub file: String,
    /// The entry, for example `events.OrderPlaced.key[1]`; empty for the file as a whole.
    pub entry: String,
    /// What is wrong.
    pub what: String,
    /// What to do about it.
    pub cure: String,
}

/// A catalogue that can't be used, with everything that is wrong with it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct LoadError {
    /// Never empty, in the order in which the file was read.
    pub problems: Vec<Problem>,
}

impl LoadError {
    pub(super) fn unreadable(file: &str, error: &std::io::Error) -> LoadError {
        let problem = Problem {
            file: file.to_owned(),
            entry: String::new(),
            what: format!("can't be read: {error}"),
            cure: "name a catalogue file that exists".to_owned(),
        };
        LoadError { problems: vec![problem] }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.file)?;
        if !self.entry.is_empty() {
            write!(f, "{}: ", self.entry)?;
        }
        write!(f, "{}; {}", self.what, self.cure)
    }
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.problems.len();
        write!(f, "the catalogue has {count} problem{}", if count == 1 { "" } else { "s" })?;
        self.problems.iter().try_for_each(|problem| write!(f, "\n{problem}"))
    }
}
