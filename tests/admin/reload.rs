//! What changes in a running broker: the level of its logs, for a time, and its file, by SIGHUP.

use std::fs;
use std::process::Command;

use super::service::signal;
use crate::support::{Broker, wait_until};

fn level(broker: &Broker, logger: &str) -> String {
    let told = broker.tool("configs", "--describe --entity-type broker-loggers --entity-name 0", "");
    let start = format!("  {logger}=");
    let line = told.lines().find_map(|line| line.strip_prefix(&start));
    line.unwrap_or_else(|| panic!("{logger} in {told}"))
        .split(' ')
        .next()
        .unwrap()
        .to_owned()
}

/// How many lines of this level the broker has logged.
fn lines(broker: &Broker, level: &str) -> usize {
    broker.log().matches(&format!("\"level\":\"{level}\"")).count()
}

/// Debug lines come with the level and end with its time; Kafka's way and the operator's are one.
#[test]
fn a_log_level_is_set_for_a_time() {
    let broker = Broker::start(&[("shard.count", "1")]);
    assert_eq!(level(&broker, "corelane.storage"), "INFO");
    assert_eq!(lines(&broker, "DEBUG"), 0);
    broker.tool("log-level", "debug --for 2s", "");
    assert_eq!(level(&broker, "corelane.storage"), "DEBUG");
    assert_eq!(level(&broker, "root"), "INFO");
    wait_until("the configured level is back", || {
        level(&broker, "corelane.storage") == "INFO"
    });

    let alter = |change: &str| {
        let arguments = format!("--alter --entity-type broker-loggers --entity-name 0 {change}");
        broker.tool("configs", &arguments, "")
    };
    let said = alter("--add-config corelane.conn=TRACE");
    assert_eq!(said, "Completed updating config for broker-logger 0.\n");
    assert_eq!(level(&broker, "corelane.conn"), "TRACE");
    alter("--delete-config corelane.conn");
    assert_eq!(level(&broker, "corelane.conn"), "INFO");
    let refused = Command::new(env!("CARGO_BIN_EXE_corelane"))
        .args(["log-level", "loud", "--bootstrap-server", &broker.bootstrap()])
        .output()
        .unwrap();
    assert!(!refused.status.success());
    assert!(
        String::from_utf8_lossy(&refused.stderr).contains("write one of OFF, FATAL, ERROR"),
        "{refused:?}"
    );
}

fn rewrite(broker: &Broker, from: &str, to: &str) {
    let file = broker.dir.join("server.properties");
    let text = fs::read_to_string(&file).unwrap();
    assert!(text.contains(from), "{text}");
    fs::write(file, text.replace(from, to)).unwrap();
}

/// The file is read again: what may change does, at once; what may not is named; a broken file changes nothing.
#[test]
fn sighup_takes_what_may_change_and_names_the_rest() {
    let broker = Broker::start(&[
        ("shard.count", "1"),
        ("log.retention.ms", "1000000"),
        ("log.level", "info"),
    ]);
    let retention = || {
        let told = broker.tool("configs", "--describe --all --entity-type brokers --entity-name 0", "");
        let line = told
            .lines()
            .find_map(|line| line.strip_prefix("  log.retention.ms="))
            .unwrap()
            .to_owned();
        line.split(' ').next().unwrap().to_owned()
    };
    assert_eq!(retention(), "1000000");
    rewrite(&broker, "log.retention.ms=1000000", "log.retention.ms=many");
    signal(&broker, "-HUP");
    wait_until("the broken file is refused", || {
        broker.log().contains("SIGHUP: nothing was changed")
    });
    assert!(
        broker
            .log()
            .contains("Invalid value many for configuration log.retention.ms"),
        "{}",
        broker.log()
    );
    assert_eq!(retention(), "1000000");

    rewrite(&broker, "log.retention.ms=many", "log.retention.ms=2000000");
    rewrite(&broker, "shard.count=1", "shard.count=2");
    rewrite(&broker, "log.level=info", "log.level=debug");
    signal(&broker, "-HUP");
    wait_until("the file is taken", || retention() == "2000000");
    assert_eq!(level(&broker, "corelane.storage"), "DEBUG");
    assert_eq!(
        broker
            .log()
            .matches("shard.count has changed in the configuration")
            .count(),
        1
    );
    assert!(
        broker.log().contains("\"taken\":\"log.level,log.retention.ms\""),
        "{}",
        broker.log()
    );
}
