//! What the machine did during a stretch of time: CPU of the broker, of this client and of everybody, and how disturbed
//! it was.

use std::fs;
use std::time::Duration;

use super::clock::{cpu_of, now_ns, own_cpu};

/// A look at the clocks.
#[derive(Clone, Copy, Debug)]
pub struct Probe {
    at_ns: u64,
    broker: Option<Duration>,
    client: Duration,
    machine: Machine,
    io: Io,
    pressure_us: u64,
}

/// Between two looks.
#[derive(Clone, Copy, Debug, Default)]
pub struct Used {
    pub wall_s: f64,
    pub broker_s: Option<f64>,
    pub client_s: f64,
    /// Neither idle nor waiting for I/O, over all CPUs: what broker and client leave of it is the kernel's and others'.
    pub busy_s: f64,
    pub steal_share: f64,
    /// How much of the time somebody waited for a CPU (PSI).
    pub pressure_share: f64,
    /// Bytes that the broker sent to the storage layer.
    pub written_bytes: Option<u64>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Machine {
    busy: u64,
    steal: u64,
    all: u64,
}

#[derive(Clone, Copy, Debug, Default)]
struct Io {
    written: Option<u64>,
}

impl Probe {
    pub fn take(broker: Option<u32>) -> Probe {
        Probe {
            at_ns: now_ns(),
            broker: broker.and_then(cpu_of),
            client: own_cpu(),
            machine: Machine::read(),
            io: Io {
                written: broker.and_then(written_bytes),
            },
            pressure_us: cpu_pressure_us(),
        }
    }

    pub fn until(&self, later: &Probe) -> Used {
        let wall_s = (later.at_ns - self.at_ns) as f64 / 1e9;
        let ticks = (later.machine.all - self.machine.all).max(1) as f64;
        let difference = |before: Option<Duration>, after: Option<Duration>| Some((after? - before?).as_secs_f64());
        Used {
            wall_s,
            broker_s: difference(self.broker, later.broker),
            client_s: (later.client - self.client).as_secs_f64(),
            busy_s: (later.machine.busy - self.machine.busy) as f64 / TICKS_PER_SECOND,
            steal_share: (later.machine.steal - self.machine.steal) as f64 / ticks,
            pressure_share: (later.pressure_us - self.pressure_us) as f64 / 1e6 / wall_s.max(1e-9),
            written_bytes: later
                .io
                .written
                .zip(self.io.written)
                .map(|(after, before)| after - before),
        }
    }
}

/// USER_HZ, the unit of /proc/stat on every Linux of today.
const TICKS_PER_SECOND: f64 = 100.0;

impl Machine {
    fn read() -> Machine {
        let stat = fs::read_to_string("/proc/stat").unwrap_or_default();
        let first = stat.lines().next().unwrap_or_default();
        let ticks: Vec<u64> = first
            .split_whitespace()
            .skip(1)
            .map(|field| field.parse().unwrap_or(0))
            .collect();
        let tick = |at: usize| ticks.get(at).copied().unwrap_or(0);
        // user nice system idle iowait irq softirq steal; guest time is contained in user time
        let busy = tick(0) + tick(1) + tick(2) + tick(5) + tick(6);
        Machine {
            busy,
            steal: tick(7),
            all: busy + tick(3) + tick(4) + tick(7),
        }
    }
}

/// What a process has caused to be written to a disk.
pub fn written_bytes(pid: u32) -> Option<u64> {
    let io = fs::read_to_string(format!("/proc/{pid}/io")).ok()?;
    io.lines()
        .find_map(|line| line.strip_prefix("write_bytes: "))?
        .parse()
        .ok()
}

/// Microseconds since the boot in which a runnable task waited for a CPU.
fn cpu_pressure_us() -> u64 {
    let pressure = fs::read_to_string("/proc/pressure/cpu").unwrap_or_default();
    let total = pressure.lines().next().and_then(|line| line.rsplit_once("total="));
    total.and_then(|(_, total)| total.parse().ok()).unwrap_or(0)
}
