//! The partition of a key, the same in every language: murmur2 as Kafka's Java client has it.

/// Kafka's 32-bit murmur2, `org.apache.kafka.common.utils.Utils.murmur2`.
pub fn murmur2(data: &[u8]) -> u32 {
    const SEED: u32 = 0x9747_b28c;
    const M: u32 = 0x5bd1_e995;
    const R: u32 = 24;
    #[expect(clippy::cast_possible_truncation, reason = "Java's length has 32 bits too")]
    let mut hash = SEED ^ (data.len() as u32);
    let mut words = data.chunks_exact(4);
    for word in &mut words {
        let mut k = u32::from_le_bytes([word[0], word[1], word[2], word[3]]).wrapping_mul(M);
        k ^= k >> R;
        hash = hash.wrapping_mul(M) ^ k.wrapping_mul(M);
    }
    let rest = words.remainder();
    if !rest.is_empty() {
        for (position, byte) in rest.iter().enumerate() {
            hash ^= u32::from(*byte) << (8 * position);
        }
        hash = hash.wrapping_mul(M);
    }
    hash ^= hash >> 13;
    hash = hash.wrapping_mul(M);
    hash ^ (hash >> 15)
}

/// The partition of `key` on a topic of `partitions` partitions, as Java's default partitioner
/// chooses it.
///
/// # Panics
/// When `partitions` is below 1: no topic has none.
pub fn partition_for(key: &[u8], partitions: i32) -> i32 {
    assert!(partitions >= 1, "a topic has at least one partition");
    (murmur2(key) & 0x7fff_ffff).cast_signed() % partitions
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn hashes_equal_those_of_kafkas_own_tests() {
        for (text, hash) in [
            ("21", -973_932_308),
            ("foobar", -790_332_482),
            ("a-little-bit-long-string", -985_981_536),
            ("a-little-bit-longer-string", -1_486_304_829),
            ("lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58_897_971),
            ("abc", 479_470_107),
        ] {
            assert_eq!(murmur2(text.as_bytes()).cast_signed(), hash, "{text}");
        }
    }

    #[test]
    fn the_partition_of_a_negative_hash_drops_the_sign_as_java_does() {
        // 0x7fffffff & -973932308 = 1173551340, and 1173551340 mod 6 = 0.
        assert_eq!(partition_for(b"21", 6), 1_173_551_340 % 6);
        assert_eq!(partition_for(b"abc", 6), 479_470_107 % 6);
    }

    proptest! {
        #[test]
        fn every_key_has_a_partition_of_its_topic(
            key in prop::collection::vec(any::<u8>(), 0..64),
            partitions in 1..1000i32,
        ) {
            prop_assert!((0..partitions).contains(&partition_for(&key, partitions)));
        }
    }
}
