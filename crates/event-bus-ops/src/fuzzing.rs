//! Where fuzzers come in: any bytes as what the panel is asked for, and as the texts that it shows. None may panic. The
//! target is in `fuzz/`; an ordinary test calls the same function.

use crate::condition::Condition;
use crate::panel::fuzzing::{comes_back, shown};

/// Reads bytes as a query of the panel: a filter goes into an address and comes back from it, and its condition is compiled.
/// Then shows them as a text and as a value.
///
/// # Panics
/// When reading panics, a filter comes back as another one, or something invisible is shown, which are defects.
pub fn filters(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    if let Some(mut filter) = comes_back(&text) {
        drop(Condition::of(&mut filter));
    }
    shown(&text);
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn nothing_of_the_corpus_is_misread() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fuzz/corpus/filters");
        let files = fs::read_dir(folder).unwrap_or_else(|error| panic!("{folder}: {error}"));
        let read = files.map(|file| filters(&fs::read(file.unwrap().path()).unwrap())).count();
        assert!(read > 0, "{folder} has nothing");
    }
}
