//! What is not served is written down.

use std::collections::BTreeSet;

use kafka_protocol::messages::ApiKey;

const SKIPPED: &str = include_str!("../../../SKIPPED.md");

/// The numbers in a text such as `29–31, 43` or `4 to 7, 82`.
fn numbers(text: &str) -> BTreeSet<i16> {
    let text = text.replace(" to ", "–").replace(" and ", ", ");
    let ranges = text.split(',').filter_map(|range| {
        let mut ends = range.split('–').map(|end| end.trim().parse::<i16>());
        let first = ends.next()?.ok()?;
        Some(first..=ends.next().map_or(Ok(first), |end| end).ok()?)
    });
    ranges.flatten().collect()
}

#[test]
fn each_api_is_served_or_told_to_be_skipped_and_never_both() {
    let rows = SKIPPED.lines().filter_map(|line| line.strip_prefix("| ")?.split('|').next());
    let internal = SKIPPED.lines().find_map(|line| line.strip_prefix("Keys ")).unwrap();
    let internal = internal.split(" are ").next().unwrap();
    let skipped: BTreeSet<i16> = rows.chain([internal]).flat_map(numbers).collect();
    let served: BTreeSet<i16> = crate::api::registry().keys().copied().collect();
    assert_eq!(skipped.intersection(&served).collect::<Vec<_>>(), Vec::<&i16>::new());
    let known = ApiKey::iter().map(|key| key as i16);
    let untold: Vec<i16> =
        known.filter(|key| !skipped.contains(key) && !served.contains(key)).collect();
    assert_eq!(untold, Vec::<i16>::new());
}
