//! What a provider, or somebody between it and a browser, does wrong: nobody is let in, and everybody is told why.

use std::time::Duration;

use event_bus_ops::panel::COOKIE;
use event_bus_tests::databases::Databases;
use event_bus_tests::eventually::eventually;
use event_bus_tests::openid::{Fault, Identities};

use super::door::{ATTEMPT, Door, back_from, callback, claims};
use super::is_in;

const SOON: Duration = Duration::from_secs(60);

/// Nobody is let in by a provider of this fault, and both the page and the audit tell why; without the fault somebody is.
async fn is_refused(fault: Fault, status: u16, told: &str) {
    let databases = Databases::sqlite();
    let door = Door::open(&databases).await;
    door.identities.signs_in(claims("00u1", "ann", &["platform-ops"]));
    door.identities.set(Some(fault));
    let mut ann = door.visitor();
    let refused = door.comes(&mut ann).await;
    assert_eq!(refused.status, status, "{refused:?}");
    assert!(refused.shows("Not signed in") && refused.shows(told), "{refused:?}");
    assert!(!is_in(&ann) && refused.header("set-cookie").starts_with(ATTEMPT), "{refused:?}");
    assert_eq!(ann.get("/account").await.status, 303);
    let rows = door.store.audit_rows(&Default::default(), 10).await.expect("the store answers");
    let [row] = &rows[..] else { panic!("{rows:?}") };
    assert_eq!((&*row.action, &*row.role), ("sign-in-failed", "nobody"));
    assert!(row.actor.starts_with("oidc:") && row.detail.contains(told), "{row:?}");
    assert!(door.store.users().await.expect("the store answers").is_empty());
    door.identities.set(None);
    door.signed_in().await;
    door.close().await;
}

macro_rules! refused {
    ($($name:ident: $fault:ident, $status:literal, $told:literal;)*) => {$(
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $name() {
            is_refused(Fault::$fault, $status, $told).await;
        }
    )*};
}

