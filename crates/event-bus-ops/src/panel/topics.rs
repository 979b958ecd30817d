//! Topics: what they hold, and whether they are as the catalogue says.

use askama::Template;
use axum::Extension;
use axum::extract::State;

use super::Panel;
use super::gate::Signed;
use super::page::{Shell, Shown, show};
use super::text::{Clock, filters, per_second};
use crate::desk::{TopicRow, Topics};

#[derive(Template)]
#[template(path = "topics.html")]
struct Page {
    shell: Shell,
    clock: Clock,
    told: Topics,
}

impl Page {
    fn differing(&self) -> usize {
        self.told.topics.iter().filter(|row| !row.differences.is_empty()).count()
    }

    fn rate(&self, row: &TopicRow) -> Option<String> {
        row.per_second.map(per_second)
    }

    fn retention(&self, row: &TopicRow) -> Option<String> {
        row.retention_ms.map(retention)
    }
}

/// How long, in the largest unit that says it exactly.
fn retention(millis: i64) -> String {
    const UNITS: [(i64, &str); 5] =
        [(86_400_000, "days"), (3_600_000, "h"), (60_000, "min"), (1_000, "s"), (1, "ms")];
    match UNITS.into_iter().find(|(size, _)| millis >= *size && millis % size == 0) {
        _ if millis < 0 => "for ever".to_owned(),
        Some((size, unit)) => format!("{} {unit}", millis / size),
        None => "0 ms".to_owned(),
    }
}

pub(super) async fn page(
    State(panel): State<Panel>,
    Extension(signed): Extension<Signed>,
) -> Shown {
    let told = panel.desk.topics(&signed.actor).await?;
    show(&Page { shell: Shell::of(&signed, "topics", "Topics"), clock: Clock::now(), told })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_retention_is_told_exactly() {
        for (millis, told) in [
            (-1, "for ever"),
            (604_800_000, "7 days"),
            (90_000, "90 s"),
            (1_500, "1500 ms"),
            (0, "0 ms"),
        ] {
            assert_eq!(retention(millis), told);
        }
    }
}
