//! ApiVersions: what this broker serves, from the list itself. The only API that answers any version.

use std::rc::Rc;

use crate::model::ErrorCode;
use crate::wire::ApiKey;
use crate::wire::messages::{
    ApiVersion, ApiVersionsRequestData, ApiVersionsResponseData, FinalizedFeatureKey, SupportedFeatureKey, kafka_string,
};

use super::features::{Feature, features};
use super::{ALL, Answer, Api, Context, Handling, Refusal, Request};

pub const API: Api = Api {
    key: ApiKey::API_VERSIONS,
    name: "ApiVersions",
    versions: 0..=4,
    pipelined: false,
    handle: |cx, request| Box::pin(handle(cx, request)),
};

async fn handle(cx: Rc<Context>, request: Request) -> Result<Answer, Refusal> {
    let version = request.version();
    let message = request.decode::<ApiVersionsRequestData>(&cx)?;
    let epoch = i64::try_from(cx.image().epoch.0).unwrap_or(i64::MAX);
    let has_quorum = cx.config().quorum.is_some();
    Answer::message(&answer(&message, version, epoch, has_quorum), version)
}

/// The answer to a version that is not served: encoded as version 0, whatever was asked, with the range of this API inside,
/// so that the client can ask again. //= KIP-511
pub fn unsupported_version() -> Handling {
    let response = ApiVersionsResponseData {
        error_code: ErrorCode::UnsupportedVersion.code(),
        api_keys: vec![row(&API)],
        ..Default::default()
    };
    Box::pin(async move { Answer::message(&response, 0) })
}

fn answer(request: &ApiVersionsRequestData, version: i16, epoch: i64, has_quorum: bool) -> ApiVersionsResponseData {
    let names = [
        request.client_software_name.as_str(),
        request.client_software_version.as_str(),
    ];
    if version >= 3 && !names.into_iter().all(is_software_name) {
        return ApiVersionsResponseData {
            error_code: ErrorCode::InvalidRequest.code(),
            ..Default::default()
        };
    }
    ApiVersionsResponseData {
        api_keys: ALL.iter().map(|api| row(api)).collect(),
        supported_features: supported_features(version, has_quorum),
        finalized_features_epoch: epoch,
        finalized_features: features(has_quorum).map(finalized).collect(),
        ..Default::default()
    }
}

/// Clients before this version choke on a feature whose lowest level is 0 (behaviour 3). //= KIP-1050
const LEVEL_0_FROM: i16 = 4;

fn supported_features(version: i16, has_quorum: bool) -> Vec<SupportedFeatureKey> {
    let supported = |feature: &Feature| SupportedFeatureKey {
        name: kafka_string(feature.name),
        min_version: 0,
        max_version: feature.level,
        ..Default::default()
    };
    if version >= LEVEL_0_FROM {
        features(has_quorum).map(supported).collect()
    } else {
        Vec::new()
    }
}

fn finalized(feature: &Feature) -> FinalizedFeatureKey {
    FinalizedFeatureKey {
        name: kafka_string(feature.name),
        max_version_level: feature.level,
        min_version_level: feature.level,
        ..Default::default()
    }
}

fn row(api: &Api) -> ApiVersion {
    ApiVersion {
        api_key: api.key.0,
        min_version: *api.versions.start(),
        max_version: *api.versions.end(),
        ..Default::default()
    }
}

/// Letters, digits, dots and dashes, with a letter or digit at both ends. //= KIP-511
fn is_software_name(name: &str) -> bool {
    let bytes = name.as_bytes();
    let ends = bytes.first().zip(bytes.last());
    ends.is_some_and(|(first, last)| first.is_ascii_alphanumeric() && last.is_ascii_alphanumeric())
        && bytes
            .iter()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(name: &str) -> ApiVersionsRequestData {
        ApiVersionsRequestData {
            client_software_name: name.to_string().into(),
            client_software_version: "1.0".to_string().into(),
            ..Default::default()
        }
    }

    /// Behaviour 3: a bad client name is refused from version 3 on, where the field exists.
    #[test]
    fn bad_client_software_name_is_an_invalid_request() {
        for bad in ["", "-lib", "lib-", "my lib", "lib/1"] {
            assert_eq!(
                answer(&request(bad), 3, 5, true).error_code,
                ErrorCode::InvalidRequest.code(),
                "{bad}"
            );
        }
        assert_eq!(answer(&request("apache-kafka-java"), 4, 5, true).error_code, 0);
        assert_eq!(answer(&request(""), 2, 5, true).error_code, 0);
    }

    /// The answer derives from the list: every API once, in the order of its keys.
    #[test]
    fn every_api_of_the_list_is_advertised() {
        let response = answer(&request("x"), 4, 5, true);
        let keys: Vec<i16> = response.api_keys.iter().map(|row| row.api_key).collect();
        assert!(keys.is_sorted() && keys.len() == ALL.len());
        let produce = response.api_keys.first().expect("Produce is served");
        assert_eq!((produce.api_key, produce.min_version, produce.max_version), (0, 0, 12));
    }
}
