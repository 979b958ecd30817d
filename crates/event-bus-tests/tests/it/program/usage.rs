//! Which versions are still published and consumed, as the topics tell it.

use serde_json::{Value, json};

use super::bakery::{Bakery, errors, ordered};

const NEWER: &str = r#"{
  "$schema": "https://json-schema.org/draft/2020-12/schema",
  "type": "object",
  "required": ["order_id", "loaves"],
  "properties": {
    "order_id": { "type": "string" },
    "loaves": { "type": "integer" },
    "sliced": { "type": "boolean" }
  }
}"#;

async fn usage(bakery: &Bakery, more: &[&str]) -> Value {
    let arguments = [&["catalogue", "usage", "LoafOrdered", "--output", "json"], more].concat();
    let output = bakery.run(&arguments, "").await;
    assert!(output.status.success(), "{}", errors(&output));
    serde_json::from_slice(&output.stdout).expect("it prints JSON")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn versions_are_counted_and_a_group_has_passed_what_it_committed() {
    let bakery = Bakery::open().await;
    let orders = ["o-1", "o-2"].map(|id| bakery.envelope("north", &ordered(id, 1)).to_string());
    bakery.published("LoafOrdered", &orders).await;
    let group = bakery.name("oven-loaf-ordered").replace('.', "-");
    let reset = bakery.run(&["groups", "reset", &group, "--to", "latest"], "").await;
    assert!(reset.status.success(), "{}", errors(&reset));

    bakery.write("schemas/LoafOrdered/1.1.json", NEWER);
    bakery.list_versions(r#"["1.0", "1.1"]"#);
    let mut newer = bakery.envelope("north", &ordered("o-3", 1));
    newer["version"] = "1.1".into();
    bakery.published("LoafOrdered", &[newer.to_string()]).await;

    let told = usage(&bakery, &[]).await;
    let published = told[0]["published"].as_array().expect("a list").clone();
    let counted: Vec<Value> = published
        .iter()
        .map(|found| json!([found["version"], found["service"], found["records"]]))
        .collect();
    assert_eq!(counted, [json!(["1.0", "counter", 2]), json!(["1.1", "counter", 1])], "{told}");
    assert!(published.iter().all(|found| found["is_listed"] == true), "{told}");
    let consumed = &told[0]["consumed"][0];
    assert_eq!(consumed["group"], json!(group));
    assert_eq!(consumed["major"], 1);
    assert_eq!(consumed["before"], json!({ "1.0": 0, "1.1": 1 }), "{told}");
    assert_eq!(consumed["is_at_least"], false);

    // Nothing was published since, and the group stands before that.
    let later = usage(&bakery, &["--since", "2999-01-01T00:00:00Z"]).await;
    assert_eq!(later[0]["published"], json!([]), "{later}");
    assert_eq!(later[0]["consumed"][0]["is_at_least"], true, "{later}");

    bakery.list_versions(r#"["1.0"]"#);
    let output = bakery.run(&["catalogue", "usage"], "").await;
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(said.contains("not in the catalogue") && said.contains("1 of 1.1"), "{said}");
}
