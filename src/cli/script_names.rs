//! Kafka's script names, as links to this binary: `kafka-topics.sh …` is `corelane topics …`.

/// (script name, subcommand). `make install` makes a link for each.
pub const SCRIPT_NAMES: &[(&str, &str)] = &[
    ("kafka-server-start.sh", "start"),
    ("kafka-server-stop.sh", "stop"),
    ("kafka-topics.sh", "topics"),
    ("kafka-leader-election.sh", "leader-election"),
    ("kafka-reassign-partitions.sh", "reassign-partitions"),
    ("kafka-replica-verification.sh", "replica-verification"),
    ("kafka-configs.sh", "configs"),
    ("kafka-transactions.sh", "transactions"),
    ("kafka-console-producer.sh", "console-producer"),
    ("kafka-console-consumer.sh", "console-consumer"),
    ("kafka-consumer-groups.sh", "consumer-groups"),
    ("kafka-console-share-consumer.sh", "console-share-consumer"),
    ("kafka-share-groups.sh", "share-groups"),
    ("kafka-storage.sh", "storage"),
    ("kafka-metadata-quorum.sh", "metadata-quorum"),
    ("kafka-cluster.sh", "cluster"),
    ("kafka-features.sh", "features"),
    ("kafka-log-dirs.sh", "log-dirs"),
];

/// The arguments as `corelane SUBCOMMAND …`, whatever name the binary was called by.
///
/// Kafka's scripts take `-daemon` with one dash; it becomes `--daemon`.
pub(super) fn translate(arguments: Vec<String>) -> Vec<String> {
    let mut arguments = arguments.into_iter();
    let called_as = arguments.next().unwrap_or_default();
    let name = called_as.rsplit('/').next().unwrap_or_default();
    let subcommand = SCRIPT_NAMES
        .iter()
        .find(|(script, _)| *script == name || script.strip_suffix(".sh") == Some(name));
    let rest = arguments.map(|argument| {
        if argument == "-daemon" {
            "--daemon".to_owned()
        } else {
            argument
        }
    });
    std::iter::once("corelane".to_owned())
        .chain(subcommand.map(|(_, command)| (*command).to_owned()))
        .chain(rest)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::translate;

    fn translated(line: &str) -> String {
        translate(line.split(' ').map(str::to_owned).collect()).join(" ")
    }

    #[test]
    fn a_script_name_becomes_its_subcommand() {
        assert_eq!(translated("/usr/bin/kafka-topics.sh --list"), "corelane topics --list");
        assert_eq!(translated("kafka-topics --list"), "corelane topics --list");
        assert_eq!(
            translated("kafka-server-start.sh -daemon a.properties"),
            "corelane start --daemon a.properties"
        );
    }

    #[test]
    fn the_binary_by_its_own_name_is_left_alone() {
        assert_eq!(translated("target/release/corelane start"), "corelane start");
    }
}
