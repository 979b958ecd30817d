use super::*;
use crate::bank::Fate;
use crate::history::{Balance, Booking, Letter, Movement, Published, Sample};

/// Two customers in two partitions. The second movement of `a` is dead.
fn healthy() -> History {
    let mut history = History::default();
    for (partition, key, fates) in
        [(0, "a", [Fate::Book, Fate::Fail, Fate::Book]), (1, "b", [Fate::Book; 3])]
    {
        for ((version, offset), fate) in (1..).zip(0..).zip(fates) {
            let (id, pence) = (format!("{key}{version}"), 10 * version);
            let movement = Movement { version, id: id.clone(), pence, fate };
            history.source.entry(key.to_owned()).or_default().push(movement);
            let bytes = id.clone().into_bytes();
            let dlq_id = format!("letter of {id}");
            let bank = history.bank.entry(key.to_owned()).or_default();
            bank.current -= pence;
            bank.savings += pence;
            let (key, previous) = (key.to_owned(), version - 1);
            if let Some(reason) = fate.deaths().first() {
                history.letters.push(Letter {
                    dlq_id: dlq_id.clone(),
                    partition,
                    offset,
                    reason: (*reason).to_owned(),
                    attempts: "4".to_owned(),
                    bytes: bytes.clone(),
                });
            } else {
                let balance = history.ledger.entry(key.clone()).or_default();
                balance.current -= pence;
                balance.savings += pence;
                history.bookings.push(Booking { key: key.clone(), version, id: id.clone(), pence });
            }
            let record = Published { partition, offset, id, key, version, previous, bytes, dlq_id };
            history.published.push(record);
        }
    }
    history.ghosts.insert("ghost".to_owned());
    let inbox = history.published.iter().map(|record| record.id.clone()).collect();
    history.samples.push(Sample { committed: [(0, 3), (1, 3)].into(), inbox });
    history.aborts.insert("c1".to_owned(), ATTEMPTS_OF_POISON);
    history
}

const ATTEMPTS_OF_POISON: u32 = crate::bank::ATTEMPTS;

/// The promises that the history breaks once it was changed.
fn broken(change: impl FnOnce(&mut History)) -> Vec<Promise> {
    let mut history = healthy();
    change(&mut history);
    let mut promises: Vec<Promise> =
        violations(&history).into_iter().map(|violation| violation.promise).collect();
    promises.sort_unstable();
    promises.dedup();
    promises
}

#[test]
fn a_healthy_history_breaks_nothing() {
    assert_eq!(violations(&healthy()), []);
}

#[test]
fn a_repeated_record_breaks_nothing() {
    let promises = broken(|history| {
        let mut again = history.published[0].clone();
        again.offset = 3;
        history.published.insert(3, again);
    });
    assert_eq!(promises, []);
}

#[test]
fn what_was_never_published_is_lost() {
    let promises = broken(|history| drop(history.published.pop()));
    assert_eq!(promises, [Promise::NoLoss]);
}

#[test]
fn what_has_no_effect_is_lost_and_its_money_is_missing() {
    let promises = broken(|history| {
        drop(history.bookings.pop());
        *history.ledger.get_mut("b").unwrap() = Balance { current: -30, savings: 30 };
    });
    assert_eq!(promises, [Promise::NoLoss, Promise::MoneyConserved]);
}

#[test]
fn a_second_effect_is_noticed() {
    let promises = broken(|history| history.bookings.push(history.bookings[0].clone()));
    assert_eq!(promises, [Promise::ExactlyOnce]);
}

#[test]
fn a_second_effect_shows_in_the_accounts_too() {
    let promises = broken(|history| history.ledger.get_mut("a").unwrap().savings += 10);
    assert_eq!(promises, [Promise::MoneyConserved]);
}

#[test]
fn a_ghost_is_noticed_on_the_topic_and_in_the_ledger() {
    let promises = broken(|history| {
        let mut ghost = history.published[5].clone();
        (ghost.id, ghost.offset, ghost.version, ghost.previous) = ("ghost".to_owned(), 3, 4, 3);
        history.published.push(ghost);
    });
    assert_eq!(promises, [Promise::NoGhosts]);
    let promises = broken(|history| history.bookings[0].id = "ghost".to_owned());
    assert!(promises.contains(&Promise::NoGhosts), "{promises:?}");
    let promises = broken(|history| assert!(history.ghosts.insert("a1".to_owned())));
    assert_eq!(promises, [Promise::NoGhosts]);
}

