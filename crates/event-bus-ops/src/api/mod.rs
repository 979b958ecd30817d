//! The API of an ops process, for the command line and for programs: `/api/v1`, JSON, a bearer token.
//!
//! Nothing is decided here: who asks is found out by the token, whether that one may is the policy's to say, and what is
//! asked for is the library's.

pub(crate) mod audit;
mod catalogue;
mod error;
mod groups;
mod letters;
mod live;
mod notes;
mod outbox;
pub mod openapi;
pub(crate) mod query;
mod repairs;
mod replays;
mod requests;
mod timeline;
mod topics;
mod values;

use axum::Router;
use axum::body::Body;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::header::{AUTHORIZATION, CACHE_CONTROL};
use axum::http::{HeaderMap, HeaderValue};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;
use axum::routing::{MethodFilter, MethodRouter, on};

use crate::access::body::whole_body;
use crate::access::policy::{Action, Actor, decide};
use crate::access::route::{Needs, Route};
use crate::desk::Desk;

pub use error::ApiError;
pub use letters::{AskForEdit, Decision};
pub use notes::{AskForNotes, NewNote};
pub use query::pairs;
pub use repairs::AskForRepair;
pub use replays::AskForReplay;
pub use requests::Verdict;
pub use values::{AskForValues, AskToReveal};

pub use crate::desk::{
    AskAboutRow, AskForReset, AskedFor, AuditPage, ChainState, Content, Contents, Decided, Edited,
    EventPage, EventRow, FailureRow, GroupPage, GroupRow, Known, Lifted, Lineage, OutboxOf,
    OutboxPage, Page, PlannedReset, Preview, Repaired, ResetDone, Sample, TopicRow, Topics,
};

/// A request's body may have so many bytes: an edited event of the largest size, however it is escaped.
const MAX_BODY_BYTES: usize = 8 * 1024 * 1024;

/// What answers a way in.
#[derive(Clone, Copy, Debug)]
pub enum Endpoint {
    /// What there is.
    Document,
    /// A page of dead letters.
    Letters,
    /// A dead letter.
    Letter,
    /// All that is known of one.
    Known,
    /// The same, with what is personal.
    Reveal,
    /// A page of dead letters with their values.
    Values,
    /// The same, with what is personal.
    RevealMany,
    /// One goes back with another value.
    Edit,
    /// Nothing is to be done.
    Discard,
    /// Something is.
    Restore,
    /// Many go back with other values.
    Repair,
    /// Dead letters that look alike.
    Failures,
    /// What is written about one.
    Notes,
    /// Something is.
    WriteNote,
    /// It goes.
    RemoveNote,
    /// The latest replays.
    Replays,
    /// A new one.
    AskForReplay,
    /// What it would do.
    Preview,
    /// A replay.
    Replay,
    /// It ends.
    Cancel,
    /// What waits for a second one.
    Requests,
    /// It is done.
    Approve,
    /// It is not.
    Deny,
    /// Consumer groups.
    Groups,
    /// A consumer group.
    Group,
    /// What a reset would do.
    PlanReset,
    /// A group goes on from elsewhere.
    Reset,
    /// Outboxes of services.
    Outboxes,
    /// One, with its rows that can never be sent as they are.
    Outbox,
    /// Such a row is sent again.
    RetryRow,
    /// Such a row is never sent.
    DiscardRow,
    /// Topics.
    Topics,
    /// The contract.
    Events,
    /// An event of it.
    Event,
    /// The way of an order or of an event.
    Timeline,
    /// The latest events.
    Latest,
    /// Events as they come.
    Live,
    /// What everybody did.
    Audit,
    /// Whether it is as it was written.
    AuditState,
}

const SEE: Needs = Needs::May(Action::See);
const RESET: Needs = Needs::May(Action::Reset);
const LIFT: Needs = Needs::May(Action::Lift);
const APPROVE: Needs = Needs::May(Action::Approve);
const AUDIT: Needs = Needs::May(Action::Audit);
const REVEAL: Needs = Needs::May(Action::Reveal);

