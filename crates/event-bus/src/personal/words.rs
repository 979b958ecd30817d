//! Finds personal values in texts that quote them. Pure.

use std::collections::{BTreeSet, HashSet};
use std::ops::Bound;

use super::MASK;

/// A text of so many characters is found wherever it stands, also within a word; a shorter one as a word.
const ANYWHERE: usize = 3;
/// So long is a word that stands for a longer text.
const OF_MANY: usize = 3;
/// So many characters between two masks go with them.
const GAP: usize = 3;

/// What is personal, as texts that quote it may have it.
#[derive(Clone, Debug, Default)]
pub(super) struct Words {
    texts: BTreeSet<Vec<char>>,
    words: HashSet<String>,
}

/// One character for each, so that places stay places.
fn folded(character: char) -> char {
    character.to_lowercase().next().unwrap_or(character)
}

/// The words of a text: whatever is written without a break.
pub(super) fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|character: char| !character.is_alphanumeric()).filter(|word| !word.is_empty())
}

impl Words {
    pub(super) fn is_empty(&self) -> bool {
        self.words.is_empty() && self.texts.is_empty()
    }

    /// A value, in the ways in which it may be quoted: as it is, as programs write it in quotes, as addresses have it.
    pub(super) fn add(&mut self, text: &str) {
        let quoted = format!("{text:?}");
        let quoted = quoted.trim_matches('"');
        let address: String = text.bytes().map(in_address).collect();
        // Some letters are two in capitals.
        for form in [text, quoted, &address, &text.to_uppercase()] {
            self.add_form(form);
        }
    }

    /// As [`Self::add`], in this way only.
    pub(super) fn add_form(&mut self, text: &str) {
        self.add_text(text);
        let found: Vec<&str> = words(text).collect();
        let least = if found.len() > 1 { OF_MANY } else { 1 };
        found.into_iter().for_each(|word| self.add_word(word, least));
    }

    /// A name: all of it, and not its words.
    pub(super) fn add_name(&mut self, name: &str) {
        self.add_text(name);
        if words(name).count() == 1 {
            words(name).for_each(|word| self.add_word(word, 1));
        }
    }

    fn add_text(&mut self, text: &str) {
        let characters: Vec<char> = text.trim().chars().map(folded).collect();
        if characters.len() >= ANYWHERE {
            self.texts.insert(characters);
        }
    }

    /// How long the longest of the texts is that these characters begin with; 0 where they begin with none.
    fn longest(&self, characters: &[char]) -> usize {
        let mut beginning = characters;
        loop {
            let up_to = (Bound::Unbounded, Bound::Included(beginning));
            let Some(nearest) = self.texts.range::<[char], _>(up_to).next_back() else { return 0 };
            if beginning.starts_with(nearest) {
                return nearest.len();
            }
            // Whichever they begin with stands before the nearest one, and so begins as both do.
            let pairs = beginning.iter().zip(nearest);
            beginning = &beginning[..pairs.take_while(|(one, other)| one == other).count()];
        }
    }

    /// A word of at least so many characters.
    pub(super) fn add_word(&mut self, word: &str, least: usize) {
        if word.chars().count() >= least {
            self.words.insert(word.chars().map(folded).collect());
        }
    }

    /// The text, with a mask wherever it quotes one of them: never a part of a word.
    pub(super) fn masked(&self, text: &str) -> String {
        if self.is_empty() {
            return text.to_owned();
        }
        let characters: Vec<char> = text.chars().collect();
        let folded: Vec<char> = characters.iter().copied().map(folded).collect();
        let (mut hides, mut filled) = (vec![false; characters.len()], 0);
        for at in 0..folded.len() {
            let hidden = at + self.longest(&folded[at..]);
            hides[at.max(filled)..hidden.max(filled)].fill(true);
            filled = filled.max(hidden);
        }
        for run in runs(characters.len(), |at| characters[at].is_alphanumeric()) {
            let word: String = folded[run.clone()].iter().collect();
            if self.words.contains(&word) || hides[run.clone()].contains(&true) {
                hides[run].fill(true);
            }
        }
        let gaps = runs(characters.len(), |at| !hides[at]);
        for gap in gaps {
            let is_between = gap.start > 0 && gap.end < characters.len();
            let says_nothing = gap.len() <= GAP
                && !characters[gap.clone()].iter().any(|one| one.is_alphanumeric());
            if is_between && says_nothing {
                hides[gap].fill(true);
            }
        }
        written(&characters, &hides)
    }
}

