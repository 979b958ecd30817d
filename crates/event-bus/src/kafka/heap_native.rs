//! The C library's heap, where librdkafka has its buffers.
#![cfg_attr(
    all(target_os = "linux", target_env = "gnu"),
    expect(unsafe_code, reason = "the C library is told so by a call of C")
)]

/// Has the C library keep little of what is given back to it: in as few heaps as processors work at once here, and none of the
/// large buffers. By itself it makes up to eight heaps for each processor, one thread after the other, and librdkafka has
/// threads for each client and broker: a process that reads now and then keeps hundreds of MiB that nobody uses (mallopt(3)).
///
/// To be called once, before the first client; where the C library is another one it does nothing.
pub fn keep_heap_small() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    for (parameter, value) in [
        (libc::M_ARENA_MAX, 2),
        (libc::M_MMAP_THRESHOLD, 256 << 10),
        (libc::M_TRIM_THRESHOLD, 1 << 20),
    ] {
        // SAFETY: the call takes numbers, and may be made at any time.
        unsafe { libc::mallopt(parameter, value) };
    }
}
