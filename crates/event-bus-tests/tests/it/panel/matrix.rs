//! Each way in, as its table says it, for each role.

use event_bus::audit::chain::Link;
use event_bus::kafka::Record;
use event_bus::store::ops::Role;
use event_bus_ops::access::route::{Needs, Verb};
use event_bus_ops::{api, panel};
use event_bus_tests::databases::Databases;
use event_bus_tests::eventually::eventually;
use event_bus_tests::kafka::everything_in;

use super::served::{ALL, Served};
use super::visitor::Visitor;
use crate::workshop::{Flaw, Workshop};

/// Nothing has it.
const ID: &str = "0197f3b4-7c1e-7b1a-9d55-0c7a3f1f2a10";

/// A path of what nothing has.
pub fn path(path: &str) -> String {
    filled(path, ID, "nobody", "nobodys")
}

/// A path with real names, or those of nobody, in its places.
fn filled(path: &str, id: &str, name: &str, group: &str) -> String {
    let path = path.replace("{id}", id).replace("{name}", name).replace("{group}", group);
    let path = path.replace("{event}", "PieceCut").replace("{service}", "cutting");
    // What is streamed has no end, and this no beginning.
    if path.ends_with("/stream") { format!("{path}?event=nobody") } else { path }
}

fn method(verb: Verb) -> &'static str {
    match verb {
        Verb::Get => "GET",
        Verb::Post => "POST",
    }
}

