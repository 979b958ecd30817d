//! Why somebody is not signed in, and what to do about it.

use axum::http::StatusCode;

/// Why somebody is not signed in. What a provider says of it is text from outside.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OidcError {
    /// The provider does not answer.
    #[error(
        "the provider at {address} does not answer ({why}): try again in a moment; if it lasts, see whether this machine reaches \
         it, and trusts its certificate"
    )]
    Unreachable {
        /// Which page of it.
        address: String,
        /// What happened.
        why: String,
    },
    /// It answers, but not as providers do.
    #[error(
        "what {address} tells can't be used ({why}): is it the address of the provider, as the provider itself writes it?"
    )]
    Unusable {
        /// Which page of it.
        address: String,
        /// What is wrong.
        why: String,
    },
    /// The answer is to no question of this browser.
    #[error(
        "this browser did not begin it, or more than ten minutes ago, or began another one since: sign in again"
    )]
    NotBegunHere,
    /// The provider says no.
    #[error(
        "the provider did not sign you in ({0}): sign in again, or ask those who run the provider"
    )]
    Refused(String),
    /// It does not take the code, or this panel.
    #[error(
        "the provider gave no ID token for its code ({0}): sign in again; if it lasts, the client's id, its secret or the address \
         of this panel is not what the provider knows"
    )]
    NotExchanged(String),
    /// Its ID token is not for this sign-in.
    #[error(
        "the ID token of the provider is not taken ({0}): sign in again; if it lasts, tell those who run this panel"
    )]
    Untrusted(String),
    /// Its clock is another one.
    #[error(
        "the provider's clock and this machine's are apart ({0}): set both by NTP, and sign in again"
    )]
    Clocks(String),
    /// It does not say when the password was given, or that was long ago.
    #[error(
        "the provider did not ask for your password just now ({0}), so nothing is proved: try again; if it lasts, it has to tell \
         `auth_time` and to heed `max_age`"
    )]
    NotProved(String),
    /// The ID token tells no groups.
    #[error(
        "the provider tells no groups of yours in the claim {claim}, and so nobody gets in: those who run it can have it do that"
    )]
    NoGroups {
        /// Where they should be.
        claim: String,
    },
    /// None of the groups opens the panel.
    #[error("none of your groups opens this panel: ask those who run it which one does")]
    NoneOpens,
    /// An administrator has shut the user out.
    #[error("an administrator of this panel has shut you out")]
    ShutOut,
    /// Another one came back than is signed in.
    #[error("{came} came back from the provider, and {signed} is signed in here: sign out first")]
    SomebodyElse {
        /// Who came.
        came: String,
        /// Who is here.
        signed: String,
    },
    /// No provider is set up.
    #[error("no provider is set up here: `event-bus ops serve --oidc-issuer` says which")]
    NoProvider,
    /// This machine can't do it.
    #[error("this machine can't do it ({0})")]
    Machine(String),
}

impl OidcError {
    /// The status of HTTP that says so.
    pub(crate) fn status(&self) -> StatusCode {
        match self {
            Self::Unreachable { .. }
            | Self::Unusable { .. }
            | Self::NotExchanged(_)
            | Self::Untrusted(_)
            | Self::Clocks(_) => StatusCode::BAD_GATEWAY,
            Self::NotBegunHere | Self::NoProvider => StatusCode::BAD_REQUEST,
            Self::Refused(_)
            | Self::NotProved(_)
            | Self::NoGroups { .. }
            | Self::NoneOpens
            | Self::ShutOut
            | Self::SomebodyElse { .. } => StatusCode::FORBIDDEN,
            Self::Machine(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }
}