/// All ways in.
pub const ROUTES: [Route<Endpoint>; 39] = [
    Route::get("/api/v1/openapi.json", Needs::Somebody, Endpoint::Document),
    Route::get("/api/v1/dead-letters", SEE, Endpoint::Letters),
    Route::get("/api/v1/dead-letters/{id}", SEE, Endpoint::Letter),
    Route::get("/api/v1/dead-letters/{id}/known", SEE, Endpoint::Known),
    Route::post("/api/v1/dead-letters/{id}/reveal", REVEAL, Endpoint::Reveal),
    Route::get("/api/v1/dead-letters/values", SEE, Endpoint::Values),
    Route::post("/api/v1/dead-letters/values", REVEAL, Endpoint::RevealMany),
    Route::post("/api/v1/dead-letters/{id}/edit", Needs::May(Action::Edit), Endpoint::Edit),
    Route::post("/api/v1/dead-letters/discard", Needs::May(Action::Discard), Endpoint::Discard),
    Route::post("/api/v1/dead-letters/restore", Needs::May(Action::Restore), Endpoint::Restore),
    Route::post("/api/v1/dead-letters/repair", Needs::May(Action::Edit), Endpoint::Repair),
    Route::get("/api/v1/failures", SEE, Endpoint::Failures),
    Route::get("/api/v1/notes", SEE, Endpoint::Notes),
    Route::post("/api/v1/notes", Needs::May(Action::Note), Endpoint::WriteNote),
    Route::post("/api/v1/notes/{id}/remove", Needs::May(Action::Note), Endpoint::RemoveNote),
    Route::get("/api/v1/replays", SEE, Endpoint::Replays),
    Route::post("/api/v1/replays", Needs::May(Action::Replay), Endpoint::AskForReplay),
    Route::get("/api/v1/replays/preview", SEE, Endpoint::Preview),
    Route::get("/api/v1/replays/{id}", SEE, Endpoint::Replay),
    Route::post("/api/v1/replays/{id}/cancel", Needs::May(Action::Cancel), Endpoint::Cancel),
    Route::get("/api/v1/requests", SEE, Endpoint::Requests),
    Route::post("/api/v1/requests/{id}/approve", APPROVE, Endpoint::Approve),
    Route::post("/api/v1/requests/{id}/deny", APPROVE, Endpoint::Deny),
    Route::get("/api/v1/groups", SEE, Endpoint::Groups),
    Route::get("/api/v1/groups/{group}", SEE, Endpoint::Group),
    Route::get("/api/v1/groups/{group}/reset", RESET, Endpoint::PlanReset),
    Route::post("/api/v1/groups/{group}/reset", RESET, Endpoint::Reset),
    Route::get("/api/v1/outbox", SEE, Endpoint::Outboxes),
    Route::get("/api/v1/outbox/{service}", SEE, Endpoint::Outbox),
    Route::post("/api/v1/outbox/{service}/retry", LIFT, Endpoint::RetryRow),
    Route::post("/api/v1/outbox/{service}/discard", LIFT, Endpoint::DiscardRow),
    Route::get("/api/v1/topics", SEE, Endpoint::Topics),
    Route::get("/api/v1/catalogue", SEE, Endpoint::Events),
    Route::get("/api/v1/catalogue/{event}", SEE, Endpoint::Event),
    Route::get("/api/v1/timeline", SEE, Endpoint::Timeline),
    Route::get("/api/v1/events/latest", SEE, Endpoint::Latest),
    Route::get("/api/v1/events/live/stream", SEE, Endpoint::Live),
    Route::get("/api/v1/audit", AUDIT, Endpoint::Audit),
    Route::get("/api/v1/audit/state", AUDIT, Endpoint::AuditState),
];

/// The API of this desk.
pub fn router(desk: Desk) -> Router {
    let mut router = Router::new();
    for route in ROUTES {
        let gate = from_fn_with_state((desk.clone(), route.needs), gate);
        router = router.route(route.path, answers(route.endpoint, route.verb.into()).layer(gate));
    }
    router.layer(DefaultBodyLimit::max(MAX_BODY_BYTES)).with_state(desk)
}

fn answers(endpoint: Endpoint, verb: MethodFilter) -> MethodRouter<Desk> {
    match endpoint {
        Endpoint::Document => on(verb, openapi::document),
        Endpoint::Letters => on(verb, letters::list),
        Endpoint::Letter => on(verb, letters::show),
        Endpoint::Known => on(verb, values::known),
        Endpoint::Reveal => on(verb, values::reveal),
        Endpoint::Values => on(verb, values::list),
        Endpoint::RevealMany => on(verb, values::reveal_many),
        Endpoint::Edit => on(verb, letters::edit),
        Endpoint::Discard => on(verb, letters::discard),
        Endpoint::Restore => on(verb, letters::restore),
        Endpoint::Repair => on(verb, repairs::repair),
        Endpoint::Failures => on(verb, letters::failures),
        Endpoint::Notes => on(verb, notes::list),
        Endpoint::WriteNote => on(verb, notes::write),
        Endpoint::RemoveNote => on(verb, notes::remove),
        Endpoint::Replays => on(verb, replays::list),
        Endpoint::AskForReplay => on(verb, replays::ask),
        Endpoint::Preview => on(verb, replays::preview),
        Endpoint::Replay => on(verb, replays::show),
        Endpoint::Cancel => on(verb, replays::cancel),
        Endpoint::Requests => on(verb, requests::list),
        Endpoint::Approve => on(verb, requests::approve),
        Endpoint::Deny => on(verb, requests::deny),
        Endpoint::Groups => on(verb, groups::list),
        Endpoint::Group => on(verb, groups::show),
        Endpoint::PlanReset => on(verb, groups::plan_reset),
        Endpoint::Reset => on(verb, groups::reset),
        Endpoint::Outboxes => on(verb, outbox::list),
        Endpoint::Outbox => on(verb, outbox::show),
        Endpoint::RetryRow => on(verb, outbox::retry),
        Endpoint::DiscardRow => on(verb, outbox::discard),
        Endpoint::Topics => on(verb, topics::list),
        Endpoint::Events => on(verb, catalogue::list),
        Endpoint::Event => on(verb, catalogue::show),
        Endpoint::Timeline => on(verb, timeline::show),
        Endpoint::Latest => on(verb, live::latest),
        Endpoint::Live => on(verb, live::live),
        Endpoint::Audit => on(verb, audit::list),
        Endpoint::AuditState => on(verb, audit::verify),
    }
}

/// Finds out who asks, and lets in who may.
async fn gate(
    State((desk, needs)): State<(Desk, Needs)>,
    mut request: Request,
    next: Next,
) -> Result<Response, ApiError> {
    let token = bearer(request.headers()).ok_or(ApiError::NoToken)?;
    let token = desk.store.token(token).await?.ok_or(ApiError::UnknownToken)?;
    let actor = Actor::from(token);
    if let Needs::May(action) = needs {
        decide(&actor, action, action.object())?;
    }
    request.extensions_mut().insert(actor);
    let (parts, body) = whole_body(request, MAX_BODY_BYTES).await?;
    let mut response = next.run(Request::from_parts(parts, Body::from(body))).await;
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    headers.get(AUTHORIZATION)?.to_str().ok()?.strip_prefix("Bearer ").map(str::trim)
}
