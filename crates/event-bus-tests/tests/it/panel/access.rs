//! Signing in, sessions, and requests that are none of the panel's own.

use std::time::Duration;

use event_bus::store::ops::{Invited, OpsStore, Role, Session, UserName};
use event_bus_ops::panel::{COOKIE, HOME};
use event_bus_tests::databases::Databases;
use jiff::Timestamp;

use super::served::{ALL, PASSWORD, Served};
use super::visitor::{exchange, form};
use crate::both::on_both_databases;
use crate::workshop::Workshop;

on_both_databases!(
    the_first_administrator_comes_in_by_a_link_that_is_good_once,
    a_session_is_a_new_one_after_each_sign_in_and_none_after_sign_out,
    a_session_ends_when_it_is_idle_or_old_and_an_invitation_after_a_day,
);

async fn the_first_administrator_comes_in_by_a_link_that_is_good_once(databases: &Databases) {
    let workshop = Workshop::open(1, "").await;
    let served = Served::start(&workshop, databases).await;
    let mut first = served.visitor();
    let page = first.visit(HOME).await;
    assert!(page.shows("Sign in") && page.shows("Nobody has a password by default"), "{page:?}");

    let invite = async || served.store.invite_first(Timestamp::now()).await.expect("it answers");
    let (token, other) = (invite().await.expect("nobody is there"), invite().await.expect("still"));
    assert_eq!(first.get("/welcome?token=guessed").await.status, 410);
    let link = format!("/welcome?token={token}");
    assert!(first.get(&link).await.shows("You will be the first administrator"));
    let chosen = |password: &'static str| {
        [("token", &*token), ("name", "ann"), ("password", password), ("again", password)]
    };
    let refused = first.post("/welcome", &chosen("too short")).await;
    assert_eq!(refused.status, 422, "{refused:?}");
    assert!(refused.shows("at least 15 characters"), "{refused:?}");
    let done = first.post("/welcome", &chosen(PASSWORD)).await;
    assert_eq!((done.status, done.header("location")), (303, HOME), "{done:?}");
    let account = first.get("/account").await;
    assert!(account.shows("ann") && account.shows("admin"), "{account:?}");

    // The link is used, the other one is dead, and there is no third.
    assert_eq!(first.post("/welcome", &chosen(PASSWORD)).await.status, 410);
    assert_eq!(first.get(&format!("/welcome?token={other}")).await.status, 410);
    assert_eq!(invite().await, None);

    // Others are invited.
    first.get("/access/users").await;
    let fields = [("name", "bob"), ("role", "viewer"), ("tenants", "acme, bolt")];
    let made = first.post("/access/users", &fields).await;
    let link = made.between("/welcome?token=", "<").to_owned();
    let mut bob = served.visitor();
    assert!(bob.get(&format!("/welcome?token={link}")).await.shows("bob"));
    let chosen = [("token", &*link), ("password", PASSWORD), ("again", PASSWORD)];
    assert_eq!(bob.post("/welcome", &chosen).await.status, 303);
    let account = bob.get("/account").await;
    assert!(account.shows("viewer") && account.shows("acme, bolt"), "{account:?}");
    served.stop().await;
}

