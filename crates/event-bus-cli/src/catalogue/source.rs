//! Where a catalogue to compare stands: a file, a directory, a revision of git, or what was published.

use std::collections::BTreeMap;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{fs, str};

use anyhow::{Context, anyhow};
use event_bus::Catalogue;
use event_bus::catalogue::LoadError;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::exit::usage;

/// A catalogue and its schemas in one file, as `catalogue export bundle` publishes it.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bundle {
    /// The catalogue file.
    pub catalogue: String,
    /// By their names, such as `OrderPlaced/1.0.json`.
    pub schemas: BTreeMap<String, Value>,
}

/// Where a catalogue stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// A catalogue file, with its schemas beside it.
    File(PathBuf),
    /// A bundle in a file.
    Bundle(PathBuf),
    /// A bundle on stdin.
    Stdin,
    /// A file of a commit: where git is run, and what it is asked for, up to the directory of the file.
    Git { directory: PathBuf, revision: String, file: String },
}

impl Source {
    /// What somebody wrote. A bare revision is of the file `beside`.
    pub fn named(text: &str, beside: Option<&Path>) -> anyhow::Result<Self> {
        let path = Path::new(text);
        if text == "-" {
            return Ok(Self::Stdin);
        }
        if text.starts_with('-') {
            return usage(format!("{text} is neither a file nor a revision"));
        }
        if path.is_dir() {
            return in_directory(path).map(Self::File);
        }
        if path.is_file() {
            let is_bundle = path.extension().is_some_and(|extension| extension == "json");
            return Ok(if is_bundle {
                Self::Bundle(path.to_owned())
            } else {
                Self::File(path.to_owned())
            });
        }
        if let Some((revision, file)) = text.split_once(':') {
            let (directory, revision, file) =
                (PathBuf::from("."), revision.to_owned(), file.to_owned());
            return Ok(Self::Git { directory, revision, file });
        }
        let Some(beside) = beside else {
            return usage(format!(
                "{text} is no file; for a revision of git say which file of it: {text}:path/to/catalogue.toml"
            ));
        };
        let directory = beside
            .parent()
            .filter(|parent| !parent.as_os_str().is_empty())
            .unwrap_or(Path::new("."));
        let name = beside.file_name().unwrap_or_default().to_string_lossy();
        Ok(Self::Git {
            directory: directory.to_owned(),
            revision: text.to_owned(),
            file: format!("./{name}"),
        })
    }

    /// The catalogue file, where it is one on this disk.
    pub fn file(&self) -> Option<&Path> {
        match self {
            Self::File(path) => Some(path),
            Self::Bundle(_) | Self::Stdin | Self::Git { .. } => None,
        }
    }

    /// The catalogue; its consumers may read what it does not have.
    pub fn read(&self) -> anyhow::Result<Catalogue> {
        match self {
            Self::File(path) => {
                let text = fs::read_to_string(path)
                    .with_context(|| format!("{} can't be read", path.display()))?;
                let schemas = path.parent().unwrap_or(Path::new("")).join("schemas");
                let read = |schema: &str| fs::read_to_string(schemas.join(schema));
                sound(Catalogue::parse_to_compare(&path.display().to_string(), &text, read))
            }
            Self::Bundle(path) => {
                let text = fs::read_to_string(path)
                    .with_context(|| format!("{} can't be read", path.display()))?;
                bundled(&path.display().to_string(), &text)
            }
            Self::Stdin => {
                let mut text = String::new();
                io::stdin().read_to_string(&mut text).context("stdin can't be read")?;
                bundled("stdin", &text)
            }
            Self::Git { directory, revision, file } => {
                let text = show(directory, &format!("{revision}:{file}"))
                    .map_err(|told| anyhow!("git has no {file} of {revision}: {told}"))?;
                let folder = file
                    .rsplit_once('/')
                    .map(|(folder, _)| format!("{folder}/"))
                    .unwrap_or_default();
                let read = |schema: &str| {
                    show(directory, &format!("{revision}:{folder}schemas/{schema}"))
                        .map_err(io::Error::other)
                };
                sound(Catalogue::parse_to_compare(&format!("{revision}:{file}"), &text, read))
            }
        }
    }
}

fn sound(loaded: Result<Catalogue, LoadError>) -> anyhow::Result<Catalogue> {
    loaded.map_err(anyhow::Error::from)
}

fn bundled(origin: &str, text: &str) -> anyhow::Result<Catalogue> {
    let Bundle { catalogue, schemas } = serde_json::from_str(text).with_context(|| {
        format!(
            "{origin} is no published catalogue: `event-bus catalogue export bundle` writes one"
        )
    })?;
    let read = |schema: &str| {
        let found = schemas
            .get(schema)
            .ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "not in the bundle"));
        found.map(Value::to_string)
    };
    sound(Catalogue::parse_to_compare(origin, &catalogue, read))
}

/// The one catalogue file of a directory.
fn in_directory(directory: &Path) -> anyhow::Result<PathBuf> {
    let mut found = Vec::new();
    for entry in
        fs::read_dir(directory).with_context(|| format!("{} can't be read", directory.display()))?
    {
        let path = entry?.path();
        if path.is_file() && path.extension().is_some_and(|extension| extension == "toml") {
            found.push(path);
        }
    }
    match found.as_slice() {
        [only] => Ok(only.clone()),
        [] => usage(format!("{} has no catalogue file (*.toml)", directory.display())),
        _ => usage(format!(
            "{} has several files *.toml: name the one that is meant",
            directory.display()
        )),
    }
}

/// A file of a commit, or what git says about it.
fn show(directory: &Path, object: &str) -> Result<String, String> {
    let mut git = Command::new("git");
    git.arg("-C").arg(directory).args(["show", "--end-of-options", object]);
    let told = git.output().map_err(|error| format!("git can't be run: {error}"))?;
    if !told.status.success() {
        return Err(String::from_utf8_lossy(&told.stderr).trim().to_owned());
    }
    String::from_utf8(told.stdout).map_err(|_| format!("{object} is not UTF-8"))
}
