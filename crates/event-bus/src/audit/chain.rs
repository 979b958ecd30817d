//! The audit of an ops store: rows of which each has the hash of the one before it. Pure.
//!
//! Whoever changes, removes or reorders a row has to change all behind it, and what was sent to the topic of audit before.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use uuid::Uuid;

/// Stands at the beginning of what is hashed, and changes with it.
pub const FORM: &str = "event-bus-audit/1";
/// The hash before the first row.
pub const START: &str = "0000000000000000000000000000000000000000000000000000000000000000";
/// So far away a row is looked for that stands in another's place.
const NEAR: i64 = 1_000;

/// What somebody is about to do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Entry {
    /// Who: a user's or a token's name.
    pub actor: String,
    /// What that one may do: a role, or from where it is done.
    pub role: String,
    /// What, such as `replay`.
    pub action: String,
    /// With what: an id, a name, a filter.
    pub object: String,
    /// Why.
    pub reason: Option<String>,
    /// More about it.
    pub detail: serde_json::Value,
}

/// A row of the audit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Link {
    /// The chain: each ops store has one.
    pub chain: Uuid,
    /// Its place, from 1.
    pub seq: i64,
    /// When, in nanoseconds since 1970.
    pub at: i64,
    /// Who.
    pub actor: String,
    /// What that one may do: a role, or from where it is done.
    pub role: String,
    /// What.
    pub action: String,
    /// With what.
    pub object: String,
    /// Why.
    pub reason: Option<String>,
    /// More about it, as JSON.
    pub detail: String,
    /// The hash of the row before.
    pub previous: String,
    /// The hash of this one.
    pub hash: String,
}

impl Link {
    /// The next row of a chain behind the one with this place and hash; the first one behind none.
    #[must_use]
    pub fn next(chain: Uuid, last: Option<(i64, String)>, at: Timestamp, entry: &Entry) -> Self {
        let (seq, previous) = last.unwrap_or((0, START.to_owned()));
        let mut link = Self {
            chain,
            seq: seq + 1,
            at: i64::try_from(at.as_nanosecond()).unwrap_or(i64::MAX),
            actor: entry.actor.clone(),
            role: entry.role.clone(),
            action: entry.action.clone(),
            object: entry.object.clone(),
            reason: entry.reason.clone(),
            detail: entry.detail.to_string(),
            previous,
            hash: String::new(),
        };
        link.hash = link.digest();
        link
    }

    /// The SHA-256 of what it says, in lower-case hexadecimal digits: of the compact JSON array of [`FORM`], the chain, and
    /// all other fields in their order, but the hash.
    #[must_use]
    pub fn digest(&self) -> String {
        let said = serde_json::json!([
            FORM,
            self.chain,
            self.seq,
            self.at,
            self.actor,
            self.role,
            self.action,
            self.object,
            self.reason,
            self.detail,
            self.previous,
        ]);
        let digest: [u8; 32] = Sha256::digest(said.to_string().as_bytes()).into();
        digest.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// When it was written.
    #[must_use]
    pub fn written_at(&self) -> Timestamp {
        Timestamp::from_nanosecond(self.at.into()).unwrap_or_default()
    }

    /// What another row says differently.
    fn differences(&self, other: &Self) -> String {
        let reason = |link: &Self| format!("{:?}", link.reason);
        let fields = [
            ("chain", self.chain.to_string(), other.chain.to_string()),
            ("at", self.at.to_string(), other.at.to_string()),
            ("actor", self.actor.clone(), other.actor.clone()),
            ("role", self.role.clone(), other.role.clone()),
            ("action", self.action.clone(), other.action.clone()),
            ("object", self.object.clone(), other.object.clone()),
            ("reason", reason(self), reason(other)),
            ("detail", self.detail.clone(), other.detail.clone()),
            ("previous", self.previous.clone(), other.previous.clone()),
            ("hash", self.hash.clone(), other.hash.clone()),
        ];
        let told = fields.iter().filter(|(_, was, is)| was != is);
        told.map(|(name, was, is)| format!("{name} was {was} and is {is}"))
            .collect::<Vec<_>>()
            .join("; ")
    }
}

/// The first thing that is wrong with a chain.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Flaw {
    /// A row is gone.
    #[error("row {seq} is missing: the next one that is there is row {found}")]
    Missing {
        /// Its place.
        seq: i64,
        /// The place of the next one.
        found: i64,
    },
    /// A row stands in another's place.
    #[error("row {seq} is what was written as row {was}: the rows were reordered")]
    Moved {
        /// Where it stands.
        seq: i64,
        /// Where it stood.
        was: i64,
    },
    /// A row says something else than what was written.
    #[error("row {seq} was changed: {what}")]
    Changed {
        /// Its place.
        seq: i64,
        /// What differs, as far as it is known.
        what: String,
    },
    /// A row does not follow the one before it.
    #[error("row {seq} does not follow row {}: it has another hash for that one", seq - 1)]
    Unchained {
        /// Its place.
        seq: i64,
    },
    /// The last rows are gone.
    #[error("row {seq} is missing, and all behind it: the topic of audit has rows up to {last}")]
    CutOff {
        /// The first that is gone.
        seq: i64,
        /// The last that was sent to the topic.
        last: i64,
    },
    /// It is not the chain that was wanted.
    #[error("the store has {}, and not the chain {wanted}", found.map_or("no chain".to_owned(), |found| format!("the chain {found}")))]
    OtherChain {
        /// Which was wanted.
        wanted: Uuid,
        /// Which there is; none before the first row.
        found: Option<Uuid>,
    },
    /// A row was sent to the topic, and is not there.
    #[error("row {seq} is not on the topic of audit, though it was sent there")]
    NotOnTopic {
        /// Its place.
        seq: i64,
    },
}

