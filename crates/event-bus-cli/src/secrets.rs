//! Secrets of the Kafka client: from files and from the environment. An argument is seen by everybody on the machine.

use std::{env, fs};

use event_bus::kafka::Properties;

use crate::exit::usage;

/// A secret that begins so is in the file that follows.
const FILE: char = '@';

/// Whether it is not the secret but where it is.
pub fn is_file(value: &str) -> bool {
    value.len() > 1 && value.starts_with(FILE)
}

/// Why a secret is not taken from an argument, and what to do.
pub fn not_as_argument(name: &str) -> String {
    format!(
        "{name} is a secret, and everybody on this machine can see arguments: write it into a file and give \
         --kafka {name}=@FILE, or set {}",
        variable(name)
    )
}

/// The environment's name of a secret, such as `EVENT_BUS_KAFKA_SASL_PASSWORD`.
fn variable(name: &str) -> String {
    format!("EVENT_BUS_KAFKA_{}", name.to_uppercase().replace('.', "_"))
}

/// The secrets that the environment has.
pub fn of_environment() -> anyhow::Result<Vec<(String, String)>> {
    let mut found = Vec::new();
    for name in Properties::secrets() {
        match env::var(variable(name)) {
            Ok(value) => found.push(((*name).to_owned(), value)),
            Err(env::VarError::NotPresent) => {}
            Err(env::VarError::NotUnicode(_)) => {
                return usage(format!("{} is no text", variable(name)));
            }
        }
    }
    Ok(found)
}

/// Puts what the files have into the place of their names.
pub fn read_files(properties: &mut Properties) -> anyhow::Result<()> {
    for name in Properties::secrets() {
        let Some(value) = properties.get_mut(*name) else { continue };
        let Some(path) = value.strip_prefix(FILE).filter(|path| !path.is_empty()) else { continue };
        match fs::read_to_string(path) {
            Ok(text) => *value = text.trim_end_matches(['\r', '\n']).to_owned(),
            Err(error) => {
                return usage(format!("{name} is to be read from {path}, which fails: {error}"));
            }
        }
    }
    Ok(())
}
