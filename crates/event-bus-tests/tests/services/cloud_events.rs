//! CloudEvents' own SDKs read what we write, and we read what they write.

use std::process::Stdio;

use event_bus_tests::eventually::{equal, eventually};
use event_bus_tests::kafka::everything_in;
use event_bus_tests::process::Process;
use serde_json::json;
use tokio::io::AsyncWriteExt;

use crate::SOON;
use crate::language::{node, on, python, said_ok};
use crate::trial::{Trial, sample_of_an_order};

const OF_EACH: usize = 5;

#[tokio::test]
async fn the_sdks_of_python_and_node_read_our_records_and_we_read_theirs() {
    let trial = Trial::open().await;
    publish(&trial).await;
    let count = OF_EACH.to_string();
    for mut writer in [python("cloud_events.py"), node("cloud-events.js")] {
        writer.args(["write", &count]);
        said_ok(on(writer, &trial)).await;
    }
    let all = (3 * OF_EACH).to_string();
    for mut reader in [python("cloud_events.py"), node("cloud-events.js")] {
        reader.args(["read", &all]);
        said_ok(on(reader, &trial)).await;
    }
    let (code, told) = trial.inspected(&[]).await;
    assert_eq!((code, &told["found"]), (Some(0), &json!([])), "{told:#}");
    assert_eq!(told["records"], json!(3 * OF_EACH), "{told:#}");

    let store = format!("sqlite://{}", trial.path("payment.db"));
    let service = Process::spawn(trial.program(&["service", "run", "payment", "--store", &store]));
    let captured = [trial.topic("payment.captured")];
    eventually(SOON, async || equal(everything_in(&captured).await.len(), 3 * OF_EACH)).await;
    assert!(everything_in(&[trial.topic("order.placed.dlq")]).await.is_empty());
    service.signal("TERM").await;
    assert!(service.ended().await.status.success());
}

/// Orders, published by our program.
async fn publish(trial: &Trial) {
    let mut payload = sample_of_an_order();
    let mut lines = String::new();
    for number in 0..OF_EACH {
        payload["order_id"] = json!(format!("o-{number}"));
        lines.push_str(&format!("{payload}\n"));
    }
    let mut program = trial.program(&["publish", "OrderPlaced", "--tenant", "thomas-sanderson"]);
    let mut publishing =
        program.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().expect("the program starts");
    let mut stdin = publishing.stdin.take().expect("it is piped");
    stdin.write_all(lines.as_bytes()).await.expect("it reads its input");
    drop(stdin);
    assert!(publishing.wait().await.expect("it ends").success());
}
