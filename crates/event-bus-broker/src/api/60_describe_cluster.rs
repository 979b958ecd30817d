//! DescribeCluster (key 60), versions 0 to 2: the one node, as broker. Its controller has no address of its own, so
//! asking for controllers is asking at the wrong place, as with any of Kafka's brokers.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::describe_cluster_response::DescribeClusterBroker;
use kafka_protocol::messages::{ApiKey, BrokerId, DescribeClusterRequest, DescribeClusterResponse};
use kafka_protocol::protocol::StrBytes;

use super::{Api, Call, operations, text};
use crate::node::NODE_ID;

/// The endpoint types of the protocol.
const BROKERS: i8 = 1;
const CONTROLLERS: i8 = 2;

pub(super) fn api() -> Api {
    Api::new(ApiKey::DescribeCluster, 0..=2, handle)
}

async fn handle(call: Call, request: DescribeClusterRequest) -> Option<DescribeClusterResponse> {
    let refused = |error: ResponseError, message: String| {
        let answer = DescribeClusterResponse::default()
            .with_error_code(error.code())
            .with_error_message(text(message));
        Some(answer)
    };
    match request.endpoint_type {
        BROKERS => {}
        CONTROLLERS => {
            let message = "The request was sent to an endpoint of type BROKER, but we wanted an endpoint of type CONTROLLER";
            return refused(ResponseError::MismatchedEndpointType, message.to_owned());
        }
        other => {
            let message = format!("Unsupported endpoint type {other}");
            return refused(ResponseError::UnsupportedEndpointType, message);
        }
    }
    let cluster = &call.node.cluster;
    let node = DescribeClusterBroker::default()
        .with_broker_id(BrokerId(NODE_ID))
        .with_host(StrBytes::from_string(cluster.host.clone()))
        .with_port(i32::from(cluster.port));
    let asked = request.include_cluster_authorized_operations;
    let answer = DescribeClusterResponse::default()
        .with_cluster_id(StrBytes::from_string(cluster.id.clone()))
        .with_controller_id(BrokerId(NODE_ID))
        .with_brokers(vec![node])
        .with_cluster_authorized_operations(operations::on_cluster(&call, asked));
    Some(answer)
}
