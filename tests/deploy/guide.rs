//! The operator's guide, `config/README.md`: its commands are run as they are printed, and what it promises of backups and of
//! failed disks is done.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, Stdio};

use super::out;
use crate::support::{Broker, free_port, root, scratch_dir, wait_until};
use crate::tuning::machine::{Machine, tune_dir};

/// Lines of the guide's shell blocks, without comments.
fn printed_commands() -> Vec<String> {
    let guide = fs::read_to_string(root().join("config/README.md")).unwrap();
    let blocks = guide
        .split("```sh\n")
        .skip(1)
        .map(|rest| rest.split("```").next().unwrap());
    let lines = blocks
        .flat_map(str::lines)
        .map(|line| line.split(" #").next().unwrap().trim().to_owned());
    lines.filter(|line| !line.is_empty()).collect()
}

/// Runs what needs no service manager, package or container: against a live broker, and a recorded machine for tune.
#[test]
fn the_guides_commands_work_as_printed() {
    let admin = format!("127.0.0.1:{}", free_port());
    let broker = Broker::start(&[("admin.listener", &admin)]);
    let machine = Machine::new("virtio-2c");
    let dir = scratch_dir();
    link_programs(&dir);
    run(
        &dir,
        &machine,
        &broker,
        "kafka-topics.sh --bootstrap-server localhost:9092 --create --topic big --partitions 1",
    );
    run(
        &dir,
        &machine,
        &broker,
        "kafka-topics.sh --bootstrap-server localhost:9092 --create --topic unused --partitions 1",
    );
    let mut count = 0;
    for command in printed_commands() {
        if command.starts_with("corelane") || command.starts_with("kafka-") {
            run(&dir, &machine, &broker, &command.replace("localhost:9644", &admin));
            count += 1;
        }
    }
    assert!(count >= 17, "{count} commands were found");
}

fn link_programs(dir: &Path) {
    for (name, _) in corelane::cli::SCRIPT_NAMES {
        symlink(env!("CARGO_BIN_EXE_corelane"), dir.join(name)).unwrap();
    }
    symlink(env!("CARGO_BIN_EXE_corelane"), dir.join("corelane")).unwrap();
    symlink(tune_dir().join("tune"), dir.join("corelane-tune")).unwrap();
}

fn run(dir: &Path, machine: &Machine, broker: &Broker, printed: &str) {
    let file = broker.dir.join("server.properties").display().to_string();
    let command = printed
        .replace("/etc/corelane/server.properties", &file)
        .replace("localhost:9092", &broker.bootstrap())
        .replace("broker-1:9092", &broker.bootstrap())
        .replace("corelane-tune apply", "corelane-tune apply --yes");
    let output = Command::new("sh")
        .args(["-c", &command])
        .env("PATH", format!("{}:{}", dir.display(), std::env::var("PATH").unwrap()))
        .env("TUNE_ROOT", &machine.root)
        .current_dir(dir)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    // doctor and tune say by 1 that there is something to warn of.
    let warns = printed.contains("doctor") || printed.contains("tune");
    let code = output.status.code().unwrap();
    assert!(
        code == 0 || (code == 1 && warns),
        "{printed}: exit {code}\n{}",
        out(&output)
    );
}

fn send(broker: &Broker, topic: &str, line: &str) -> bool {
    let command = format!(
        "echo {line} | {} console-producer --bootstrap-server {} --topic {topic}",
        env!("CARGO_BIN_EXE_corelane"),
        broker.bootstrap()
    );
    Command::new("sh")
        .args(["-c", &command])
        .stderr(Stdio::null())
        .status()
        .unwrap()
        .success()
}

fn receive(broker: &Broker, topic: &str) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_corelane"))
        .args([
            "console-consumer",
            "--bootstrap-server",
            &broker.bootstrap(),
            "--topic",
            topic,
        ])
        .args(["--from-beginning", "--timeout-ms", "3000", "--max-messages", "1"])
        .output()
        .unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn copy(from: &Path, to: &Path) {
    let copied = Command::new("cp").arg("--archive").args([from, to]).status().unwrap();
    assert!(copied.success());
}

#[test]
fn a_copy_of_the_log_directories_is_a_backup() {
    let mut broker = Broker::start(&[("auto.create.topics.enable", "true")]);
    assert!(send(&broker, "kept", "before"));
    assert!(broker.terminate().success());
    let backup = broker.dir.join("backup");
    copy(&broker.data_dir(), &backup);
    fs::remove_dir_all(broker.data_dir()).unwrap();
    copy(&backup, &broker.data_dir());
    broker.restart();
    assert_eq!(receive(&broker, "kept"), "before\n");
}

/// The directory of a second disk is lost; put back from a copy it serves again.
#[test]
fn a_lost_log_directory_is_put_back_from_its_copy() {
    let second = scratch_dir().join("second");
    let first = scratch_dir().join("first");
    let dirs = format!("{},{}", first.display(), second.display());
    let mut broker = Broker::start(&[("log.dirs", &dirs), ("num.partitions", "1")]);
    for topic in ["one", "two", "three", "four"] {
        assert!(send(&broker, topic, topic));
    }
    assert!(broker.terminate().success());
    let copy_of_second = second.with_extension("copy");
    copy(&second, &copy_of_second);
    fs::remove_dir_all(&second).unwrap();
    copy(&copy_of_second, &second);
    broker.restart();
    for topic in ["one", "two", "three", "four"] {
        wait_until("the records are there", || {
            receive(&broker, topic) == format!("{topic}\n")
        });
    }
}

/// Without a copy: what lay on other disks serves, what lay on this one is created anew.
#[test]
fn a_lost_log_directory_costs_what_was_on_it_and_no_more() {
    let second = scratch_dir().join("second");
    let dirs = format!("{},{}", scratch_dir().join("first").display(), second.display());
    let mut broker = Broker::start(&[("log.dirs", &dirs), ("num.partitions", "1")]);
    let topics = ["one", "two", "three", "four"];
    for topic in topics {
        assert!(send(&broker, topic, topic));
    }
    assert!(broker.terminate().success());
    let (lost, kept): (Vec<_>, Vec<_>) = topics
        .iter()
        .partition(|topic| second.join(format!("{topic}-0")).exists());
    assert_eq!(
        (lost.len(), kept.len()),
        (2, 2),
        "topics are spread over the directories"
    );
    fs::remove_dir_all(&second).unwrap();
    fs::create_dir(&second).unwrap();
    broker.restart();
    for topic in kept {
        assert_eq!(receive(&broker, topic), format!("{topic}\n"));
    }
    let topics = |action: &str| {
        let tool = Command::new(env!("CARGO_BIN_EXE_corelane"))
            .args([
                "topics",
                "--bootstrap-server",
                &broker.bootstrap(),
                action,
                "--topic",
                lost[0],
            ])
            .output()
            .unwrap();
        assert!(tool.status.success(), "{}", out(&tool));
    };
    topics("--delete");
    topics("--create");
    assert!(send(&broker, lost[0], "anew"));
    assert_eq!(receive(&broker, lost[0]), "anew\n");
}