/// Walks over a chain from its first row on.
#[derive(Debug, Default)]
pub struct Walk {
    last: Option<(i64, String)>,
    /// What was sent to the topic of audit.
    sent: BTreeMap<i64, Link>,
    /// Up to this row all were sent before the topic was read.
    sent_up_to: i64,
}

impl Walk {
    /// Beside what the topic of audit has of this chain, where the store said before the topic was read that the rows up to
    /// this one were sent there. Of what was sent twice the first one counts.
    #[must_use]
    pub fn beside(sent: impl IntoIterator<Item = Link>, sent_up_to: i64) -> Self {
        let mut walk = Self { sent_up_to, ..Self::default() };
        for link in sent {
            walk.sent.entry(link.seq).or_insert(link);
        }
        walk
    }

    /// How many rows were walked over.
    #[must_use]
    pub fn rows(&self) -> i64 {
        self.last.as_ref().map_or(0, |(seq, _)| *seq)
    }

    /// The next row.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn step(&mut self, link: &Link) -> Result<(), Flaw> {
        let (last, previous) = self.last.clone().unwrap_or((0, START.to_owned()));
        let seq = last + 1;
        if link.seq != seq {
            return Err(Flaw::Missing { seq, found: link.seq });
        }
        let copy = self.sent.get(&seq);
        if let Some(copy) = copy.filter(|copy| *copy != link) {
            let was = self.sent.values().find(|other| other.hash == link.hash && other.seq != seq);
            return Err(match was {
                Some(other) => Flaw::Moved { seq, was: other.seq },
                None => Flaw::Changed { seq, what: copy.differences(link) },
            });
        }
        if link.digest() != link.hash {
            let near = (seq - NEAR).max(1)..=seq + NEAR;
            let was =
                near.into_iter().find(|at| Link { seq: *at, ..link.clone() }.digest() == link.hash);
            return Err(match was {
                Some(was) => Flaw::Moved { seq, was },
                None => {
                    Flaw::Changed { seq, what: "what it says does not fit its hash".to_owned() }
                }
            });
        }
        if link.previous != previous {
            return Err(Flaw::Unchained { seq });
        }
        let begins = self.sent.keys().next().copied();
        if seq <= self.sent_up_to && copy.is_none() && begins.is_none_or(|begins| begins <= seq) {
            return Err(Flaw::NotOnTopic { seq });
        }
        self.last = Some((seq, link.hash.clone()));
        Ok(())
    }

    /// That there is no other row.
    ///
    /// # Errors
    /// When the topic has rows behind the last one.
    pub fn end(&self) -> Result<(), Flaw> {
        let rows = self.rows();
        match self.sent.keys().next_back() {
            Some(last) if *last > rows => Err(Flaw::CutOff { seq: rows + 1, last: *last }),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chain(rows: i64) -> Vec<Link> {
        let id = Uuid::from_u128(7);
        let mut links: Vec<Link> = Vec::new();
        for nth in 1..=rows {
            let entry = Entry {
                actor: "ann".to_owned(),
                role: "operator".to_owned(),
                action: "discard".to_owned(),
                object: format!("letter {nth}"),
                reason: Some("spam".to_owned()),
                detail: serde_json::json!({ "letters": nth }),
            };
            let last = links.last().map(|link| (link.seq, link.hash.clone()));
            let at = Timestamp::from_second(1_700_000_000 + nth).unwrap();
            links.push(Link::next(id, last, at, &entry));
        }
        links
    }

    fn walked(rows: &[Link], sent: &[Link]) -> Result<i64, Flaw> {
        let sent_up_to = sent.last().map_or(0, |link| link.seq);
        let mut walk = Walk::beside(sent.to_vec(), sent_up_to);
        rows.iter().try_for_each(|link| walk.step(link))?;
        walk.end()?;
        Ok(walk.rows())
    }

    /// Each row anew, as one who knows how the hashes are made would write them.
    fn forged(links: &[Link]) -> Vec<Link> {
        let mut forged: Vec<Link> = Vec::new();
        for link in links {
            let mut link = link.clone();
            link.previous = forged.last().map_or(START.to_owned(), |last| last.hash.clone());
            link.hash = link.digest();
            forged.push(link);
        }
        forged
    }

    #[test]
    fn the_form_is_what_the_documentation_says() {
        let link = &chain(1)[0];
        let said = r#"["event-bus-audit/1","00000000-0000-0000-0000-000000000007",1,1700000001000000000,"ann","operator","discard","letter 1","spam","{\"letters\":1}","0000000000000000000000000000000000000000000000000000000000000000"]"#;
        let digest: [u8; 32] = Sha256::digest(said.as_bytes()).into();
        let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(link.hash, hex);
    }

    #[test]
    fn what_is_wrong_is_found_where_it_is() {
        let whole = chain(5);
        assert_eq!(
            (walked(&whole, &[]), walked(&whole, &whole), walked(&[], &[])),
            (Ok(5), Ok(5), Ok(0))
        );
        let mut changed = whole.clone();
        changed[2].reason = None;
        let told = walked(&changed, &[]).unwrap_err().to_string();
        assert_eq!(told, "row 3 was changed: what it says does not fit its hash");
        let told = walked(&changed, &whole).unwrap_err().to_string();
        assert_eq!(told, "row 3 was changed: reason was Some(\"spam\") and is None");
        let mut removed = whole.clone();
        removed.remove(1);
        assert_eq!(walked(&removed, &[]), Err(Flaw::Missing { seq: 2, found: 3 }));
        let mut swapped = whole.clone();
        swapped.swap(1, 3);
        (swapped[1].seq, swapped[3].seq) = (2, 4);
        for sent in [&[][..], &whole] {
            assert_eq!(walked(&swapped, sent), Err(Flaw::Moved { seq: 2, was: 4 }));
        }
        let mut renumbered = removed.clone();
        for (link, seq) in renumbered.iter_mut().zip(1..) {
            link.seq = seq;
            link.hash = link.digest();
        }
        assert_eq!(walked(&renumbered, &[]), Err(Flaw::Unchained { seq: 2 }));
    }

    #[test]
    fn what_the_rows_alone_do_not_tell_the_topic_does() {
        let whole = chain(5);
        assert_eq!(walked(&whole[..3], &[]), Ok(3));
        assert_eq!(walked(&whole[..3], &whole), Err(Flaw::CutOff { seq: 4, last: 5 }));
        let mut other = whole.clone();
        other[1].actor = "bob".to_owned();
        let other = forged(&other);
        assert_eq!(walked(&other, &[]), Ok(5));
        let told = walked(&other, &whole).unwrap_err().to_string();
        assert!(
            told.starts_with("row 2 was changed: actor was ann and is bob; hash was"),
            "{told}"
        );
        let walked_beside = |sent: &[Link], sent_up_to| {
            let mut walk = Walk::beside(sent.to_vec(), sent_up_to);
            whole.iter().try_for_each(|link| walk.step(link))
        };
        assert_eq!(walked_beside(&whole[..2], 3), Err(Flaw::NotOnTopic { seq: 3 }));
        // What the topic has no more, for it keeps its records for a time, is no flaw.
        assert_eq!(walked_beside(&whole[2..], 5), Ok(()));
        // What was not sent yet is none either, nor what was sent once the topic was read.
        assert_eq!(walked_beside(&whole[..2], 2), Ok(()));
        assert_eq!(walked_beside(&[], 0), Ok(()));
    }
}