refused! {
    a_token_of_another_attempt_is_refused: WrongNonce, 502, "it is of another sign-in";
    a_token_for_another_client_is_refused: WrongAudience, 502, "it is for another client";
    a_token_that_was_given_to_another_client_is_refused: OtherParty, 502, "it was given to another client";
    a_token_of_another_provider_is_refused: WrongIssuer, 502, "it is of another provider";
    a_token_that_is_over_is_refused: Expired, 502, "set both by NTP";
    a_token_that_is_not_signed_is_refused: Unsigned, 502, "which is not taken here";
    a_token_signed_by_the_public_key_is_refused: PublicKeyAsSecret, 502, "which is not taken here";
    a_token_of_another_key_is_refused: OtherKey, 502, "its signature is wrong";
    a_token_that_was_changed_is_refused: Changed, 502, "its signature is wrong";
    who_has_no_groups_told_is_refused: NoGroups, 403, "no groups of yours in the claim groups";
    who_the_provider_refuses_is_told_its_words_as_text: Denies, 403, "access_denied: ";
    an_answer_that_does_not_name_its_provider_is_refused: Nameless, 502, "another provider answered";
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_provider_says_is_text_on_the_page_and_in_the_log() {
    let databases = Databases::sqlite();
    let door = Door::open(&databases).await;
    door.identities.set(Some(Fault::Denies));
    let refused = door.comes(&mut door.visitor()).await;
    assert!(
        refused.shows("&#60;script&#62;alert(1)") && refused.shows("\\u{202e}no"),
        "{refused:?}"
    );
    assert!(!refused.shows("<script>alert"), "{refused:?}");
    let log = door.log();
    assert!(log.contains("access_denied") && !log.contains('\u{202e}'), "{log}");
    door.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_in_no_group_that_opens_the_panel_stays_out_and_sessions_of_before_end() {
    let databases = Databases::sqlite();
    let door = Door::open(&databases).await;
    door.identities.signs_in(claims("00u1", "ann", &["platform-ops"]));
    let mut before = door.signed_in().await;
    door.identities.signs_in(claims("00u1", "ann", &["everybody", "Platform-Ops"]));
    let refused = door.comes(&mut door.visitor()).await;
    assert_eq!(refused.status, 403, "{refused:?}");
    assert!(refused.shows("none of your groups opens this panel"), "{refused:?}");
    assert_eq!(before.get("/account").await.status, 303, "it goes on");
    door.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_attempt_is_of_the_browser_that_began_it_and_good_once() {
    let databases = Databases::sqlite();
    let door = Door::open(&databases).await;
    door.identities.signs_in(claims("00u9", "eve", &["platform-ops"]));
    let (mut eve, mut ann) = (door.visitor(), door.visitor());
    let begun = eve.get("/sign-in/oidc").await;
    // Eve has ann's browser come back in her place: without an attempt, and with one of its own.
    let of_eve = callback(&door, &begun).await;
    let refused = ann.get(&of_eve).await;
    assert_eq!(refused.status, 400, "{refused:?}");
    assert!(refused.shows("this browser did not begin it"), "{refused:?}");
    let of_ann = ann.get("/sign-in/oidc").await;
    let kept = ann.cookies[ATTEMPT].clone();
    assert_eq!(ann.get(&of_eve).await.status, 400);
    assert!(!is_in(&ann) && ann.cookies[ATTEMPT] == kept, "its own attempt goes on");
    // Her code under ann's state is one for another verifier.
    let between = |text: &str, before: &str| {
        let (_, rest) = text.split_once(before).expect("it is there");
        rest.split('&').next().unwrap_or_default().to_owned()
    };
    let own = callback(&door, &of_ann).await;
    let mixed = own.replace(&between(&own, "code="), &between(&of_eve, "code="));
    let refused = ann.get(&mixed).await;
    assert_eq!(refused.status, 502, "{refused:?}");
    assert!(refused.shows("the code is another one") && !is_in(&ann), "{refused:?}");

    // A code is good once, also for the browser that has it; so is an attempt.
    let mut ann = door.visitor();
    let begun = ann.get("/sign-in/oidc").await;
    let (own, attempt) = (callback(&door, &begun).await, ann.cookies[ATTEMPT].clone());
    assert_eq!(ann.get(&own).await.status, 303);
    assert_eq!(ann.get(&own).await.status, 400);
    ann.cookies.insert(ATTEMPT.to_owned(), attempt);
    let again = ann.get(&own).await;
    assert_eq!(again.status, 502, "{again:?}");
    assert!(again.shows("the code was used"), "{again:?}");
    door.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_comes_back_again_and_again_waits() {
    let databases = Databases::sqlite();
    let door = Door::open(&databases).await;
    let mut eve = door.visitor();
    for _ in 0..30 {
        assert_eq!(eve.get("/sign-in/oidc/callback?state=guessed&code=guessed").await.status, 400);
    }
    let waits = eve.get("/sign-in/oidc/callback?state=guessed&code=guessed").await;
    assert_eq!(waits.status, 429, "{waits:?}");
    assert!(waits.header("retry-after").parse::<u64>().is_ok_and(|seconds| seconds <= 7));
    door.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_provider_that_speaks_for_another_is_not_asked_and_asked_again_later() {
    let databases = Databases::sqlite();
    let identities = Identities::start().await;
    identities.signs_in(claims("00u1", "ann", &["platform-ops"]));
    identities.set(Some(Fault::OtherDocument));
    let door = Door::before(&databases, identities, None).await;
    let mut ann = door.visitor();
    let refused = ann.get("/sign-in/oidc").await;
    assert_eq!(refused.status, 502, "{refused:?}");
    assert!(refused.shows("it is of &#34;https://id.example.com&#34;"), "{refused:?}");
    assert!(refused.shows("as the provider itself writes it"), "{refused:?}");
    door.identities.set(None);
    eventually(SOON, async || {
        let begun = ann.clone().get("/sign-in/oidc").await;
        if begun.status == 303 { Ok(()) } else { Err(begun) }
    })
    .await;
    let begun = ann.get("/sign-in/oidc").await;
    assert_eq!(back_from(&door, &begun, &mut ann).await.status, 303);
    assert!(!ann.cookies[COOKIE].is_empty());
    door.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_provider_whose_certificate_nobody_trusts_is_told_nothing() {
    let databases = Databases::sqlite();
    let (identities, _) = Identities::start_guarded().await;
    let door = Door::before(&databases, identities, None).await;
    let refused = door.visitor().get("/sign-in/oidc").await;
    assert_eq!(refused.status, 502, "{refused:?}");
    assert!(refused.shows("and trusts its certificate"), "{refused:?}");
    door.close().await;
}
