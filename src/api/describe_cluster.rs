//! DescribeCluster: the brokers and the cluster's id, for the admin tools.

use std::rc::Rc;

use crate::metadata::Image;
use crate::model::ErrorCode;
use crate::wire::ApiKey;
use crate::wire::messages::{
    DescribeClusterBroker, DescribeClusterRequestData, DescribeClusterResponseData, kafka_string,
};

use super::{Answer, Api, Context, Refusal, Request, cluster_view};

pub const API: Api = Api {
    key: ApiKey::DESCRIBE_CLUSTER,
    name: "DescribeCluster",
    versions: 0..=2,
    pipelined: false,
    handle: |cx, request| Box::pin(handle(cx, request)),
};

async fn handle(cx: Rc<Context>, request: Request) -> Result<Answer, Refusal> {
    let version = request.version();
    let message = request.decode::<DescribeClusterRequestData>(&cx)?;
    Answer::message(&answer(&cx.image(), &cx.listener, &message, version), version)
}

/// Endpoint types of KIP-919: this listener knows brokers only.
const ENDPOINTS_BROKERS: i8 = 1;
const ENDPOINTS_CONTROLLERS: i8 = 2;

fn answer(
    image: &Image,
    listener: &str,
    request: &DescribeClusterRequestData,
    version: i16,
) -> DescribeClusterResponseData {
    let asked = if version >= 1 {
        request.endpoint_type
    } else {
        ENDPOINTS_BROKERS
    };
    match asked {
        ENDPOINTS_BROKERS => brokers(image, listener, request),
        ENDPOINTS_CONTROLLERS => refused(asked, ErrorCode::MismatchedEndpointType),
        _ => refused(asked, ErrorCode::UnsupportedEndpointType),
    }
}

fn brokers(image: &Image, listener: &str, request: &DescribeClusterRequestData) -> DescribeClusterResponseData {
    let nodes = cluster_view::nodes(image, listener);
    let fenced = match request.include_fenced_brokers {
        true => cluster_view::fenced_nodes(image, listener),
        false => Vec::new(),
    };
    let broker = |(node, is_fenced): (&cluster_view::Node<'_>, bool)| DescribeClusterBroker {
        broker_id: node.id.0,
        host: kafka_string(&node.endpoint.host),
        port: i32::from(node.endpoint.port),
        rack: node.rack.map(kafka_string),
        is_fenced,
        ..Default::default()
    };
    let live = nodes.iter().map(|node| (node, false));
    let all = live.chain(fenced.iter().map(|node| (node, true)));
    DescribeClusterResponseData {
        endpoint_type: ENDPOINTS_BROKERS,
        cluster_id: kafka_string(&image.cluster_id),
        controller_id: cluster_view::controller_id(image, &nodes),
        brokers: all.map(broker).collect(),
        cluster_authorized_operations: match request.include_cluster_authorized_operations {
            true => cluster_view::CLUSTER_OPERATIONS,
            false => cluster_view::OPERATIONS_NOT_ASKED,
        },
        ..Default::default()
    }
}

fn refused(endpoint_type: i8, error: ErrorCode) -> DescribeClusterResponseData {
    DescribeClusterResponseData {
        error_code: error.code(),
        error_message: Some(kafka_string("This listener describes brokers only.")),
        endpoint_type,
        controller_id: -1,
        cluster_authorized_operations: cluster_view::OPERATIONS_NOT_ASKED,
        ..Default::default()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::api::testing;
    use crate::metadata::BrokerState;
    use crate::model::BrokerId;
    use crate::wire::messages::Encode;

    /// The brokers of this listener; a controller's endpoints are not here; every version encodes.
    #[test]
    fn brokers_of_the_listener_are_described() {
        let image = testing::image(&[]);
        for version in API.versions {
            let endpoint_type = ENDPOINTS_BROKERS;
            let request = DescribeClusterRequestData {
                endpoint_type,
                ..Default::default()
            };
            let response = answer(&image, "PLAINTEXT", &request, version);
            assert_eq!(
                (response.brokers.len(), response.controller_id, response.error_code),
                (1, 1, 0)
            );
            assert_eq!(response.cluster_authorized_operations, i32::MIN);
            response
                .encode(version)
                .unwrap_or_else(|error| panic!("version {version}: {error}"));
        }
        let mut image = image;
        let mut away = BrokerState::clone(&image.brokers[&BrokerId(1)]);
        (away.id, away.fenced) = (BrokerId(2), true);
        image.brokers.insert(BrokerId(2), Arc::new(away));
        for include_fenced_brokers in [false, true] {
            let request = DescribeClusterRequestData {
                endpoint_type: ENDPOINTS_BROKERS,
                include_fenced_brokers,
                ..Default::default()
            };
            let response = answer(&image, "PLAINTEXT", &request, 2);
            let fenced = response.brokers.iter().filter(|broker| broker.is_fenced);
            assert_eq!(fenced.count(), usize::from(include_fenced_brokers));
            assert_eq!(response.controller_id, 1);
        }
        let controllers = DescribeClusterRequestData {
            endpoint_type: ENDPOINTS_CONTROLLERS,
            ..Default::default()
        };
        let response = answer(&image, "PLAINTEXT", &controllers, 1);
        assert_eq!(response.error_code, ErrorCode::MismatchedEndpointType.code());
    }
}
