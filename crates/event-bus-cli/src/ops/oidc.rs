//! By which provider of identities users sign in to the panel.

use std::env::{self, VarError};
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use event_bus::dead_letter::error_chain;
use event_bus_ops::access::oidc::{Address, Grant, Grants, Provider, Secret, Settings};
use event_bus_ops::access::origin::Origin;

use crate::exit::usage;

/// Where the client's secret stands if no file is named. An argument would be seen by everybody on the machine.
const SECRET: &str = "EVENT_BUS_OIDC_CLIENT_SECRET";

#[derive(clap::Args)]
pub struct Oidc {
    /// Have users sign in by a provider of identities (OpenID Connect), too: its address, as it writes that itself
    #[arg(long, value_name = "URL", requires_all = ["oidc_client_id", "oidc_group"])]
    oidc_issuer: Option<Address>,
    /// What the provider calls this panel
    #[arg(long, value_name = "ID", requires = "oidc_issuer")]
    oidc_client_id: Option<String>,
    /// The file with the secret that the provider gave this panel [default: the environment's EVENT_BUS_OIDC_CLIENT_SECRET, or none]
    #[arg(long, value_name = "FILE", requires = "oidc_issuer")]
    oidc_client_secret_file: Option<PathBuf>,
    /// What to ask the provider for besides `openid`, with spaces between
    #[arg(long, value_name = "SCOPES", requires = "oidc_issuer", default_value = "profile email")]
    oidc_scopes: String,
    /// The claim of the ID token that has a user's groups: a name, or a JSON pointer such as /realm_access/roles
    #[arg(long, value_name = "CLAIM", requires = "oidc_issuer", default_value = "groups")]
    oidc_groups_claim: String,
    /// What a group may do; several times for more, of which a user has the first one. Who is in none of them does not get in
    #[arg(long, value_name = "GROUP=ROLE[,service=NAME…][,tenant=ID…]", requires = "oidc_issuer")]
    oidc_group: Vec<Grant>,
}

impl Oidc {
    /// The provider, if one is named, for a panel that browsers find there.
    pub fn provider(self, panel: &Origin) -> anyhow::Result<Option<Arc<Provider>>> {
        let (Some(issuer), Some(client_id)) = (self.oidc_issuer, self.oidc_client_id) else {
            return Ok(None);
        };
        if !panel.is_guarded() {
            return usage(format!(
                "a provider of identities sends browsers back to the panel by TLS alone, and it is on {panel}: say where its \
                 proxy has it, --panel https://HOST"
            ));
        }
        let client_secret = match self.oidc_client_secret_file {
            Some(path) => match fs::read_to_string(&path) {
                Ok(text) => Some(Secret::new(&text)),
                Err(error) => {
                    return usage(format!(
                        "the client's secret can't be read from {}: {error}",
                        path.display()
                    ));
                }
            },
            None => match env::var(SECRET) {
                Ok(text) => Some(Secret::new(&text)),
                Err(VarError::NotPresent) => None,
                Err(VarError::NotUnicode(_)) => {
                    return usage(format!("the client's secret in {SECRET} is no text"));
                }
            },
        };
        if client_secret.as_ref().is_some_and(Secret::is_empty) {
            return usage(format!(
                "the client's secret is empty: see --oidc-client-secret-file and {SECRET}"
            ));
        }
        let settings = Settings {
            issuer,
            client_id,
            client_secret,
            scopes: self.oidc_scopes.split_whitespace().map(str::to_owned).collect(),
            groups_claim: self.oidc_groups_claim,
            grants: Grants(self.oidc_group),
            panel: panel.clone(),
        };
        Provider::new(settings)
            .map(|provider| Some(Arc::new(provider)))
            .or_else(|error| usage(error_chain(&error)))
    }
}

/// Tells early what is wrong with a provider. It is no reason to end: others sign in by passwords, and it may come.
pub async fn look(provider: Option<&Provider>, stopped: impl Future<Output = ()>) {
    let Some(provider) = provider else { return };
    let issuer = provider.issuer();
    let looked = tokio::select! {
        looked = provider.look() => looked,
        () = stopped => return,
    };
    match looked {
        Ok(()) => tracing::info!(issuer, "users sign in by a provider of identities"),
        Err(error) => {
            let why = error.to_string();
            tracing::warn!(issuer, ?why, "nobody can sign in by the provider of identities yet");
        }
    }
}
