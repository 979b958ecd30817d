//! `catalogue diff` and the exports as somebody's CI runs them, on a copy of the shipped catalogue under git.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use event_bus::Catalogue;
use event_bus::catalogue::Schema;
use event_bus::envelope::Payload;
use serde_json::Value;
use tempfile::TempDir;

const FILE: &str = "catalogue/blindstrader.toml";
const ORDER: &str = "catalogue/schemas/OrderPlaced/1.0.json";

/// Why working on the copy does not fail.
const FILES: &str = "files of a temporary directory can be read and written";

/// A repository with the shipped catalogue in its one commit.
struct Repository(TempDir);

impl Repository {
    fn new() -> Self {
        let repository = Self(tempfile::tempdir().expect(FILES));
        copy(&shipped(), &repository.path("catalogue"));
        let name = ["-c", "user.name=test", "-c", "user.email=test@example.org"];
        for arguments in [&["init", "-q"][..], &["add", "."], &["commit", "-q", "-m", "catalogue"]]
        {
            let mut git = Command::new("git");
            git.args(name).args(arguments).current_dir(repository.root());
            assert!(git.status().expect("git runs").success());
        }
        repository
    }

    fn root(&self) -> &Path {
        self.0.path()
    }

    fn path(&self, file: &str) -> PathBuf {
        self.root().join(file)
    }

    /// Changes the schema of an order.
    fn edit(&self, edit: impl FnOnce(&mut Value)) {
        let mut schema: Value =
            serde_json::from_slice(&fs::read(self.path(ORDER)).expect(FILES)).expect("it is JSON");
        edit(&mut schema);
        fs::write(self.path(ORDER), schema.to_string()).expect(FILES);
    }

    fn run(&self, arguments: &[&str]) -> Output {
        let mut program = Command::new(env!("CARGO_BIN_EXE_event-bus"));
        program.env_remove("EVENT_BUS_CATALOGUE").env_remove("EVENT_BUS_NAMESPACE");
        program.args(["--catalogue", FILE]).args(arguments).current_dir(self.root());
        program.output().expect("the program runs")
    }
}

fn shipped() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../catalogue")
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect(FILES);
    for entry in fs::read_dir(from).expect(FILES) {
        let entry = entry.expect(FILES);
        let to = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &to);
        } else {
            fs::copy(entry.path(), to).expect(FILES);
        }
    }
}

fn without(schema: &mut Value, object: &str, field: &str) {
    let object = schema.pointer_mut(object).expect("the schema has it");
    object["properties"]
        .as_object_mut()
        .expect("the schema has it")
        .remove(field)
        .expect("the schema has it");
    if let Some(Value::Array(required)) = object.get_mut("required") {
        required.retain(|name| name != field);
    }
}

fn told(output: &Output) -> String {
    String::from_utf8_lossy(&[&output.stdout[..], &output.stderr].concat()).into_owned()
}

#[test]
fn removing_a_field_that_notification_reads_fails_naming_it_and_can_be_accepted() {
    let repository = Repository::new();
    repository.edit(|schema| without(schema, "/properties/customer", "email"));
    let output = repository.run(&["catalogue", "diff", "HEAD"]);
    let said = told(&output);
    assert_eq!(output.status.code(), Some(3), "{said}");
    for wanted in [
        "OrderPlaced",
        "/customer/email",
        "notification",
        "major 2",
        "1 breaking, for notification",
    ] {
        assert!(said.contains(wanted), "{wanted} is not in {said}");
    }
    let name = "OrderPlaced@1.0:notification:field-gone/customer/email";
    assert!(said.contains(name), "{said}");
    let accepted = repository.run(&["catalogue", "diff", "HEAD", "--accept", name]);
    assert_eq!(accepted.status.code(), Some(0), "{}", told(&accepted));
    let idle =
        repository.run(&["catalogue", "diff", "HEAD", "--accept", "OrderPlaced:payment:key"]);
    assert_eq!(idle.status.code(), Some(2), "{}", told(&idle));
}

#[test]
fn removing_a_field_that_nobody_reads_passes_whatever_the_catalogue_of_before_is_named_by() {
    let repository = Repository::new();
    let published = repository.run(&["catalogue", "export", "bundle"]);
    fs::write(repository.path("published.json"), published.stdout).unwrap();
    copy(&shipped(), &repository.path("before"));
    repository.edit(|schema| {
        without(schema, "/properties/customer/properties/delivery_address", "line2");
    });
    for old in [
        "HEAD",
        "HEAD:catalogue/blindstrader.toml",
        "before",
        "before/blindstrader.toml",
        "published.json",
    ] {
        let output = repository.run(&["catalogue", "diff", old, FILE, "--output", "json"]);
        assert_eq!(output.status.code(), Some(0), "{old}: {}", told(&output));
        let document: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(document["breaking"], 0);
        assert_eq!(
            document["changes"][0]["pointer"], "/customer/delivery_address/line2",
            "{document}"
        );
    }
    let same = repository.run(&["catalogue", "diff", "published.json", "before"]);
    assert!(told(&same).contains("no difference"), "{}", told(&same));
}

#[test]
fn what_is_no_catalogue_is_told_with_its_cure() {
    let repository = Repository::new();
    fs::write(repository.path("other.json"), "{}").unwrap();
    for (old, code, wanted) in [
        ("no-such-revision", 1, "git has no ./blindstrader.toml of no-such-revision"),
        ("HEAD:nowhere.toml", 1, "git has no nowhere.toml of HEAD"),
        ("other.json", 1, "catalogue export bundle"),
        (".", 2, "no catalogue file"),
    ] {
        let output = repository.run(&["catalogue", "diff", old]);
        assert_eq!(output.status.code(), Some(code), "{old}: {}", told(&output));
        assert!(told(&output).contains(wanted), "{old}: {}", told(&output));
    }
}

/// The samples of the shipped catalogue, with whether they are valid.
fn samples(catalogue: &Catalogue) -> Vec<(String, String, bool)> {
    let mut samples = Vec::new();
    for event in catalogue.events() {
        for known in &event.versions {
            let stem = format!("{}/{}", event.name, known.version);
            for entry in fs::read_dir(shipped().join("samples").join(&stem)).expect(FILES) {
                let path = entry.expect(FILES).path();
                let name = path.file_name().expect(FILES).to_string_lossy().into_owned();
                if name.ends_with(".json") {
                    samples.push((
                        stem.clone(),
                        fs::read_to_string(&path).expect(FILES),
                        name.starts_with("valid-"),
                    ));
                }
            }
        }
    }
    samples
}

#[test]
fn exported_schemas_take_every_valid_sample_and_no_other() {
    let repository = Repository::new();
    let written = repository.run(&["catalogue", "export", "json-schema", "--output-dir", "out"]);
    assert!(written.status.success(), "{}", told(&written));
    let bundle = repository.run(&["catalogue", "export", "json-schema"]);
    let bundle = Schema::compile(serde_json::from_slice(&bundle.stdout).unwrap()).unwrap();
    let samples = samples(&blindstrader::catalogue());
    assert!(samples.iter().any(|(.., is_valid)| !is_valid));
    for (stem, text, is_valid) in samples {
        let file = fs::read(repository.path(&format!("out/{stem}.json"))).unwrap();
        let schema = Schema::compile(serde_json::from_slice(&file).unwrap()).unwrap();
        let sample = Payload::parse(text).unwrap();
        assert_eq!(schema.is_valid(&sample), is_valid, "{stem}: {:?}", schema.violations(&sample));
        assert_eq!(bundle.is_valid(&sample), is_valid, "{stem}");
    }
}
