//! Kafka Streams counts words exactly once while the broker and the application itself are killed, again and again.

use std::fs::File;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::support::{Broker, Program, root, target_dir};

const LINES: &str = "6000";
/// Records that reach the broker between two kills: the words, what is known of them, and the counts.
const RECORDS_BETWEEN_KILLS: i64 = 4_000;
/// A killed application's transaction times out and its session ends before another goes on; so do retries.
const PATIENCE: Duration = Duration::from_secs(240);

enum Victim {
    Broker,
    Application,
}

#[test]
fn words_are_counted_once_through_kill_9() {
    let mut broker = Broker::start(&[
        ("shard.count", "2"),
        ("num.partitions", "3"),
        ("group.initial.rebalance.delay.ms", "0"),
    ]);
    run(java(&broker, "fill", &["lines", LINES]));
    broker.tool("topics", "--create --topic counts --partitions 3", "");
    let mut application = java(&broker, "count", &["lines", "counts"]);
    use Victim::{Application, Broker as Server};
    let mut known = received(&broker);
    for victim in [Server, Application, Server, Application, Server] {
        wait_until("words are counted", || {
            assert_eq!(
                application.0.try_wait().unwrap(),
                None,
                "the application has ended by itself"
            );
            received(&broker) >= known + RECORDS_BETWEEN_KILLS
        });
        match victim {
            Server => {
                broker.kill_9();
                broker.restart();
            }
            Application => {
                drop(application);
                application = java(&broker, "count", &["lines", "counts"]);
            }
        }
        known = received(&broker);
    }
    run(java(&broker, "await", &["counts", LINES]));
    // What it still had in hand is committed or not when it has ended.
    terminate(&mut application);
    run(java(&broker, "verify", &["counts", LINES]));
}

fn received(broker: &Broker) -> i64 {
    broker.metric("kafka_server_brokertopicmetrics_messagesin_total")
}

fn java(broker: &Broker, action: &str, arguments: &[&str]) -> Program {
    let child = Command::new("java")
        .args(["-Xmx256M", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"])
        .arg(format!("-Dstate.dir={}", broker.dir.join("streams").display()))
        .arg("-cp")
        .arg(target_dir().join("clients/kafka/libs/*"))
        .arg(root().join("tests/clients/WordCount.java"))
        .args([action, &broker.bootstrap()])
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log_of(broker, action))
        .spawn()
        .unwrap();
    Program(child)
}

fn log_of(broker: &Broker, action: &str) -> File {
    let path = broker.dir.join(format!("{action}.log"));
    File::options().create(true).append(true).open(path).unwrap()
}

fn run(mut program: Program) {
    let mut status = None;
    wait_until("the program ends", || {
        status = program.0.try_wait().unwrap();
        status.is_some()
    });
    assert!(status.is_some_and(|status| status.success()), "{status:?}");
}

fn terminate(program: &mut Program) {
    let told = Command::new("kill").arg(program.0.id().to_string()).status();
    assert!(told.unwrap().success());
    wait_until("the application stops", || program.0.try_wait().unwrap().is_some());
}

fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < deadline, "{what}: not within {PATIENCE:?}");
        std::thread::sleep(Duration::from_millis(50));
    }
}
