//! Roles, routes, tenants and objects: what each cell of them is answered, over pages, the API and the command line.

use std::time::Duration;

use event_bus::dead_letters::{Filter, Scope};
use event_bus::store::ops::Role;
use event_bus_ops::access::policy::{Action, Object};
use event_bus_ops::access::route::{Needs, Verb};
use event_bus_ops::{api, panel};
use event_bus_tests::databases::Databases;
use event_bus_tests::eventually::{equal, eventually};
use serde_json::{Value, json};

use super::served::Served;
use super::visitor::{Answer, Visitor};
use crate::workshop::{Flaw, Workshop};

const SOON: Duration = Duration::from_secs(60);
const TENANTS: [&str; 2] = ["acme", "bolt"];
const EACH: usize = 4;

/// What one tenant has.
struct Objects {
    tenant: &'static str,
    letter: String,
    replay: String,
    request: String,
}

/// One of these.
#[derive(Clone, Copy, Debug)]
enum What {
    Letter,
    Replay,
    Request,
}

impl Objects {
    /// The one that a route is about.
    fn of(&self, route: &str) -> &str {
        match route {
            _ if route.contains("/replays/") => &self.replay,
            _ if route.contains("/requests/") => &self.request,
            _ => &self.letter,
        }
    }
}

/// Whether a route is about one thing. A note is of a failure, which tenants share.
fn is_of_one(path: &str) -> bool {
    path.contains("{id}") && !path.contains("/notes/")
}

/// Whether a route shows more than one thing, needs not be told which, and comes to an end.
fn is_of_all(verb: Verb, path: &str) -> bool {
    let has_end = !path.ends_with("/stream");
    verb == Verb::Get && has_end && !path.contains('{') && !path.ends_with("/notes")
}

/// Routes that are about neither, and where it is asked who gets what from them.
const ELSEWHERE: [(&str, &str, &str); 41] = [
    ("GET", "/assets/{name}", "matrix.rs"),
    ("POST", "/sign-in", "access.rs"),
    ("POST", "/sign-out", "access.rs"),
    ("POST", "/welcome", "access.rs"),
    ("POST", "/account/password", "access.rs"),
    ("GET", "/events/dead-letters/notes", "notes.rs"),
    ("POST", "/events/dead-letters/notes", "notes.rs"),
    ("POST", "/events/dead-letters/notes/{id}/remove", "notes.rs"),
    ("POST", "/events/dead-letters/export", "scopes.rs"),
    ("POST", "/events/dead-letters/replay", "scopes.rs"),
    ("POST", "/events/dead-letters/discard", "scopes.rs"),
    ("POST", "/events/dead-letters/restore", "scopes.rs"),
    ("GET", "/events/groups/{group}", "consumers.rs"),
    ("GET", "/events/groups/{group}/lag", "consumers.rs"),
    ("GET", "/events/groups/{group}/reset", "consumers.rs"),
    ("POST", "/events/groups/{group}/reset", "consumers.rs"),
    ("GET", "/events/outbox/{service}", "outbox.rs"),
    ("POST", "/events/outbox/{service}/retry", "outbox.rs"),
    ("POST", "/events/outbox/{service}/discard", "outbox.rs"),
    ("GET", "/events/catalogue/{event}", "contract.rs"),
    ("GET", "/events/live/stream", "live.rs"),
    ("POST", "/access/users", "access.rs"),
    ("POST", "/access/users/{name}/invite", "access.rs"),
    ("POST", "/access/users/{name}/disable", "access.rs"),
    ("POST", "/access/users/{name}/enable", "access.rs"),
    ("POST", "/api/v1/dead-letters/values", "scopes.rs"),
    ("POST", "/api/v1/dead-letters/discard", "scopes.rs"),
    ("POST", "/api/v1/dead-letters/restore", "scopes.rs"),
    ("POST", "/api/v1/dead-letters/repair", "scopes.rs"),
    ("GET", "/api/v1/notes", "notes.rs"),
    ("POST", "/api/v1/notes", "notes.rs"),
    ("POST", "/api/v1/notes/{id}/remove", "notes.rs"),
    ("POST", "/api/v1/replays", "scopes.rs"),
    ("GET", "/api/v1/groups/{group}", "consumers.rs"),
    ("GET", "/api/v1/groups/{group}/reset", "consumers.rs"),
    ("POST", "/api/v1/groups/{group}/reset", "consumers.rs"),
    ("GET", "/api/v1/outbox/{service}", "outbox.rs"),
    ("POST", "/api/v1/outbox/{service}/retry", "outbox.rs"),
    ("POST", "/api/v1/outbox/{service}/discard", "outbox.rs"),
    ("GET", "/api/v1/catalogue/{event}", "contract.rs"),
    ("GET", "/api/v1/events/live/stream", "live.rs"),
];

