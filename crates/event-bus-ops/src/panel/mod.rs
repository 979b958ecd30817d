//! The panel: pages for operators, made on the server, which work without scripts.
//!
//! What a page shows and does is the `Desk`'s, as for the API. [`ROUTES`] is all that there is; a gate before each of them
//! finds out who asks, whether one of our own pages sent the request, and whether the policy allows it.

mod account;
mod assets;
mod audit;
mod catalogue;
mod chart;
mod consumers;
mod decisions;
mod diff;
mod edit;
mod export;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzzing;
mod gate;
mod groups;
mod letter;
mod letters;
mod live;
mod map;
mod notes;
mod outbox;
mod page;
mod pretty;
mod proof;
mod provider;
mod query;
mod replay;
mod replays;
mod reset;
mod sign_in;
mod text;
mod timeline;
mod topics;
mod trend;
mod users;
mod welcome;

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::middleware::{from_fn_with_state, map_response};
use axum::routing::{MethodFilter, MethodRouter, on};

use crate::access::oidc::{self, Provider};
use crate::access::policy::Action;
use crate::access::route::{Needs, Route};
use crate::access::throttle::Throttle;
use crate::api;
use crate::desk::Desk;
use decisions::Kind;

/// The page that one begins with.
pub const HOME: &str = "/events/dead-letters";
/// The cookie that names a session. Browsers take it from TLS and from loopback only, and from no other host.
pub const COOKIE: &str = "__Host-event-bus";

/// What answers a way in.
#[derive(Clone, Copy, Debug)]
pub enum Endpoint {
    /// On to the first page.
    Home,
    /// Style, script and picture.
    Asset,
    /// The form to sign in.
    SignInForm,
    /// Who signs in.
    SignIn,
    /// Off to a provider of identities.
    ProviderBegin,
    /// Back from it.
    ProviderFinish,
    /// Who signs out.
    SignOut,
    /// The form of an invitation.
    WelcomeForm,
    /// Who follows it.
    Welcome,
    /// Who is signed in.
    Account,
    /// Another password.
    Password,
    /// Failures.
    Groups,
    /// What is written about one.
    Notes,
    /// Something is.
    WriteNote,
    /// It goes.
    RemoveNote,
    /// Dead letters.
    Letters,
    /// Dead letters, for other tools.
    Export,
    /// What is personal in many.
    RevealMany,
    /// A dead letter.
    Letter,
    /// What happened to it.
    History,
    /// Its value, byte for byte but for what is personal.
    Raw,
    /// What is personal in it.
    Reveal,
    /// The form of another value.
    EditForm,
    /// What would change.
    EditCheck,
    /// It goes back with that.
    Edit,
    /// What a replay would do.
    ReplayPlan,
    /// It begins.
    Replay,
    /// The form to discard.
    DiscardForm,
    /// Nothing is to be done.
    Discard,
    /// The form to restore.
    RestoreForm,
    /// Something is.
    Restore,
    /// The latest replays.
    Replays,
    /// A replay.
    ReplayPage,
    /// How far it is.
    Progress,
    /// It ends.
    Cancel,
    /// What another one asked for is done.
    Approve,
    /// It is not.
    Deny,
    /// Consumer groups.
    ConsumerGroups,
    /// A consumer group.
    ConsumerGroup,
    /// How far behind it is.
    Lag,
    /// What a reset would do.
    ResetPlan,
    /// The group goes on from elsewhere.
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
    Catalogue,
    /// An event of it.
    Event,
    /// The way of an order or of an event.
    Timeline,
    /// The latest events.
    Live,
    /// Events as they come.
    LiveEvents,
    /// What everybody did.
    Audit,
    /// Whether it is as it was written.
    AuditState,
    /// Who may sign in.
    Users,
    /// One more.
    MakeUser,
    /// One is invited anew.
    InviteUser,
    /// One is shut out.
    DisableUser,
    /// One may come back.
    EnableUser,
}

const SEE: Needs = Needs::May(Action::See);
const EDIT: Needs = Needs::May(Action::Edit);
const REPLAY: Needs = Needs::May(Action::Replay);
const DISCARD: Needs = Needs::May(Action::Discard);
const RESTORE: Needs = Needs::May(Action::Restore);
const NOTE: Needs = Needs::May(Action::Note);
const RESET: Needs = Needs::May(Action::Reset);
const LIFT: Needs = Needs::May(Action::Lift);
const APPROVE: Needs = Needs::May(Action::Approve);
const AUDIT: Needs = Needs::May(Action::Audit);
const REVEAL: Needs = Needs::May(Action::Reveal);
const USERS: Needs = Needs::May(Action::ManageUsers);

