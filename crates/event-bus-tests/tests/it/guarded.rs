//! Guarded replays by an ops process: they stop by themselves, can be cancelled, and go on after it was killed.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use event_bus::dead_letters::guarded::WINDOW;
use event_bus::headers;
use event_bus_tests::databases::Databases;
use event_bus_tests::eventually::{equal, eventually};
use event_bus_tests::kafka::everything_in;
use event_bus_tests::{ops, servers};
use serde_json::Value;
use tokio::process::Child;

use crate::both::on_both_databases;
use crate::workshop::{Flaw, Services, Workshop};

const SOON: Duration = Duration::from_secs(120);

on_both_databases!(
    a_canary_stops_at_its_first_step_and_a_mended_handler_takes_all,
    an_edited_event_takes_effect_in_place_of_the_one_that_died,
    dead_letters_are_chosen_by_what_they_say_and_repaired_alike,
    a_replay_that_is_cancelled_opens_what_it_did_not_send,
    what_operators_may_do_is_said_by_their_tokens,
    a_replay_goes_on_after_its_process_was_killed,
);

/// An ops process of a workshop, and the token to ask it.
struct Ops<'a> {
    workshop: &'a Workshop,
    store: String,
    token: String,
    running: Option<(Child, String)>,
}

impl<'a> Ops<'a> {
    async fn start(workshop: &'a Workshop, databases: &Databases) -> Self {
        let store = databases.url("ops");
        let token = made_token(workshop, &store, "alice", "operator").await;
        let mut ops = Self { workshop, store, token, running: None };
        ops.run(&[]).await;
        ops
    }

    /// Starts the process, and waits until its API answers.
    async fn run(&mut self, options: &[&str]) {
        let mut command = self.workshop.command(&["ops", "serve", "--store", &self.store]);
        command.args(options).args(["--log", "info"]);
        let mut child = ops::start(command);
        let address = ops::address(&mut child, |line| eprintln!("ops: {line}")).await;
        self.running = Some((child, format!("http://{address}")));
    }

    async fn kill(&mut self) {
        let (mut child, _) = self.running.take().expect("it runs");
        child.kill().await.expect("it is killed");
    }

    /// What the command line says that asks this process.
    async fn ask(&self, arguments: &[&str]) -> Vec<Value> {
        let (succeeds, output) = self.try_ask(&self.token, arguments).await;
        assert!(succeeds, "{arguments:?}: {output}");
        let stream = serde_json::Deserializer::from_str(&output).into_iter();
        stream.collect::<Result<_, _>>().expect("it is JSON")
    }

    async fn try_ask(&self, token: &str, arguments: &[&str]) -> (bool, String) {
        let url = &self.running.as_ref().expect("it runs").1;
        let mut command = self.workshop.command(&["dlq"]);
        command.args(arguments).args(["--ops", url, "--output", "json"]);
        command.env("EVENT_BUS_OPS_TOKEN", token);
        let output = command.output().await.expect("the program can be run");
        let text = if output.status.success() { output.stdout } else { output.stderr };
        (output.status.success(), String::from_utf8_lossy(&text).into_owned())
    }

    /// How many dead letters are in a state.
    async fn count(&self, state: &str) -> usize {
        self.ask(&["list", "--limit", "0", "--state", state]).await.len()
    }

    /// How far a replay is.
    async fn replay(&self, id: &str) -> Value {
        self.ask(&["replays", id]).await.remove(0)
    }

    async fn ends(&self, id: &str, stage: &str) -> Value {
        eventually(SOON * 5, async || {
            let replay = self.replay(id).await;
            equal(replay["stage"].as_str().unwrap_or_default().to_owned(), stage.to_owned())
        })
        .await;
        self.replay(id).await
    }

    async fn stop(mut self, services: Services) {
        self.kill().await;
        services.stop().await;
    }
}

async fn made_token(workshop: &Workshop, store: &str, name: &str, role: &str) -> String {
    let made =
        workshop.json(&["ops", "token", "make", name, "--role", role, "--store", store]).await;
    made[0]["token"].as_str().expect("a token is made").to_owned()
}

fn id_of(replay: &Value) -> String {
    replay["id"].as_str().expect("it has an id").to_owned()
}