/// How a route is asked about here, by the way in which it is.
fn kinds(verb: Verb, path: &str) -> usize {
    let method = if verb == Verb::Get { "GET" } else { "POST" };
    let is_elsewhere = ELSEWHERE.iter().any(|(verb, of, _)| (*verb, *of) == (method, path));
    [is_of_one(path), is_of_all(verb, path), is_elsewhere].into_iter().filter(|is| *is).count()
}

/// What is answered to one cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wanted {
    /// The role is too small.
    Forbidden,
    /// It is out of scope, and so does not exist.
    Hidden,
    /// It is there, whatever is then wrong with what was sent.
    Known,
}

impl Wanted {
    fn of(needs: Needs, role: Role, is_in_scope: bool) -> Self {
        match needs {
            Needs::May(action) if role < action.needs() => Self::Forbidden,
            Needs::May(_) if !is_in_scope => Self::Hidden,
            _ => Self::Known,
        }
    }

    fn is(self, status: u16) -> bool {
        match self {
            Self::Forbidden => status == 403,
            Self::Hidden => status == 404,
            Self::Known => ![401, 403, 404].contains(&status) && status < 500,
        }
    }
}

/// Somebody with a session and a token.
struct Somebody {
    role: Role,
    /// Of one tenant, or of all.
    tenant: Option<&'static str>,
    visitor: Visitor,
    token: String,
}

impl Somebody {
    async fn new(served: &Served, role: Role, tenant: Option<&'static str>) -> Self {
        let name = format!("{role}-{}", tenant.unwrap_or("all"));
        let scope = Scope::of(&[], &tenant.map(str::to_owned).into_iter().collect::<Vec<_>>());
        let token = served.token(&name, role, &scope).await;
        Self { role, tenant, visitor: served.signed_in(&name, role, &scope).await, token }
    }

    fn sees(&self, objects: &Objects) -> bool {
        self.tenant.is_none_or(|tenant| tenant == objects.tenant)
    }

    async fn api(&mut self, verb: Verb, path: &str, body: &Value) -> Answer {
        let method = if verb == Verb::Get { "GET" } else { "POST" };
        self.visitor.bearing(&self.token, method, path, &body.to_string()).await
    }
}

/// What is sent to a route of the API, so that it is read.
fn body_of(path: &str) -> Value {
    match path {
        _ if path.ends_with("/edit") => json!({ "value": "{", "reason": "a try", "dry_run": true }),
        _ if path.ends_with("/reveal") => json!({ "reason": "a try" }),
        _ => json!({}),
    }
}

