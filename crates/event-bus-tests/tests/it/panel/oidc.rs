//! Signing in by a provider of identities: a process of `event-bus ops serve`, a provider, and a browser between them.

mod door;
mod faults;
mod proof;

use event_bus::store::ops::{Role, UserName};
use event_bus_ops::panel::{COOKIE, HOME};
use event_bus_tests::chromium::Chromium;
use event_bus_tests::databases::Databases;
use event_bus_tests::openid::{Fault, Identities};
use event_bus_tests::process::escaped;
use serde_json::json;

use super::visitor::{Answer, Visitor};
use crate::both::on_both_databases;
use crate::workshop::{Flaw, Workshop};
use door::{ATTEMPT, Door, back_from, claims};

on_both_databases!(
    who_is_in_a_group_comes_in_with_its_role_and_scope_until_signing_out,
    who_is_shut_out_comes_in_no_more_and_is_known_again_when_let_in,
);

/// The panel's own pages show it so.
fn name_of(door: &Door, label: &str, subject: &str) -> String {
    UserName::vouched(label, &door.identities.issuer(), subject).to_string()
}

fn cookie<'a>(answer: &'a Answer, name: &str) -> &'a str {
    let mut cookies = answer.headers_of("set-cookie");
    cookies.find(|cookie| cookie.starts_with(&format!("{name}="))).unwrap_or_default()
}

async fn who_is_in_a_group_comes_in_with_its_role_and_scope_until_signing_out(
    databases: &Databases,
) {
    let door = Door::open(databases).await;
    door.workshop.bury(6, Flaw(0)).await;
    door.identities.signs_in(claims("00u1", "ann@example.com", &["everybody", "acme-support"]));
    let mut ann = door.visitor();
    let next = "/events/dead-letters/list?tenant=acme";
    let page = ann.visit(next).await;
    let link = page.between("class=\"button\" href=\"", "\"").replace("&#38;", "&");
    assert!(link.starts_with("/sign-in/oidc?next=") && page.shows(&door.identities.issuer()));

    let begun = ann.get(&link).await;
    let attempt = cookie(&begun, ATTEMPT).to_owned();
    for part in ["Path=/", "Secure", "HttpOnly", "SameSite=Lax", "Max-Age=600"] {
        assert!(attempt.split("; ").any(|one| one == part), "{attempt}");
    }
    assert_eq!(cookie(&begun, COOKIE), "", "nobody is signed in yet");
    // Somebody gave the browser a session of their choice meanwhile.
    ann.cookies.insert(COOKIE.to_owned(), "chosen".to_owned());
    let came = back_from(&door, &begun, &mut ann).await;
    assert_eq!((came.status, came.header("location")), (303, next), "{came:?}");
    assert!(cookie(&came, ATTEMPT).contains("Max-Age=0"), "the attempt is over: {came:?}");
    let session = cookie(&came, COOKIE).to_owned();
    for part in ["Path=/", "Secure", "HttpOnly", "SameSite=Lax"] {
        assert!(session.split("; ").any(|one| one == part), "{session}");
    }
    assert_ne!(ann.cookies[COOKIE], "chosen");
    let asked = door.identities.authorized().remove(0);
    assert_eq!((&*asked["scope"], asked.get("prompt")), ("openid profile email", None));
    assert_eq!(asked["redirect_uri"], format!("{}/sign-in/oidc/callback", ann.origin()));

    // The first of her groups that the panel knows, in the panel's order.
    let name = name_of(&door, "ann@example.com", "00u1");
    let account = ann.get("/account").await;
    assert!(
        account.shows(&name) && account.shows("viewer") && account.shows("acme"),
        "{account:?}"
    );
    assert!(!account.shows("name=\"current\""), "{account:?}");
    door.shows(&mut ann, "/events/dead-letters", "acme").await;
    let groups = ann.get("/events/dead-letters").await;
    assert!(!groups.shows("bolt"), "{groups:?}");
    let refused = ann.get("/events/dead-letters/replay?state=open").await;
    assert_eq!(refused.status, 403, "{refused:?}");

    let rows = door.audit(&name).await;
    let [row] = &rows[..] else { panic!("{rows:?}") };
    assert_eq!((&*row.action, &*row.object, &*row.role), ("sign-in", &*name, "nobody"));
    for said in ["00u1", "acme-support", "\"viewer\"", &door.identities.issuer()] {
        assert!(row.detail.contains(said), "{said}: {row:?}");
    }

    let mut kept = ann.clone();
    assert_eq!(ann.post("/sign-out", &[]).await.header("location"), "/sign-in");
    assert_eq!(kept.get("/account").await.status, 303, "it goes on");
    // Other groups, another role: of the session before, too.
    let mut before = door.signed_in().await;
    door.identities.signs_in(claims("00u1", "ann.b@example.com", &["platform-ops"]));
    let mut after = door.signed_in().await;
    for visitor in [&mut before, &mut after] {
        let account = visitor.get("/account").await;
        assert!(account.shows("operator") && account.shows(&name), "{account:?}");
    }
    door.close().await;
}