#[test]
fn effects_out_of_order_are_noticed() {
    assert_eq!(broken(|history| history.bookings.swap(2, 3)), [Promise::Order]);
}

#[test]
fn records_out_of_order_are_noticed() {
    assert_eq!(broken(|history| history.published.swap(4, 5)), [Promise::Order]);
}

#[test]
fn a_key_in_two_partitions_is_noticed() {
    let promises = broken(|history| history.published[5].partition = 0);
    assert!(promises.contains(&Promise::Order), "{promises:?}");
}

#[test]
fn a_letter_that_is_missing_doubled_or_changed_is_noticed() {
    let promises = broken(|history| history.letters.clear());
    assert!(promises.contains(&Promise::ExactDeadLetters), "{promises:?}");
    let twice = broken(|history| {
        let other = Letter { reason: "rejected".to_owned(), ..history.letters[0].clone() };
        history.letters.push(other);
    });
    assert_eq!(twice, [Promise::ExactDeadLetters]);
    let sent_again = broken(|history| history.letters.push(history.letters[0].clone()));
    assert_eq!(sent_again, []);
    let changed = broken(|history| history.letters[0].bytes.push(0));
    assert_eq!(changed, [Promise::ExactDeadLetters]);
    let renamed = broken(|history| history.letters[0].dlq_id.push('x'));
    assert_eq!(renamed, [Promise::ExactDeadLetters]);
    let killed = broken(|history| history.letters[0].reason = "crashed".to_owned());
    assert_eq!(killed, [], "a kill may come in the last attempt");
    let other_reason = broken(|history| history.letters[0].reason = "rejected".to_owned());
    assert_eq!(other_reason, [Promise::ExactDeadLetters]);
}

#[test]
fn a_neighbour_that_dies_is_noticed() {
    let promises = broken(|history| {
        let record = &history.published[0];
        let letter = Letter {
            dlq_id: record.dlq_id.clone(),
            offset: record.offset,
            bytes: record.bytes.clone(),
            ..history.letters[0].clone()
        };
        history.letters.push(letter);
    });
    assert!(promises.contains(&Promise::ExactDeadLetters), "{promises:?}");
}

#[test]
fn an_effect_of_the_dead_is_noticed() {
    let promises = broken(|history| {
        let effect = Booking { key: "a".to_owned(), version: 2, id: "a2".to_owned(), pence: 20 };
        history.bookings.insert(1, effect);
    });
    assert!(promises.contains(&Promise::ExactDeadLetters), "{promises:?}");
}

#[test]
fn an_offset_that_passes_what_is_not_in_the_inbox_is_noticed() {
    let promises = broken(|history| assert!(history.samples[0].inbox.remove("b2")));
    assert_eq!(promises, [Promise::OffsetBehindEffects]);
    let promises = broken(|history| {
        history.samples[0].inbox.remove("b3");
        history.samples[0].committed.insert(1, 2);
    });
    assert_eq!(promises, []);
}

#[test]
fn a_fifth_death_is_noticed() {
    let promises = broken(|history| *history.aborts.get_mut("c1").unwrap() += 1);
    assert_eq!(promises, [Promise::BoundedDeaths]);
}

#[test]
fn whatever_a_replay_changes_is_noticed() {
    assert_eq!(unchanged(&healthy(), &healthy()), []);
    let changes: [fn(&mut History); 3] = [
        |history| history.bookings.push(history.bookings[0].clone()),
        |history| history.ledger.get_mut("a").unwrap().savings += 1,
        |history| {
            let letter = Letter { dlq_id: "another".to_owned(), ..history.letters[0].clone() };
            history.letters.push(letter);
        },
    ];
    for change in changes {
        let mut after = healthy();
        change(&mut after);
        assert_eq!(unchanged(&healthy(), &after).len(), 1);
    }
}
