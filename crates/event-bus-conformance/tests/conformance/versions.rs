//! Which APIs there are, and what is answered to one that isn't.

use event_bus_conformance::connection::Connection;
use event_bus_conformance::outcome::outcome;
use event_bus_conformance::topic::text;
use kafka_protocol::ResponseError;
use kafka_protocol::messages::{ApiVersionsRequest, ApiVersionsResponse};
use kafka_protocol::protocol::Decodable;

fn ask() -> ApiVersionsRequest {
    ApiVersionsRequest::default()
        .with_client_software_name(text("conformance"))
        .with_client_software_version(text("1.0"))
}

#[tokio::test]
async fn the_apis_that_clients_need_are_served_in_the_versions_that_they_speak() {
    // API key, and the versions between which librdkafka 2, Java 3.7 to 4.4 and franz-go choose.
    const NEEDED: [(i16, i16, i16); 33] = [
        // Produce below 3 is only announced: without it, older librdkafka compresses nothing.
        (0, 0, 11),
        (1, 4, 16),
        (2, 1, 8),
        (3, 0, 12),
        (8, 2, 9),
        (9, 1, 9),
        (10, 0, 4),
        (11, 0, 9),
        (12, 0, 4),
        (13, 0, 5),
        (14, 0, 5),
        (15, 0, 5),
        (16, 0, 5),
        (18, 0, 4),
        (19, 2, 7),
        (20, 1, 6),
        (21, 0, 2),
        (22, 0, 4),
        (23, 2, 4),
        (24, 0, 3),
        (25, 0, 3),
        (26, 0, 3),
        (28, 0, 3),
        (32, 1, 4),
        (33, 0, 2),
        (35, 1, 4),
        (37, 0, 3),
        (42, 0, 2),
        (44, 0, 1),
        (47, 0, 0),
        (60, 0, 1),
        (61, 0, 0),
        (75, 0, 0),
    ];
    let response = Connection::open().await.call(4, &ask()).await;
    assert_eq!(outcome(response.error_code), Ok(()));
    for (key, first, last) in NEEDED {
        let served = response.api_keys.iter().find(|served| served.api_key == key);
        let served = served.unwrap_or_else(|| panic!("API {key} is not served"));
        assert!(
            served.min_version <= first && served.max_version >= last,
            "API {key}: versions {} to {} are served, {first} to {last} are needed",
            served.min_version,
            served.max_version
        );
    }
}

#[tokio::test]
async fn an_unknown_version_of_api_versions_is_answered_in_version_0_with_the_list() {
    let mut connection = Connection::open().await;
    // API key 18 in version 99, correlation id 7, client id "x", an empty tag section, and a body of the future.
    let request = [0, 18, 0, 99, 0, 0, 0, 7, 0, 1, b'x', 0, 1, 2, 3];
    connection.send_frame(&request).await.expect("the broker takes the request");
    let mut frame = connection.frame().await.expect("the broker answers");
    assert_eq!(frame.split_to(4).as_ref(), [0, 0, 0, 7], "the correlation id");
    let response = ApiVersionsResponse::decode(&mut frame, 0).expect("an answer in version 0");
    assert_eq!(outcome(response.error_code), Err(ResponseError::UnsupportedVersion));
    assert!(response.api_keys.iter().any(|served| served.api_key == 18));
    // The connection can be used on.
    assert_eq!(connection.call(3, &ask()).await.error_code, 0);
}

#[tokio::test]
async fn an_api_that_is_not_there_closes_the_connection() {
    let mut connection = Connection::open().await;
    let request = [0x7f, 0, 0, 0, 0, 0, 0, 7, 0, 1, b'x'];
    connection.send_frame(&request).await.expect("the broker takes the request");
    connection.frame().await.expect_err("the broker closes the connection");
}

#[tokio::test]
async fn the_versions_of_produce_that_are_only_announced_close_the_connection() {
    let mut connection = Connection::open().await;
    // Version 2, acks of all, a timeout, and no topics.
    let request = [0, 0, 0, 2, 0, 0, 0, 7, 0, 1, b'x', 0xff, 0xff, 0, 0, 0, 1, 0, 0, 0, 0];
    connection.send_frame(&request).await.expect("the broker takes the request");
    connection.frame().await.expect_err("the broker closes the connection");
}

#[tokio::test]
async fn a_version_that_is_not_there_closes_the_connection() {
    let mut connection = Connection::open().await;
    let request = [0, 3, 0, 99, 0, 0, 0, 7, 0, 1, b'x', 0];
    connection.send_frame(&request).await.expect("the broker takes the request");
    connection.frame().await.expect_err("the broker closes the connection");
}

#[tokio::test]
async fn a_body_that_is_no_request_closes_the_connection() {
    let mut connection = Connection::open().await;
    // Metadata, version 4, with a million topics of which none follows.
    let request = [0, 3, 0, 4, 0, 0, 0, 7, 0, 1, b'x', 0, 15, 66, 64];
    connection.send_frame(&request).await.expect("the broker takes the request");
    connection.frame().await.expect_err("the broker closes the connection");
}

#[tokio::test]
async fn a_frame_of_an_absurd_length_closes_the_connection() {
    let mut connection = Connection::open().await;
    connection.send_bytes(&[0x7f, 0xff, 0xff, 0xff]).await.expect("the broker takes the length");
    connection.frame().await.expect_err("the broker closes the connection");
}

#[tokio::test]
async fn the_name_that_a_client_gives_itself_has_to_be_a_name() {
    let request = ask().with_client_software_name(text("no name!"));
    let response = Connection::open().await.call(3, &request).await;
    assert_eq!(outcome(response.error_code), Err(ResponseError::InvalidRequest));
}

#[tokio::test]
async fn requests_that_are_sent_at_once_are_answered_in_their_order() {
    let mut connection = Connection::open().await;
    for version in 0..=4 {
        connection.send(version, &ask_in(version)).await;
    }
    for version in 0..=4 {
        let response = connection.answer::<ApiVersionsRequest>(version).await;
        assert_eq!(outcome(response.error_code), Ok(()));
    }
}

/// The request as far as a version has fields for it.
fn ask_in(version: i16) -> ApiVersionsRequest {
    if version < 3 { ApiVersionsRequest::default() } else { ask() }
}