async fn works(databases: &Databases, flaw: Flaw) -> [i64; 2] {
    let of = flaw.service();
    [
        databases.number(of, "SELECT count(*) FROM works").await,
        databases.number(of, "SELECT count(DISTINCT event_id) FROM works").await,
    ]
}

async fn a_canary_stops_at_its_first_step_and_a_mended_handler_takes_all(databases: &Databases) {
    const LETTERS: usize = 150;
    let workshop = Workshop::open(2, "").await;
    let services = workshop.start(databases).await;
    let mut ops = Ops::start(&workshop, databases).await;
    let flaw = Flaw(2);
    workshop.publish(LETTERS, Some(flaw)).await;
    eventually(SOON, async || equal(ops.count("open").await, LETTERS)).await;
    let preview = ops.ask(&["replay", "--all", "--dry-run"]).await.remove(0);
    assert_eq!(preview["would_replay"], LETTERS, "{preview}");

    let asked = ops.ask(&["replay", "--all", "--yes", "--reason", "a try"]).await.remove(0);
    let stopped = ops.ends(&id_of(&asked), "stopped").await;
    assert_eq!(stopped["progress"]["sent"], 1, "{stopped}");
    assert_eq!(stopped["progress"]["dead_again"], 1, "{stopped}");
    // The one that died again is a new dead letter, and the others were not touched.
    eventually(SOON, async || equal(ops.count("open").await, LETTERS)).await;
    assert_eq!(ops.count("dead-again").await, 1);

    workshop.mend(flaw);
    let before = workshop.calls();
    let replays = (0..10).map(|_| ops.ask(&["replay", "--all", "--yes", "--rate", "2000"]));
    let asked: Vec<Value> =
        futures_util::future::join_all(replays).await.into_iter().flatten().collect();
    let sizes =
        asked.iter().map(|replay| replay["progress"]["letters"].as_u64().expect("a number"));
    assert_eq!(sizes.sum::<u64>(), LETTERS as u64, "{asked:#?}");
    let mut processed = 0;
    for replay in &asked {
        let ended = ops.ends(&id_of(replay), "finished").await;
        processed += ended["progress"]["processed"].as_u64().expect("a number");
    }
    assert_eq!(processed, LETTERS as u64);
    eventually(SOON, async || equal(ops.count("resolved").await, LETTERS)).await;
    let mut calls: BTreeMap<_, _> = before;
    *calls.get_mut(flaw.service()).expect("it was called") += LETTERS;
    assert_eq!(workshop.calls(), calls, "a handler ran for nothing");
    assert_eq!(works(databases, flaw).await, [i64::try_from(LETTERS).expect("small"); 2]);
    // All of it is on the topics: another store reads the same from them.
    let groups = ops.ask(&["groups"]).await;
    let rebuilt = workshop.json(&["dlq", "groups"]).await;
    assert_eq!(groups, rebuilt);
    ops.kill().await;
    ops.run(&["--rebuild"]).await;
    assert_eq!(ops.ask(&["groups"]).await, groups);
    assert_eq!(ops.count("resolved").await, LETTERS);
    ops.stop(services).await;
}