/// All ways in.
pub const ROUTES: [Route<Endpoint>; 59] = [
    Route::get("/", Needs::Somebody, Endpoint::Home),
    Route::get("/assets/{name}", Needs::Nothing, Endpoint::Asset),
    Route::get("/sign-in", Needs::Nothing, Endpoint::SignInForm),
    Route::post("/sign-in", Needs::Nothing, Endpoint::SignIn),
    Route::get("/sign-in/oidc", Needs::Nothing, Endpoint::ProviderBegin),
    Route::get(oidc::CALLBACK, Needs::Nothing, Endpoint::ProviderFinish),
    Route::post("/sign-out", Needs::Somebody, Endpoint::SignOut),
    Route::get("/welcome", Needs::Nothing, Endpoint::WelcomeForm),
    Route::post("/welcome", Needs::Nothing, Endpoint::Welcome),
    Route::get("/account", Needs::Somebody, Endpoint::Account),
    Route::post("/account/password", Needs::Somebody, Endpoint::Password),
    Route::get("/events/dead-letters", SEE, Endpoint::Groups),
    Route::get("/events/dead-letters/notes", SEE, Endpoint::Notes),
    Route::post("/events/dead-letters/notes", NOTE, Endpoint::WriteNote),
    Route::post("/events/dead-letters/notes/{id}/remove", NOTE, Endpoint::RemoveNote),
    Route::get("/events/dead-letters/list", SEE, Endpoint::Letters),
    Route::get("/events/dead-letters/export", SEE, Endpoint::Export),
    Route::post("/events/dead-letters/export", REVEAL, Endpoint::RevealMany),
    Route::get("/events/dead-letters/{id}", SEE, Endpoint::Letter),
    Route::get("/events/dead-letters/{id}/history", SEE, Endpoint::History),
    Route::get("/events/dead-letters/{id}/raw", SEE, Endpoint::Raw),
    Route::post("/events/dead-letters/{id}/reveal", REVEAL, Endpoint::Reveal),
    Route::get("/events/dead-letters/{id}/edit", EDIT, Endpoint::EditForm),
    Route::post("/events/dead-letters/{id}/edit/check", EDIT, Endpoint::EditCheck),
    Route::post("/events/dead-letters/{id}/edit", EDIT, Endpoint::Edit),
    Route::get("/events/dead-letters/replay", REPLAY, Endpoint::ReplayPlan),
    Route::post("/events/dead-letters/replay", REPLAY, Endpoint::Replay),
    Route::get("/events/dead-letters/discard", DISCARD, Endpoint::DiscardForm),
    Route::post("/events/dead-letters/discard", DISCARD, Endpoint::Discard),
    Route::get("/events/dead-letters/restore", RESTORE, Endpoint::RestoreForm),
    Route::post("/events/dead-letters/restore", RESTORE, Endpoint::Restore),
    Route::get("/events/replays", SEE, Endpoint::Replays),
    Route::get("/events/replays/{id}", SEE, Endpoint::ReplayPage),
    Route::get("/events/replays/{id}/progress", SEE, Endpoint::Progress),
    Route::post("/events/replays/{id}/cancel", Needs::May(Action::Cancel), Endpoint::Cancel),
    Route::post("/events/requests/{id}/approve", APPROVE, Endpoint::Approve),
    Route::post("/events/requests/{id}/deny", APPROVE, Endpoint::Deny),
    Route::get("/events/groups", SEE, Endpoint::ConsumerGroups),
    Route::get("/events/groups/{group}", SEE, Endpoint::ConsumerGroup),
    Route::get("/events/groups/{group}/lag", SEE, Endpoint::Lag),
    Route::get("/events/groups/{group}/reset", RESET, Endpoint::ResetPlan),
    Route::post("/events/groups/{group}/reset", RESET, Endpoint::Reset),
    Route::get("/events/outbox", SEE, Endpoint::Outboxes),
    Route::get("/events/outbox/{service}", SEE, Endpoint::Outbox),
    Route::post("/events/outbox/{service}/retry", LIFT, Endpoint::RetryRow),
    Route::post("/events/outbox/{service}/discard", LIFT, Endpoint::DiscardRow),
    Route::get("/events/topics", SEE, Endpoint::Topics),
    Route::get("/events/catalogue", SEE, Endpoint::Catalogue),
    Route::get("/events/catalogue/{event}", SEE, Endpoint::Event),
    Route::get("/events/timeline", SEE, Endpoint::Timeline),
    Route::get("/events/live", SEE, Endpoint::Live),
    Route::get("/events/live/stream", SEE, Endpoint::LiveEvents),
    Route::get("/access/audit", AUDIT, Endpoint::Audit),
    Route::get("/access/audit/state", AUDIT, Endpoint::AuditState),
    Route::get("/access/users", USERS, Endpoint::Users),
    Route::post("/access/users", USERS, Endpoint::MakeUser),
    Route::post("/access/users/{name}/invite", USERS, Endpoint::InviteUser),
    Route::post("/access/users/{name}/disable", USERS, Endpoint::DisableUser),
    Route::post("/access/users/{name}/enable", USERS, Endpoint::EnableUser),
];

/// What the pages stand on.
#[derive(Clone)]
pub(crate) struct Panel {
    desk: Desk,
    throttle: Arc<Mutex<Throttle>>,
    /// By which users sign in besides.
    provider: Option<Arc<Provider>>,
}

