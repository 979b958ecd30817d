//! Each alert says what it is, and where it is told what to do.

use event_bus_ops::deploy::Factor;
use event_bus_ops::deploy::alerts::{self, Alert};

use crate::{other_catalogue, read, stems};

fn all() -> Vec<Alert> {
    let groups = alerts::groups(&other_catalogue(), Factor::default());
    groups.into_iter().flat_map(|(_, alerts)| alerts).collect()
}

#[test]
fn each_alert_has_a_runbook_and_each_runbook_an_alert() {
    let mut names: Vec<String> = all().iter().map(|alert| alert.name.to_owned()).collect();
    names.sort();
    names.dedup();
    assert_eq!(stems("docs/runbooks", ".md"), names);
}

#[test]
fn a_runbook_says_how_urgent_it_is_what_to_look_at_and_when_it_is_over() {
    for alert in all() {
        let page = read(&format!("docs/runbooks/{}.md", alert.name));
        let begin = format!("# {}\n\n`{}` · ", alert.name, alert.severity.name());
        assert!(page.starts_with(&begin), "{}", alert.name);
        let mut rest = page.as_str();
        for part in ["**Who is hit**: ", "## Look\n", "## Do\n", "## Don't\n", "## Over when\n"] {
            rest = rest.split_once(part).unwrap_or_else(|| panic!("{}: {part}", alert.name)).1;
        }
    }
}

#[test]
fn an_alert_with_several_thresholds_tells_them_apart() {
    let mut told: Vec<_> =
        all().iter().map(|alert| (alert.name, alert.threshold.clone())).collect();
    told.sort();
    assert!(told.windows(2).all(|pair| pair[0] != pair[1]), "{told:?}");
}

#[test]
fn a_description_tells_more_than_its_summary() {
    for alert in all() {
        assert!(!alert.summary.is_empty() && alert.summary.len() < alert.description.len());
        assert!(
            alert.description.ends_with('.') && !alert.summary.ends_with('.'),
            "{}",
            alert.name
        );
    }
}
