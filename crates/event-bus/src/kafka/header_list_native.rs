//! librdkafka's header lists, used again and again.
//!
//! A record's headers are nine pieces of memory. Allocating them on one thread and freeing them on another costs more
//! than all else that a client does with a record; so a list is taken back with its record's delivery report, and the
//! next record of its topic replaces only the headers in which it differs.
#![expect(
    unsafe_code,
    reason = "rdkafka has no safe call that takes a header list back or a header name with its length"
)]

use std::ffi::{CStr, c_void};
use std::mem::ManuallyDrop;
use std::ptr::{self, NonNull};
use std::slice;
use std::sync::{Mutex, PoisonError};

use rdkafka::error::IsError;
use rdkafka::message::BorrowedMessage;
use rdkafka_sys as native;

use crate::headers::Parts;

/// What is kept of one topic, if so many of its records were under way at once: lists of about 1 KB each. Where more
/// come and go together than are kept, those beyond cost what all did before.
const MAX_SPARE: usize = 16_384;
/// The longest name that can be replaced; none of the bus's own is as long.
const MAX_NAME: usize = 63;

/// A header list that is ours. librdkafka keeps the names terminated by a zero byte.
pub(super) struct HeaderList(NonNull<native::rd_kafka_headers_t>);

// SAFETY: librdkafka ties a list to no thread, and whoever has this has the only address of it.
unsafe impl Send for HeaderList {}

impl Drop for HeaderList {
    fn drop(&mut self) {
        // SAFETY: the list is ours: what was given away is forgotten instead.
        unsafe { native::rd_kafka_headers_destroy(self.0.as_ptr()) }
    }
}

impl HeaderList {
    pub(super) fn of<'a>(headers: impl ExactSizeIterator<Item = Parts<'a>>) -> HeaderList {
        // SAFETY: a list of its own; librdkafka ends the process when it gets no memory, so it is never null.
        let list = unsafe { NonNull::new_unchecked(native::rd_kafka_headers_new(headers.len())) };
        let mut list = HeaderList(list);
        list.extend(headers);
        list
    }

    /// Takes the headers out of a message that was sent.
    pub(super) fn taken_from(message: &BorrowedMessage<'_>) -> Option<HeaderList> {
        let mut list = ptr::null_mut();
        // SAFETY: the message is alive for the call, which writes a list into `list` and forgets it, or reports that
        // there is none.
        let error =
            unsafe { native::rd_kafka_message_detach_headers(message.ptr(), &raw mut list) };
        if error.is_error() { None } else { NonNull::new(list).map(HeaderList) }
    }

    /// Makes these the list's headers. What both begin with stays as it is.
    pub(super) fn become_list_of<'a>(
        mut self,
        headers: impl ExactSizeIterator<Item = Parts<'a>> + Clone,
    ) -> HeaderList {
        let kept = headers
            .clone()
            .enumerate()
            .take_while(|(at, wanted)| {
                self.get(*at).is_some_and(|(name, value)| {
                    name.to_bytes() == wanted.0.as_bytes() && value == wanted.1
                })
            })
            .count();
        if self.truncate(kept) {
            self.extend(headers.skip(kept));
            self
        } else {
            HeaderList::of(headers)
        }
    }

    fn extend<'a>(&mut self, headers: impl Iterator<Item = Parts<'a>>) {
        for (name, value) in headers {
            let (value, len) = start_and_len(value);
            // SAFETY: name and value are alive for the call, which copies them, and as long as said: no slice is
            // longer than an `isize` can tell.
            unsafe {
                native::rd_kafka_header_add(
                    self.0.as_ptr(),
                    name.as_ptr().cast(),
                    name.len().cast_signed(),
                    value,
                    len.cast_signed(),
                );
            }
        }
    }

    /// Removes what stands behind the first so many, or says that it can't: librdkafka removes by name, wherever that
    /// stands.
    fn truncate(&mut self, kept: usize) -> bool {
        let count = self.count();
        for left in (kept..count).rev() {
            let Some((name, _)) = self.get(kept) else { return false };
            let name = name.to_bytes();
            if name.len() > MAX_NAME {
                return false;
            }
            // The name would go with its header, and librdkafka compares it further.
            let mut copied = [0_u8; MAX_NAME + 1];
            copied[..name.len()].copy_from_slice(name);
            // SAFETY: the list is ours, and the copy is terminated: the name is shorter.
            unsafe { native::rd_kafka_header_remove(self.0.as_ptr(), copied.as_ptr().cast()) };
            if self.count() != left {
                return false;
            }
        }
        true
    }

    fn count(&self) -> usize {
        // SAFETY: the list is ours.
        unsafe { native::rd_kafka_header_cnt(self.0.as_ptr()) }
    }

    fn get(&self, at: usize) -> Option<(&CStr, Option<&[u8]>)> {
        let (mut name, mut value, mut size) = (ptr::null(), ptr::null(), 0);
        // SAFETY: the list is ours; the three out-pointers live through the call.
        let error = unsafe {
            native::rd_kafka_header_get_all(
                self.0.as_ptr(),
                at,
                &raw mut name,
                &raw mut value,
                &raw mut size,
            )
        };
        if error.is_error() {
            return None;
        }
        // SAFETY: a header's name is terminated and lives until the list changes, which borrowing it forbids.
        let name = unsafe { CStr::from_ptr(name) };
        let value = (!value.is_null()).then(|| {
            // SAFETY: `size` bytes, which live as the name does.
            unsafe { slice::from_raw_parts(value.cast(), size) }
        });
        Some((name, value))
    }

    pub(super) fn as_ptr(&self) -> *mut native::rd_kafka_headers_t {
        self.0.as_ptr()
    }

    /// Leaves the list to whoever has its address.
    pub(super) fn release(self) {
        let _ = ManuallyDrop::new(self);
    }
}

