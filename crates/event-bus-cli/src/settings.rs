//! What the options, the environment and the configuration file come to. Options win over the environment, and that
//! over the file.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::{fs, io};

use anyhow::Context;
use event_bus::dead_letter::error_chain;
use event_bus::doctor::Client;
use event_bus::kafka::Properties;
use event_bus::names::Namespace;
use event_bus::{Catalogue, KafkaConfig};
use serde::Deserialize;

use crate::exit::{UsageError, usage};
use crate::global::{Global, Kafka};
use crate::secrets;

/// The configuration file that is read where it exists.
const FILE: &str = "event-bus.toml";
const BOOTSTRAP: &str = "localhost:9092";

/// The configuration file.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    bootstrap: Option<String>,
    /// Relative to the file's directory.
    catalogue: Option<PathBuf>,
    namespace: Option<Namespace>,
    #[serde(default)]
    kafka: toml::Table,
}

/// The settings of this call.
#[derive(Debug)]
pub struct Settings {
    /// As somebody gave it.
    bootstrap: Option<String>,
    properties: Properties,
    catalogue: Option<PathBuf>,
    namespace: Option<Namespace>,
}

impl Settings {
    pub fn of(global: &Global) -> anyhow::Result<Self> {
        let file = match &global.config {
            Some(path) => match read(path)? {
                Some(file) => file,
                None => {
                    return usage(format!(
                        "the configuration file {} does not exist",
                        path.display()
                    ));
                }
            },
            None => read(Path::new(FILE))?.unwrap_or_default(),
        };
        let mut properties = Properties::default();
        flatten("", &file.kafka, &mut properties)?;
        properties.extend(secrets::of_environment()?);
        for option in &global.kafka {
            match option {
                Kafka::Property(name, value)
                    if Properties::is_secret(name) && !secrets::is_file(value) =>
                {
                    return usage(secrets::not_as_argument(name));
                }
                Kafka::Property(name, value) => properties.insert(name.clone(), value.clone()),
                Kafka::Listen(address) => {
                    return usage(format!(
                        "--kafka {address} is where `event-bus up` starts a broker: to find one that runs, give --bootstrap {address}"
                    ));
                }
            };
        }
        secrets::read_files(&mut properties)?;
        Ok(Self {
            bootstrap: global.bootstrap.clone().or(file.bootstrap),
            properties,
            catalogue: global.catalogue.clone().or(file.catalogue),
            namespace: global.namespace.clone().or(file.namespace),
        })
    }

    /// How to reach Kafka.
    pub fn kafka(&self) -> anyhow::Result<KafkaConfig> {
        self.kafka_at(self.bootstrap_given().unwrap_or(BOOTSTRAP))
    }

    /// How to reach Kafka somewhere else than these settings say.
    pub fn kafka_at(&self, bootstrap: &str) -> anyhow::Result<KafkaConfig> {
        let properties = self.properties.iter().map(|(name, value)| (name.clone(), value.clone()));
        KafkaConfig::new(bootstrap, properties).or_else(|error| usage(error_chain(&error)))
    }

    /// How Kafka is reached, with properties that may be refused.
    pub fn client(&self) -> Client {
        let bootstrap = self.bootstrap_given().unwrap_or(BOOTSTRAP).to_owned();
        Client { bootstrap, properties: self.properties.clone() }
    }

    /// The bootstrap servers, if anybody named some.
    pub fn bootstrap_given(&self) -> Option<&str> {
        self.bootstrap.as_deref()
    }

    /// The catalogue, under the namespace that was asked for.
    pub fn catalogue(&self) -> anyhow::Result<Arc<Catalogue>> {
        let catalogue = match &self.catalogue {
            Some(path) => Catalogue::load(path)?,
            None => blindstrader::catalogue(),
        };
        Ok(Arc::new(self.renamed(catalogue)))
    }

    fn renamed(&self, catalogue: Catalogue) -> Catalogue {
        match &self.namespace {
            Some(namespace) => catalogue.with_namespace(namespace.clone()),
            None => catalogue,
        }
    }

