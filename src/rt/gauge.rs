//! What this machine's disk and loopback do, in about a second each: for tools, never beside a loaded broker's numbers.
//!
//! The disk is written the way a log is: direct, in whole blocks, the small ones synced. Blocks are written once before
//! they are measured, so that the file system's allocation is not.

use std::fs::File;
use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use super::{ALIGN, Buf, host};

const LARGE_BYTES: usize = 1 << 20;
const LARGE_WRITES: u64 = 64;
const SYNCED_WRITES: usize = 64;
const STREAM_BYTES: usize = 256 << 20;
const STREAM_PIECE_BYTES: usize = 64 << 10;
const ROUND_TRIPS: usize = 2_000;
const ROUND_TRIP_BYTES: usize = 1_024;
/// A loopback that does not answer for so long never will.
const PATIENCE: Duration = Duration::from_secs(10);

/// One figure.
#[derive(Clone, Debug, PartialEq)]
pub struct Gauge {
    pub name: &'static str,
    pub value: f64,
    pub unit: &'static str,
    pub higher_is_better: bool,
}

const fn rate(name: &'static str, value: f64) -> Gauge {
    Gauge {
        name,
        value,
        unit: "MiB/s",
        higher_is_better: true,
    }
}

const fn time(name: &'static str, value: f64) -> Gauge {
    Gauge {
        name,
        value,
        unit: "us",
        higher_is_better: false,
    }
}

/// Direct writes of 1 MiB one after the other, then synced ones of a block, in a file without a name.
pub fn disk(dir: &Path) -> io::Result<Vec<Gauge>> {
    let large = Buf::zeroed(LARGE_BYTES);
    let file = host::open_unnamed(dir, 0)?;
    let write_all = |file: &File| -> io::Result<()> {
        (0..LARGE_WRITES).try_for_each(|n| file.write_all_at(large.as_slice(), n * LARGE_BYTES as u64))
    };
    write_all(&file)?;
    file.sync_all()?;
    let began = Instant::now();
    write_all(&file)?;
    let speed = mib_per_second(LARGE_WRITES as usize * LARGE_BYTES, began.elapsed());

    let block = Buf::zeroed(ALIGN);
    let synced = host::open_unnamed(dir, libc::O_DSYNC)?;
    synced.write_all_at(large.as_slice(), 0)?;
    let mut took = Vec::with_capacity(SYNCED_WRITES);
    for n in 0..SYNCED_WRITES {
        let began = Instant::now();
        synced.write_all_at(block.as_slice(), (n * ALIGN % LARGE_BYTES) as u64)?;
        took.push(began.elapsed());
    }
    took.sort_unstable();
    Ok(vec![
        rate("direct write 1 MiB", speed),
        time("synced write 4 KiB, p50", percentile_us(&took, 50)),
        time("synced write 4 KiB, p95", percentile_us(&took, 95)),
    ])
}

/// A stream through a loopback connection, then round trips of 1 KiB.
pub fn loopback() -> io::Result<Vec<Gauge>> {
    let listener = TcpListener::bind(("127.0.0.1", 0))?;
    let address = listener.local_addr()?;
    let echo = thread::Builder::new().name("echo".to_owned()).spawn(move || {
        let (stream, _) = listener.accept()?;
        swallow_then_echo(stream)
    })?;
    let mut stream = connected(TcpStream::connect(address)?)?;
    let began = Instant::now();
    let piece = vec![0; STREAM_PIECE_BYTES];
    for _ in 0..STREAM_BYTES / STREAM_PIECE_BYTES {
        stream.write_all(&piece)?;
    }
    let mut byte = [0; ROUND_TRIP_BYTES];
    stream.read_exact(&mut byte)?; // the other side has read everything
    let speed = mib_per_second(STREAM_BYTES, began.elapsed());
    let mut took = Vec::with_capacity(ROUND_TRIPS);
    for _ in 0..ROUND_TRIPS {
        let began = Instant::now();
        stream.write_all(&byte)?;
        stream.read_exact(&mut byte)?;
        took.push(began.elapsed());
    }
    drop(stream);
    echo.join().map_err(|_| io::Error::other("the other side failed"))??;
    took.sort_unstable();
    Ok(vec![
        rate("loopback stream", speed),
        time("loopback round trip 1 KiB, p50", percentile_us(&took, 50)),
        time("loopback round trip 1 KiB, p99", percentile_us(&took, 99)),
    ])
}

fn connected(stream: TcpStream) -> io::Result<TcpStream> {
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    Ok(stream)
}

fn swallow_then_echo(stream: TcpStream) -> io::Result<()> {
    let mut stream = connected(stream)?;
    let mut piece = vec![0; STREAM_PIECE_BYTES];
    for _ in 0..STREAM_BYTES / STREAM_PIECE_BYTES {
        stream.read_exact(&mut piece)?;
    }
    let mut message = [0; ROUND_TRIP_BYTES];
    stream.write_all(&message)?;
    for _ in 0..ROUND_TRIPS {
        stream.read_exact(&mut message)?;
        stream.write_all(&message)?;
    }
    Ok(())
}

fn mib_per_second(bytes: usize, took: Duration) -> f64 {
    bytes as f64 / f64::from(1 << 20) / took.as_secs_f64().max(f64::MIN_POSITIVE)
}

fn percentile_us(sorted: &[Duration], percent: usize) -> f64 {
    let at = (sorted.len() * percent / 100).min(sorted.len().saturating_sub(1));
    sorted.get(at).map_or(0.0, |took| took.as_secs_f64() * 1e6)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_is_measured() {
        let mut gauges = disk(Path::new(env!("CARGO_MANIFEST_DIR"))).unwrap();
        gauges.extend(loopback().unwrap());
        assert_eq!(gauges.len(), 6);
        assert!(gauges.iter().all(|gauge| gauge.value > 0.0), "{gauges:?}");
    }

    #[test]
    fn a_percentile_is_a_measured_value() {
        let took: Vec<_> = (1..=100).map(Duration::from_micros).collect();
        assert_eq!(percentile_us(&took, 50).round() as u64, 51);
        assert_eq!(percentile_us(&took, 99).round() as u64, 100);
        assert_eq!(percentile_us(&[], 99), 0.0);
    }
}
