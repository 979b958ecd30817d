//! A provider of identities of a test's own: OpenID Connect's authorization code flow, with PKCE and keys that sign, and
//! what providers and those who get between can do wrong.

mod keys;
mod tls;

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};

use axum::extract::{Query, State};
use axum::http::header::{AUTHORIZATION, LOCATION};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use jiff::Timestamp;
use openssl::sha::sha256;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use uuid::Uuid;

use keys::Key;
use tls::Tls;

pub use tls::Certificate;

/// What the panel is called there.
pub const CLIENT_ID: &str = "panel";
/// By which it is known.
pub const CLIENT_SECRET: &str = "a secret: with + and %";
/// After the provider's origin, as servers of many realms have it.
const REALM: &str = "/realms/ops";

type Pairs = BTreeMap<String, String>;

/// What goes wrong, from when it is switched on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The ID token is of another attempt.
    WrongNonce,
    /// It is for another client.
    WrongAudience,
    /// It is for this client and another one, to which it was given.
    OtherParty,
    /// It is of another provider.
    WrongIssuer,
    /// It is over.
    Expired,
    /// It is not signed.
    Unsigned,
    /// It is signed by the public key, as if that were a secret.
    PublicKeyAsSecret,
    /// It is signed by a key that is not shown, under the name of one that is.
    OtherKey,
    /// It is signed by a key of a name that is not shown.
    UnknownKey,
    /// It says something else than what was signed.
    Changed,
    /// It tells no groups.
    NoGroups,
    /// It does not tell when the password was given.
    NoAuthTime,
    /// Nobody is asked for a password, whatever was asked.
    NeverAsks,
    /// Its page about itself is of another provider.
    OtherDocument,
    /// It signs nobody in, and says why.
    Denies,
    /// It says of its answers that they name it, and they don't.
    Nameless,
}

/// What the panel asked for, and who is to have it.
struct Asked {
    pairs: Pairs,
    auth_time: i64,
}

struct Realm {
    issuer: String,
    /// Its page for users, on another site than the panel: who names this machine in another way is another one to browsers.
    page: String,
    fault: Option<Fault>,
    /// Who is signed in there, and since when.
    user: Value,
    auth_time: i64,
    keys: Vec<Key>,
    asked: HashMap<String, Asked>,
    /// What came to its page for users.
    authorized: Vec<Pairs>,
}

/// A provider that answers until the test ends.
#[derive(Clone)]
pub struct Identities {
    /// Where its page for users is.
    pub address: SocketAddr,
    realm: Arc<Mutex<Realm>>,
}

impl Identities {
    /// Starts one on a free port. Nobody is signed in there.
    ///
    /// # Panics
    /// When there is none.
    pub async fn start() -> Self {
        let listener = listener().await;
        let address = listener.local_addr().expect("it has an address");
        let realm = Realm::of(&format!("http://{address}"), address);
        tokio::spawn(axum::serve(listener, routes(&realm)).into_future());
        Self { address, realm }
    }

    /// The same over TLS, all but its page for users.
    ///
    /// # Panics
    /// When there is no port, or no certificate can be made.
    pub async fn start_guarded() -> (Self, Certificate) {
        let ((guarded, certificate), listener) = (Tls::listen().await, listener().await);
        let address = listener.local_addr().expect("it has an address");
        let realm = Realm::of(&guarded.origin(), address);
        tokio::spawn(axum::serve(guarded, routes(&realm)).into_future());
        tokio::spawn(axum::serve(listener, routes(&realm)).into_future());
        (Self { address, realm }, certificate)
    }

    /// As it calls itself.
    #[must_use]
    pub fn issuer(&self) -> String {
        self.realm().issuer.clone()
    }

    /// Somebody gives the password there, of whom these claims are told.
    pub fn signs_in(&self, claims: Value) {
        self.has_signed_in(claims, now());
    }

    /// Somebody gave it there, so many seconds after 1970.
    pub fn has_signed_in(&self, claims: Value, at: i64) {
        let mut realm = self.realm();
        (realm.user, realm.auth_time) = (claims, at);
    }

    /// Switches a fault on, or all off.
    pub fn set(&self, fault: Option<Fault>) {
        self.realm().fault = fault;
    }