async fn objects(served: &Served) -> Vec<Objects> {
    let count = async || served.store.count(&Filter::default()).await.expect("the store answers");
    let all = (EACH * 3) as u64;
    eventually(SOON, async || equal(count().await, Some(all))).await;
    let token = served.token("asker", Role::Operator, &Scope::default()).await;
    let mut asker = served.visitor();
    let mut objects = Vec::new();
    for tenant in TENANTS {
        let filter = Filter { tenants: vec![tenant.to_owned()], ..Filter::default() };
        let shown = served.store.letters(&filter, None, 10).await.expect("the store answers");
        let ids: Vec<String> =
            shown.letters.iter().map(|found| found.letter.id.to_string()).collect();
        let mut asks = async |ids: &[String]| {
            let body = json!({ "filter": { "ids": ids }, "reason": "an object" });
            asker.api(&token, "/replays", Some(&body)).await.json()["id"]
                .as_str()
                .expect("it has an id")
                .to_owned()
        };
        let (replay, request) = (asks(&ids[1..2]).await, asks(&ids[2..4]).await);
        objects.push(Objects { tenant, letter: ids[0].clone(), replay, request });
    }
    objects
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_cell_of_roles_routes_tenants_and_objects_is_answered_as_it_is_written_down() {
    let (databases, workshop) = (Databases::sqlite(), Workshop::open(1, "").await);
    // Two at once take another one, so that there are requests.
    let served = Served::start_with(&workshop, &databases, Some(1)).await;
    workshop.bury(EACH * 3, Flaw(0)).await;
    let objects = objects(&served).await;
    let mut cells = 0;
    for role in Role::ALL {
        for tenant in [None, Some(TENANTS[0]), Some(TENANTS[1])] {
            let mut somebody = Somebody::new(&served, role, tenant).await;
            for objects in &objects {
                cells += of_objects(&mut somebody, objects).await;
                by_command_line(&workshop, &served, &somebody, objects).await;
            }
            cells += of_all(&mut somebody, &objects).await;
        }
    }
    let of_objects = panel::ROUTES.iter().filter(|route| is_of_one(route.path)).count()
        + api::ROUTES.iter().filter(|route| is_of_one(route.path)).count();
    let of_all = panel::ROUTES.iter().filter(|route| is_of_all(route.verb, route.path)).count()
        + api::ROUTES.iter().filter(|route| is_of_all(route.verb, route.path)).count();
    assert_eq!(cells, 3 * 3 * (2 * of_objects + of_all));
    let routes = panel::ROUTES.iter().map(|route| (route.verb, route.path));
    let routes = routes.chain(api::ROUTES.iter().map(|route| (route.verb, route.path)));
    let odd: Vec<_> = routes.filter(|(verb, path)| kinds(*verb, path) != 1).collect();
    assert!(odd.is_empty(), "say of these once where they are asked about: {odd:#?}");
    assert_eq!(of_objects + of_all + ELSEWHERE.len(), panel::ROUTES.len() + api::ROUTES.len());
    served.stop().await;
}

/// All routes that are about one thing, each with the thing that it is about.
async fn of_objects(somebody: &mut Somebody, objects: &Objects) -> usize {
    let (role, sees, mut cells) = (somebody.role, somebody.sees(objects), 0);
    for route in panel::ROUTES.iter().filter(|route| is_of_one(route.path)) {
        let path = route.path.replace("{id}", objects.of(route.path));
        let answer = match route.verb {
            Verb::Get => somebody.visitor.get(&path).await,
            Verb::Post => {
                let fields = [("value", "{"), ("reason", "a try")];
                somebody.visitor.post(&path, &fields).await
            }
        };
        let wanted = Wanted::of(route.needs, role, sees);
        assert!(
            wanted.is(answer.status),
            "{role} {:?} {path}: {wanted:?} {answer:?}",
            somebody.tenant
        );
        cells += 1;
    }
    for route in api::ROUTES.iter().filter(|route| is_of_one(route.path)) {
        let path = route.path.replace("{id}", objects.of(route.path));
        let status = somebody.api(route.verb, &path, &body_of(&path)).await.status;
        let wanted = Wanted::of(route.needs, role, sees);
        assert!(wanted.is(status), "{role} {:?} {path}: {wanted:?} {status}", somebody.tenant);
        cells += 1;
    }
    cells
}

/// Routes that list dead letters, replays or what waits for a second one: each shows those in scope.
const LISTS: [(&str, What); 7] = [
    ("/events/dead-letters/list", What::Letter),
    ("/events/dead-letters/export", What::Letter),
    ("/events/replays", What::Replay),
    ("/api/v1/dead-letters", What::Letter),
    ("/api/v1/dead-letters/values", What::Letter),
    ("/api/v1/replays", What::Replay),
    ("/api/v1/requests", What::Request),
];

/// All that is shown of more than one thing: nothing of what is out of scope is in it, and in a list all that is in scope.
async fn of_all(somebody: &mut Somebody, objects: &[Objects]) -> usize {
    let (role, sees_all, mut cells) = (somebody.role, somebody.tenant.is_none(), 0);
    let is_shown = |needs: Needs| match needs {
        Needs::May(action) if action.object() == Object::Everything => sees_all,
        _ => true,
    };
    let routes = panel::ROUTES.iter().map(|route| (route.verb, route.path, route.needs, false));
    let routes =
        routes.chain(api::ROUTES.iter().map(|route| (route.verb, route.path, route.needs, true)));
    for (verb, path, needs, is_api) in routes {
        if !is_of_all(verb, path) {
            continue;
        }
        let answer = match path {
            _ if is_api => somebody.api(verb, path, &json!({})).await,
            "/events/dead-letters/export" => {
                somebody.visitor.get(&format!("{path}?format=ndjson")).await
            }
            _ => somebody.visitor.get(path).await,
        };
        let wanted = Wanted::of(needs, role, is_shown(needs));
        let cell = format!("{role} {:?} {path}: {wanted:?} {answer:?}", somebody.tenant);
        // A link that nobody has is over.
        assert!(wanted.is(answer.status), "{cell}");
        for objects in objects {
            let Objects { letter, replay, request, .. } = objects;
            let sees = somebody.sees(objects);
            for id in [letter, replay, request] {
                assert!(sees || !answer.shows(id), "{id}: {cell}");
            }
            for (_, what) in LISTS.iter().filter(|(list, _)| *list == path) {
                let id = match what {
                    What::Letter => letter,
                    What::Replay => replay,
                    What::Request => request,
                };
                assert_eq!(answer.shows(id), sees, "{what:?} {id}: {cell}");
            }
        }
        cells += 1;
    }
    cells
}

/// The commands that ask the routes of the API which are about one thing.
async fn by_command_line(
    workshop: &Workshop,
    served: &Served,
    somebody: &Somebody,
    objects: &Objects,
) {
    let Objects { letter, replay, request, .. } = objects;
    let commands: [(&str, Action, Vec<&str>); 7] = [
        ("/dead-letters/{id}/known", Action::See, vec!["show", letter]),
        ("/dead-letters/{id}/reveal", Action::Reveal, vec!["show", letter, "--reveal", "a try"]),
        (
            "/dead-letters/{id}/edit",
            Action::Edit,
            vec!["edit", letter, "--value", "-", "--reason", "a try", "--dry-run"],
        ),
        ("/replays/{id}", Action::See, vec!["replays", replay]),
        ("/replays/{id}/cancel", Action::Cancel, vec!["cancel", replay]),
        ("/requests/{id}/approve", Action::Approve, vec!["replays", "approve", request]),
        ("/requests/{id}/deny", Action::Approve, vec!["replays", "deny", request]),
    ];
    // `show` asks for all that is known, and so for more than this one.
    let asked = |path: &str| {
        path == "/api/v1/dead-letters/{id}"
            || commands.iter().any(|(of, ..)| path == format!("/api/v1{of}"))
    };
    for route in api::ROUTES.iter().filter(|route| is_of_one(route.path)) {
        assert!(asked(route.path), "no command asks {}", route.path);
    }
    let url = format!("http://{}", served.address);
    for (path, action, command) in &commands {
        let mut program = workshop.command(&["dlq"]);
        program.args(command).args(["--ops", &url]).env("EVENT_BUS_OPS_TOKEN", &somebody.token);
        let output = program.output().await.expect("the program can be run");
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        let wanted = Wanted::of(Needs::May(*action), somebody.role, somebody.sees(objects));
        let is_as_wanted = match wanted {
            Wanted::Forbidden => told.contains("answered 403"),
            Wanted::Hidden => told.contains("answered 404"),
            // What was sent may be no good, or decided already.
            Wanted::Known => output.status.success() || told.contains("answered 400"),
        };
        assert!(is_as_wanted, "{} {:?} {path}: {wanted:?} {told}", somebody.role, somebody.tenant);
    }
}
