use std::collections::{HashMap, VecDeque};
use std::hash::Hash;

/// Of so many ids the value is remembered, for an id that comes again with another value: about 60 MB. What is further apart
/// is not noticed.
pub const IDS_REMEMBERED: usize = 500_000;
/// Of so many keys the latest event is remembered, for those that come out of order: about 60 MB.
pub const KEYS_REMEMBERED: usize = 500_000;

/// What was noted last, up to so many; the oldest goes first.
#[derive(Debug)]
pub(super) struct Recent<K, V> {
    most: usize,
    noted: HashMap<K, V>,
    order: VecDeque<K>,
}

impl<K: Copy + Eq + Hash, V> Recent<K, V> {
    pub(super) fn of(most: usize) -> Self {
        Self { most, noted: HashMap::new(), order: VecDeque::new() }
    }

    pub(super) fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        self.noted.get_mut(key)
    }

    /// Notes what was not noted before.
    pub(super) fn note(&mut self, key: K, value: V) {
        if self.noted.insert(key, value).is_some() {
            return;
        }
        self.order.push_back(key);
        if self.order.len() > self.most
            && let Some(oldest) = self.order.pop_front()
        {
            self.noted.remove(&oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_is_noted_than_allowed_and_the_oldest_goes_first() {
        let mut recent = Recent::of(2);
        for key in [1, 2, 1, 3] {
            recent.note(key, key * 10);
        }
        let noted = [1, 2, 3].map(|key| recent.get_mut(&key).copied());
        assert_eq!(noted, [None, Some(20), Some(30)]);
        assert_eq!(recent.order.len(), 2);
    }
}
