//! Which dead letters of others are meant.

use super::Foreign;

/// What a dead letter must be like. Of each kind one of what is given; nothing given leaves nothing out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ForeignFilter {
    /// The partition of the dead letter.
    pub partition: Option<i32>,
    /// The offset there.
    pub offset: Option<i64>,
    /// Names of families.
    pub families: Vec<String>,
    /// Original topics.
    pub topics: Vec<String>,
    /// A part of the error's text, of its kind, of who failed or of the key, in any case of letters.
    pub text: Option<String>,
}

impl ForeignFilter {
    /// Whether it is meant.
    #[must_use]
    pub fn matches(&self, letter: &Foreign) -> bool {
        let one_of = |wanted: &[String], value: Option<&str>| {
            wanted.is_empty() || value.is_some_and(|value| wanted.iter().any(|one| one == value))
        };
        self.partition.is_none_or(|partition| letter.dead_letter_partition == partition)
            && self.offset.is_none_or(|offset| letter.dead_letter_offset == offset)
            && one_of(&self.families, Some(letter.family.as_str()))
            && one_of(&self.topics, letter.says.topic.as_deref())
            && self.text.as_deref().is_none_or(|text| carries(letter, &text.to_lowercase()))
    }
}

fn carries(letter: &Foreign, text: &str) -> bool {
    let says = &letter.says;
    let has = |value: &str| value.to_lowercase().contains(text);
    [&says.message, &says.error_type, &says.group].into_iter().flatten().any(|value| has(value))
        || letter.key.as_deref().is_some_and(|key| has(&String::from_utf8_lossy(key)))
}
