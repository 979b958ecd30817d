//! W3C Trace Context: the `traceparent` that ties an event to the work that caused it.

use std::{fmt, str::FromStr};

use crate::names::EventId;

/// Version 00 of `traceparent`: trace, parent span and flags.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TraceContext {
    trace: u128,
    span: u64,
    flags: u8,
}

/// A text that is no `traceparent`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "not a W3C traceparent, `00-<32 hex digits>-<16 hex digits>-<2 hex digits>` with neither id all zero"
)]
pub struct NotTraceContext;

const SAMPLED: u8 = 1;

impl TraceContext {
    /// The bytes of its text: version, trace, span and flags in hex, with hyphens between.
    pub(crate) const LENGTH: usize = 2 + 1 + 32 + 1 + 16 + 1 + 2;

    /// A new trace at its first span, sampled.
    pub fn start() -> TraceContext {
        TraceContext { trace: rand::random::<u128>().max(1), span: new_span(), flags: SAMPLED }
    }

    /// The trace of an event that came without one, sampled: the same wherever and however often it is read.
    pub(crate) fn of_event(id: EventId) -> TraceContext {
        let uuid = id.as_uuid();
        TraceContext {
            trace: uuid.as_u128().max(1),
            span: uuid.as_u64_pair().1.max(1),
            flags: SAMPLED,
        }
    }

    /// A span of the same trace, under this one.
    pub fn child(&self) -> TraceContext {
        TraceContext { span: new_span(), ..*self }
    }

    /// Another span of the same trace.
    pub(crate) fn at_span(&self, span: u64) -> TraceContext {
        TraceContext { span, ..*self }
    }

    /// The span, as a number that is never 0.
    pub(crate) fn span(&self) -> u64 {
        self.span
    }

    /// Whether its spans are to be told: who began the trace decides for all of it.
    pub fn is_sampled(&self) -> bool {
        self.flags & SAMPLED != 0
    }

    /// As it is displayed, in the given bytes. Several times faster than a formatter.
    pub(crate) fn encode<'b>(&self, buffer: &'b mut [u8; TraceContext::LENGTH]) -> &'b str {
        *buffer = [b'-'; TraceContext::LENGTH];
        encode_hex(&[0], &mut buffer[..2]);
        encode_hex(&self.trace.to_be_bytes(), &mut buffer[3..35]);
        encode_hex(&self.span.to_be_bytes(), &mut buffer[36..52]);
        encode_hex(&[self.flags], &mut buffer[53..]);
        std::str::from_utf8(buffer).expect("hex digits and hyphens are ASCII")
    }

    /// The trace's id, as it stands in `traceparent`.
    pub fn trace_id(&self) -> String {
        format!("{:032x}", self.trace)
    }

    /// The span's id, as it stands in `traceparent`.
    pub fn span_id(&self) -> String {
        format!("{:016x}", self.span)
    }
}

/// Writes two lower-case digits a byte.
fn encode_hex(bytes: &[u8], digits: &mut [u8]) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    for (byte, pair) in bytes.iter().zip(digits.chunks_exact_mut(2)) {
        pair[0] = DIGITS[usize::from(byte >> 4)];
        pair[1] = DIGITS[usize::from(byte & 15)];
    }
}

/// Zero means "no span" in the standard.
fn new_span() -> u64 {
    rand::random::<u64>().max(1)
}

impl fmt::Display for TraceContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.encode(&mut [0; TraceContext::LENGTH]))
    }
}

impl FromStr for TraceContext {
    type Err = NotTraceContext;

    /// Reads version 00, and of a later version the fields that version 00 knows, as the standard
    /// asks.
    fn from_str(text: &str) -> Result<TraceContext, NotTraceContext> {
        let mut fields = text.splitn(5, '-');
        let version = hex(fields.next(), 2)?;
        let trace = hex(fields.next(), 32)?;
        let span = hex(fields.next(), 16)?;
        let flags = hex(fields.next(), 2)?;
        let unknown_version = version == 0xff || (version == 0 && fields.next().is_some());
        if unknown_version || trace == 0 || span == 0 {
            return Err(NotTraceContext);
        }
        let span = u64::try_from(span).map_err(|_| NotTraceContext)?;
        let flags = u8::try_from(flags).map_err(|_| NotTraceContext)?;
        Ok(TraceContext { trace, span, flags })
    }
}

fn hex(field: Option<&str>, digits: usize) -> Result<u128, NotTraceContext> {
    let field = field.filter(|field| field.len() == digits).ok_or(NotTraceContext)?;
    // The standard has lower case only, and `from_str_radix` would take a sign.
    if !field.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')) {
        return Err(NotTraceContext);
    }
    u128::from_str_radix(field, 16).map_err(|_| NotTraceContext)
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXAMPLE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn the_standards_example_is_read_and_written_unchanged() {
        let context: TraceContext = EXAMPLE.parse().unwrap();
        assert_eq!(context.to_string(), EXAMPLE);
        assert_eq!(context.trace_id(), "4bf92f3577b34da6a3ce929d0e0e4736");
        assert_eq!(context.span_id(), "00f067aa0ba902b7");
    }

    #[test]
    fn who_began_a_trace_says_whether_its_spans_are_told() {
        let unsampled: TraceContext = EXAMPLE.replace("-01", "-00").parse().unwrap();
        assert!(
            TraceContext::start().is_sampled()
                && EXAMPLE.parse::<TraceContext>().unwrap().is_sampled()
        );
        assert!(!unsampled.is_sampled() && !unsampled.child().is_sampled());
    }

    #[test]
    fn an_event_without_a_trace_has_always_the_same() {
        let id: EventId = "0197f3b4-7c1e-7b1a-9d55-0c7a3f1f2a10".parse().unwrap();
        let context = TraceContext::of_event(id);
        assert_eq!(context, TraceContext::of_event(id));
        assert_eq!(context.to_string(), "00-0197f3b47c1e7b1a9d550c7a3f1f2a10-9d550c7a3f1f2a10-01");
    }

    #[test]
    fn a_child_stays_in_the_trace_with_a_span_of_its_own() {
        let parent = TraceContext::start();
        let child = parent.child();
        assert_eq!(parent.trace_id(), child.trace_id());
        assert_ne!(parent.span, child.span);
        assert_eq!(parent.to_string().parse(), Ok(parent));
    }

    #[test]
    fn what_is_no_traceparent_is_refused() {
        for text in [
            "",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e473-+00f067aa0ba902b7-01",
        ] {
            assert_eq!(text.parse::<TraceContext>(), Err(NotTraceContext), "{text}");
        }
        assert!(
            "01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more"
                .parse::<TraceContext>()
                .is_ok()
        );
    }
}
