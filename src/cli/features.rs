//! `kafka-features.sh`: the features of the brokers, with their levels, and to ask for another level, by name; output as Kafka
//! 4.3 has it.

use std::collections::BTreeMap;
use std::process::ExitCode;

use anyhow::{Context, bail, ensure};

use super::connect::ServerArgs;
use crate::client::{ClientError, Cluster};
use crate::model::ErrorCode;
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
    /// Raise features to a level
    Upgrade {
        #[command(flatten)]
        levels: Levels,
    },
    /// Take features down to a level
    Downgrade {
        #[command(flatten)]
        levels: Levels,
        /// Even if metadata are lost by it
        #[arg(long = "unsafe")]
        lossy: bool,
    },
    /// Take features down to level 0
    Disable {
        /// A feature to disable; may be repeated
        #[arg(long)]
        feature: Vec<String>,
        /// Even if metadata are lost by it
        #[arg(long = "unsafe")]
        lossy: bool,
        /// Say whether it could be done, and do not do it
        #[arg(long)]
        dry_run: bool,
    },
}

#[derive(clap::Args)]
struct Levels {
    /// A feature and its level, as share.version=1; may be repeated
    #[arg(long)]
    feature: Vec<String>,
    /// Say whether it could be done, and do not do it
    #[arg(long)]
    dry_run: bool,
}

/// Numbers of the request's field `upgrade_type`.
const UPGRADE: i8 = 1;
const SAFE_DOWNGRADE: i8 = 2;
const UNSAFE_DOWNGRADE: i8 = 3;

/// Features that are to get another level.
struct Change {
    verb: &'static str,
    way: i8,
    levels: BTreeMap<String, i16>,
    dry_run: bool,
}

pub(super) fn run(args: Args) -> anyhow::Result<ExitCode> {
    let change = match args.action {
        Action::Describe => {
            let answer = ask(&mut args.connect.cluster("admin")?)?;
            lines(&answer).iter().for_each(|line| println!("{line}"));
            return Ok(ExitCode::SUCCESS);
        }
        Action::Upgrade { levels } => Change::to("upgrade", UPGRADE, &levels)?,
        Action::Downgrade { levels, lossy } => Change::to("downgrade", downgrade(lossy), &levels)?,
        Action::Disable {
            feature,
            lossy,
            dry_run,
        } => Change {
            verb: "disable",
            way: downgrade(lossy),
            levels: once(feature.into_iter().map(|name| Ok((name, 0))))?,
            dry_run,
        },
    };
    change.make(&mut args.connect.cluster("admin")?)
}

fn downgrade(lossy: bool) -> i8 {
    if lossy { UNSAFE_DOWNGRADE } else { SAFE_DOWNGRADE }
}

/// No feature twice.
fn once(named: impl Iterator<Item = anyhow::Result<(String, i16)>>) -> anyhow::Result<BTreeMap<String, i16>> {
    let mut levels = BTreeMap::new();
    for feature in named {
        let (name, level) = feature?;
        ensure!(
            !levels.contains_key(&name),
            "Feature {name} was specified more than once."
        );
        levels.insert(name, level);
    }
    Ok(levels)
}

fn name_and_level(text: &str) -> anyhow::Result<(String, i16)> {
    let (name, level) = text
        .split_once('=')
        .with_context(|| format!("Can't parse feature=level string {text}: equals sign not found."))?;
    let level = level
        .trim()
        .parse()
        .with_context(|| format!("Can't parse feature=level string {text}: unable to parse {level} as a short."))?;
    Ok((name.trim().to_owned(), level))
}

impl Change {
    fn to(verb: &'static str, way: i8, asked: &Levels) -> anyhow::Result<Change> {
        Ok(Change {
            verb,
            way,
            levels: once(asked.feature.iter().map(|text| name_and_level(text)))?,
            dry_run: asked.dry_run,
        })
    }

    fn make(&self, cluster: &mut Cluster) -> anyhow::Result<ExitCode> {
        if self.levels.is_empty() {
            bail!("You must specify at least one feature to {}", self.verb);
        }
        let answer = cluster.controller()?.call(&self.request())?;
        let refusal = refusal(&answer);
        for (name, level) in &self.levels {
            println!("{}", self.said(name, *level, refusal.as_deref()));
        }
        let all = self.levels.len();
        ensure!(refusal.is_none(), "{all} out of {all} operation(s) failed.");
        Ok(ExitCode::SUCCESS)
    }

    fn request(&self) -> UpdateFeaturesRequestData {
        let update = |(name, level): (&String, &i16)| {
            FeatureUpdateKey::default()
                .with_feature(kafka_string(name))
                .with_max_version_level(*level)
                .with_upgrade_type(self.way)
        };
        UpdateFeaturesRequestData::default()
            .with_feature_updates(self.levels.iter().map(update).collect())
            .with_validate_only(self.dry_run)
    }

    /// What is said of one feature; all of them succeed or fail.
    fn said(&self, name: &str, level: i16, refused: Option<&str>) -> String {
        let verb = self.verb;
        let to = match verb {
            "disable" => String::new(),
            _ => format!(" to {level}"),
        };
        match (refused, self.dry_run) {
            (Some(why), true) => format!("Can not {verb} {name}{to}. {why}"),
            (Some(why), false) => format!("Could not {verb} {name}{to}. {why}"),
            (None, true) => format!("{name} can be {verb}d{to}."),
            (None, false) => format!("{name} was {verb}d{to}."),
        }
    }
}

/// Of all features, or of the first that is refused: before version 2 a broker may say so of each alone.
fn refusal(answer: &UpdateFeaturesResponseData) -> Option<String> {
    let each = answer
        .results
        .iter()
        .map(|result| (result.error_code, &result.error_message));
    let mut all = std::iter::once((answer.error_code, &answer.error_message)).chain(each);
    let (code, message) = all.find(|(code, _)| *code != 0)?;
    let message = message.as_ref().map(text);
    Some(message.unwrap_or_else(|| format!("{:?}", ErrorCode::from_code(code))))
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

    #[test]
    fn features_are_named_once_with_a_level() {
        let change = |features: &[&str]| {
            let feature = features.iter().map(|&text| text.to_owned()).collect();
            let levels = Levels { feature, dry_run: true };
            Change::to("upgrade", UPGRADE, &levels).map_err(|error| error.to_string())
        };
        let changed = change(&["share.version = 1"]).unwrap();
        assert_eq!(
            changed.said("share.version", 1, None),
            "share.version can be upgraded to 1."
        );
        let refused = [
            (&["share.version"][..], "equals sign not found."),
            (&["a=b"], "unable to parse b as a short."),
            (&["a=1", "a=2"], "Feature a was specified more than once."),
        ];
        for (features, why) in refused {
            assert!(
                change(features).is_err_and(|error| error.ends_with(why)),
                "{features:?}"
            );
        }
    }

    #[test]
    fn a_refusal_may_be_of_one_feature_only() {
        let mut answer = UpdateFeaturesResponseData::default();
        assert_eq!(refusal(&answer), None);
        let refused = UpdatableFeatureResult::default()
            .with_feature(kafka_string("share.version"))
            .with_error_code(ErrorCode::InvalidUpdateVersion.code());
        answer.results = vec![UpdatableFeatureResult::default(), refused];
        assert_eq!(refusal(&answer).as_deref(), Some("InvalidUpdateVersion"));
        answer.error_code = ErrorCode::InvalidUpdateVersion.code();
        answer.error_message = Some(kafka_string("no"));
        assert_eq!(refusal(&answer).as_deref(), Some("no"));
    }

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
