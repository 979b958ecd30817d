//! Signing in by a provider of identities: OpenID Connect's authorization code flow with PKCE.
//!
//! [`Provider::begin`] sends a browser to the provider, and [`Provider::finish`] judges with what it comes back. What binds
//! both is in a cookie of that browser and nowhere else. The provider is believed what stands in an ID token that it
//! signed, for this client and this attempt, and nothing else: neither an access token nor its page about users is asked.

mod address;
mod attempt;
mod claims;
mod discovery;
mod error;
mod grant;
mod jws;
mod keys;

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use event_bus::store::ops::{UserName, Vouched};
use form_urlencoded::byte_serialize;
use http_body_util::Full;
use hyper::Request;
use hyper::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use jiff::Timestamp;
use serde::Deserialize;

pub use address::{Address, NotAnAddress};
pub(super) use address::{is_guarded, names_nobody};
pub(crate) use attempt::COOKIE;
pub use error::OidcError;
pub use grant::{Grant, Grants, NotAGrant};

use crate::access::origin::Origin;
use attempt::Attempt;
use claims::Wanted;
use discovery::{Discovery, Document};
use jws::Unverified;

/// Where the provider sends browsers back to, after the panel's own address.
pub const CALLBACK: &str = "/sign-in/oidc/callback";
/// Without it, it would not be OpenID Connect.
const OPENID: &str = "openid";
/// Of what a provider says, so many characters are told.
const TOLD: usize = 200;

/// Whom to ask, and what opens the panel.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The provider.
    pub issuer: Address,
    /// What it calls this panel.
    pub client_id: String,
    /// By which it knows the panel; none for a client that has none.
    pub client_secret: Option<Secret>,
    /// What is asked of it besides `openid`.
    pub scopes: Vec<String>,
    /// The claim of the ID token that has the groups: its name, or a JSON pointer to it.
    pub groups_claim: String,
    /// What each group may do.
    pub grants: Grants,
    /// Where browsers find the panel.
    pub panel: Origin,
}

/// A text that is in no log.
#[derive(Clone)]
pub struct Secret(String);

impl Secret {
    /// Of what a file or the environment says, without the line's end.
    #[must_use]
    pub fn new(text: &str) -> Self {
        Self(text.trim_end_matches(['\r', '\n']).to_owned())
    }

    /// Whether there is nothing in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Secret(…)")
    }
}

/// A provider of identities.
#[derive(Debug)]
pub struct Provider {
    settings: Settings,
    discovery: Discovery,
}

/// Where a browser is sent, and what it keeps meanwhile.
pub(crate) struct Begun {
    pub to: String,
    pub cookie: String,
}

/// Who came back, and what opens the panel for this one.
pub(crate) struct Came {
    pub issuer: String,
    pub subject: String,
    pub name: UserName,
    /// When the password was given to the provider; long ago where it does not say.
    pub proved_at: Timestamp,
    /// The grant of the first group in the order of the settings; or why there is none.
    pub grant: Result<Grant, OidcError>,
    /// The page to go on to.
    pub next: String,
    /// Whether it was to prove once more who is signed in.
    pub is_proof: bool,
}

impl Came {
    /// As the store knows users, with what a grant opens.
    pub(crate) fn vouched(&self, grant: &Grant) -> Vouched {
        Vouched {
            issuer: self.issuer.clone(),
            subject: self.subject.clone(),
            name: self.name.clone(),
            role: grant.role,
            scope: grant.scope.clone(),
        }
    }
}

#[derive(Deserialize)]
struct Tokens {
    id_token: String,
}

/// What a provider says where it does not do what was asked, RFC 6749, section 5.2.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Complaint {
    error: String,
    error_description: String,
}

impl Provider {
    /// The provider of these settings. It is not asked anything yet.
    ///
    /// # Errors
    /// When this machine's trust in certificates can't be read.
    pub fn new(settings: Settings) -> Result<Self, OidcError> {
        let discovery = Discovery::of(settings.issuer.clone())?;
        Ok(Self { settings, discovery })
    }

    /// Its address, by which users know it.
    #[must_use]
    pub fn issuer(&self) -> &str {
        self.settings.issuer.as_str()
    }

    /// Whether some group makes administrators of all.
    #[must_use]
    pub fn has_administrators(&self) -> bool {
        self.settings.grants.have_administrators()
    }

    /// Looks what the provider says of itself, to learn early that this can't be used.
    ///
    /// # Errors
    /// When it does not answer, or not with what is needed.
    pub async fn look(&self) -> Result<(), OidcError> {
        self.discovery.known().await.map(drop)
    }

    /// Begins to sign somebody in, who goes on to a page of ours; to prove who they are, even where the provider has
    /// them signed in.
    pub(crate) async fn begin(&self, next: &str, is_proof: bool) -> Result<Begun, OidcError> {
        let known = self.discovery.known().await?;
        let attempt = Attempt::new(next, is_proof)?;
        let (scope, redirect) = (self.scope(), self.redirect_uri());
        let (state, nonce, challenge) = (attempt.state(), attempt.nonce(), attempt.challenge());
        let mut asked = vec![
            ("response_type", "code"),
            ("client_id", &self.settings.client_id),
            ("redirect_uri", &redirect),
            ("scope", &scope),
            ("state", &state),
            ("nonce", &nonce),
            ("code_challenge", &challenge),
            ("code_challenge_method", "S256"),
        ];
        if is_proof {
            asked.extend([("prompt", "login"), ("max_age", "0")]);
        }
        let to = known.document.authorization_endpoint.as_str();
        let separator = if to.contains('?') { '&' } else { '?' };
        Ok(Begun { to: format!("{to}{separator}{}", encoded(&asked)), cookie: attempt.cookie() })
    }