async fn an_edited_event_takes_effect_in_place_of_the_one_that_died(databases: &Databases) {
    let workshop = Workshop::open(1, "").await;
    let services = workshop.start(databases).await;
    let ops = Ops::start(&workshop, databases).await;
    let flaw = Flaw(4);
    workshop.publish(2, Some(flaw)).await;
    eventually(SOON, async || equal(ops.count("open").await, 2)).await;
    let exported = ops.ask(&["export", "--values"]).await;
    assert_eq!(exported.len(), 2);
    let csv = workshop.program(&["dlq", "export", "--format", "csv", "--values"]).await;
    let csv = String::from_utf8(csv.stdout).expect("it is text");
    assert_eq!(csv.lines().filter(|line| line.contains("plank")).count(), 2, "{csv}");

    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let file = folder.path().join("edited.json");
    for (nth, by_ops) in [true, false].into_iter().enumerate() {
        let id = exported[nth]["letter"]["id"].as_str().expect("an id").to_owned();
        let value = exported[nth]["value"].as_str().expect("a value").to_owned();
        let write = |value: &str| std::fs::write(&file, value).expect("it is written");
        let path = file.to_str().expect("it is text").to_owned();
        let edit = ["edit", &id, "--value", &path, "--reason", "straightened"];
        let refused = async |value: &str, why: &str| {
            write(value);
            let (succeeds, told) = ops.try_ask(&ops.token, &edit).await;
            assert!(!succeeds && told.contains(why), "{told}");
        };
        refused(&value, "nothing was changed").await;
        refused(&value.replace("\"piece\":", "\"pieces\":"), "dead at once").await;
        refused(&value.replace("\"PieceCut\"", "\"PieceSold\""), "event was PieceCut").await;
        refused("{", "dead at once").await;
        write(&value.replace(",\"flaw\":4", ""));
        let would = ops.ask(&[&edit[..], &["--dry-run"]].concat()).await.remove(0);
        assert_eq!(would["changes"][0]["at"], "/payload/flaw", "{would}");
        assert!(would["replay"].is_null(), "{would}");
        let edited = if by_ops {
            ops.ask(&edit).await.remove(0)
        } else {
            workshop.json(&[&["dlq"], &edit[..]].concat()).await.remove(0)
        };
        assert!(edited["replay"].is_string(), "{edited}");
        eventually(SOON, async || equal(ops.count("resolved").await, nth + 1)).await;
    }
    assert_eq!(works(databases, flaw).await, [2; 2]);
    let sent = everything_in(&[workshop.topic()]).await;
    let editors =
        sent.iter().filter_map(|record| headers::last(&record.headers, headers::REPLAY_EDITED_BY));
    assert_eq!(editors.collect::<Vec<_>>(), ["alice", "tests"]);
    ops.stop(services).await;
}

