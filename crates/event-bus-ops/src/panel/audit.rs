//! What everybody did.

use askama::Template;
use axum::Extension;
use axum::extract::{Query as RawQuery, State};
use event_bus::audit::chain::Link;
use event_bus::store::ops::AuditFilter;
use uuid::Uuid;

use super::gate::Signed;
use super::page::{Shell, Shown, show};
use super::replays::REPLAYS;
use super::text::{Clock, When, filters};
use super::{Panel, query};
use crate::access::trail::Deed;
use crate::api::audit::asked;
use crate::desk::ChainState;

const AUDIT: &str = "/access/audit";

#[derive(Template)]
#[template(path = "audit.html")]
struct Audit {
    shell: Shell,
    clock: Clock,
    rows: Vec<Link>,
    next: Option<String>,
    actor: String,
    since: String,
    until: String,
    actions: Vec<(&'static str, bool)>,
}

#[derive(Template)]
#[template(path = "audit_state.html")]
struct ChainPage {
    shell: Shell,
    state: ChainState,
}

/// Where the object of a row is shown, if it has a page.
fn link_of(row: &Link) -> Option<String> {
    let deed = Deed::ALL.into_iter().find(|deed| deed.as_str() == row.action)?;
    match deed {
        Deed::Reveal | Deed::Edit => {
            Some(format!("/events/dead-letters/{}", row.object.parse::<Uuid>().ok()?))
        }
        Deed::Cancel => Some(format!("{REPLAYS}/{}", row.object.parse::<Uuid>().ok()?)),
        Deed::Request | Deed::Approve | Deed::Deny => Some(REPLAYS.to_owned()),
        // The name of a user or of a token may look like an id.
        _ => None,
    }
}

impl Audit {
    fn when(&self, row: &Link) -> When {
        self.clock.tell(&row.written_at())
    }

    fn object(&self, row: &Link) -> Option<String> {
        link_of(row)
    }
}

pub(super) async fn page(
    State(panel): State<Panel>,
    Extension(signed): Extension<Signed>,
    RawQuery(pairs): RawQuery<Vec<(String, String)>>,
) -> Shown {
    let kept: Vec<(String, String)> = pairs
        .iter()
        .filter(|(name, value)| name != "before" && !value.is_empty())
        .cloned()
        .collect();
    let (filter, limit) = asked(pairs)?;
    let page = panel.desk.audit_page(&signed.actor, &filter, limit).await?;
    let next = page.next.map(|before| {
        let before = [("before".to_owned(), before.to_string())];
        format!("{AUDIT}?{}", query::encoded(kept.iter().chain(&before)))
    });
    let AuditFilter { actor, action, since, until, .. } = filter;
    let time =
        |time: Option<jiff::Timestamp>| time.map(|time| time.to_string()).unwrap_or_default();
    let chosen = |deed: Deed| (deed.as_str(), action.as_deref() == Some(deed.as_str()));
    show(&Audit {
        shell: Shell::of(&signed, "audit", "Audit"),
        clock: Clock::now(),
        rows: page.rows,
        next,
        actor: actor.unwrap_or_default(),
        since: time(since),
        until: time(until),
        actions: Deed::ALL.map(chosen).into(),
    })
}

pub(super) async fn state(
    State(panel): State<Panel>,
    Extension(signed): Extension<Signed>,
) -> Shown {
    let state = panel.desk.verify_audit(&signed.actor).await?;
    show(&ChainPage { shell: Shell::of(&signed, "audit", "State of the audit"), state })
}

#[cfg(test)]
mod tests {
    use event_bus::audit::chain::Entry;

    use super::*;

    #[test]
    fn a_row_leads_to_the_page_of_its_object_and_others_nowhere() {
        const ID: &str = "0197f3b4-7c1e-7b1a-9d55-0c7a3f1f2a10";
        let link = |deed: Deed, object: &str| {
            let (action, object) = (deed.as_str().to_owned(), object.to_owned());
            let entry = Entry { action, object, ..Entry::default() };
            link_of(&Link::next(Uuid::nil(), None, jiff::Timestamp::UNIX_EPOCH, &entry))
        };
        let letter = format!("/events/dead-letters/{ID}");
        assert_eq!(link(Deed::Reveal, ID), Some(letter.clone()));
        assert_eq!(link(Deed::Edit, ID), Some(letter));
        assert_eq!(link(Deed::Cancel, ID), Some(format!("/events/replays/{ID}")));
        assert_eq!(link(Deed::Approve, ID), Some(REPLAYS.to_owned()));
        for (deed, object) in [(Deed::DisableUser, ID), (Deed::MakeToken, ID), (Deed::NotDone, "7")]
        {
            assert_eq!(link(deed, object), None);
        }
        assert_eq!(link(Deed::Reveal, "{}"), None);
    }
}
