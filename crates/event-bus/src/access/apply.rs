use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::{Change, Plan};
use crate::kafka::admin::{Acl, Admin, AdminError};

/// How long it may take until brokers go by what was acknowledged: it reaches them as a message of the controller's.
const SEEN_WITHIN: Duration = Duration::from_secs(10);
/// How often is looked whether they do.
const LOOK: Duration = Duration::from_millis(50);

/// What became of one change.
#[derive(Debug)]
pub struct Applied {
    /// The change.
    pub change: Change,
    /// Its outcome.
    pub outcome: Result<(), AdminError>,
}

/// Carries out the changes of a plan. What is granted comes first, so that nobody who moves from one entry to another is
/// without for a moment. Returns once a broker goes by all that was changed, or after some seconds in which none did.
pub async fn apply(admin: &Admin, plan: &Plan) -> Vec<Applied> {
    let (mut granted, mut revoked) = (Vec::new(), Vec::new());
    for change in &plan.changes {
        match change {
            Change::Grant(acl) => granted.push(acl.clone()),
            Change::Revoke(acl) => revoked.push(acl.clone()),
        }
    }
    let mut applied = Vec::with_capacity(plan.changes.len());
    if !granted.is_empty() {
        let outcomes = admin.create_acls(granted.clone()).await;
        applied.extend(paired(granted, Change::Grant, outcomes));
    }
    if !revoked.is_empty() {
        let outcomes = admin.delete_acls(revoked.clone()).await;
        applied.extend(paired(revoked, Change::Revoke, outcomes));
    }
    let deadline = Instant::now() + SEEN_WITHIN;
    while !is_seen(admin, &applied).await && Instant::now() < deadline {
        sleep(LOOK).await;
    }
    applied
}

async fn is_seen(admin: &Admin, applied: &[Applied]) -> bool {
    let Ok(Some(acls)) = admin.acls().await else { return false };
    let done = applied.iter().filter(|applied| applied.outcome.is_ok());
    done.map(|applied| &applied.change).all(|change| match change {
        Change::Grant(acl) => acls.contains(acl),
        Change::Revoke(acl) => !acls.contains(acl),
    })
}

type Outcomes = Result<Vec<Result<(), AdminError>>, AdminError>;

fn paired(acls: Vec<Acl>, change: fn(Acl) -> Change, outcomes: Outcomes) -> Vec<Applied> {
    let outcomes = outcomes.unwrap_or_else(|error| vec![Err(error); acls.len()]);
    let pairs = acls.into_iter().zip(outcomes);
    pairs.map(|(acl, outcome)| Applied { change: change(acl), outcome }).collect()
}
