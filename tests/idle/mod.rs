//! What a broker costs that has nothing to do: 1,000 idle partitions and 100 idle connections.

use std::fs;
use std::net::TcpStream;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use crate::support::{Broker, wait_until};

const PARTITIONS: usize = 1_000;
const CONNECTIONS: usize = 100;
/// Resident memory beside the configured budgets (cache, request memory), of which an idle broker uses none.
const RSS_KIB_MAX: u64 = 64 << 10;
const READY_MAX: Duration = Duration::from_millis(200);
const STARTS: usize = 3;
/// How long the CPU is watched, and what share of one core may be used.
const WATCHED: Duration = Duration::from_secs(10);
/// The promise is 1 %, of what runs; a build that is not optimised gets twice as much (`make test PROFILE=release` holds it
/// to the promise).
const CPU_SHARE_MAX: f64 = if cfg!(debug_assertions) { 0.02 } else { 0.01 };

#[test]
fn an_idle_broker_costs_next_to_nothing() {
    let mut broker = Broker::start(&[]);
    create_partitions(&broker);
    let ready = quickest_start(&mut broker);
    let connections: Vec<_> = (0..CONNECTIONS)
        .map(|_| TcpStream::connect(("127.0.0.1", broker.port)).unwrap())
        .collect();
    wait_until("the restart has settled", || {
        cpu_share(&broker, Duration::from_secs(1)) < CPU_SHARE_MAX
    });
    let share = cpu_share(&broker, WATCHED);
    let rss_kib = broker.rss_kib();
    eprintln!(
        "ready in {ready:?}; {:.2} % of a core; {rss_kib} KiB resident",
        share * 100.0
    );
    drop(connections);
    assert!(share < CPU_SHARE_MAX, "{:.2} % of a core", share * 100.0);
    assert!(rss_kib < RSS_KIB_MAX, "{rss_kib} KiB resident");
    assert!(ready < READY_MAX, "ready in {ready:?}");
}

/// Of several, since other tests have the cores as well.
fn quickest_start(broker: &mut Broker) -> Duration {
    let starts = (0..STARTS).map(|_| {
        assert!(broker.terminate().success());
        let begun = Instant::now();
        broker.restart();
        begun.elapsed()
    });
    starts.min().unwrap()
}

fn create_partitions(broker: &Broker) {
    let status = Command::new(env!("CARGO_BIN_EXE_corelane"))
        .args([
            "topics",
            "--bootstrap-server",
            &broker.bootstrap(),
            "--create",
            "--topic",
            "idle",
        ])
        .args(["--partitions", &PARTITIONS.to_string()])
        .status()
        .unwrap();
    assert!(status.success());
    let listed = || fs::read_dir(broker.data_dir()).unwrap();
    let made = || {
        listed()
            .filter(|entry| {
                entry
                    .as_ref()
                    .unwrap()
                    .file_name()
                    .to_string_lossy()
                    .starts_with("idle-")
            })
            .count()
    };
    wait_until("every partition has its directory", || made() == PARTITIONS);
}

/// The share of one core that the broker uses while it is watched.
fn cpu_share(broker: &Broker, watched: Duration) -> f64 {
    let (before, begun) = (cpu_ticks(broker), Instant::now());
    thread::sleep(watched);
    (cpu_ticks(broker) - before) as f64 / TICKS_PER_SECOND / begun.elapsed().as_secs_f64()
}

/// USER_HZ, the unit of /proc/PID/stat on every Linux of today.
const TICKS_PER_SECOND: f64 = 100.0;

/// User and system time of the process: fields 14 and 15 of its stat line.
fn cpu_ticks(broker: &Broker) -> u64 {
    let stat = fs::read_to_string(format!("/proc/{}/stat", broker.pid())).unwrap();
    let behind_name = stat.rsplit(')').next().unwrap();
    behind_name
        .split_whitespace()
        .skip(11)
        .take(2)
        .map(|field| field.parse::<u64>().unwrap())
        .sum()
}