    /// Signs by another key from now on, and no longer shows the one before.
    pub fn rotates_its_keys(&self) {
        self.realm().keys = vec![Key::ec("second")];
    }

    /// What the browsers were sent with, in their order.
    #[must_use]
    pub fn authorized(&self) -> Vec<BTreeMap<String, String>> {
        self.realm().authorized.clone()
    }

    fn realm(&self) -> MutexGuard<'_, Realm> {
        lock(&self.realm)
    }
}

async fn listener() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").await.expect("there is a free port")
}

fn routes(realm: &Arc<Mutex<Realm>>) -> Router {
    Router::new()
        .route(&format!("{REALM}/.well-known/openid-configuration"), get(document))
        .route(&format!("{REALM}/keys"), get(keys))
        .route(&format!("{REALM}/authorize"), get(authorize))
        .route(&format!("{REALM}/token"), post(token))
        .with_state(Arc::clone(realm))
}

fn lock(realm: &Mutex<Realm>) -> MutexGuard<'_, Realm> {
    realm.lock().expect("every request can be answered")
}

fn now() -> i64 {
    Timestamp::now().as_second()
}

async fn document(State(realm): State<Arc<Mutex<Realm>>>) -> Json<Value> {
    let realm = lock(&realm);
    let is_other = realm.fault == Some(Fault::OtherDocument);
    let issuer = if is_other { "https://id.example.com" } else { &realm.issuer };
    Json(json!({
        "issuer": issuer,
        "authorization_endpoint": realm.page,
        "token_endpoint": format!("{}/token", realm.issuer),
        "jwks_uri": format!("{}/keys", realm.issuer),
        "response_types_supported": ["code"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["RS256", "ES256"],
        "code_challenge_methods_supported": ["S256"],
        "authorization_response_iss_parameter_supported": true,
    }))
}

async fn keys(State(realm): State<Arc<Mutex<Realm>>>) -> Json<Value> {
    let mut shown: Vec<Value> = lock(&realm).keys.iter().map(|key| key.shown.clone()).collect();
    // One that is not for signatures, as many have.
    shown.push(json!({ "kty": "oct", "kid": "other", "use": "enc" }));
    Json(json!({ "keys": shown }))
}

/// The page for users, of whom one is signed in already or signs in at once.
async fn authorize(State(realm): State<Arc<Mutex<Realm>>>, Query(pairs): Query<Pairs>) -> Response {
    let mut realm = lock(&realm);
    realm.authorized.push(pairs.clone());
    let is = |name: &str, value: &str| pairs.get(name).is_some_and(|said| said == value);
    let scopes = pairs.get("scope").map(String::as_str).unwrap_or_default();
    let is_right = is("response_type", "code")
        && is("client_id", CLIENT_ID)
        && is("code_challenge_method", "S256")
        && scopes.split(' ').any(|scope| scope == "openid")
        && ["redirect_uri", "state", "nonce", "code_challenge"]
            .iter()
            .all(|name| pairs.contains_key(*name));
    if !is_right {
        return (StatusCode::BAD_REQUEST, format!("{pairs:?}")).into_response();
    }
    let (code, state) = (Uuid::new_v4().simple().to_string(), pairs["state"].clone());
    let mut answer = match realm.fault {
        Some(Fault::Denies) => vec![
            ("error", "access_denied".to_owned()),
            ("error_description", "<script>alert(1)</script>\u{202e}no".to_owned()),
        ],
        _ => vec![("code", code.clone())],
    };
    answer.push(("state", state));
    if realm.fault != Some(Fault::Nameless) {
        answer.push(("iss", realm.issuer.clone()));
    }
    let asks = is("prompt", "login") && realm.fault != Some(Fault::NeverAsks);
    if asks {
        realm.auth_time = now();
    }
    let answer = form_urlencoded::Serializer::new(String::new()).extend_pairs(&answer).finish();
    let to = format!("{}?{answer}", pairs["redirect_uri"]);
    let auth_time = realm.auth_time;
    realm.asked.insert(code, Asked { pairs, auth_time });
    (StatusCode::FOUND, [(LOCATION, to)]).into_response()
}

/// What is answered to a client that has no right to a token, RFC 6749, section 5.2.
fn refused(error: &str, description: &str) -> Response {
    let told = json!({ "error": error, "error_description": description });
    (StatusCode::BAD_REQUEST, Json(told)).into_response()
}

async fn token(
    State(realm): State<Arc<Mutex<Realm>>>,
    headers: HeaderMap,
    form: String,
) -> Response {
    let form: Pairs = form_urlencoded::parse(form.as_bytes()).into_owned().collect();
    let mut realm = lock(&realm);
    if !is_client(&headers) {
        return refused("invalid_client", "no such client, or another secret");
    }
    let text = |name: &str| form.get(name).map(String::as_str).unwrap_or_default();
    // Good once.
    let Some(asked) = realm.asked.remove(text("code")) else {
        return refused("invalid_grant", "the code was used, or is none");
    };
    let challenge = URL_SAFE_NO_PAD.encode(sha256(text("code_verifier").as_bytes()));
    let is_right = text("grant_type") == "authorization_code"
        && text("redirect_uri") == asked.pairs["redirect_uri"]
        && challenge == asked.pairs["code_challenge"];
    if !is_right {
        return refused("invalid_grant", "the code is another one's");
    }
    let id_token = realm.id_token(&asked);
    Json(json!({
        "access_token": "unused", "token_type": "Bearer", "expires_in": 300, "id_token": id_token,
    }))
    .into_response()
}

/// RFC 6749, section 2.3.1: both escaped as in a form.
fn is_client(headers: &HeaderMap) -> bool {
    let basic = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    let basic = basic.and_then(|basic| basic.strip_prefix("Basic "));
    let pair = basic.and_then(|basic| STANDARD.decode(basic).ok());
    let secret = "a+secret%3A+with+%2B+and+%25";
    pair.is_some_and(|pair| pair == format!("{CLIENT_ID}:{secret}").into_bytes())
}

impl Realm {
    fn of(origin: &str, page: SocketAddr) -> Arc<Mutex<Self>> {
        Arc::new(Mutex::new(Self {
            issuer: format!("{origin}{REALM}"),
            page: format!("http://localhost:{}{REALM}/authorize", page.port()),
            fault: None,
            user: json!({}),
            auth_time: 0,
            keys: vec![Key::rsa("first")],
            asked: HashMap::new(),
            authorized: Vec::new(),
        }))
    }

    fn claims(&self, asked: &Asked) -> Value {
        let mut claims = json!({
            "iss": self.issuer, "aud": CLIENT_ID, "nonce": asked.pairs["nonce"],
            "iat": now(), "exp": now() + 300, "auth_time": asked.auth_time,
        });
        for (name, value) in self.user.as_object().into_iter().flatten() {
            claims[name] = value.clone();
        }
        match self.fault {
            Some(Fault::WrongNonce) => claims["nonce"] = json!("another"),
            Some(Fault::WrongAudience) => claims["aud"] = json!("another"),
            Some(Fault::OtherParty) => {
                claims["aud"] = json!([CLIENT_ID, "another"]);
                claims["azp"] = json!("another");
            }
            Some(Fault::WrongIssuer) => claims["iss"] = json!("https://id.example.com"),
            Some(Fault::Expired) => claims["exp"] = json!(now() - 120),
            Some(Fault::NoGroups) => claims["groups"] = Value::Null,
            Some(Fault::NoAuthTime) => {
                claims.as_object_mut().map(|claims| claims.remove("auth_time"));
            }
            _ => {}
        }
        claims
    }

    fn id_token(&self, asked: &Asked) -> String {
        let (claims, key) = (self.claims(asked), &self.keys[0]);
        match self.fault {
            Some(Fault::Unsigned) => Key::unsigned(&claims),
            Some(Fault::PublicKeyAsSecret) => key.as_secret(&claims),
            Some(Fault::OtherKey) => Key::rsa(&key.id).sign(&claims),
            Some(Fault::UnknownKey) => Key::rsa("unknown").sign(&claims),
            Some(Fault::Changed) => {
                let token = key.sign(&claims);
                let mut parts: Vec<&str> = token.split('.').collect();
                let mut other = claims;
                other["groups"] = json!(["admins"]);
                let other = URL_SAFE_NO_PAD.encode(other.to_string());
                parts[1] = &other;
                parts.join(".")
            }
            _ => key.sign(&claims),
        }
    }
}
