//! How often somebody may try to sign in. Pure: the time is told.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::IpAddr;
use std::time::{Duration, Instant};

/// Of one name: so many tries at once, and then one in so long.
const OF_NAME: Rate = Rate { at_once: 5, each: Duration::from_secs(60) };
/// Of one address, behind which may be a proxy and so everybody.
const OF_ADDRESS: Rate = Rate { at_once: 30, each: Duration::from_secs(6) };
/// So many names and addresses are remembered: some 100 bytes each.
const REMEMBERED: usize = 10_000;

#[derive(Clone, Copy, Debug)]
struct Rate {
    at_once: u32,
    each: Duration,
}

/// What was tried lately.
#[derive(Debug, Default)]
pub(crate) struct Throttle {
    names: Tries<String>,
    addresses: Tries<IpAddr>,
}

impl Throttle {
    /// Takes note of a try, unless there were too many: then it says how long to wait.
    pub(crate) fn attempt(
        &mut self,
        name: &str,
        address: IpAddr,
        now: Instant,
    ) -> Result<(), Duration> {
        let name = name.to_lowercase();
        let wait = self.names.wait(&name, OF_NAME, now);
        let wait = wait.max(self.addresses.wait(&address, OF_ADDRESS, now));
        if !wait.is_zero() {
            return Err(wait);
        }
        self.names.note(name, OF_NAME, now);
        self.addresses.note(address, OF_ADDRESS, now);
        Ok(())
    }

    /// The same where no name is tried: it counts for the address alone.
    pub(crate) fn attempt_from(&mut self, address: IpAddr, now: Instant) -> Result<(), Duration> {
        let wait = self.addresses.wait(&address, OF_ADDRESS, now);
        if !wait.is_zero() {
            return Err(wait);
        }
        self.addresses.note(address, OF_ADDRESS, now);
        Ok(())
    }

    /// Forgets the try of one who got in without a name being tried.
    pub(crate) fn succeeded_from(&mut self, address: IpAddr) {
        self.addresses.take_back(&address, OF_ADDRESS);
    }

    /// Forgets the tries of one who got in.
    pub(crate) fn succeeded(&mut self, name: &str, address: IpAddr) {
        self.names.0.remove(&name.to_lowercase());
        self.succeeded_from(address);
    }
}

/// Of each key, when all its tries will be forgotten: each moves that on by the time that one takes.
#[derive(Debug)]
struct Tries<K>(HashMap<K, Instant>);

impl<K> Default for Tries<K> {
    fn default() -> Self {
        Self(HashMap::new())
    }
}

impl<K: Hash + Eq + Clone> Tries<K> {
    /// How long until there may be another.
    fn wait(&self, key: &K, rate: Rate, now: Instant) -> Duration {
        let Some(clear) = self.0.get(key) else { return Duration::ZERO };
        let owed = clear.saturating_duration_since(now) + rate.each;
        owed.saturating_sub(rate.each * rate.at_once)
    }

    fn note(&mut self, key: K, rate: Rate, now: Instant) {
        if self.0.len() >= REMEMBERED && !self.0.contains_key(&key) {
            self.0.retain(|_, clear| *clear > now);
            // Whoever fills this with names has the ones forgotten that tried least, and waits for the address.
            if self.0.len() >= REMEMBERED
                && let Some(key) = self.0.iter().min_by_key(|(_, clear)| **clear)
            {
                let key = key.0.clone();
                self.0.remove(&key);
            }
        }
        let clear = self.0.entry(key).or_insert(now);
        *clear = (*clear).max(now) + rate.each;
    }

    fn take_back(&mut self, key: &K, rate: Rate) {
        if let Some(clear) = self.0.get_mut(key)
            && let Some(earlier) = clear.checked_sub(rate.each)
        {
            *clear = earlier;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOME: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    fn address(nth: u32) -> IpAddr {
        std::net::Ipv4Addr::from(nth).into()
    }

    #[test]
    fn a_name_is_tried_five_times_and_then_once_a_minute_from_wherever() {
        let (mut throttle, start) = (Throttle::default(), Instant::now());
        for nth in 0..5 {
            assert_eq!(throttle.attempt("ann", address(nth), start), Ok(()));
        }
        let minute = Duration::from_secs(60);
        assert_eq!(throttle.attempt("Ann", address(9), start), Err(minute));
        assert_eq!(throttle.attempt("bob", address(9), start), Ok(()), "others are free");
        assert_eq!(throttle.attempt("ann", address(9), start + minute), Ok(()));
        assert!(throttle.attempt("ann", address(9), start + minute).is_err());
        assert_eq!(throttle.attempt("ann", address(9), start + minute * 7), Ok(()));
    }

    #[test]
    fn an_address_tries_thirty_names() {
        let (mut throttle, start) = (Throttle::default(), Instant::now());
        for nth in 0..30 {
            assert_eq!(throttle.attempt(&format!("user-{nth}"), HOME, start), Ok(()));
        }
        assert_eq!(throttle.attempt("other", HOME, start), Err(Duration::from_secs(6)));
        assert_eq!(throttle.attempt_from(HOME, start), Err(Duration::from_secs(6)));
        throttle.succeeded("user-1", HOME);
        assert_eq!(throttle.attempt("other", HOME, start), Ok(()));
        throttle.succeeded_from(HOME);
        assert_eq!(throttle.attempt_from(HOME, start), Ok(()));
        assert!(throttle.attempt_from(HOME, start).is_err());
    }

    #[test]
    fn memory_is_bounded_and_those_who_tried_most_stay_known() {
        let (mut throttle, start) = (Throttle::default(), Instant::now());
        for nth in 0..5 {
            throttle.attempt("ann", address(nth), start).unwrap();
        }
        for nth in 0..11_000 {
            throttle.attempt(&format!("user-{nth}"), address(nth + 9), start).unwrap();
        }
        assert!(throttle.names.0.len() <= REMEMBERED && throttle.addresses.0.len() <= REMEMBERED);
        assert!(throttle.attempt("ann", address(1), start).is_err());
        let later = start + Duration::from_secs(3_600);
        throttle.attempt("new", address(1), later).unwrap();
        assert_eq!(throttle.names.0.len(), 1, "what is over is forgotten");
    }
}
