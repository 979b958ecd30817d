//! The rules, by what they look at.

pub mod borders;
pub mod manifests;
pub mod size;
pub mod words;

#[cfg(test)]
mod planted {
    use crate::{Rule, source::Source};

    /// How often the rule speaks about this text at this path.
    pub fn count(rule: Rule, path: &str, text: &str) -> usize {
        rule(&Source::new(path, text)).len()
    }
}
