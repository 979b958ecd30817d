//! The log against a list of batches: whatever is done to both, they hold the same.

use bytes::Bytes;
use proptest::prelude::*;
use tempfile::TempDir;

use super::fixtures::{Spec, all, batch, headers, open, settings};
use crate::log::{BatchHeader, Log, LogSettings};

#[derive(Clone, Debug)]
enum Step {
    Append { records: usize, value_bytes: usize },
    Reopen { closed: bool },
    TruncateTo { share: f64 },
    DeleteBefore { share: f64 },
    Read { share: f64, max_bytes: usize },
}

fn step() -> impl Strategy<Value = Step> {
    let share = 0.0..1.0;
    prop_oneof![
        6 => (1_usize..5, 0_usize..3000)
            .prop_map(|(records, value_bytes)| Step::Append { records, value_bytes }),
        1 => any::<bool>().prop_map(|closed| Step::Reopen { closed }),
        1 => share.clone().prop_map(|share| Step::TruncateTo { share }),
        1 => share.clone().prop_map(|share| Step::DeleteBefore { share }),
        3 => (share, 0_usize..10_000).prop_map(|(share, max_bytes)| Step::Read { share, max_bytes }),
    ]
}

/// What a log should hold.
#[derive(Default)]
struct Model {
    batches: Vec<(BatchHeader, Bytes)>,
    start: i64,
}

impl Model {
    fn end(&self) -> i64 {
        self.batches.last().map_or(0, |(header, _)| header.next_offset())
    }

    fn at(&self, share: f64) -> i64 {
        #[expect(clippy::cast_possible_truncation, reason = "a share of a small number")]
        #[expect(clippy::cast_precision_loss, reason = "a small number")]
        let offset = ((self.end() + 1) as f64 * share) as i64;
        offset
    }

    fn from(&self, offset: i64) -> impl Iterator<Item = &Bytes> {
        self.batches
            .iter()
            .filter(move |(header, _)| header.next_offset() > offset)
            .map(|(_, bytes)| bytes)
    }

    fn all(&self) -> Bytes {
        self.from(self.start).flatten().copied().collect()
    }
}

fn run(steps: Vec<Step>, segment_bytes: u64, dir: Option<&TempDir>) {
    let settings = LogSettings { segment_bytes, ..settings() };
    let path = dir.map(TempDir::path);
    let mut log = Log::open(path, settings.clone(), |_| {}).unwrap();
    let mut model = Model::default();
    for step in steps {
        match step {
            Step::Append { records, value_bytes } => {
                let value = "v".repeat(value_bytes);
                let specs: Vec<Spec<'_>> =
                    (0..records).map(|_| ("key", Some(value.as_str()), 7)).collect();
                let mut bytes = batch(&specs);
                log.append(bytes.clone(), 0).unwrap();
                crate::log::batch::place(bytes.first_chunk_mut().unwrap(), model.end());
                model.batches.push((BatchHeader::check(&bytes).unwrap(), bytes.freeze()));
            }
            Step::Reopen { closed } => {
                let Some(dir) = dir else { continue };
                if closed {
                    log.close().unwrap();
                }
                drop(log);
                let mut seen = Vec::new();
                log = Log::open(Some(dir.path()), settings.clone(), |header| {
                    seen.push(header.clone());
                })
                .unwrap();
                let expected = model.batches.iter().map(|(header, _)| header);
                assert!(
                    expected.clone().eq(&seen[..])
                        || seen.iter().all(|seen| expected.clone().any(|header| header == seen))
                );
            }
            Step::TruncateTo { share } => {
                let at_least = model.at(share).max(model.start);
                let ends = model.batches.iter().map(|(header, _)| header.next_offset());
                let offset = ends.filter(|end| *end >= at_least).min().unwrap_or(model.end());
                log.truncate_to(offset).unwrap();
                model.batches.retain(|(header, _)| header.next_offset() <= offset);
            }
            Step::DeleteBefore { share } => {
                let offset = model.at(share).min(model.end());
                log.delete_records_before(offset).unwrap();
                model.start = model.start.max(offset);
            }
            Step::Read { share, max_bytes } => {
                let from = model.at(share).clamp(model.start, model.end());
                let bytes = log.read(from, model.end(), max_bytes, true).unwrap();
                let expected: Vec<u8> = model.from(from).flatten().copied().collect();
                assert!(expected.starts_with(&bytes));
                assert!(bytes.len() <= max_bytes || headers(&bytes).len() == 1);
                assert_eq!(bytes.is_empty(), from == model.end());
            }
        }
        assert_eq!((log.start_offset(), log.end_offset()), (model.start, model.end()));
    }
    assert_eq!(all(&log).unwrap(), model.all());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn a_log_on_disk_holds_what_a_list_would(
        steps in prop::collection::vec(step(), 1..60),
        segment_bytes in 1_u64..20_000,
    ) {
        run(steps, segment_bytes, Some(&TempDir::new().unwrap()));
    }

    #[test]
    fn a_log_in_memory_holds_what_a_list_would(
        steps in prop::collection::vec(step(), 1..60),
        segment_bytes in 1_u64..20_000,
    ) {
        run(steps, segment_bytes, None);
    }
}

#[test]
fn a_second_open_sees_every_batch_once() {
    let dir = TempDir::new().unwrap();
    let mut log = open(dir.path(), LogSettings { segment_bytes: 300, ..settings() }).unwrap();
    super::fixtures::fill(&mut log);
    drop(log);
    let mut offsets = Vec::new();
    Log::open(Some(dir.path()), settings(), |header| offsets.push(header.base_offset)).unwrap();
    assert_eq!(offsets, [0, 1, 3, 6, 7, 9]);
}
