//! UpdateFeatures: for kafka-features. Every feature is at its highest level from the start and stays there, so what is
//! asked for either is so already or is refused, in Kafka's words. //= KIP-584, KIP-778

use std::rc::Rc;

use crate::model::{BrokerId, ErrorCode};
use crate::wire::ApiKey;
use crate::wire::messages::{
    FeatureUpdateKey, UpdatableFeatureResult, UpdateFeaturesRequestData, UpdateFeaturesResponseData, kafka_string,
};

use super::features::features;
use super::{Answer, Api, Context, Refusal, Request};

pub const API: Api = Api {
    key: ApiKey::UPDATE_FEATURES,
    name: "UpdateFeatures",
    versions: 0..=2,
    pipelined: false,
    handle: |cx, request| Box::pin(handle(cx, request)),
};

/// Later ones say once what became of all features.
const LAST_VERSION_WITH_RESULTS: i16 = 1;
/// Before it a request says whether a feature may go down, and not by which way.
const FIRST_VERSION_WITH_WAYS: i16 = 1;

/// Ways to another level: numbers of the field `upgrade_type`.
const UPGRADE: i8 = 1;
const UNSAFE_DOWNGRADE: i8 = 3;

async fn handle(cx: Rc<Context>, request: Request) -> Result<Answer, Refusal> {
    let version = request.version();
    let message = request.decode::<UpdateFeaturesRequestData>(&cx)?;
    Answer::message(
        &respond(&message, cx.broker_id(), version, cx.config().quorum.is_some()),
        version,
    )
}

fn respond(
    request: &UpdateFeaturesRequestData,
    me: BrokerId,
    version: i16,
    has_quorum: bool,
) -> UpdateFeaturesResponseData {
    let updates = request.feature_updates.iter();
    let refusal = updates
        .clone()
        .find_map(|update| refusal(update, me, version, has_quorum));
    let code = match refusal {
        None => ErrorCode::None,
        Some(_) => ErrorCode::InvalidUpdateVersion,
    };
    let of_all =
        |why: String| format!("The update failed for all features since the following feature had an error: {why}");
    let result = |update: &FeatureUpdateKey| UpdatableFeatureResult {
        feature: update.feature.clone(),
        error_code: code.code(),
        ..Default::default()
    };
    UpdateFeaturesResponseData {
        error_code: code.code(),
        error_message: refusal.map(of_all).as_deref().map(kafka_string),
        results: match version {
            ..=LAST_VERSION_WITH_RESULTS => updates.map(result).collect(),
            _ => Vec::new(),
        },
        ..Default::default()
    }
}

/// Why the feature cannot get the level, if it cannot.
fn refusal(update: &FeatureUpdateKey, me: BrokerId, version: i16, has_quorum: bool) -> Option<String> {
    let (name, level) = (update.feature.as_str(), update.max_version_level);
    let way = match version {
        ..FIRST_VERSION_WITH_WAYS if update.allow_downgrade => UNSAFE_DOWNGRADE,
        ..FIRST_VERSION_WITH_WAYS => UPGRADE,
        _ => update.upgrade_type,
    };
    let known = features(has_quorum).find(|feature| feature.name == name);
    let why = match known {
        _ if !(UPGRADE..=UNSAFE_DOWNGRADE).contains(&way) => {
            "The controller does not support the given upgrade type.".to_owned()
        }
        _ if level < 0 => "A feature version cannot be less than 0.".to_owned(),
        None => format!("Local controller {} does not support this feature.", me.0),
        Some(known) if level > known.level => {
            format!("Local controller {} only supports versions 0-{}", me.0, known.level)
        }
        Some(known) if level == known.level => return None,
        Some(_) if way == UPGRADE => "Can't downgrade the version of this feature without setting the upgrade type to \
                                      either safe or unsafe downgrade."
            .to_owned(),
        Some(_) => "Can't downgrade the version of this feature.".to_owned(),
    };
    Some(format!("Invalid update version {level} for feature {name}. {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn update(feature: &str, level: i16, way: i8) -> FeatureUpdateKey {
        FeatureUpdateKey::default()
            .with_feature(kafka_string(feature))
            .with_max_version_level(level)
            .with_upgrade_type(way)
    }

    #[test]
    fn a_level_is_in_use_already_or_refused() {
        let why = |feature, level, way| refusal(&update(feature, level, way), BrokerId(7), 2, true).unwrap_or_default();
        assert_eq!(why("share.version", 1, UPGRADE), "");
        assert_eq!(why("kraft.version", 1, UPGRADE), "");
        let alone = refusal(&update("kraft.version", 1, UPGRADE), BrokerId(7), 2, false);
        assert!(alone.is_some_and(|why| why.ends_with("does not support this feature.")));
        assert_eq!(
            why("share.version", 2, UPGRADE),
            "Invalid update version 2 for feature share.version. Local controller 7 only supports versions 0-1"
        );
        assert_eq!(
            why("metadata.version", 20, UPGRADE),
            "Invalid update version 20 for feature metadata.version. Local controller 7 does not support this feature."
        );
        assert!(why("share.version", 0, UPGRADE).ends_with("either safe or unsafe downgrade."));
        assert!(why("share.version", 0, UNSAFE_DOWNGRADE).ends_with("Can't downgrade the version of this feature."));
        assert!(why("share.version", -1, UPGRADE).ends_with("cannot be less than 0."));
        assert!(why("share.version", 1, 0).ends_with("given upgrade type."));
    }

    /// Before version 1 a request says whether a feature may go down; up to it each feature has its own result.
    #[test]
    fn one_refused_feature_refuses_all() {
        let mut down = update("share.version", 0, 0);
        down.allow_downgrade = true;
        let updates = vec![update("group.version", 1, UPGRADE), down];
        let request = UpdateFeaturesRequestData::default().with_feature_updates(updates);
        let answer = respond(&request, BrokerId(1), 0, true);
        let code = ErrorCode::InvalidUpdateVersion.code();
        let codes: Vec<i16> = answer.results.iter().map(|result| result.error_code).collect();
        assert_eq!((answer.error_code, codes), (code, vec![code, code]));
        let message = answer.error_message.unwrap_or_default();
        assert!(message.as_str().starts_with("The update failed for all features"));
        assert!(
            message
                .as_str()
                .ends_with("Can't downgrade the version of this feature.")
        );

        let answer = respond(&request, BrokerId(1), 2, true);
        assert_eq!((answer.error_code, answer.results.len()), (code, 0));
    }
}
