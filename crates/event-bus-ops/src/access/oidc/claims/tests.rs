use serde_json::json;

use super::*;

const NOW: i64 = 1_800_000_000;

fn said() -> Claims {
    let said = json!({
        "iss": "https://id.example.com", "aud": "panel", "sub": "00u1", "nonce": "n",
        "exp": NOW + 300, "iat": NOW - 1, "auth_time": NOW - 20,
        "preferred_username": "ann", "email": "ann@example.com", "groups": ["ops", "all", 7],
    });
    said.as_object().unwrap().clone()
}

fn with(changes: &[(&str, Value)]) -> Claims {
    let mut claims = said();
    for (name, value) in changes {
        match value {
            Value::Null => claims.remove(*name),
            value => claims.insert((*name).to_owned(), value.clone()),
        };
    }
    claims
}

fn judged(claims: &Claims, proved_within: Option<u64>) -> Result<Identity, OidcError> {
    let wanted = Wanted {
        issuer: "https://id.example.com",
        client_id: "panel",
        nonce: "n",
        proved_within: proved_within.map(Duration::from_secs),
        now: Timestamp::from_second(NOW).unwrap(),
    };
    check(claims, &wanted)
}

#[test]
fn a_token_is_for_this_client_and_this_attempt() {
    let ann = judged(&said(), None).unwrap();
    assert_eq!((&*ann.subject, &*ann.label), ("00u1", "ann"));
    assert_eq!(ann.proved_at.as_second(), NOW - 20);
    for good in [
        vec![("aud", json!(["panel"]))],
        vec![("aud", json!(["panel", "other"])), ("azp", json!("panel"))],
        vec![("azp", json!("panel"))],
    ] {
        assert!(judged(&with(&good), None).is_ok(), "{good:?}");
    }
    for wrong in [
        ("iss", json!("https://id.example.com/")),
        ("iss", Value::Null),
        ("aud", json!("other")),
        ("aud", json!(["panel", "other"])),
        ("aud", json!({ "panel": 1 })),
        ("aud", Value::Null),
        ("azp", json!("other")),
        ("azp", json!(7)),
        ("nonce", json!("m")),
        ("nonce", json!("")),
        ("nonce", Value::Null),
        ("sub", json!("")),
        ("sub", json!(7)),
        ("sub", json!("a".repeat(256))),
        ("exp", Value::Null),
        ("exp", json!("soon")),
        ("iat", Value::Null),
        ("auth_time", json!("now")),
    ] {
        let judged = judged(&with(std::slice::from_ref(&wrong)), None);
        assert!(matches!(judged, Err(OidcError::Untrusted(_))), "{wrong:?} {judged:?}");
    }
}

#[test]
fn a_token_is_of_now_and_clocks_are_apart_by_a_minute_at_most() {
    for (name, time, is_good) in [
        ("exp", NOW - 59, true),
        ("exp", NOW - 60, false),
        ("iat", NOW + 60, true),
        ("iat", NOW + 61, false),
        ("iat", NOW - 600, true),
        ("iat", NOW - 601, false),
        ("nbf", NOW + 60, true),
        ("nbf", NOW + 61, false),
    ] {
        let judged = judged(&with(&[(name, json!(time))]), None);
        assert_eq!(judged.is_ok(), is_good, "{name} {time} {judged:?}");
        assert!(is_good || matches!(judged, Err(OidcError::Clocks(_))), "{judged:?}");
    }
    assert!(judged(&with(&[("exp", json!(1.8e9 + 0.5))]), None).is_ok());
    assert!(judged(&with(&[("exp", json!(1e300))]), None).is_err());
}

#[test]
fn a_proof_is_a_password_that_was_given_just_now() {
    let proves = |at: Value| judged(&with(&[("auth_time", at)]), Some(300));
    assert!(proves(json!(NOW - 299)).is_ok());
    // A clock that is ahead does not make a proof last longer.
    assert_eq!(proves(json!(NOW + 30)).unwrap().proved_at.as_second(), NOW);
    for at in [json!(NOW - 300), json!(0), Value::Null] {
        assert!(matches!(proves(at.clone()), Err(OidcError::NotProved(_))), "{at}");
    }
    let never = judged(&with(&[("auth_time", Value::Null)]), None).unwrap();
    assert_eq!(never.proved_at, Timestamp::UNIX_EPOCH);
}

#[test]
fn somebody_is_called_by_what_there_is() {
    let label = |changes: &[(&str, Value)]| judged(&with(changes), None).unwrap().label;
    let nameless = ("preferred_username", Value::Null);
    assert_eq!(label(std::slice::from_ref(&nameless)), "ann@example.com");
    assert_eq!(label(&[nameless, ("email", json!(""))]), "00u1");
}

#[test]
fn groups_are_a_list_or_one_text_at_a_name_or_a_pointer() {
    assert_eq!(groups(&said(), "groups"), Some(vec!["ops", "all"]));
    assert_eq!(groups(&said(), "roles"), None);
    let claims = with(&[
        ("hd", json!("example.com")),
        ("none", json!([])),
        ("realm_access", json!({ "roles": ["ops"] })),
        ("https://example.com/groups", json!(["far"])),
        ("wrong", json!({ "ops": true })),
    ]);
    for (claim, found) in [
        ("hd", Some(vec!["example.com"])),
        ("none", Some(vec![])),
        ("/realm_access/roles", Some(vec!["ops"])),
        ("/groups", Some(vec!["ops", "all"])),
        ("https://example.com/groups", Some(vec!["far"])),
        ("wrong", None),
        ("/realm_access/other", None),
    ] {
        assert_eq!(groups(&claims, claim), found, "{claim}");
    }
    // An address that nobody looked at is anybody's.
    assert_eq!(groups(&said(), "email"), None);
    let looked_at = with(&[("email_verified", json!(true))]);
    assert_eq!(groups(&looked_at, "email"), Some(vec!["ann@example.com"]));
}
