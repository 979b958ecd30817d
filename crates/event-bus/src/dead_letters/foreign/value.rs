//! The values of headers, however others write them.

use jiff::Timestamp;

use crate::dead_letter::capped;
use crate::headers::{self, Header};

/// Whether there is a header of each of these names.
pub fn has_all(list: &[Header], names: &[&str]) -> bool {
    names.iter().all(|name| list.iter().any(|header| header.name == *name))
}

/// A text, at most as long as an error's of ours. An empty one says nothing.
pub fn utf8(bytes: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(bytes).ok().filter(|text| !text.is_empty())?;
    Some(capped(text.to_owned()))
}

/// The text of the last header of that name.
pub fn text(list: &[Header], name: &str) -> Option<String> {
    last(list, name).and_then(utf8)
}

/// A value that is written as text.
pub fn parsed<T: std::str::FromStr>(list: &[Header], name: &str) -> Option<T> {
    headers::last(list, name)?.parse().ok()
}

/// The bytes of the last header of that name.
pub fn last<'a>(list: &'a [Header], name: &str) -> Option<&'a [u8]> {
    list.iter().rev().find(|header| header.name == name)?.value.as_deref()
}

/// Java's `ByteBuffer.putInt`: four bytes, the highest first.
pub fn int(bytes: &[u8]) -> Option<i32> {
    Some(i32::from_be_bytes(bytes.try_into().ok()?))
}

/// Java's `ByteBuffer.putLong`: eight bytes, the highest first.
pub fn long(bytes: &[u8]) -> Option<i64> {
    Some(i64::from_be_bytes(bytes.try_into().ok()?))
}

/// Java's `BigInteger.toByteArray`: as few bytes as hold it, the highest first, with a sign.
pub fn big_integer(bytes: &[u8]) -> Option<i64> {
    let sign = if bytes.first()? & 0x80 == 0 { 0 } else { 0xff };
    let mut wide = [sign; 8];
    wide[8_usize.checked_sub(bytes.len())?..].copy_from_slice(bytes);
    Some(i64::from_be_bytes(wide))
}

/// A time from milliseconds since the epoch; Kafka's are negative where a record has none.
pub fn time(millis: i64) -> Option<Timestamp> {
    if millis <= 0 { None } else { Timestamp::from_millisecond(millis).ok() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_another_length_are_none() {
        assert_eq!(int(&[0, 0, 1, 2]), Some(258));
        assert_eq!(int(&[0xff; 4]), Some(-1));
        assert_eq!(long(&[0, 0, 0, 0, 0, 0, 1, 2]), Some(258));
        for length in [0, 1, 3, 5, 7, 9, 400] {
            assert_eq!((int(&vec![1; length]), long(&vec![1; length])), (None, None), "{length}");
        }
    }

    #[test]
    fn a_big_integer_is_as_short_as_it_can_be() {
        assert_eq!(big_integer(&[]), None);
        assert_eq!(big_integer(&[0]), Some(0));
        assert_eq!(big_integer(&[0xff]), Some(-1));
        assert_eq!(big_integer(&[0, 0x80]), Some(128));
        assert_eq!(big_integer(&1_767_323_045_678_i64.to_be_bytes()[2..]), Some(1_767_323_045_678));
        assert_eq!(big_integer(&i64::MIN.to_be_bytes()), Some(i64::MIN));
        assert_eq!(big_integer(&[1; 9]), None);
    }

    #[test]
    fn a_time_that_cannot_be_is_none() {
        assert_eq!(time(1), Timestamp::from_millisecond(1).ok());
        for millis in [-1, 0, i64::MIN, i64::MAX] {
            assert_eq!(time(millis), None);
        }
    }
}