    /// Judges with what a browser came back, and the cookie that it kept.
    pub(crate) async fn finish(
        &self,
        said: &[(String, String)],
        cookie: Option<&str>,
        within: Duration,
        now: Timestamp,
    ) -> Result<Came, OidcError> {
        let text = |name: &str| said.iter().find(|(key, _)| key == name).map(|(_, text)| &**text);
        let attempt = cookie.and_then(Attempt::read).ok_or(OidcError::NotBegunHere)?;
        if !attempt.is_state(text("state").unwrap_or_default()) {
            return Err(OidcError::NotBegunHere);
        }
        let mut known = self.discovery.known().await?;
        match text("iss") {
            None if !known.document.names_itself => {}
            Some(issuer) if issuer == self.issuer() => {}
            _ => return Err(OidcError::Untrusted("another provider answered".to_owned())),
        }
        if let Some(error) = text("error") {
            return Err(OidcError::Refused(told(error, text("error_description"))));
        }
        let code = text("code").ok_or_else(|| OidcError::Refused("there is no code".to_owned()))?;
        let token = self.exchange(&known.document, code, &attempt).await?;
        let claims = match jws::verify(&token, &known.keys) {
            Err(Unverified::UnknownKey) => {
                // It may sign by another one since.
                known = self.discovery.known_after(&known).await?;
                jws::verify(&token, &known.keys)
            }
            judged => judged,
        };
        let claims = claims.map_err(|error| OidcError::Untrusted(error.to_string()))?;
        let nonce = attempt.nonce();
        let wanted = Wanted {
            issuer: self.issuer(),
            client_id: &self.settings.client_id,
            nonce: &nonce,
            proved_within: attempt.is_proof.then_some(within),
            now,
        };
        let identity = claims::check(&claims, &wanted)?;
        let groups = claims::groups(&claims, &self.settings.groups_claim);
        Ok(Came {
            issuer: self.issuer().to_owned(),
            name: UserName::vouched(&identity.label, self.issuer(), &identity.subject),
            subject: identity.subject,
            proved_at: identity.proved_at,
            grant: self.settings.grants.of(groups, &self.settings.groups_claim),
            next: attempt.next,
            is_proof: attempt.is_proof,
        })
    }

    /// Exchanges a code for an ID token, on a connection to the provider.
    async fn exchange(
        &self,
        document: &Document,
        code: &str,
        attempt: &Attempt,
    ) -> Result<String, OidcError> {
        let (redirect, verifier) = (self.redirect_uri(), attempt.verifier());
        let mut form = vec![
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", &redirect),
            ("code_verifier", &verifier),
        ];
        let mut request = Request::post(document.token_endpoint.path_and_query())
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
            .header(ACCEPT, "application/json");
        let client_id = &*self.settings.client_id;
        match &self.settings.client_secret {
            Some(Secret(secret)) if document.takes_basic() => {
                // RFC 6749, section 2.3.1.
                let escape = |text: &str| byte_serialize(text.as_bytes()).collect::<String>();
                let pair = format!("{}:{}", escape(client_id), escape(secret));
                let basic = format!("Basic {}", STANDARD.encode(pair));
                request = request.header(AUTHORIZATION, basic);
            }
            Some(Secret(secret)) => {
                form.extend([("client_id", client_id), ("client_secret", secret)]);
            }
            None => form.push(("client_id", client_id)),
        }
        let request = request.body(Full::new(Bytes::from(encoded(&form))));
        let request = request.expect("the path is an address', and base64 fits a header");
        let (status, body) = self.discovery.ask(&document.token_endpoint, request).await?;
        if !status.is_success() {
            let complaint: Complaint = serde_json::from_slice(&body).unwrap_or_default();
            let description = Some(&*complaint.error_description).filter(|text| !text.is_empty());
            let why = told(&complaint.error, description);
            return Err(OidcError::NotExchanged(format!("it answered {}: {why}", status.as_u16())));
        }
        let tokens: Result<Tokens, _> = serde_json::from_slice(&body);
        let no_token = |_| OidcError::NotExchanged("its answer has no ID token".to_owned());
        tokens.map(|tokens| tokens.id_token).map_err(no_token)
    }

    fn redirect_uri(&self) -> String {
        format!("{}{CALLBACK}", self.settings.panel)
    }

    fn scope(&self) -> String {
        let others = self.settings.scopes.iter().map(String::as_str);
        let others = others.filter(|scope| *scope != OPENID);
        [OPENID].into_iter().chain(others).collect::<Vec<_>>().join(" ")
    }
}

fn encoded(pairs: &[(&str, &str)]) -> String {
    form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish()
}

/// What a provider says about an error, not at any length.
fn told(error: &str, description: Option<&str>) -> String {
    let text = match description {
        Some(description) => format!("{error}: {description}"),
        None => error.to_owned(),
    };
    text.chars().take(TOLD).collect()
}
