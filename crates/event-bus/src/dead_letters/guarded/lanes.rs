//! Puts what is read from dead letter topics into the order in which it is to be sent. Pure.

use std::collections::{BTreeMap, HashMap, VecDeque};

use uuid::Uuid;

use crate::dead_letters::act::is_of;
use crate::kafka::Record;
use crate::kafka::admin::TopicPartition;
use crate::store::ops::ToSend;

/// What is to be sent and was not handed out yet, lane by lane.
#[derive(Debug, Default)]
pub(super) struct Lanes {
    lanes: BTreeMap<TopicPartition, Lane>,
}

#[derive(Debug, Default)]
struct Lane {
    /// In the order of their places.
    wanted: VecDeque<ToSend>,
    /// Which places stand at which offsets, and of which dead letters they are.
    places: HashMap<i64, (i64, Uuid)>,
    /// What was read before its turn, by place: of a parked key whose earlier dead letter died again.
    early: BTreeMap<i64, Record>,
    /// All before this offset was read.
    read_to: i64,
}

/// A dead letter whose turn it is.
#[derive(Debug)]
pub(super) enum Ready {
    Send(ToSend, Record),
    /// Retention took its record.
    Gone(ToSend),
}

impl Lanes {
    /// Of each lane, they come in the order of their places.
    pub(super) fn new(to_send: Vec<ToSend>) -> Self {
        let mut lanes = Self::default();
        for one in to_send {
            let lane = lanes.lanes.entry(one.lane.clone()).or_default();
            lane.places.insert(one.dead_letter_offset, (one.place, one.letter));
            lane.wanted.push_back(one);
        }
        lanes
    }

    /// Where each lane is to be read from.
    pub(super) fn starts(&self) -> BTreeMap<TopicPartition, i64> {
        let starts = self.lanes.iter().filter_map(|(at, lane)| {
            Some((at.clone(), lane.wanted.iter().map(|one| one.dead_letter_offset).min()?))
        });
        starts.collect()
    }

    /// Of each lane, the place after the last one.
    pub(super) fn ends(&self) -> BTreeMap<TopicPartition, i64> {
        let ends = self.lanes.iter();
        ends.filter_map(|(at, lane)| Some((at.clone(), lane.wanted.back()?.place + 1))).collect()
    }

    /// How many were not handed out yet.
    pub(super) fn len(&self) -> usize {
        self.lanes.values().map(|lane| lane.wanted.len()).sum()
    }

    /// Whether all were handed out.
    pub(super) fn is_empty(&self) -> bool {
        self.lanes.is_empty()
    }

    /// Takes the next record of a lane in, and hands out whose turn it is then.
    pub(super) fn take(&mut self, record: Record) -> Vec<Ready> {
        let at = TopicPartition { topic: record.topic.clone(), partition: record.partition };
        let Some(lane) = self.lanes.get_mut(&at) else { return Vec::new() };
        lane.read_to = record.offset + 1;
        // Where the topic was made anew, another one stands there.
        if let Some((place, letter)) = lane.places.get(&record.offset)
            && is_of(&record, *letter)
        {
            lane.early.insert(*place, record);
        }
        let ready = lane.ready();
        if lane.wanted.is_empty() {
            self.lanes.remove(&at);
        }
        ready
    }

    /// Nothing more is to be read.
    pub(super) fn end(&mut self) -> Vec<Ready> {
        let lanes = std::mem::take(&mut self.lanes).into_values();
        lanes.flat_map(|lane| Lane { read_to: i64::MAX, ..lane }.ready()).collect()
    }
}

impl Lane {
    fn ready(&mut self) -> Vec<Ready> {
        let mut ready = Vec::new();
        while let Some(next) = self.wanted.pop_front() {
            if let Some(record) = self.early.remove(&next.place) {
                ready.push(Ready::Send(next, record));
            } else if next.dead_letter_offset < self.read_to {
                ready.push(Ready::Gone(next));
            } else {
                self.wanted.push_front(next);
                break;
            }
        }
        ready
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::headers::{DLQ_ID, Header};

    fn to_send(place: i64, offset: i64) -> ToSend {
        ToSend {
            letter: Uuid::from_u128(u128::try_from(offset).unwrap()),
            lane: TopicPartition { topic: "shop.order.placed.dlq".parse().unwrap(), partition: 0 },
            dead_letter_offset: offset,
            place,
            topic: "shop.order.placed".parse().unwrap(),
            partition: 0,
            group: "shop-payment-order-placed".parse().unwrap(),
            event_id: "0197f3b4-7c1e-7b1a-9d55-0c7a3f1f2a10".parse().unwrap(),
            chain_seq: None,
        }
    }

    fn read(lanes: &mut Lanes, offset: i64) -> Vec<String> {
        read_of(lanes, offset, offset)
    }

    /// Reads a dead letter that stands where another one is expected.
    fn read_of(lanes: &mut Lanes, offset: i64, letter: i64) -> Vec<String> {
        let id = Uuid::from_u128(u128::try_from(letter).unwrap()).to_string();
        let record = Record {
            topic: "shop.order.placed.dlq".parse().unwrap(),
            partition: 0,
            offset,
            timestamp_ms: 0,
            key: None,
            value: None,
            headers: vec![Header::text(DLQ_ID, id)],
        };
        told(lanes.take(record))
    }

    fn told(ready: Vec<Ready>) -> Vec<String> {
        let tell = |ready| match ready {
            Ready::Send(one, record) => {
                assert_eq!(one.dead_letter_offset, record.offset);
                record.offset.to_string()
            }
            Ready::Gone(one) => format!("{} gone", one.dead_letter_offset),
        };
        ready.into_iter().map(tell).collect()
    }

    #[test]
    fn what_others_wrote_between_is_passed_over_and_what_is_missing_is_gone() {
        let mut lanes = Lanes::new(vec![to_send(0, 10), to_send(1, 12), to_send(2, 15)]);
        assert_eq!(lanes.starts().into_values().collect::<Vec<_>>(), [10]);
        assert_eq!(read(&mut lanes, 10), ["10"]);
        assert!(read(&mut lanes, 11).is_empty());
        assert_eq!(read(&mut lanes, 14), ["12 gone"]);
        assert!(!lanes.is_empty());
        assert_eq!(told(lanes.end()), ["15 gone"]);
        assert!(lanes.is_empty());
    }

    #[test]
    fn another_dead_letter_in_its_place_is_not_sent() {
        let mut lanes = Lanes::new(vec![to_send(0, 10), to_send(1, 12)]);
        assert_eq!(read_of(&mut lanes, 10, 77), ["10 gone"]);
        assert_eq!(read(&mut lanes, 12), ["12"]);
    }

    #[test]
    fn what_is_read_before_its_turn_waits_for_it() {
        let mut lanes =
            Lanes::new(vec![to_send(0, 9), to_send(1, 20), to_send(2, 10), to_send(3, 12)]);
        assert_eq!(read(&mut lanes, 9), ["9"]);
        assert!(read(&mut lanes, 10).is_empty() && read(&mut lanes, 12).is_empty());
        assert_eq!(read(&mut lanes, 20), ["20", "10", "12"]);
        assert!(lanes.is_empty());
    }
}
