//! Reads a message's headers without trusting their names.
//!
//! The safe wrapper panics on a header name that is not UTF-8, so one hostile record would end the process again
//! and again. Kafka's protocol says that a name is UTF-8 but no broker checks it: such a name is read with
//! replacement characters here.
#![expect(
    unsafe_code,
    reason = "librdkafka's header list has no safe reader that survives a name that is not UTF-8"
)]

use std::ffi::CStr;
use std::{ptr, slice};

use bytes::Bytes;
use rdkafka::message::BorrowedMessage;
use rdkafka_sys as native;

use crate::headers::Header;

/// Copies the headers out of a message, in order and with repeated names kept.
pub(super) fn copied_headers(message: &BorrowedMessage<'_>) -> Vec<Header> {
    let mut list: *mut native::rd_kafka_headers_t = ptr::null_mut();
    // SAFETY: the message is alive for the whole call; librdkafka writes a borrowed list into `list` or leaves it.
    let found = unsafe { native::rd_kafka_message_headers(message.ptr(), &raw mut list) };
    if found != native::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR || list.is_null() {
        return Vec::new();
    }
    // SAFETY: `list` is the message's own header list, valid as long as the message.
    let count = unsafe { native::rd_kafka_header_cnt(list) };
    (0..count).filter_map(|index| copied_header(list, index)).collect()
}

fn copied_header(list: *const native::rd_kafka_headers_t, index: usize) -> Option<Header> {
    let mut name = ptr::null();
    let mut value = ptr::null();
    let mut size = 0;
    // SAFETY: `list` is valid (see the caller); the three out-pointers are ours and live through the call.
    let found = unsafe {
        native::rd_kafka_header_get_all(list, index, &raw mut name, &raw mut value, &raw mut size)
    };
    if found != native::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR || name.is_null() {
        return None;
    }
    // SAFETY: librdkafka keeps each name terminated by a zero byte, and alive with the list.
    let name = unsafe { CStr::from_ptr(name) }.to_string_lossy().into_owned();
    let value = (!value.is_null()).then(|| {
        // SAFETY: `value` points to `size` bytes that live with the list; they are copied before the list goes.
        Bytes::copy_from_slice(unsafe { slice::from_raw_parts(value.cast::<u8>(), size) })
    });
    Some(Header { name: name.into(), value })
}
