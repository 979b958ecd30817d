//! Faults that were planted are each told of, and what is sound is not.

use event_bus::Catalogue;
use event_bus::conform::Kind;
use event_bus::envelope::{OutgoingRecord, seal_bytes};
use event_bus::headers;
use event_bus::names::EventId;
use event_bus_tests::kafka::send_all;
use jiff::{Timestamp, ToSpan};
use serde_json::{Value, json};

use crate::trial::{Trial, sample_of_an_order};

/// An order as its publisher should have made it, under an id that was made then.
fn sealed(catalogue: &Catalogue, order: &str, made: Timestamp) -> OutgoingRecord {
    let mut payload = sample_of_an_order();
    payload["order_id"] = json!(order);
    let envelope = json!({
        "event_id": EventId::at(made), "event": "OrderPlaced", "version": "1.0", "occurred_at": "2026-03-01T09:00:00Z",
        "service": "retailer", "tenant_id": "thomas-sanderson", "payload": payload,
    });
    seal_bytes(catalogue, envelope.to_string().as_bytes(), made).expect("it is sound")
}

/// The same with another value.
fn changed(mut record: OutgoingRecord, change: impl FnOnce(&mut Value)) -> OutgoingRecord {
    let value = record.value.as_deref().expect("it has a value");
    let mut envelope = serde_json::from_slice(value).expect("it is an envelope");
    change(&mut envelope);
    record.value = Some(envelope.to_string().into());
    record
}

/// Service, kind and count of all that was found.
fn found(told: &Value) -> Vec<(&str, &str, u64)> {
    let rows = told["found"].as_array().expect("there is a list");
    rows.iter()
        .map(|row| {
            let count = row["count"].as_u64().expect("it is a number");
            let (service, kind) = (row["service"].as_str(), row["kind"].as_str());
            (service.unwrap_or_default(), kind.unwrap_or_default(), count)
        })
        .collect()
}

#[tokio::test]
async fn planted_errors_are_each_told_with_their_service_and_place() {
    let trial = Trial::open().await;
    let (catalogue, now) = (trial.catalogue(), Timestamp::now());
    let good = sealed(&catalogue, "o-1", now);
    send_all(vec![good.clone(), good.clone()]).await;
    let (code, sound) = trial.inspected(&[]).await;
    assert_eq!((code, found(&sound)), (Some(0), Vec::new()), "{sound}");
    assert_eq!((&sound["records"], &sound["repeats"]), (&json!(2), &json!(1)), "{sound}");

    let mut wrong_key = sealed(&catalogue, "o-2", now);
    wrong_key.key = Some("o-2".into());
    let missing_id = changed(sealed(&catalogue, "o-3", now), |envelope| {
        envelope.as_object_mut().expect("it is an object").remove("event_id");
    });
    let mut mismatch = sealed(&catalogue, "o-4", now);
    let tenant = mismatch.headers.iter_mut().find(|header| header.name == headers::CE_TENANTID);
    tenant.expect("it is there").value = Some("louvolite".into());
    let late = sealed(&catalogue, "o-1", now - 1.hour());
    let reused = changed(good, |envelope| envelope["payload"]["total"] = json!("1.00"));
    let foreign = changed(sealed(&catalogue, "o-5", now), |envelope| {
        envelope["service"] = json!("payment");
    });
    let places = send_all(vec![wrong_key, missing_id, mismatch, late, reused, foreign]).await;

    let (code, told) = trial.inspected(&["--topic", "OrderPlaced"]).await;
    assert_eq!(code, Some(3), "{told}");
    let of_payment = [Kind::WrongService, Kind::HeaderMismatch];
    let of_retailer =
        [Kind::IdMissing, Kind::IdReused, Kind::WrongKey, Kind::HeaderMismatch, Kind::OrderBroken];
    let mut wanted: Vec<_> = of_payment.map(|kind| ("payment", kind.as_str(), 1)).into();
    wanted.extend(of_retailer.map(|kind| ("retailer", kind.as_str(), 1)));
    assert_eq!(found(&told), wanted, "{told}");
    for (kind, place) in
        [Kind::WrongKey, Kind::IdMissing, Kind::HeaderMismatch, Kind::OrderBroken, Kind::IdReused]
            .into_iter()
            .zip(&places)
    {
        let rows = told["found"].as_array().expect("there is a list");
        let is_it = |row: &&Value| row["kind"] == kind.as_str() && row["service"] == "retailer";
        let example = &rows.iter().find(is_it).expect("it was found")["example"];
        let at = (&example["partition"], &example["offset"]);
        assert_eq!(at, (&json!(place.partition), &json!(place.offset)), "{kind}: {told}");
    }

    let (code, of_payment) = trial.inspected(&["--service", "payment"]).await;
    assert_eq!((code, found(&of_payment).len()), (Some(3), 2), "{of_payment}");
    let (code, of_nothing) = trial.inspected(&["--from", "end"]).await;
    assert_eq!((code, &of_nothing["records"]), (Some(0), &json!(0)), "{of_nothing}");
    let readable = trial.program(&["conform", "topics"]).output().await.expect("it runs");
    let said = String::from_utf8_lossy(&readable.stdout).into_owned();
    assert!(said.contains("wrong-key") && said.contains("8 records"), "{said}");
}
