//! Progress on stderr; nothing is drawn where stderr is not a terminal.

use std::io::{IsTerminal, stdout};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

/// A bar over a known number of things, or a spinner that counts where the number is not known.
pub fn bar(total: Option<u64>, what: &'static str) -> ProgressBar {
    let (bar, template) = match total {
        Some(total) => {
            (ProgressBar::new(total), "{msg} {wide_bar} {human_pos}/{human_len} {per_sec} {eta}")
        }
        None => (ProgressBar::new_spinner(), "{spinner} {msg} {human_pos} {per_sec}"),
    };
    let style = ProgressStyle::with_template(template).expect("the templates above are valid");
    let bar = bar.with_style(style).with_message(what);
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}

/// As [`bar`], for commands that write their results while they work: on a terminal those are progress enough.
pub fn bar_beside_results(total: Option<u64>, what: &'static str) -> ProgressBar {
    if stdout().is_terminal() { ProgressBar::hidden() } else { bar(total, what) }
}