async fn dead_letters_are_chosen_by_what_they_say_and_repaired_alike(databases: &Databases) {
    let workshop = Workshop::open(1, "").await;
    let services = workshop.start(databases).await;
    let ops = Ops::start(&workshop, databases).await;
    let flaw = Flaw(4);
    workshop.publish(6, Some(flaw)).await;
    eventually(SOON, async || equal(ops.count("open").await, 6)).await;
    // Two events of each of three keys: the first of each would come behind the second.
    let dry = ["replay", "--all", "--dry-run"];
    for by_ops in [true, false] {
        eventually(SOON, async || {
            let dry = match by_ops {
                true => ops.ask(&dry).await.remove(0),
                false => workshop.json(&[&["dlq"], &dry[..]].concat()).await.remove(0),
            };
            let overtaken = dry["overtaken"].as_object().expect("it is said").values();
            equal(overtaken.map(Value::as_u64).collect::<Vec<_>>(), vec![Some(1); 3])
        })
        .await;
    }

    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let file = folder.path().join("patch.json");
    let patch = r#"[{ "op": "test", "path": "/payload/flaw", "value": 4 },
                    { "op": "remove", "path": "/payload/flaw" }]"#;
    std::fs::write(&file, patch).expect("it is written");
    let path = file.to_str().expect("it is text");
    for (by_ops, condition) in
        [(true, "payload.number % 2 == 0"), (false, "payload.number % 2 == 1")]
    {
        let ask = async |arguments: &[&str]| match by_ops {
            true => ops.try_ask(&ops.token, arguments).await,
            false => {
                let arguments = [&["dlq"], arguments, &["--output", "json"]].concat();
                let output = workshop.program(&arguments).await;
                let succeeds = output.status.success();
                let text = if succeeds { output.stdout } else { output.stderr };
                (succeeds, String::from_utf8(text).expect("it is text"))
            }
        };
        for (bad, why) in
            [("payload.number >", "no CEL"), ("payload.number", "neither true nor false")]
        {
            let (succeeds, told) = ask(&["list", "--where", bad]).await;
            assert!(!succeeds && told.contains(why), "{told}");
        }
        let discard = ["discard", "--where", "payload.flaw == 5", "--reason", "none is"];
        let (succeeds, told) = ask(&discard).await;
        assert!(succeeds && told.contains(r#""discarded":0"#), "{told}");
        let (_, listed) = ask(&["list", "--where", condition]).await;
        assert_eq!(listed.lines().count(), 3, "{listed}");
        let repair = ["repair", "--where", condition, "--patch", path, "--reason", "straightened"];
        let told = async |more: &[&str]| {
            let (succeeds, told) = ask(&[&repair[..], more].concat()).await;
            assert!(succeeds, "{told}");
            serde_json::from_str::<Value>(&told).expect("it is JSON")
        };
        let would = told(&["--dry-run"]).await;
        assert_eq!((&would["letters"], &would["replay"]), (&3.into(), &Value::Null), "{would}");
        assert_eq!(would["samples"][2]["changes"][0]["at"], "/payload/flaw", "{would}");
        assert_eq!(ops.count("open").await, if by_ops { 6 } else { 3 });
        let repaired = told(&[]).await;
        assert!(repaired["letters"] == 3 && repaired["replay"].is_string(), "{repaired}");
        eventually(SOON, async || equal(ops.count("resolved").await, if by_ops { 3 } else { 6 }))
            .await;
        let again = told(&[]).await;
        assert_eq!(again["letters"], 0, "{again}");
    }
    assert_eq!(works(databases, flaw).await, [6; 2]);
    ops.stop(services).await;
}

async fn a_replay_that_is_cancelled_opens_what_it_did_not_send(databases: &Databases) {
    const LETTERS: usize = 90;
    let workshop = Workshop::open(1, "").await;
    let services = workshop.start(databases).await;
    let ops = Ops::start(&workshop, databases).await;
    let flaw = Flaw(0);
    workshop.publish(LETTERS, Some(flaw)).await;
    eventually(SOON, async || equal(ops.count("open").await, LETTERS)).await;
    workshop.mend(flaw);
    let asked = ops.ask(&["replay", "--all", "--canary", "0", "--rate", "5"]).await.remove(0);
    let id = id_of(&asked);
    eventually(SOON, async || {
        let sent = ops.replay(&id).await["progress"]["sent"].as_u64();
        if sent > Some(2) { Ok(()) } else { Err(format!("{sent:?}")) }
    })
    .await;
    ops.ask(&["cancel", &id]).await;
    let cancelled = ops.ends(&id, "cancelled").await;
    let sent = usize::try_from(cancelled["progress"]["sent"].as_u64().expect("a number"));
    let sent = sent.expect("small");
    assert!((3..LETTERS).contains(&sent), "{cancelled}");
    eventually(SOON, async || equal(ops.count("resolved").await, sent)).await;
    eventually(SOON, async || equal(ops.count("open").await, LETTERS - sent)).await;
    // And they can be replayed.
    let rest = ops.ask(&["replay", "--all"]).await.remove(0);
    ops.ends(&id_of(&rest), "finished").await;
    eventually(SOON, async || equal(ops.count("resolved").await, LETTERS)).await;
    assert_eq!(works(databases, flaw).await, [i64::try_from(LETTERS).expect("small"); 2]);
    ops.stop(services).await;
}

async fn what_operators_may_do_is_said_by_their_tokens(databases: &Databases) {
    let workshop = Workshop::open(1, "").await;
    let services = workshop.start(databases).await;
    let ops = Ops::start(&workshop, databases).await;
    workshop.publish(2, Some(Flaw(1))).await;
    eventually(SOON, async || equal(ops.count("open").await, 2)).await;
    let viewer = made_token(&workshop, &ops.store, "victor", "viewer").await;
    assert!(ops.try_ask(&viewer, &["groups"]).await.0);
    for refused in [
        vec!["replay", "--all"],
        vec!["discard", "--all", "--reason", "x"],
        vec!["restore", "--all"],
    ] {
        let (succeeds, told) = ops.try_ask(&viewer, &refused).await;
        assert!(!succeeds && told.contains("victor is viewer"), "{refused:?}: {told}");
    }
    for nobody in ["", "ebus_0123"] {
        let (succeeds, told) = ops.try_ask(nobody, &["list"]).await;
        assert!(!succeeds && told.contains("token"), "{told}");
    }
    let discarded = ops.ask(&["discard", "--all", "--reason", "not ours"]).await.remove(0);
    assert_eq!(discarded["discarded"], 2);
    eventually(SOON, async || equal(ops.count("discarded").await, 2)).await;
    ops.ask(&["restore", "--all"]).await;
    eventually(SOON, async || equal(ops.count("open").await, 2)).await;
    let id = ops.ask(&["list", "--limit", "1"]).await[0]["letter"]["id"].clone();
    let shown = ops.ask(&["show", id.as_str().expect("an id")]).await.remove(0);
    assert_eq!(shown["letter"]["id"], id);
    assert!(shown["value"].as_str().is_some_and(|value| value.contains("plank")), "{shown}");
    let timeline: Vec<&str> = shown["timeline"]
        .as_array()
        .expect("it has one")
        .iter()
        .map(|moment| moment["what"].as_str().expect("a text"))
        .collect();
    let parts = [
        "cutting published it",
        "failed for the first time",
        "gave it up",
        "alice discarded it: not ours",
        "alice restored it",
    ];
    assert_eq!(timeline.len(), parts.len(), "{timeline:?}");
    assert!(timeline.iter().zip(parts).all(|(what, part)| what.contains(part)), "{timeline:?}");
    // Offsets are committed a little later.
    eventually(SOON, async || {
        let shown = ops.ask(&["show", id.as_str().expect("an id")]).await.remove(0);
        let groups = shown["groups"].as_array().expect("it tells").iter();
        equal(groups.filter(|group| group["has_settled"] == true).count(), 4)
    })
    .await;
    workshop.json(&["ops", "token", "revoke", "alice", "--store", &ops.store]).await;
    assert!(!ops.try_ask(&ops.token, &["groups"]).await.0);
    ops.stop(services).await;
}

async fn a_replay_goes_on_after_its_process_was_killed(databases: &Databases) {
    const KILLS: usize = 5;
    // So many that each run of the process is cut off in its midst.
    let (letters, rate): (usize, &str) =
        if servers::at_full_length() { (100_000, "20000") } else { (800, "200") };
    let workshop = Workshop::open(3, "").await;
    let services = workshop.start(databases).await;
    let mut ops = Ops::start(&workshop, databases).await;
    let flaw = Flaw(3);
    if servers::at_full_length() {
        workshop.bury(letters, flaw).await;
    } else {
        workshop.publish(letters, Some(flaw)).await;
    }
    let group = async || {
        let groups = ops.ask(&["groups"]).await;
        groups[0][0]["open"].as_u64().unwrap_or(0)
    };
    eventually(SOON * 5, async || equal(group().await, letters as u64)).await;
    workshop.mend(flaw);
    let asked = ["replay", "--all", "--yes", "--canary", "5", "--rate", rate];
    let id = id_of(&ops.ask(&asked).await.remove(0));
    for kill in 1..=KILLS {
        let before = letters * kill / (KILLS + 2);
        eventually(SOON * 5, async || {
            let sent = ops.replay(&id).await["progress"]["sent"].as_u64().unwrap_or(0);
            if sent >= before as u64 { Ok(()) } else { Err(format!("{sent} of {before}")) }
        })
        .await;
        ops.kill().await;
        ops.run(&[]).await;
        assert_eq!(ops.replay(&id).await["stage"], "running", "it was too late for kill {kill}");
    }
    let ended = ops.ends(&id, "finished").await;
    let progress = &ended["progress"];
    assert_eq!(progress["processed"], letters, "{ended}");
    let count = i64::try_from(letters).expect("small");
    assert_eq!(works(databases, flaw).await, [count; 2]);
    let mut sent: HashMap<String, usize> = HashMap::new();
    for record in everything_in(&[workshop.topic()]).await {
        if headers::last(&record.headers, headers::REPLAY_ID) == Some(&id) {
            let of = headers::last(&record.headers, headers::REPLAY_OF).expect("it says of which");
            *sent.entry(of.to_owned()).or_default() += 1;
        }
    }
    assert_eq!(sent.len(), letters);
    let again: usize = sent.values().map(|times| times - 1).sum();
    println!("{again} of {letters} were sent again after {KILLS} kills");
    assert!(again <= KILLS * WINDOW, "{again} were sent again");
    ops.stop(services).await;
}
