//! What all pages have, and what is answered in place of a page.

use askama::Template;
use axum::extract::Request;
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, LOCATION, REFERRER_POLICY, RETRY_AFTER,
    SET_COOKIE, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderName, HeaderValue, Method, StatusCode};
use axum::response::{Html, IntoResponse, Response};
use event_bus::store::StoreError;
use event_bus::store::ops::Role;

use super::assets::VERSION;
use super::gate::Signed;
use super::text::filters;
use super::{COOKIE, HOME, query};
use crate::access::body::Unread;
use crate::access::oidc::OidcError;
use crate::access::password::HashError;
use crate::access::policy::{Action, Denied, Object, decide};
use crate::access::trail::Unwritten;
use crate::desk::DeskError;

/// Nothing but what the program itself brings, and no page of ours within somebody else's.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
    connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'";

const GUARDS: [(HeaderName, &str); 5] = [
    (CONTENT_SECURITY_POLICY, POLICY),
    (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    // No stricter, or browsers would not say of our own forms where they come from.
    (REFERRER_POLICY, "same-origin"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
];

/// The script of the pages asks for a part of one with this header.
pub(super) const HTMX: &str = "hx-request";

/// What is around a page.
pub(super) struct Shell {
    pub title: String,
    /// The part of the navigation that it is in.
    pub part: &'static str,
    pub version: &'static str,
    /// Who looks at it, if anybody is signed in.
    pub signed: Option<Signed>,
}

impl Shell {
    pub(super) fn of(signed: &Signed, part: &'static str, title: impl Into<String>) -> Self {
        Self { signed: Some(signed.clone()), ..Self::of_nobody(part, title) }
    }

    pub(super) fn of_nobody(part: &'static str, title: impl Into<String>) -> Self {
        Self { title: title.into(), part, version: &VERSION, signed: None }
    }

    /// What its forms carry.
    pub(super) fn csrf(&self) -> &str {
        self.signed.as_ref().map_or("", |signed| &signed.csrf)
    }

    /// Whether who looks at it may act on dead letters.
    pub(super) fn acts(&self) -> bool {
        self.signed.as_ref().is_some_and(|signed| signed.actor.role >= Role::Operator)
    }

    /// Whether there is something that who looks at it does not see.
    pub(super) fn is_scoped(&self) -> bool {
        self.signed.as_ref().is_some_and(|signed| !signed.actor.scope.is_all())
    }

    /// Whether who looks at it may manage users.
    pub(super) fn manages(&self) -> bool {
        self.signed.as_ref().is_some_and(|signed| {
            decide(&signed.actor, Action::ManageUsers, Object::Everything).is_ok()
        })
    }
}

/// A page, or what is answered in its place.
pub(super) type Shown = Result<Response, Refusal>;

/// The page of a template.
pub(super) fn show(template: &impl Template) -> Shown {
    show_as(StatusCode::OK, template)
}

/// The page of a template, with a status.
pub(super) fn show_as(status: StatusCode, template: &impl Template) -> Shown {
    let page = template.render().map_err(|error| DeskError::failed(&error))?;
    Ok((status, Html(page)).into_response())
}

/// On to another page.
pub(super) fn see_other(to: &str) -> Response {
    match HeaderValue::from_str(to) {
        Ok(to) => (StatusCode::SEE_OTHER, [(LOCATION, to)]).into_response(),
        Err(_) => (StatusCode::SEE_OTHER, [(LOCATION, HOME)]).into_response(),
    }
}

/// Has the browser be in a session from now on, or in none.
pub(super) fn with_session(mut response: Response, session: Option<&str>) -> Response {
    let cookie = match session {
        Some(id) => format!("{COOKIE}={id}; Path=/; Secure; HttpOnly; SameSite=Lax"),
        None => format!("{COOKIE}=; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=0"),
    };
    if let Ok(cookie) = HeaderValue::from_str(&cookie) {
        response.headers_mut().append(SET_COOKIE, cookie);
    }
    response
}

/// Gives an answer the headers that keep a browser from doing more than it should.
pub(super) async fn guarded(mut response: Response) -> Response {
    let headers = response.headers_mut();
    for (name, value) in GUARDS {
        headers.insert(name, HeaderValue::from_static(value));
    }
    if !headers.contains_key(CACHE_CONTROL) {
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
    response
}

pub(super) async fn home() -> Response {
    see_other(HOME)
}

pub(super) async fn nothing_there() -> Response {
    Refusal::Nowhere.into_response()
}

/// What is answered in place of a page.
pub(super) enum Refusal {
    /// Nobody is signed in. They sign in, and come back to where they were.
    Nobody { back: String, is_fragment: bool },
    /// No page of ours sent it, or one of another session.
    CrossSite,
    /// The body was not read.
    Unread(Unread),
    /// It was not done.
    Desk(DeskError),
    /// There is no such page.
    Nowhere,
    /// There were too many tries.
    TooMany { seconds: u64 },
    /// The provider of identities did not lead to a session.
    Oidc(OidcError),
}

impl Refusal {
    pub(super) fn nobody(request: &Request) -> Self {
        let is_page = request.method() == Method::GET;
        let uri = request.uri();
        let back = uri.path_and_query().filter(|_| is_page).map_or(HOME, |path| path.as_str());
        let is_fragment = request.headers().contains_key(HTMX);
        Self::Nobody { back: back.to_owned(), is_fragment }
    }

    fn status(&self) -> StatusCode {
        match self {
            Self::Nobody { .. } => StatusCode::UNAUTHORIZED,
            Self::CrossSite => StatusCode::FORBIDDEN,
            Self::Unread(unread) => unread.status(),
            Self::Desk(error) => error.status(),
            Self::Nowhere => StatusCode::NOT_FOUND,
            Self::TooMany { .. } => StatusCode::TOO_MANY_REQUESTS,
            Self::Oidc(error) => error.status(),
        }
    }

    fn told(&self) -> (&'static str, String) {
        match self {
            Self::Nobody { .. } => ("Sign in first", String::new()),
            Self::CrossSite => (
                "Not sent by this page",
                "The form is another session's or another site's, and nothing was done. Load the page again, and \
                 send it once more."
                    .to_owned(),
            ),
            Self::Unread(unread) => ("Not read", format!("{unread}.")),
            Self::Desk(DeskError::NotAllowed(denied)) => ("Not allowed", format!("{denied}.")),
            Self::Desk(
                error @ (DeskError::Unclear(_) | DeskError::Conflict(_) | DeskError::Failed(_)),
            ) => ("Not done", format!("{error}.")),
            Self::Desk(
                error @ (DeskError::NoLetter(_)
                | DeskError::NoReplay(_)
                | DeskError::NoFailure(_)
                | DeskError::NoNote(_)
                | DeskError::NoGroup(_)
                | DeskError::NoService(_)
                | DeskError::NoEvent(_)
                | DeskError::NoUser(_)
                | DeskError::NoRequest(_)),
            ) => ("Not found", format!("{error}.")),
            Self::Desk(error @ DeskError::Busy { .. }) => ("Too many at once", format!("{error}.")),
            Self::Nowhere => ("Not found", "There is no such page.".to_owned()),
            Self::TooMany { seconds } => (
                "Too many tries",
                format!("Too many tries to sign in: the next one may be in {seconds} seconds."),
            ),
            Self::Oidc(error) => ("Not signed in", format!("{error}.")),
        }
    }
}

#[derive(Template)]
#[template(path = "refused.html")]
struct Refused {
    shell: Shell,
    told: String,
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let status = self.status();
        match &self {
            Self::Nobody { back, is_fragment: false } => {
                return see_other(&format!("/sign-in?{}", query::encoded([("next", back)])));
            }
            Self::Nobody { .. } => {
                return (status, [(HeaderName::from_static("hx-redirect"), "/sign-in")])
                    .into_response();
            }
            Self::Desk(DeskError::Failed(why)) => {
                tracing::warn!(why, "a request of the panel failed");
            }
            _ => {}
        }
        let (title, told) = self.told();
        let page = Refused { shell: Shell::of_nobody("", title), told };
        let mut response = match page.render() {
            Ok(page) => (status, Html(page)).into_response(),
            Err(_) => (status, [(CONTENT_TYPE, "text/plain")], title).into_response(),
        };
        if let Self::TooMany { seconds } | Self::Desk(DeskError::Busy { seconds }) = self {
            response.headers_mut().insert(RETRY_AFTER, seconds.into());
        }
        response
    }
}

impl From<DeskError> for Refusal {
    fn from(error: DeskError) -> Self {
        match error {
            // As if it did not exist.
            DeskError::NotAllowed(Denied::OutOfScope) => Self::Nowhere,
            error => Self::Desk(error),
        }
    }
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        Self::Desk(error.into())
    }
}

impl From<Unwritten> for Refusal {
    fn from(unwritten: Unwritten) -> Self {
        Self::Desk(unwritten.into())
    }
}

impl From<OidcError> for Refusal {
    fn from(error: OidcError) -> Self {
        Self::Oidc(error)
    }
}

impl From<HashError> for Refusal {
    fn from(error: HashError) -> Self {
        Self::Desk(DeskError::failed(&error))
    }
}

impl From<Unread> for Refusal {
    fn from(unread: Unread) -> Self {
        Self::Unread(unread)
    }
}
