//! Who may use the broker, and for what.

use std::collections::BTreeSet;
use std::path::PathBuf;

use event_bus::dead_letter::error_chain;
use event_bus_broker::{Tls, TlsFiles, Users};

use crate::exit::usage;

#[derive(clap::Args)]
#[command(next_help_heading = "Who may use it")]
pub struct Security {
    /// Have clients log in by SASL/SCRAM as one of these users: NAME:PASSWORD a line, in a file that nobody else can read
    #[arg(long, value_name = "FILE")]
    users: Option<PathBuf>,
    /// Keep everybody from what access control lists don't allow; who needs none is a --super-user
    #[arg(long)]
    acls: bool,
    /// Who may do everything, such as User:admin; may be given several times
    #[arg(long, value_name = "PRINCIPAL", requires = "acls", value_parser = principal)]
    super_user: Vec<String>,
    /// Speak TLS with this certificate (PEM), those behind it in the same file
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    tls_certificate: Option<PathBuf>,
    /// The certificate's key (PEM)
    #[arg(long, value_name = "FILE", requires = "tls_certificate")]
    tls_key: Option<PathBuf>,
    /// Know clients by certificates that this authority signed (PEM); with --users they may log in instead
    #[arg(long, value_name = "FILE", requires = "tls_certificate")]
    tls_client_ca: Option<PathBuf>,
    /// The authority's list of certificates that are not good any more (PEM)
    #[arg(long, value_name = "FILE", requires = "tls_client_ca")]
    tls_revoked: Option<PathBuf>,
}

impl Security {
    pub fn users(&self) -> anyhow::Result<Option<Users>> {
        let read = |path: &PathBuf| Users::read(path).or_else(|error| usage(error_chain(&error)));
        self.users.as_ref().map(read).transpose()
    }

    pub fn tls(&self) -> anyhow::Result<Option<Tls>> {
        let (Some(certificate), Some(key)) = (&self.tls_certificate, &self.tls_key) else {
            return Ok(None);
        };
        let files = TlsFiles {
            certificate: certificate.clone(),
            key: key.clone(),
            client_ca: self.tls_client_ca.clone(),
            revoked: self.tls_revoked.clone(),
        };
        let tls = Tls::open(&files, self.users.is_none());
        tls.map(Some).or_else(|error| usage(error_chain(&error)))
    }

    pub fn super_users(&self) -> Option<BTreeSet<String>> {
        self.acls.then(|| self.super_user.iter().cloned().collect())
    }
}

fn principal(text: &str) -> Result<String, String> {
    match text.strip_prefix("User:") {
        Some(name) if !name.is_empty() && name != "*" => Ok(text.to_owned()),
        _ => Err("want User: and a name, such as User:admin".to_owned()),
    }
}
