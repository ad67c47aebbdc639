//! What an operator deploys and asks: the configuration as it is found, `doctor`, `measure`, the debug bundle; units, container
//! files and the guide's commands.

mod cluster;
mod doctor;
mod files;
mod guide;

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use crate::support::{Broker, free_port, scratch_dir};

fn corelane(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_corelane"));
    command.args(arguments);
    command
}

fn out(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

fn properties(text: &str) -> String {
    let file = scratch_dir().join("server.properties");
    fs::write(&file, text).unwrap();
    file.display().to_string()
}

#[test]
fn the_environment_goes_over_the_file_and_overrides_over_both() {
    let file = properties("log.dirs=/data\nnum.partitions=2\n");
    let check = |value: &str, arguments: &[&str]| {
        let mut command = corelane(&["config", "check", &file]);
        command
            .args(arguments)
            .env("KAFKA_NUM_PARTITIONS", value)
            .output()
            .unwrap()
    };
    assert_eq!(check("7", &[]).status.code(), Some(0));
    let refused = check("many", &[]);
    assert_eq!(refused.status.code(), Some(78));
    assert!(
        out(&refused).contains("Invalid value many for configuration num.partitions"),
        "{}",
        out(&refused)
    );
    assert_eq!(
        check("many", &["--override", "num.partitions=3"]).status.code(),
        Some(0)
    );

    let unknown = corelane(&["config", "check", &file])
        .env("KAFKA_NO_SUCH", "1")
        .output()
        .unwrap();
    assert!(
        out(&unknown).contains("KAFKA_NO_SUCH in the environment is ignored"),
        "{}",
        out(&unknown)
    );
    assert!(unknown.status.success());
}

/// The notebook's file, with addresses for its host names: the first is this machine's, the others nobody's.
#[test]
fn the_notebooks_file_of_three_hosts_works_on_each_of_them() {
    let notebook = |hosts: [&str; 3]| {
        let listeners = hosts.map(|host| format!("PLAINTEXT://{host}:9092")).join(",");
        properties(&format!(
            "broker.id=0\nlisteners={listeners}\nlog.dirs=/tmp/kafka-logs\n\
             zookeeper.connect=node01:2181,node02:2181,node03:2181/kafka\n"
        ))
    };
    let check = |file: &str| corelane(&["config", "check", file]).output().unwrap();
    let own = check(&notebook(["203.0.113.1", "127.0.0.1", "203.0.113.3"]));
    assert!(own.status.success(), "{}", out(&own));
    assert!(
        out(&own).contains("so this one, on 127.0.0.1, takes PLAINTEXT://127.0.0.1:9092"),
        "{}",
        out(&own)
    );

    let nobodys = check(&notebook(["203.0.113.1", "203.0.113.2", "203.0.113.3"]));
    assert_eq!(nobodys.status.code(), Some(78), "refused, as Kafka does");
    let twice = check(&notebook(["127.0.0.1", "localhost", "203.0.113.3"]));
    assert_eq!(twice.status.code(), Some(78), "which of the two is not for us to guess");
}

#[test]
fn a_machine_is_measured() {
    let measured = corelane(&["measure", &scratch_dir().display().to_string()])
        .output()
        .unwrap();
    assert!(measured.status.success(), "{}", out(&measured));
    let text = out(&measured);
    assert_eq!(text.lines().count(), 6);
    for line in text.lines() {
        let fields: Vec<_> = line.split('\t').collect();
        assert!(
            fields[1].parse::<f64>().unwrap() > 0.0 && ["higher", "lower"].contains(&fields[3]),
            "{line}"
        );
    }
}

#[test]
fn two_measurements_are_compared_in_a_table_and_a_picture() {
    let dir = scratch_dir();
    let mut said = String::new();
    for name in ["before", "after"] {
        let run = Command::new("tuning/tune")
            .args(["measure", name, "--dirs", &dir.display().to_string()])
            .args(["--out", &dir.join("out").display().to_string()])
            .env("CORELANE", env!("CARGO_BIN_EXE_corelane"))
            .current_dir(crate::support::root())
            .output()
            .unwrap();
        assert!(run.status.success(), "{}", out(&run));
        said = out(&run);
    }
    assert_eq!(
        said.lines().filter(|line| line.contains("  after ")).count(),
        6,
        "{said}"
    );
    assert!(said.contains('%') && said.contains("AGAINST THE FIRST"), "{said}");
    let picture = fs::read_to_string(dir.join("out/measure.svg")).unwrap();
    assert_eq!(
        picture.matches("<rect ").count(),
        1 + 12,
        "a background, a bar for each name and measure"
    );
    assert!(picture.trim_end().ends_with("</svg>"));
}

#[test]
fn the_debug_bundle_has_everything_but_secrets() {
    let admin = format!("127.0.0.1:{}", free_port());
    let broker = Broker::start(&[("ssl.keystore.password", "hunter2"), ("admin.listener", &admin)]);
    let file = broker.dir.join("server.properties").display().to_string();
    let archive = broker.dir.join("bundle.tar.gz").display().to_string();
    let log = broker.dir.join("broker.log").display().to_string();
    let bundled = corelane(&["debug", "bundle", &file, "--out", &archive, "--log", &log])
        .output()
        .unwrap();
    assert!(bundled.status.success(), "{}", out(&bundled));

    let unpacked = broker.dir.join("unpacked");
    fs::create_dir(&unpacked).unwrap();
    let tar = Command::new("tar")
        .args(["-xzf", &archive])
        .current_dir(&unpacked)
        .status()
        .unwrap();
    assert!(tar.success(), "tar reads it");
    let read = |name: &str| fs::read_to_string(unpacked.join("corelane-debug").join(name)).unwrap();
    let settings = read("server.properties");
    assert!(
        settings.contains("ssl.keystore.password=(hidden)") && settings.contains("log.dirs="),
        "{settings}"
    );
    assert!(read("log-0-broker.log").contains("started"));
    for json in ["versions.json", "doctor.json", "tuning.json"] {
        let parsed: serde_json::Value = serde_json::from_str(&read(json)).unwrap();
        assert!(
            parsed.as_object().is_some_and(|map| !map.is_empty()) || parsed.is_array(),
            "{json}"
        );
    }
    assert!(read("metrics.txt").contains("corelane_build_info{"));
    assert!(read("readyz.txt").contains("] recovery: "));
    assert!(read("kernel-meminfo").contains("MemTotal"));
    assert!(!everything_in(&unpacked).contains("hunter2"), "a secret went along");
}

fn everything_in(dir: &Path) -> String {
    let files = fs::read_dir(dir.join("corelane-debug")).unwrap();
    files
        .map(|file| String::from_utf8_lossy(&fs::read(file.unwrap().path()).unwrap()).into_owned())
        .collect()
}
