//! The command: what it prints, how it exits, and what it says of its own client.

use std::collections::BTreeSet;

use event_bus_tests::process::{Ended, Process};
use event_bus_tests::servers;
use serde_json::Value;
use tempfile::TempDir;

use super::clinic::{Clinic, SCHEMA, toml};

/// A clinic and its catalogue as files.
struct Told {
    clinic: Clinic,
    folder: TempDir,
}

impl Told {
    async fn of_a_good_cluster() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let schemas = folder.path().join("schemas/WardWell");
        std::fs::create_dir_all(&schemas).expect("a folder can be made");
        let toml = toml(&["well"], &[], 1);
        std::fs::write(schemas.join("1.0.json"), SCHEMA).expect("a file can be written");
        std::fs::write(folder.path().join("clinic.toml"), &toml).expect("a file can be written");
        let clinic = Clinic::open(servers::bootstrap(), &toml).await;
        // A partition that is just made does not tell at once.
        clinic.finds(&BTreeSet::new()).await;
        Self { clinic, folder }
    }

    /// Runs the command with further arguments.
    async fn doctor(&self, bootstrap: &str, arguments: &[&str]) -> Ended {
        let catalogue = self.folder.path().join("clinic.toml");
        let catalogue = catalogue.to_str().expect("its name is text");
        let namespace = self.clinic.catalogue.namespace().as_str();
        let mut all = vec!["doctor", "--catalogue", catalogue, "--namespace", namespace];
        all.extend(["--bootstrap", bootstrap]);
        all.extend(arguments);
        Process::start(&all).ended().await
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_says_what_is_wrong_and_what_to_do_and_exits_by_how_bad_it_is() {
    let told = Told::of_a_good_cluster().await;
    let here = servers::bootstrap();
    let ended = told.doctor(&here, &[]).await;
    assert_eq!((ended.status.code(), &*ended.stderr), (Some(0), ""), "{}", ended.stdout);
    assert!(ended.stdout.ends_with(" checks found nothing\n"), "{}", ended.stdout);
    assert_eq!(ended.stdout.lines().count(), 1, "{}", ended.stdout);

    // A warning is no failure.
    let elsewhere = format!("{here},192.0.2.1:9092");
    let ended = told.doctor(&elsewhere, &[]).await;
    assert_eq!(ended.status.code(), Some(0), "{}", ended.stdout);
    let warned = "warning: nothing on the way to 192.0.2.1:9092 is encrypted [plaintext]\n  cure: ";
    assert!(ended.stdout.starts_with(warned), "{}", ended.stdout);

    let properties = ["--kafka", "acks=1", "--kafka", "no.such=1", "--output", "json"];
    let ended = told.doctor(&here, &properties).await;
    assert_eq!(ended.status.code(), Some(3), "{}", ended.stdout);
    let document: Value = serde_json::from_str(&ended.stdout).expect("it prints JSON");
    let findings = document["findings"].as_array().expect("it has a list").iter();
    let about: Vec<[&Value; 2]> =
        findings.map(|finding| [&finding["code"], &finding["subject"]["name"]]).collect();
    assert_eq!(about, [["client-property", "acks"], ["client-property", "no.such"]]);
    assert_eq!(document["unseen"], serde_json::json!([]));

    let letters = told.clinic.topic("well").dead_letter();
    told.clinic.delete(&letters).await;
    let ended = told.doctor(&here, &[]).await;
    assert_eq!(ended.status.code(), Some(3), "{}", ended.stdout);
    for wanted in [
        &format!("error: the dead letter topic {letters} does not exist"),
        "`event-bus topics apply`",
    ] {
        assert!(ended.stdout.contains(wanted), "{wanted} is not in {}", ended.stdout);
    }
}