/// The panel and the API of this desk, beside other routes. Every answer has the headers that keep a browser from doing more
/// than it should.
pub fn router(desk: &Desk, beside: Router) -> Router {
    router_with(desk, beside, None)
}

/// As [`router`], where users sign in by a provider of identities, too.
pub fn router_with(desk: &Desk, beside: Router, provider: Option<Arc<Provider>>) -> Router {
    let panel = Panel { desk: desk.clone(), throttle: Arc::default(), provider };
    let mut router = Router::new();
    for route in ROUTES {
        let gate = from_fn_with_state((panel.clone(), route.needs), gate::gate);
        router = router.route(route.path, answers(route.endpoint, route.verb.into()).layer(gate));
    }
    let pages = router.fallback(page::nothing_there).with_state(panel);
    pages.merge(api::router(desk.clone())).merge(beside).layer(map_response(page::guarded))
}

fn answers(endpoint: Endpoint, verb: MethodFilter) -> MethodRouter<Panel> {
    match endpoint {
        Endpoint::Home => on(verb, page::home),
        Endpoint::Asset => on(verb, assets::asset),
        Endpoint::SignInForm => on(verb, sign_in::form),
        Endpoint::SignIn => on(verb, sign_in::sign_in),
        Endpoint::ProviderBegin => on(verb, provider::begin),
        Endpoint::ProviderFinish => on(verb, provider::finish),
        Endpoint::SignOut => on(verb, sign_in::sign_out),
        Endpoint::WelcomeForm => on(verb, welcome::form),
        Endpoint::Welcome => on(verb, welcome::welcome),
        Endpoint::Account => on(verb, account::page),
        Endpoint::Password => on(verb, account::password),
        Endpoint::Groups => on(verb, groups::page),
        Endpoint::Notes => on(verb, notes::page),
        Endpoint::WriteNote => on(verb, notes::write),
        Endpoint::RemoveNote => on(verb, notes::remove),
        Endpoint::Letters => on(verb, letters::page),
        Endpoint::Export => on(verb, export::export),
        Endpoint::RevealMany => on(verb, export::reveal),
        Endpoint::Letter => on(verb, letter::page),
        Endpoint::History => on(verb, letter::history),
        Endpoint::Raw => on(verb, letter::raw),
        Endpoint::Reveal => on(verb, letter::reveal),
        Endpoint::EditForm => on(verb, edit::form),
        Endpoint::EditCheck => on(verb, edit::check),
        Endpoint::Edit => on(verb, edit::edit),
        Endpoint::ReplayPlan => on(verb, replay::plan),
        Endpoint::Replay => on(verb, replay::replay),
        Endpoint::DiscardForm => {
            on(verb, |panel, signed, asked| decisions::form(Kind::Discard, panel, signed, asked))
        }
        Endpoint::Discard => {
            on(verb, |panel, signed, asked| decisions::decide(Kind::Discard, panel, signed, asked))
        }
        Endpoint::RestoreForm => {
            on(verb, |panel, signed, asked| decisions::form(Kind::Restore, panel, signed, asked))
        }
        Endpoint::Restore => {
            on(verb, |panel, signed, asked| decisions::decide(Kind::Restore, panel, signed, asked))
        }
        Endpoint::Replays => on(verb, replays::list),
        Endpoint::ReplayPage => on(verb, replays::page),
        Endpoint::Progress => on(verb, replays::progress),
        Endpoint::Cancel => on(verb, replays::cancel),
        Endpoint::Approve => on(verb, replays::approve),
        Endpoint::Deny => on(verb, replays::deny),
        Endpoint::ConsumerGroups => on(verb, consumers::list),
        Endpoint::ConsumerGroup => on(verb, consumers::page),
        Endpoint::Lag => on(verb, consumers::lag),
        Endpoint::ResetPlan => on(verb, reset::plan),
        Endpoint::Reset => on(verb, reset::reset),
        Endpoint::Outboxes => on(verb, outbox::list),
        Endpoint::Outbox => on(verb, outbox::page),
        Endpoint::RetryRow => on(verb, outbox::retry),
        Endpoint::DiscardRow => on(verb, outbox::discard),
        Endpoint::Topics => on(verb, topics::page),
        Endpoint::Catalogue => on(verb, catalogue::page),
        Endpoint::Event => on(verb, catalogue::event),
        Endpoint::Timeline => on(verb, timeline::page),
        Endpoint::Live => on(verb, live::page),
        Endpoint::LiveEvents => on(verb, live::events),
        Endpoint::Audit => on(verb, audit::page),
        Endpoint::AuditState => on(verb, audit::state),
        Endpoint::Users => on(verb, users::page),
        Endpoint::MakeUser => on(verb, users::make),
        Endpoint::InviteUser => on(verb, users::invite),
        Endpoint::DisableUser => on(verb, users::disable),
        Endpoint::EnableUser => on(verb, users::enable),
    }
}