    /// The catalogue's file; `None` for the shipped one.
    pub fn catalogue_file(&self) -> Option<&Path> {
        self.catalogue.as_deref()
    }
}

fn read(path: &Path) -> anyhow::Result<Option<File>> {
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => {
            return Err(error).with_context(|| {
                format!("the configuration file {} can't be read", path.display())
            });
        }
    };
    let unusable = |error| {
        UsageError(format!("the configuration file {} is not usable: {error}", path.display()))
    };
    let mut file: File = toml::from_str(&text).map_err(unusable)?;
    file.catalogue =
        file.catalogue.map(|catalogue| path.parent().unwrap_or(Path::new("")).join(catalogue));
    Ok(Some(file))
}

/// In TOML, `security.protocol = "ssl"` is a table inside a table; a client property has dots in its name.
fn flatten(prefix: &str, table: &toml::Table, properties: &mut Properties) -> anyhow::Result<()> {
    for (name, value) in table {
        let name = if prefix.is_empty() { name.clone() } else { format!("{prefix}.{name}") };
        let text = match value {
            toml::Value::Table(inner) => {
                flatten(&name, inner, properties)?;
                continue;
            }
            toml::Value::String(text) => text.clone(),
            toml::Value::Integer(_) | toml::Value::Float(_) | toml::Value::Boolean(_) => {
                value.to_string()
            }
            toml::Value::Datetime(_) | toml::Value::Array(_) => {
                return usage(format!(
                    "the client property {name} in the configuration file is no text or number"
                ));
            }
        };
        properties.insert(name, text);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn global(config: &Path) -> Global {
        Global {
            bootstrap: None,
            kafka: vec![Kafka::Property("sasl.username".to_owned(), "from-option".to_owned())],
            catalogue: None,
            namespace: None,
            config: Some(config.to_owned()),
            output: crate::output::Format::Table,
            log: None,
        }
    }

    #[test]
    fn options_win_over_the_file_and_dotted_properties_stay_whole() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("some.toml");
        fs::write(
            &path,
            "bootstrap = \"b:1\"\ncatalogue = \"c.toml\"\n[kafka]\nsecurity.protocol = \"sasl_ssl\"\n\
             \"sasl.username\" = \"from-file\"\nlinger.ms = 7\n",
        )
        .unwrap();
        let settings = Settings::of(&global(&path)).unwrap();
        assert_eq!(settings.bootstrap_given(), Some("b:1"));
        assert_eq!(settings.catalogue_file(), Some(&*dir.path().join("c.toml")));
        let properties: Vec<_> =
            settings.properties.iter().map(|(k, v)| format!("{k}={v}")).collect();
        assert_eq!(
            properties,
            ["linger.ms=7", "sasl.username=from-option", "security.protocol=sasl_ssl"]
        );
    }

    #[test]
    fn a_secret_may_stand_in_a_file_of_its_own_and_is_not_shown() {
        let dir = tempfile::tempdir().unwrap();
        let (path, secret) = (dir.path().join("some.toml"), dir.path().join("password"));
        fs::write(&secret, "canary\n").unwrap();
        fs::write(&path, format!("[kafka]\nsasl.password = \"@{}\"", secret.display())).unwrap();
        let settings = Settings::of(&global(&path)).unwrap();
        assert_eq!(settings.properties["sasl.password"], "canary");
        let shown = format!("{settings:?} {:?}", settings.kafka().unwrap());
        assert!(!shown.contains("canary"), "{shown}");
        fs::remove_file(&secret).unwrap();
        let error = Settings::of(&global(&path)).unwrap_err();
        assert!(error.is::<UsageError>() && error.to_string().contains("sasl.password"), "{error}");
    }

    #[test]
    fn a_file_that_is_named_must_exist_and_have_only_known_entries() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("some.toml");
        assert!(Settings::of(&global(&path)).unwrap_err().is::<UsageError>());
        fs::write(&path, "bootsrap = \"b:1\"").unwrap();
        let error = Settings::of(&global(&path)).unwrap_err();
        assert!(error.to_string().contains("bootsrap"), "{error}");
    }
}
