//! How many in each of the last hours, as a small picture that is also read out. Pure.

use std::fmt::{self, Display};

use askama::filters::HtmlSafe;
use event_bus::store::ops::TREND_HOURS;

use super::text::count;

/// A bar and the gap behind it have so many pixels.
const STEP: usize = 4;
/// The highest bar; one that is not zero has at least a tenth of that.
const HEIGHT: u64 = 20;

/// Dead letters in each of the last hours, the earliest first.
#[derive(Clone, Copy, Debug)]
pub(super) struct Trend(pub(super) [u64; TREND_HOURS]);

/// There are numbers in it, and nothing of others.
impl HtmlSafe for Trend {}

impl Display for Trend {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(hours) = self;
        let (sum, most) = (hours.iter().sum(), hours.iter().copied().max().unwrap_or_default());
        if most == 0 {
            return formatter.write_str("<span class=\"none\">none</span>");
        }
        let (width, told) = (STEP * TREND_HOURS, told(sum, most));
        write!(
            formatter,
            "<svg class=\"trend\" role=\"img\" aria-label=\"{told}\" width=\"{width}\" height=\"{HEIGHT}\" \
             viewBox=\"0 0 {width} {HEIGHT}\"><title>{told}</title><path d=\""
        )?;
        for (at, letters) in hours.iter().enumerate() {
            let height = match letters {
                0 => 1,
                letters => (letters * HEIGHT / most).max(HEIGHT / 10),
            };
            let (x, bar) = (at * STEP, STEP - 1);
            write!(formatter, "M{x} {HEIGHT}v-{height}h{bar}v{height}z")?;
        }
        formatter.write_str("\"/></svg>")
    }
}

fn told(sum: u64, most: u64) -> String {
    format!("{} in the last 24 hours, at most {} in an hour", count(sum), count(most))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trend_is_a_picture_that_is_read_out() {
        let mut hours = [0; TREND_HOURS];
        assert_eq!(Trend(hours).to_string(), "<span class=\"none\">none</span>");
        (hours[0], hours[23]) = (1, 4_000);
        let shown = Trend(hours).to_string();
        assert!(shown.contains(
            "aria-label=\"4\u{202f}001 in the last 24 hours, at most 4\u{202f}000 in an hour\""
        ));
        assert!(shown.contains("d=\"M0 20v-2h3v2zM4 20v-1h3v1z"), "{shown}");
        assert!(shown.ends_with("M92 20v-20h3v20z\"/></svg>"), "{shown}");
    }
}
