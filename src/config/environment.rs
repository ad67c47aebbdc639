//! Keys from the environment, as Kafka's container image takes them: `KAFKA_LOG_DIRS=/data` is `log.dirs=/data`.
//!
//! `_` stands for `.`, `__` for `_`, `___` for `-`. Only names that become a key of the table count: other programs' variables
//! begin with KAFKA_ too.

use super::hints::JVM_VARIABLES;
use super::keys::broker_or_listener_key;
use super::properties::ConfigProblem;

const PREFIX: &str = "KAFKA_";
/// What Kafka's image and scripts use for themselves, besides the options of the JVM.
const NOT_KEYS: [&str; 8] = [
    "KAFKA_HOME",
    "KAFKA_VERSION",
    "KAFKA_DEBUG",
    "KAFKA_GC_LOG_OPTS",
    "KAFKA_JMX_PORT",
    "KAFKA_LOG4J_OPTS",
    "KAFKA_LOG4J_LOGGERS",
    "KAFKA_LOG4J_ROOT_LOGLEVEL",
];

/// Keys and values in the order of their names, and a warning for each variable that is no key.
pub fn environment_settings(
    variables: impl IntoIterator<Item = (String, String)>,
) -> (Vec<(String, String)>, Vec<ConfigProblem>) {
    let (mut settings, mut problems) = (Vec::new(), Vec::new());
    for (variable, value) in variables {
        let is_other = NOT_KEYS.contains(&variable.as_str()) || JVM_VARIABLES.contains(&variable.as_str());
        let Some(name) = variable.strip_prefix(PREFIX).filter(|_| !is_other) else {
            continue;
        };
        let key = key_of(name);
        match broker_or_listener_key(&key) {
            Some(_) => settings.push((key, value)),
            None => problems.push(ConfigProblem::warning(
                None,
                format!("{variable} in the environment is ignored: there is no key {key}"),
            )),
        }
    }
    settings.sort();
    problems.sort_by(|one, other| one.message.cmp(&other.message));
    (settings, problems)
}

fn key_of(name: &str) -> String {
    let name = name.to_ascii_lowercase();
    // A character that no variable's name holds stands in for what is already replaced.
    name.replace("___", "-")
        .replace("__", "\0")
        .replace('_', ".")
        .replace('\0', "_")
}

#[cfg(test)]
mod tests {
    use super::{environment_settings, key_of};

    #[test]
    fn underscores_become_what_they_stand_for() {
        assert_eq!(key_of("LOG_DIRS"), "log.dirs");
        assert_eq!(key_of("A__B"), "a_b");
        assert_eq!(key_of("A___B_C"), "a-b.c");
    }

    #[test]
    fn keys_are_taken_and_other_programs_variables_are_not() {
        let given = [
            ("KAFKA_NODE_ID", "3"),
            ("KAFKA_LOG_DIRS", "/data"),
            ("KAFKA_HEAP_OPTS", "-Xmx1g"),
            ("KAFKA_HOME", "/opt/kafka"),
            ("KAFKA_NO_SUCH", "1"),
            ("PATH", "/bin"),
        ];
        let (settings, problems) = environment_settings(given.map(|(name, value)| (name.to_owned(), value.to_owned())));
        let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        assert_eq!(settings, [pair("log.dirs", "/data"), pair("node.id", "3")]);
        let said: Vec<_> = problems.iter().map(|problem| problem.message.as_str()).collect();
        assert_eq!(
            said,
            ["KAFKA_NO_SUCH in the environment is ignored: there is no key no.such"]
        );
        assert!(problems.iter().all(|problem| !problem.fatal));
    }
}