/// Lists that one topic's records came back with.
#[derive(Default)]
pub(super) struct SpareLists(Mutex<Vec<HeaderList>>);

impl SpareLists {
    /// The one that came last: its memory is at hand.
    pub(super) fn take(&self) -> Option<HeaderList> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).pop()
    }

    pub(super) fn give(&self, list: HeaderList) {
        let mut lists = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if lists.len() < MAX_SPARE {
            lists.push(list);
        }
    }
}

/// As librdkafka takes bytes. Null stands for none, which is not the same as empty.
pub(super) fn start_and_len(bytes: Option<&[u8]>) -> (*const c_void, usize) {
    bytes.map_or((ptr::null(), 0), |bytes| (bytes.as_ptr().cast(), bytes.len()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    type Owned = Vec<(String, Option<Vec<u8>>)>;

    fn parts(headers: &Owned) -> impl ExactSizeIterator<Item = Parts<'_>> + Clone {
        headers.iter().map(|(name, value)| (name.as_str(), value.as_deref()))
    }

    fn contents(list: &HeaderList) -> Owned {
        (0..)
            .map_while(|at| list.get(at))
            .map(|(name, value)| (name.to_str().unwrap().to_owned(), value.map(<[u8]>::to_vec)))
            .collect()
    }

    fn some_headers() -> impl Strategy<Value = Owned> {
        let name = prop_oneof![
            4 => "[a-c]",
            1 => Just("n".repeat(MAX_NAME)),
            1 => Just("n".repeat(MAX_NAME + 1)),
        ];
        let value = prop::option::of(prop::collection::vec(any::<u8>(), 0..3));
        prop::collection::vec((name, value), 0..8)
    }

    proptest! {
        /// Whatever a list held, names twice and long ones among them, it holds what the next record has.
        #[test]
        fn a_list_that_is_used_again_holds_only_the_new_headers(
            before in some_headers(),
            kept in 0_usize..8,
            behind in some_headers(),
        ) {
            let mut after: Owned = before.iter().take(kept).cloned().collect();
            after.extend(behind);
            let list = HeaderList::of(parts(&before)).become_list_of(parts(&after));
            prop_assert_eq!(contents(&list), after);
        }
    }

    #[test]
    fn no_more_lists_are_kept_than_said() {
        let spare = SpareLists::default();
        for _ in 0..MAX_SPARE + 1 {
            spare.give(HeaderList::of(std::iter::empty()));
        }
        assert_eq!(std::iter::from_fn(|| spare.take()).count(), MAX_SPARE);
    }
}