async fn who_is_shut_out_comes_in_no_more_and_is_known_again_when_let_in(databases: &Databases) {
    let door = Door::open(databases).await;
    door.identities.signs_in(claims("00u2", "root", &["admins"]));
    let mut root = door.signed_in().await;
    door.identities.signs_in(claims("00u1", "ann", &["platform-ops"]));
    let mut ann = door.signed_in().await;
    let name = name_of(&door, "ann", "00u1");
    let users = root.get("/access/users").await;
    assert!(users.shows(&name) && users.shows("may sign in by"), "{users:?}");
    assert!(!users.shows("/invite\""), "who has no password here is not invited: {users:?}");
    let of_ann = |deed: &str| format!("/access/users/{name}/{deed}");
    assert_eq!(root.post(&of_ann("invite"), &[]).await.status, 404);
    assert_eq!(root.post(&of_ann("disable"), &[]).await.status, 303);
    assert_eq!(ann.get("/account").await.status, 303, "it goes on");
    let refused = door.comes(&mut ann).await;
    assert_eq!(refused.status, 403, "{refused:?}");
    assert!(refused.shows("has shut you out"), "{refused:?}");
    assert_eq!(cookie(&refused, COOKIE), "");
    assert_eq!(root.post(&of_ann("enable"), &[]).await.status, 303);
    assert_eq!(door.comes(&mut ann).await.status, 303);
    let actions: Vec<String> = door.audit(&name).await.into_iter().map(|row| row.action).collect();
    assert_eq!(actions, ["sign-in", "sign-in-failed", "sign-in"]);

    // Nor can anybody have a password under the name, by whichever way in.
    let listed = door.workshop.program(&["ops", "user", "list", "--store", &door.store_url]).await;
    assert!(String::from_utf8_lossy(&listed.stdout).contains(&name), "{listed:?}");
    for verb in ["make", "invite"] {
        let refused = ["ops", "user", verb, &name, "--store", &door.store_url];
        assert!(!door.workshop.program(&refused).await.status.success(), "{verb}");
    }
    let made = root.post("/access/users", &[("name", &*name), ("role", "admin")]).await;
    assert_eq!(made.status, 422, "{made:?}");
    let removed = ["ops", "user", "remove", &name, "--store", &door.store_url];
    assert!(door.workshop.program(&removed).await.status.success());
    assert_eq!(ann.get("/account").await.status, 303, "it goes on");
    door.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_first_administrator_may_come_by_a_group_and_then_no_link_is_printed() {
    let databases = Databases::sqlite();
    let door = Door::open(&databases).await;
    assert_eq!(door.told["set_up"], json!(null), "{}", door.told);
    assert_eq!(door.told["issuer"], json!(door.identities.issuer()));
    door.identities.signs_in(claims("00u2", "root", &["admins"]));
    let mut root = door.signed_in().await;
    assert_eq!(root.get("/access/audit").await.status, 200);
    door.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_provider_that_signs_by_another_key_is_asked_for_its_keys_again() {
    let databases = Databases::sqlite();
    let door = Door::open(&databases).await;
    door.identities.signs_in(claims("00u1", "ann", &["platform-ops"]));
    door.signed_in().await;
    door.identities.rotates_its_keys();
    door.signed_in().await;
    door.identities.set(Some(Fault::UnknownKey));
    let refused = door.comes(&mut door.visitor()).await;
    assert_eq!(refused.status, 502, "{refused:?}");
    assert!(refused.shows("a key that the provider does not show"), "{refused:?}");
    door.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_provider_is_asked_over_tls_where_its_certificate_is_trusted() {
    let databases = Databases::sqlite();
    let (identities, certificate) = Identities::start_guarded().await;
    assert!(identities.issuer().starts_with("https://"));
    let door = Door::before(&databases, identities, Some(&certificate)).await;
    door.identities.signs_in(claims("00u1", "ann", &["platform-ops"]));
    door.signed_in().await;
    door.close().await;
}

/// As a browser keeps cookies, whose provider is another site than the panel.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_browser_goes_to_the_provider_and_comes_back_signed_in() {
    let databases = Databases::sqlite();
    let door = Door::open(&databases).await;
    door.identities.signs_in(claims("00u1", "ann", &["platform-ops"]));
    let (browser, site) = (Chromium::start().await, door.visitor().origin());
    browser.open(&format!("{site}/events/groups")).await;
    browser.shows("h1", "Sign in").await;
    browser.click("main a.button").await;
    browser.shows("h1", "Consumer groups").await;
    browser.open(&format!("{site}/account")).await;
    browser.shows(".facts", "oidc:ann~").await;
    browser.open(&format!("{site}/sign-in/oidc?prove=yes&next=/events/topics")).await;
    browser.shows("h1", "Topics").await;
    let complaints = browser.complaints().await;
    assert!(complaints.is_empty(), "{complaints:#?}");
    browser.quit().await;
    door.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_is_led_to_another_site() {
    let databases = Databases::sqlite();
    let door = Door::open(&databases).await;
    door.identities.signs_in(claims("00u1", "ann", &["platform-ops"]));
    for next in ["https://evil.example", "//evil.example", "/\\evil.example", ""] {
        let mut ann = door.visitor();
        let escaped = escaped(next);
        let begun = ann.get(&format!("/sign-in/oidc?next={escaped}")).await;
        let came = back_from(&door, &begun, &mut ann).await;
        assert_eq!(came.header("location"), HOME, "{next}");
    }
    door.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_settings_are_looked_at_before_anything_is_served() {
    let workshop = Workshop::open(1, "").await;
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let store = format!("sqlite://{}", folder.path().join("ops.db").display());
    let (id, group) = (["--oidc-client-id", "panel"], ["--oidc-group", "a=admin"]);
    let issuer = ["--oidc-issuer", "https://id.example.com"];
    for (options, told) in [
        (vec![&issuer[..], &id], "--oidc-group"),
        (vec![&issuer, &group], "--oidc-client-id"),
        (vec![&["--oidc-issuer", "http://id.example.com"], &id, &group], "want https://HOST"),
        (vec![&issuer, &id, &["--oidc-group", "a=root"]], "says no role"),
        (vec![&issuer, &id, &group, &["--panel", "http://events.example.com"]], "by TLS alone"),
        (vec![&issuer, &id, &group, &["--oidc-client-secret-file", "nowhere"]], "nowhere"),
        (vec![&id], "--oidc-issuer"),
    ] {
        let options = options.concat();
        let start = ["ops", "serve", "--store", &store, "--http", "127.0.0.1:0"];
        let output = workshop.program(&[&start[..], &options].concat()).await;
        let errors = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{options:?}: {errors}");
        assert!(errors.contains(told), "{options:?}: {errors}");
    }
}

/// A visitor that is nobody's yet.
fn is_in(visitor: &Visitor) -> bool {
    visitor.cookies.get(COOKIE).is_some_and(|session| !session.is_empty())
}

/// What each role opens is in the tests of the matrix; here, that it is the provider's groups that say so.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn roles_are_those_of_the_groups() {
    let databases = Databases::sqlite();
    let door = Door::open(&databases).await;
    for (nth, group) in ["acme-support", "platform-ops", "admins"].into_iter().enumerate() {
        door.identities.signs_in(claims(&format!("00u{nth}"), group, &[group]));
        let mut somebody = door.signed_in().await;
        let role = Role::ALL[nth];
        let account = somebody.get("/account").await;
        assert!(account.shows(&format!("<dd>{role}</dd>")), "{account:?}");
        assert!(is_in(&somebody));
    }
    door.close().await;
}