async fn a_session_is_a_new_one_after_each_sign_in_and_none_after_sign_out(databases: &Databases) {
    let workshop = Workshop::open(1, "").await;
    let served = Served::start(&workshop, databases).await;
    let mut ann = served.visitor();
    // Somebody gave the browser a session of their choice.
    ann.cookies.insert(COOKIE.to_owned(), "chosen".to_owned());
    let name = served.user("ann", Role::Viewer, &ALL).await;
    let answer = ann.post("/sign-in", &[("name", "ann"), ("password", PASSWORD)]).await;
    let cookie = answer.header("set-cookie").to_owned();
    for part in ["Path=/", "Secure", "HttpOnly", "SameSite=Lax"] {
        assert!(cookie.split("; ").any(|one| one == part), "{cookie}");
    }
    assert!(!cookie.contains("Domain") && !cookie.contains("Max-Age"), "{cookie}");
    assert_ne!(ann.cookies[COOKIE], "chosen");
    let mut fixed = served.visitor();
    fixed.cookies.insert(COOKIE.to_owned(), "chosen".to_owned());
    assert_eq!(fixed.get("/account").await.status, 303);

    // Signing in once more ends the session before.
    let before = ann.clone();
    ann.signs_in("ann", PASSWORD).await;
    assert_ne!(ann.cookies[COOKIE], before.cookies[COOKIE]);
    assert_eq!(before.clone().get("/account").await.status, 303, "it goes on");

    // Whoever kept the cookie has nothing after sign-out, after another password, and when shut out.
    let mut kept = ann.clone();
    assert_eq!(kept.get("/account").await.status, 200);
    assert_eq!(ann.post("/sign-out", &[]).await.header("location"), "/sign-in");
    assert_eq!(kept.get("/account").await.status, 303, "it goes on");

    let mut elsewhere = served.visitor();
    elsewhere.signs_in("ann", PASSWORD).await;
    ann.signs_in("ann", PASSWORD).await;
    let other = "another horse battery staple";
    let fields = [("current", PASSWORD), ("password", other), ("again", other)];
    let changed = ann.post("/account/password", &fields).await;
    assert!(changed.shows("The password is changed"), "{changed:?}");
    assert_eq!(elsewhere.get("/account").await.status, 303, "it goes on");
    assert_eq!(ann.get("/account").await.status, 200);

    served.store.set_disabled(&name, true).await.expect("the store answers");
    assert_eq!(ann.get("/account").await.status, 303, "it goes on");
    let refused = ann.post("/sign-in", &[("name", "ann"), ("password", other)]).await;
    assert_eq!(refused.status, 401, "{refused:?}");
    served.stop().await;
}