/// Whether a role gets in.
fn gets_in(needs: Needs, role: Option<Role>) -> bool {
    match needs {
        Needs::Nothing => true,
        Needs::Somebody => role.is_some(),
        Needs::May(action) => role.is_some_and(|role| role >= action.needs()),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_role_gets_in_where_the_table_of_pages_says_so() {
    let (databases, workshop) = (Databases::sqlite(), Workshop::open(1, "").await);
    let served = Served::start(&workshop, &databases).await;
    let mut cells = 0;
    for role in [None, Some(Role::Viewer), Some(Role::Operator), Some(Role::Admin)] {
        let mut visitor = match role {
            Some(role) => served.signed_in(&format!("a-{role}"), role, &ALL).await,
            None => served.visitor(),
        };
        for route in panel::ROUTES {
            // It would end the session.
            if route.path == "/sign-out" {
                continue;
            }
            let path = path(route.path);
            let answer = match route.verb {
                Verb::Get => visitor.get(&path).await,
                Verb::Post => visitor.post(&path, &[]).await,
            };
            let is_in = gets_in(route.needs, role);
            let cell = format!("{role:?} {} {path}: {answer:?}", method(route.verb));
            match (is_in, role) {
                (true, _) => {
                    assert!(![401, 403].contains(&answer.status) || path == "/sign-in", "{cell}");
                    assert!(!answer.header("location").starts_with("/sign-in"), "{cell}");
                }
                (false, None) => {
                    assert!(answer.header("location").starts_with("/sign-in"), "{cell}");
                }
                (false, Some(_)) => assert_eq!(answer.status, 403, "{cell}"),
            }
            guards(answer.header("content-security-policy"), &cell);
            cells += 1;
        }
    }
    assert_eq!(cells, 4 * (panel::ROUTES.len() - 1));
    served.stop().await;
}

fn guards(policy: &str, cell: &str) {
    for part in ["default-src 'none'", "script-src 'self'", "frame-ancestors 'none'"] {
        assert!(policy.contains(part), "{cell}");
    }
    assert!(!policy.contains("unsafe"), "{cell}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_role_gets_in_where_the_table_of_the_api_says_so() {
    let (databases, workshop) = (Databases::sqlite(), Workshop::open(1, "").await);
    let served = Served::start(&workshop, &databases).await;
    let mut visitor = served.visitor();
    for role in Role::ALL {
        let token = served.token(&role.to_string(), role, &ALL).await;
        for route in api::ROUTES {
            let (path, method) = (path(route.path), method(route.verb));
            let cell = format!("{role} {method} {path}");
            let answer = visitor.bearing(&token, method, &path, "").await;
            assert_eq!(
                answer.status == 403,
                !gets_in(route.needs, Some(role)),
                "{cell} {answer:?}"
            );
            for nobody in ["", "Bearer guessed"] {
                let answer = visitor.ask(method, &path, &[("Authorization", nobody)], "").await;
                assert_eq!(answer.status, 401, "{cell} {answer:?}");
            }
        }
    }
    served.stop().await;
}

/// What there is that a deed would change. That somebody took a copy along is written down, and changes nothing else.
const STATE: [&str; 11] = [
    "SELECT count(*) FROM ops_users",
    "SELECT count(*) FROM ops_users WHERE is_disabled = 1",
    "SELECT count(*) FROM ops_sessions",
    "SELECT count(*) FROM ops_invitations",
    "SELECT count(*) FROM ops_tokens",
    "SELECT count(*) FROM ops_notes",
    "SELECT count(*) FROM ops_replays",
    "SELECT count(*) FROM ops_histories",
    "SELECT count(*) FROM ops_requests",
    "SELECT count(*) FROM ops_audit WHERE action <> 'export'",
    "SELECT count(*) FROM ops_letters",
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_get_changes_anything() {
    let (databases, workshop) = (Databases::sqlite(), Workshop::open(1, "").await);
    let served = Served::start(&workshop, &databases).await;
    workshop.bury(3, Flaw(0)).await;
    let mut ann = served.signed_in("ann", Role::Admin, &ALL).await;
    let id = first_letter(&mut ann).await;
    served.user("eve", Role::Viewer, &ALL).await;
    served.store.set_disabled(&"eve".parse().expect("a name"), true).await.expect("it answers");
    served.token("api", Role::Viewer, &ALL).await;
    let state = async || {
        let mut told = Vec::new();
        for number in STATE {
            told.push(databases.number("ops", number).await);
        }
        let audit = everything_in(&[workshop.catalogue.audit_topic()]).await;
        // Who came in, and took a copy along, is written there, too; that decides nothing.
        let decides = |record: &&Record| {
            let value = record.value.as_deref().unwrap_or_default();
            serde_json::from_slice::<Link>(value).is_err()
        };
        (told, audit.iter().filter(decides).count())
    };
    let before = state().await;
    let group = workshop.group("packing");
    let path = |path: &str| filled(path, &id, "ann", group.as_str());
    for route in panel::ROUTES.iter().filter(|route| route.verb == Verb::Get) {
        let path = path(route.path);
        let answer = ann.get(&path).await;
        assert!(answer.status < 500, "{path} {answer:?}");
    }
    for route in panel::ROUTES.iter().filter(|route| route.verb == Verb::Post) {
        let path = path(route.path);
        let answer = ann.get(&format!("{path}?reason=x&query=")).await;
        assert!([200, 303, 400, 404, 405, 410].contains(&answer.status), "{path} {answer:?}");
    }
    assert_eq!(state().await, before);
    served.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_way_in_takes_no_other_verb_than_the_tables_say() {
    let (databases, workshop) = (Databases::sqlite(), Workshop::open(1, "").await);
    let served = Served::start(&workshop, &databases).await;
    let mut ann = served.signed_in("ann", Role::Admin, &ALL).await;
    let token = served.token("api", Role::Admin, &ALL).await;
    let ways = |path: &str| -> Vec<&str> {
        let pages = panel::ROUTES.iter().map(|route| (route.path, route.verb));
        let all = pages.chain(api::ROUTES.iter().map(|route| (route.path, route.verb)));
        all.filter(|(of, _)| *of == path).map(|(_, verb)| method(verb)).collect()
    };
    for other in ["GET", "POST", "PUT", "PATCH", "DELETE"] {
        for route in panel::ROUTES.iter().filter(|route| !ways(route.path).contains(&other)) {
            let path = path(route.path);
            let answer = ann.send(other, &path, &[]).await;
            assert_eq!(answer.status, 405, "{other} {path} {answer:?}");
        }
        for route in api::ROUTES.iter().filter(|route| !ways(route.path).contains(&other)) {
            let path = path(route.path);
            let answer = ann.bearing(&token, other, &path, "").await;
            assert_eq!(answer.status, 405, "{other} {path} {answer:?}");
        }
    }
    served.stop().await;
}

async fn first_letter(visitor: &mut Visitor) -> String {
    let soon = std::time::Duration::from_secs(60);
    eventually(soon, async || {
        let list = visitor.clone().get("/events/dead-letters/list").await;
        if list.shows("name=\"id\"") { Ok(list.field("id")) } else { Err(list.body) }
    })
    .await
}