fn written(characters: &[char], hides: &[bool]) -> String {
    let mut text = String::with_capacity(characters.len());
    let mut was_hidden = false;
    for (character, hide) in characters.iter().zip(hides) {
        match (hide, was_hidden) {
            (true, false) => text.push_str(MASK),
            (true, true) => {}
            (false, _) => text.push(*character),
        }
        was_hidden = *hide;
    }
    text
}

/// The runs of places of which something is true.
fn runs(len: usize, is: impl Fn(usize) -> bool) -> Vec<std::ops::Range<usize>> {
    let mut runs: Vec<std::ops::Range<usize>> = Vec::new();
    for at in (0..len).filter(|at| is(*at)) {
        match runs.last_mut() {
            Some(run) if run.end == at => run.end += 1,
            _ => runs.push(at..at + 1),
        }
    }
    runs
}

fn in_address(byte: u8) -> String {
    if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
        char::from(byte).to_string()
    } else {
        format!("%{byte:02X}")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn masked(personal: &[&str], text: &str) -> String {
        let mut words = Words::default();
        personal.iter().for_each(|text| words.add(text));
        words.masked(text)
    }

    #[test]
    fn a_text_that_quotes_what_is_personal_has_a_mask_there() {
        for (personal, text, told) in [
            ("Jane Doe", "no account of JANE DOE here", "no account of ‹personal› here"),
            ("Jane Doe", "Doe: is not known", "‹personal›: is not known"),
            ("jane@doe.example", "to <jane@doe.example>: refused", "to <‹personal›>: refused"),
            ("jane@doe.example", "/mail/jane%40doe.example/new", "/mail/‹personal›/new"),
            ("O'Brien", "row \"O\\'Brien\" is there", "row \"O\\'‹personal›\" is there"),
            ("Jane\nDoe", "got \"Jane\\nDoe\"", "got \"‹personal›\""),
            ("42", "42 is more than 420", "‹personal› is more than 420"),
            ("GB", "no GB in GBP", "no ‹personal› in GBP"),
            ("anna", "user annasmith9 is known", "user ‹personal› is known"),
            ("Müller", "MÜLLER fehlt", "‹personal› fehlt"),
            ("Jane", "nobody", "nobody"),
        ] {
            assert_eq!(masked(&[personal], text), told, "{personal}");
        }
        assert_eq!(masked(&["Jane", "Doe"], "Jane, Doe"), "‹personal›");
    }

    #[test]
    fn of_texts_that_begin_alike_the_longest_is_found() {
        for (personal, text, told) in [
            (&["abc def", "abc defgh", "abd"][..], "abc defg!", "‹personal›!"),
            (&["abc", "abc xyz", "abc xyw zz"], "+abc xyw z+", "+‹personal› xyw z+"),
            (&["b-d", "a-b-c-d"], "a-b-d", "a-‹personal›"),
            (&["abc", "abb", "acc"], "aba", "aba"),
        ] {
            let mut words = Words::default();
            personal.iter().for_each(|text| words.add_text(text));
            assert_eq!(words.masked(text), told, "{personal:?}");
        }
    }

    #[test]
    fn many_texts_that_begin_alike_take_no_time() {
        let mut words = Words::default();
        let personal = |nth: usize| format!("https://shop.example/customers/{nth}");
        (0..20_000).for_each(|nth| words.add_text(&personal(nth)));
        let text = (0..2_000).map(personal).collect::<Vec<_>>().join(" and ");
        assert_eq!(words.masked(&text).matches(MASK).count(), 2_000);
    }

    proptest! {
        #[test]
        fn nothing_personal_survives(
            personal in "[a-zA-Zäß0-9@. '\"\\\\\n-]{1,24}", before in "[ -~]{0,24}", behind in "[ -~]{0,24}",
        ) {
            let personal = personal.trim();
            let has_words = words(personal).next().is_some();
            let is_mask = MASK.contains(&personal.to_lowercase());
            prop_assume!(has_words && !is_mask);
            let whole = personal.chars().count() >= ANYWHERE;
            for quoted in [personal.to_owned(), personal.to_uppercase(), format!("{personal:?}")] {
                let text = if whole { format!("{before}{quoted}{behind}") } else { format!("{before} {quoted} {behind}") };
                let told = masked(&[personal], &text);
                prop_assert!(told.contains(MASK), "{text} {told}");
                if whole {
                    let survives = told.to_lowercase().contains(&personal.to_lowercase());
                    prop_assert!(!survives, "{personal}: {told}");
                }
            }
        }
    }
}
