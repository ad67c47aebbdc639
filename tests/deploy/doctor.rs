//! `corelane doctor` against brokers that are well, wrongly advertised, or not there.

use std::process::Output;

use super::{corelane, out, properties};
use crate::support::{Broker, free_port, scratch_dir};

fn doctor(arguments: &[&str]) -> Output {
    corelane(&["doctor"]).args(arguments).output().unwrap()
}

/// The lines of one area: (status, what).
fn lines(output: &Output, area: &str) -> Vec<(String, String)> {
    let said: serde_json::Value =
        serde_json::from_slice(&output.stdout).unwrap_or_else(|why| panic!("{why}: {}", out(output)));
    let text = |line: &serde_json::Value, key: &str| line[key].as_str().unwrap_or_default().to_owned();
    let all = said["lines"].as_array().unwrap().iter();
    all.filter(|line| line["area"] == area)
        .map(|line| (text(line, "status"), text(line, "what")))
        .collect()
}

#[test]
fn a_broker_that_is_well_passes() {
    let broker = Broker::start(&[]);
    let file = broker.dir.join("server.properties").display().to_string();
    let looked = doctor(&[&file, "--json"]);
    assert!(looked.status.code().unwrap() <= 1, "no failure: {}", out(&looked));
    let listeners = lines(&looked, "listeners");
    assert_eq!(listeners.len(), 2, "{listeners:?}");
    assert!(listeners.iter().all(|(status, _)| status == "OK"), "{listeners:?}");
    assert!(listeners[1].1.contains("connected and answered"), "{listeners:?}");
    assert!(
        lines(&looked, "disk")
            .iter()
            .any(|(_, what)| what.contains("direct write 1 MiB"))
    );
    assert!(lines(&looked, "io_uring").iter().all(|(status, _)| status == "OK"));
    assert_eq!(lines(&looked, "clock").len(), 1);

    let as_client = doctor(&["--bootstrap-server", &broker.bootstrap()]);
    assert_eq!(as_client.status.code(), Some(0), "{}", out(&as_client));
}

#[test]
fn an_address_that_clients_cannot_reach_is_found() {
    let closed = free_port();
    for (advertised, cause) in [
        (
            "PLAINTEXT://no-such-host.invalid:9092".to_owned(),
            "no-such-host.invalid:9092",
        ),
        (format!("PLAINTEXT://127.0.0.1:{closed}"), "no broker of"),
    ] {
        let broker = Broker::start(&[("advertised.listeners", &advertised)]);
        let looked = doctor(&["--bootstrap-server", &broker.bootstrap()]);
        assert_eq!(looked.status.code(), Some(2), "{}", out(&looked));
        let text = out(&looked);
        assert!(
            text.contains("FAIL  listeners") && text.contains(cause) && text.contains("advertised.listeners"),
            "{text}"
        );
    }
}

#[test]
fn an_address_of_another_cluster_is_found() {
    let other = Broker::start(&[]);
    let broker = Broker::start(&[("advertised.listeners", &format!("PLAINTEXT://{}", other.bootstrap()))]);
    let looked = doctor(&["--bootstrap-server", &broker.bootstrap()]);
    assert_eq!(looked.status.code(), Some(2));
    assert!(
        out(&looked).contains("another cluster answers there"),
        "{}",
        out(&looked)
    );
}

#[test]
fn a_broker_that_does_not_run_is_said_to_be_missing_and_nothing_is_made() {
    let data = scratch_dir().join("not-there");
    let file = properties(&format!(
        "listeners=PLAINTEXT://127.0.0.1:{}\nlog.dirs={}\n",
        free_port(),
        data.display()
    ));
    let looked = doctor(&[&file, "--quick"]);
    assert_eq!(looked.status.code(), Some(2));
    assert!(out(&looked).contains("is the broker running"), "{}", out(&looked));
    assert!(out(&looked).contains("is not there yet"), "{}", out(&looked));
    assert!(!data.exists());
}

#[test]
fn a_configuration_that_cannot_be_used_is_a_failure() {
    let file = properties("log.retention.hour=1\n");
    let looked = doctor(&[&file]);
    assert_eq!(looked.status.code(), Some(2));
    assert!(out(&looked).contains("log.retention.hours"), "{}", out(&looked));
    assert_eq!(doctor(&[]).status.code(), Some(2), "usage");
}