async fn a_session_ends_when_it_is_idle_or_old_and_an_invitation_after_a_day(
    databases: &Databases,
) {
    let store = OpsStore::open(&databases.url("ops")).await.expect("it opens");
    let ann: UserName = "ann".parse().expect("a name");
    assert!(store.make_user(&ann, Role::Admin, &ALL, Some("hash")).await.expect("it answers"));
    let start: Timestamp = "2026-01-01T00:00:00Z".parse().expect("a time");
    let after = |time: Duration| start + time;
    let is_open = async |id: &str, at| store.session(id, at).await.expect("it answers").is_some();
    let second = Duration::from_secs(1);

    let idle = store.open_session(&ann, start).await.expect("it answers");
    assert!(is_open(&idle, after(Session::IDLE)).await);
    // It was used just then.
    assert!(is_open(&idle, after(Session::IDLE * 2)).await);
    assert!(!is_open(&idle, after(Session::IDLE * 3 + second)).await);

    let old = store.open_session(&ann, start).await.expect("it answers");
    let mut at = Duration::ZERO;
    while at + Session::IDLE / 2 < Session::LONGEST {
        at += Session::IDLE / 2;
        assert!(is_open(&old, after(at)).await, "{at:?}");
    }
    assert!(!is_open(&old, after(Session::LONGEST + second)).await);

    let invited = store.invite(&ann, start).await.expect("it answers").expect("ann is there");
    let at = |at| store.invited(&invited, at);
    assert_eq!(at(start).await.expect("it answers"), Some(Invited::User(ann.clone())));
    assert_eq!(at(after(Invited::LASTS)).await.expect("it answers"), None);
    let late = store.accept(&invited, "hash", after(Invited::LASTS)).await;
    assert_eq!(late.expect("it answers"), None);
    assert_eq!(store.accept(&invited, "hash", start).await.expect("it answers"), Some(ann));
    store.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn forms_that_others_send_are_refused() {
    let (databases, workshop) = (Databases::sqlite(), Workshop::open(1, "").await);
    let served = Served::start(&workshop, &databases).await;
    let mut ann = served.signed_in("ann", Role::Admin, &ALL).await;
    let mut bob = served.signed_in("bob", Role::Admin, &ALL).await;
    let (of_ann, of_bob) = (ann.get("/account").await, bob.get("/account").await);
    let (of_ann, of_bob) = (of_ann.field("csrf"), of_bob.field("csrf"));
    let own = ann.origin();
    let make = |csrf: &str| form(&[("name", "eve"), ("role", "admin"), ("csrf", csrf)]);
    let site = |site| ("Sec-Fetch-Site", site);
    for (headers, body) in [
        (vec![("Origin", &*own)], make("")),
        (vec![("Origin", &*own)], make(&of_bob)),
        (vec![("Origin", "http://evil.example")], make(&of_ann)),
        (vec![("Origin", "null")], make(&of_ann)),
        (vec![], make(&of_ann)),
        (vec![("Origin", &*own), site("cross-site")], make(&of_ann)),
        (vec![("Origin", &*own), site("same-site")], make(&of_ann)),
    ] {
        let answer = ann.ask("POST", "/access/users", &headers, &body).await;
        assert_eq!(answer.status, 403, "{headers:?} {answer:?}");
    }
    // To sign somebody in as another takes a page of ours too.
    let sign_in = form(&[("name", "bob"), ("password", PASSWORD)]);
    let elsewhere = [("Origin", "http://evil.example")];
    assert_eq!(ann.ask("POST", "/sign-in", &elsewhere, &sign_in).await.status, 403);
    let users = served.store.users().await.expect("the store answers");
    assert_eq!(users.len(), 2, "{users:?}");
    let made = ann.ask("POST", "/access/users", &[("Origin", &own)], &make(&of_ann)).await;
    assert_eq!(made.status, 200, "{made:?}");
    served.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn passwords_are_guessed_only_so_often_and_nothing_tells_who_exists() {
    let (databases, workshop) = (Databases::sqlite(), Workshop::open(1, "").await);
    let served = Served::start(&workshop, &databases).await;
    served.user("ann", Role::Viewer, &ALL).await;
    let mut eve = served.visitor();
    let guess = |name: &'static str| [("name", name), ("password", "not the password, no")];
    let known = eve.post("/sign-in", &guess("ann")).await;
    let unknown = eve.post("/sign-in", &guess("eva")).await;
    assert_eq!((known.status, unknown.status), (401, 401));
    assert_eq!(known.body.replace("ann", ""), unknown.body.replace("eva", ""));
    for _ in 0..4 {
        assert_eq!(eve.post("/sign-in", &guess("ann")).await.status, 401);
    }
    let right = [("name", "ann"), ("password", PASSWORD)];
    let answer = served.visitor().post("/sign-in", &right).await;
    assert_eq!(answer.status, 429, "{answer:?}");
    assert!(answer.header("retry-after").parse::<u64>().is_ok_and(|seconds| seconds <= 61));
    assert_eq!(answer.header("set-cookie"), "");
    served.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_are_bounded_in_size_and_time() {
    let (databases, workshop) = (Databases::sqlite(), Workshop::open(1, "").await);
    let served = Served::start(&workshop, &databases).await;
    let (mut eve, large) = (served.visitor(), "x".repeat(5 * 1024 * 1024));
    let origin = eve.origin();
    let answer = eve.ask("POST", "/sign-in", &[("Origin", &origin)], &large).await;
    assert_eq!(answer.status, 413, "{answer:?}");
    let long = "x".repeat(1024 * 1024);
    let answer = eve.ask("GET", "/sign-in", &[("X-Long", &long)], "").await;
    assert_eq!(answer.status, 431, "{answer:?}");
    let address = format!("/sign-in?next={long}");
    assert!([414, 431].contains(&eve.get(&address).await.status));
    // Headers that never end are waited for 15 seconds; others are served meanwhile.
    let slow = exchange(served.address, "GET /sign-in HTTP/1.1\r\nHost: a\r\nX-Slow: ");
    let (slow, other) = tokio::join!(slow, eve.get("/sign-in"));
    assert_eq!(other.status, 200, "{other:?}");
    assert!([0, 408].contains(&slow.status), "{slow:?}");
    served.stop().await;
}
