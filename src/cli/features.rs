//! `kafka-features.sh describe`: the features of the brokers, with their levels; output as Kafka 4.3 has it.

use std::collections::BTreeMap;
use std::process::ExitCode;

use super::connect::ServerArgs;
use crate::client::{ClientError, Cluster};
use crate::wire::messages::*;

#[derive(clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    connect: ServerArgs,
    #[command(subcommand)]
    action: Action,
}

#[derive(clap::Subcommand)]
enum Action {
    /// Describe the features, and which of their levels are in use
    Describe,
}

pub(super) fn run(args: Args) -> anyhow::Result<ExitCode> {
    let Action::Describe = args.action;
    let mut cluster = args.connect.cluster("admin")?;
    let answer = ask(&mut cluster)?;
    lines(&answer).iter().for_each(|line| println!("{line}"));
    Ok(ExitCode::SUCCESS)
}

fn ask(cluster: &mut Cluster) -> anyhow::Result<ApiVersionsResponseData> {
    let request = ApiVersionsRequestData::default()
        .with_client_software_name(kafka_string(env!("CARGO_PKG_NAME")))
        .with_client_software_version(kafka_string(env!("CARGO_PKG_VERSION")));
    let answer = cluster.controller()?.call(&request)?;
    ClientError::check(answer.error_code, None)?;
    Ok(answer)
}

/// Every feature that is supported or in use, by name.
fn lines(answer: &ApiVersionsResponseData) -> Vec<String> {
    let mut levels: BTreeMap<&str, (i16, i16, i16)> = BTreeMap::new();
    for feature in &answer.supported_features {
        let range = (feature.min_version, feature.max_version, 0);
        levels.insert(feature.name.as_str(), range);
    }
    for feature in &answer.finalized_features {
        levels.entry(feature.name.as_str()).or_default().2 = feature.max_version_level;
    }
    let epoch = match answer.finalized_features_epoch {
        ..0 => "-".to_owned(),
        epoch => epoch.to_string(),
    };
    let line = |(name, (min, max, finalized))| {
        format!(
            "Feature: {name:<42}SupportedMinVersion: {min:<17}SupportedMaxVersion: {max:<17}FinalizedVersionLevel: \
             {finalized:<17}Epoch: {epoch}"
        )
    };
    levels.into_iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As Kafka's tool printed it.
    #[test]
    fn a_feature_is_a_line_of_kafkas() {
        let supported = SupportedFeatureKey::default()
            .with_name(kafka_string("group.version"))
            .with_max_version(1);
        let finalized = FinalizedFeatureKey::default()
            .with_name(kafka_string("group.version"))
            .with_max_version_level(1);
        let answer = ApiVersionsResponseData::default()
            .with_supported_features(vec![supported])
            .with_finalized_features(vec![finalized])
            .with_finalized_features_epoch(38);
        let expected = "Feature: group.version                             SupportedMinVersion: 0                \
                        SupportedMaxVersion: 1                FinalizedVersionLevel: 1                Epoch: 38";
        assert_eq!(lines(&answer), [expected]);
    }
}
