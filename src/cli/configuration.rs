//! From a server.properties, the environment and overrides to a broker's configuration, as every subcommand reads it.

use std::path::Path;

use anyhow::Context;

use crate::config::{self, BrokerConfig, ConfigProblem, Properties};
use crate::rt::{self, blocking};

pub(super) struct Resolved {
    pub(super) config: BrokerConfig,
    /// Warnings only.
    pub(super) problems: Vec<ConfigProblem>,
    /// The keys that the environment set.
    pub(super) from_environment: Vec<String>,
}

/// The environment goes over the file, and overrides over both. `Err`: all problems of what cannot be used.
pub(super) fn resolve(
    mut properties: Properties,
    overrides: &[String],
) -> anyhow::Result<Result<Resolved, Vec<ConfigProblem>>> {
    let (settings, mut notes) = config::environment_settings(environment());
    for (key, value) in &settings {
        properties.set(key, value);
    }
    for setting in overrides {
        let (key, value) = setting
            .split_once('=')
            .with_context(|| format!("--override {setting}: not key=value"))?;
        properties.set(key.trim(), value.trim());
    }
    notes.extend(config::keep_own_listener(&mut properties, rt::is_own_host));
    Ok(match BrokerConfig::resolve(&properties) {
        Ok((config, mut problems)) => {
            problems.extend(notes);
            Ok(Resolved {
                config,
                problems,
                from_environment: settings.into_iter().map(|(key, _)| key).collect(),
            })
        }
        Err(mut problems) => {
            problems.extend(notes);
            Err(problems)
        }
    })
}

pub(super) fn read_properties(file: &Path) -> anyhow::Result<Properties> {
    let bytes = blocking::read_file(file).with_context(|| format!("read {}", file.display()))?;
    Ok(Properties::parse(&String::from_utf8_lossy(&bytes)))
}

/// The variables that are text.
pub(super) fn environment() -> impl Iterator<Item = (String, String)> {
    std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
}

/// A problem with the file's name and line in front.
pub(super) fn located(name: &str, problem: &ConfigProblem) -> String {
    match problem.line {
        Some(line) => format!("{name}:{line}: {}", problem.message),
        None => problem.message.clone(),
    }
}
