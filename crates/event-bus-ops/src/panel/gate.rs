//! Before each page: who asks, whether a page of ours sent it, and whether the policy allows it.

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header::COOKIE as COOKIES;
use axum::http::{HeaderMap, Method};
use axum::middleware::Next;
use axum::response::Response;
use event_bus::store::ops::Session;
use jiff::Timestamp;

use super::page::Refusal;
use super::{COOKIE, Panel};
use crate::access::body::whole_body;
use crate::access::cross_site::{is_own, is_same, token_of};
use crate::access::policy::{Actor, decide};
use crate::access::route::Needs;
use crate::desk::DeskError;

/// A form has at most so many bytes: an edited event of the largest size, of which a browser escapes most characters.
const MAX_FORM_BYTES: usize = 4 * 1024 * 1024;
/// As a header says it that a script sends, and as a form does.
const CSRF_HEADER: &str = "x-csrf-token";
const CSRF_FIELD: &str = "csrf";

/// Somebody who is signed in.
#[derive(Clone)]
pub(super) struct Signed {
    pub actor: Actor,
    /// What each form of this session carries.
    pub csrf: String,
    /// Names the session.
    pub session: String,
    /// When the password was given last.
    pub proved_at: Timestamp,
    /// The provider of identities by which this one signs in, in place of a password.
    pub issuer: Option<String>,
}

/// The fields of a form.
#[derive(Clone, Default)]
pub(super) struct Fields(Vec<(String, String)>);

impl Fields {
    fn of(body: &[u8]) -> Self {
        Self(form_urlencoded::parse(body).into_owned().collect())
    }

    /// The first of this name; an empty text where there is none.
    pub(super) fn text(&self, name: &str) -> &str {
        self.0.iter().find(|(field, _)| field == name).map_or("", |(_, value)| value)
    }
}

/// The session that the browser says it is in.
pub(super) fn session_of(headers: &HeaderMap) -> Option<&str> {
    cookie_of(headers, COOKIE)
}

/// What the browser keeps under a name.
pub(super) fn cookie_of<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    let lists = headers.get_all(COOKIES).iter().filter_map(|list| list.to_str().ok());
    let mut cookies =
        lists.flat_map(|list| list.split(';')).filter_map(|one| one.trim().split_once('='));
    cookies.find(|(cookie, _)| *cookie == name).map(|(_, value)| value)
}

pub(super) async fn gate(
    State((panel, needs)): State<(Panel, Needs)>,
    request: Request,
    next: Next,
) -> Result<Response, Refusal> {
    let is_form = ![Method::GET, Method::HEAD].contains(request.method());
    if is_form && !is_own(request.headers()) {
        return Err(Refusal::CrossSite);
    }
    let signed = panel.signed(request.headers()).await?;
    // Whose session a form has to be of.
    let sender = match needs {
        Needs::Nothing => None,
        Needs::Somebody | Needs::May(_) => match &signed {
            Some(signed) => Some(signed),
            None => return Err(Refusal::nobody(&request)),
        },
    };
    if let (Some(signed), Needs::May(action)) = (sender, needs) {
        decide(&signed.actor, action, action.object()).map_err(DeskError::from)?;
    }
    let (parts, body) = whole_body(request, MAX_FORM_BYTES).await?;
    let mut request = Request::from_parts(parts, Body::empty());
    if is_form {
        let fields = Fields::of(&body);
        if let Some(signed) = sender {
            let header = request.headers().get(CSRF_HEADER).and_then(|token| token.to_str().ok());
            let token = header.unwrap_or_else(|| fields.text(CSRF_FIELD));
            if !is_same(token, &signed.csrf) {
                return Err(Refusal::CrossSite);
            }
        }
        request.extensions_mut().insert(fields);
    }
    if let Some(signed) = signed {
        request.extensions_mut().insert(signed);
    }
    Ok(next.run(request).await)
}

impl Panel {
    async fn signed(&self, headers: &HeaderMap) -> Result<Option<Signed>, DeskError> {
        let Some(id) = session_of(headers) else { return Ok(None) };
        let session = self.desk.store.session(id, Timestamp::now()).await?;
        Ok(session.map(|Session { user, proved_at }| Signed {
            actor: Actor::from(&user),
            csrf: token_of(id),
            session: id.to_owned(),
            proved_at,
            issuer: user.issuer,
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_session_is_one_of_the_cookies() {
        let headers = |list: &[&str]| -> HeaderMap {
            list.iter().map(|list| (COOKIES, list.parse().unwrap())).collect()
        };
        let id = "__Host-event-bus=abc";
        assert_eq!(session_of(&headers(&["a=b; __Host-event-bus=abc; c"])), Some("abc"));
        assert_eq!(session_of(&headers(&["a=b", id])), Some("abc"));
        assert_eq!(session_of(&headers(&["event-bus=abc; x__Host-event-bus=d"])), None);
    }

    #[test]
    fn fields_are_read_as_browsers_write_them() {
        let fields = Fields::of(b"a=1+2&b=%2B%26&a=3&c");
        assert_eq!([fields.text("a"), fields.text("b"), fields.text("c")], ["1 2", "+&", ""]);
    }
}
