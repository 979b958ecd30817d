//! A bakery with two events, in a folder with a catalogue and an `event-bus.toml`.

use std::process::{Output, Stdio};

use event_bus::names::Namespace;
use event_bus_tests::defaults::Defaults;
use event_bus_tests::servers;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

const ORDERED: &str = r#"{
  "$schema": "https://json-schema.org/draft/2020-12/schema",
  "type": "object",
  "required": ["order_id", "loaves"],
  "properties": {
    "order_id": { "type": "string", "minLength": 1 },
    "loaves": { "type": "integer", "minimum": 1 },
    "lines": {
      "type": "array",
      "items": { "type": "object", "properties": { "sku": { "type": "string" } } }
    }
  }
}"#;

const BAKED: &str = r#"{
  "$schema": "https://json-schema.org/draft/2020-12/schema",
  "type": "object",
  "required": ["batch", "orders"],
  "properties": {
    "batch": { "type": "string", "minLength": 1 },
    "orders": { "type": "array", "items": { "type": "string" } }
  }
}"#;

/// The payload of an order of so many loaves.
pub fn ordered(order_id: &str, loaves: u32) -> Value {
    json!({ "order_id": order_id, "loaves": loaves })
}

/// The payload of a batch that was baked for an order, which is not its key.
pub fn baked(order_id: &str) -> Value {
    json!({ "batch": "b-1", "orders": ["o-0", order_id] })
}

/// Texts as lines.
pub fn lines(texts: &[String]) -> String {
    texts.iter().map(|text| format!("{text}\n")).collect()
}

/// What the program said on stderr.
pub fn errors(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// What the program printed, a line of JSON for each result.
pub fn json_lines(output: &Output) -> Vec<Value> {
    let text = String::from_utf8_lossy(&output.stdout);
    text.lines().map(|line| serde_json::from_str(line).expect("each line is JSON")).collect()
}

pub struct Bakery {
    folder: TempDir,
    namespace: Namespace,
}

impl Bakery {
    /// The folder alone.
    pub fn new() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let bakery = Self { folder, namespace: servers::namespace() };
        bakery.write("schemas/LoafOrdered/1.0.json", ORDERED);
        bakery.write("schemas/LoafBaked/1.0.json", BAKED);
        bakery.write_catalogue(1);
        let config = format!(
            "bootstrap = \"{}\"\ncatalogue = \"bakery.toml\"\nnamespace = \"{}\"\n\
             [kafka]\nsocket.keepalive.enable = true\n",
            servers::bootstrap(),
            bakery.namespace
        );
        bakery.write("event-bus.toml", &config);
        bakery
    }

    /// The folder, and the topics on the cluster.
    pub async fn open() -> Self {
        let bakery = Self::new();
        let output = bakery.run(&["topics", "apply"], "").await;
        assert!(output.status.success(), "{}", errors(&output));
        bakery
    }

    /// Writes a file of the folder.
    pub fn write(&self, path: &str, text: &str) {
        let path = self.folder.path().join(path);
        let folder = path.parent().expect("the path is inside the folder");
        std::fs::create_dir_all(folder).expect("a folder can be made");
        std::fs::write(path, text).expect("a file can be written");
    }

    /// Writes the catalogue; all topics have so many partitions.
    pub fn write_catalogue(&self, partitions: u32) {
        self.write_catalogue_of(partitions, r#"["1.0"]"#);
    }

    /// Writes the catalogue with these versions of an order.
    pub fn list_versions(&self, versions: &str) {
        self.write_catalogue_of(1, versions);
    }

    fn write_catalogue_of(&self, partitions: u32, versions: &str) {
        let defaults = Defaults { partitions, retry: &["100ms"], ..Defaults::QUICK };
        let toml = format!(
            r#"
            namespace = "bakery"
            [services]
            counter = {{ title = "Counter" }}
            oven = {{ title = "Oven" }}
            {defaults}
            [events.LoafOrdered]
            topic = "loaf.ordered"
            description = "Somebody ordered loaves."
            producer = "counter"
            key = ["/tenant_id", "/payload/order_id"]
            versions = {versions}
            [events.LoafOrdered.consumers.oven]
            reads = ["/order_id", "/loaves"]
            [events.LoafBaked]
            topic = "loaf.baked"
            description = "Loaves came out of the oven."
            producer = "oven"
            key = ["/tenant_id", "/payload/batch"]
            versions = ["1.0"]
            [events.LoafBaked.consumers.counter]
            reads = ["/orders"]
            "#
        );
        self.write("bakery.toml", &toml);
    }

    /// The namespace, which no other test has.
    pub fn namespace(&self) -> &str {
        self.namespace.as_ref()
    }

    /// A name on the cluster.
    pub fn name(&self, short: &str) -> String {
        format!("{}.{short}", self.namespace)
    }

    /// An order as a whole envelope.
    pub fn envelope(&self, tenant: &str, payload: &Value) -> Value {
        json!({
            "event": "LoafOrdered", "version": "1.0", "occurred_at": "2026-03-01T09:00:00Z",
            "service": "counter", "tenant_id": tenant, "payload": payload,
        })
    }

    /// A batch as a whole envelope.
    pub fn envelope_baked(&self, tenant: &str, payload: &Value) -> Value {
        json!({
            "event": "LoafBaked", "version": "1.0", "occurred_at": "2026-03-01T09:00:00Z",
            "service": "oven", "tenant_id": tenant, "payload": payload,
        })
    }

    /// Runs the program in the folder.
    pub async fn run(&self, arguments: &[&str], input: &str) -> Output {
        let mut command = Command::new(servers::program());
        for variable in ["BOOTSTRAP", "CATALOGUE", "NAMESPACE", "LOG"] {
            command.env_remove(format!("EVENT_BUS_{variable}"));
        }
        command.args(arguments).current_dir(self.folder.path()).kill_on_drop(true);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the program starts");
        let mut stdin = child.stdin.take().expect("its input is a pipe");
        let write = async move {
            // A program that ends early closes its input; what it says tells why.
            drop(stdin.write_all(input.as_bytes()).await);
        };
        let (output, ()) = tokio::join!(child.wait_with_output(), write);
        output.expect("the program ends")
    }

    /// Publishes lines that are all good.
    pub async fn published(&self, event: &str, input: &[String]) {
        let output = self.run(&["publish", event], &lines(input)).await;
        assert!(output.status.success(), "{}", errors(&output));
    }

    /// Everything that an event's topic holds and the options choose, as JSON.
    pub async fn read(&self, event: &str, options: &[&str]) -> Output {
        let all = ["tail", event, "--from", "beginning", "--until-end", "--output", "json"];
        let output = self.run(&[&all[..], options].concat(), "").await;
        assert!(output.status.success(), "{}", errors(&output));
        output
    }

    /// How many partitions a topic has, by what its group would read.
    pub async fn partitions(&self, short: &str) -> usize {
        let output = self.run(&["groups", "lag", "--output", "json"], "").await;
        let lags: Value = serde_json::from_slice(&output.stdout).expect("it prints JSON");
        let lags = lags.as_array().expect("it prints a list");
        let topic = self.name(short);
        let of_topic = lags.iter().find(|lag| lag["topic"] == json!(topic));
        let partitions = of_topic.and_then(|lag| lag["partitions"].as_array());
        partitions.expect("the topic has a group").len()
    }
}
