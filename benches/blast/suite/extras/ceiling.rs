//! What the disk and the loopback give to a program that does nothing else: taken in the same run, so that a share of it
//! means something.

use std::fs::File;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context;
use serde_json::Value;

const TIME: Duration = Duration::from_secs(3);
const WRITERS: usize = 4;
const FILE_BYTES_MAX: u64 = 2 << 30;
/// Direct I/O wants memory and lengths in whole blocks; a page serves every device.
const ALIGNMENT: usize = 4_096;

pub fn measure(data: &Path) -> anyhow::Result<Vec<Value>> {
    let mut rows = Vec::new();
    for (block, name) in [(16 << 10, "16 KiB"), (256 << 10, "256 KiB")] {
        let note = format!("{name} blocks, {WRITERS} in flight, O_DIRECT");
        rows.push(super::row(
            "ceiling of the disk",
            "machine",
            disk(data, block)?,
            "MB/s",
            &note,
        ));
    }
    rows.push(super::row(
        "ceiling of loopback",
        "machine",
        loopback(256 << 10)?,
        "MB/s",
        "one sender, one receiver",
    ));
    Ok(rows)
}

/// Appends side by side into one file each.
fn disk(data: &Path, block: usize) -> anyhow::Result<f64> {
    let begun = Instant::now();
    let writers: Vec<_> = (0..WRITERS)
        .map(|number| {
            let path = data.join(format!("ceiling-{number}"));
            thread::spawn(move || write(&path, block, begun + TIME))
        })
        .collect();
    let mut bytes = 0;
    for writer in writers {
        bytes += writer.join().expect("a writer does not panic")?;
    }
    Ok(bytes as f64 / begun.elapsed().as_secs_f64() / 1e6)
}

fn write(path: &Path, block: usize, until: Instant) -> anyhow::Result<u64> {
    let file = File::options()
        .create(true)
        .truncate(true)
        .write(true)
        .custom_flags(libc::O_DIRECT)
        .open(path)
        .with_context(|| format!("open {} for direct I/O", path.display()))?;
    let room = vec![0x5a_u8; block + ALIGNMENT];
    let from = room.as_ptr().align_offset(ALIGNMENT);
    let (mut at, mut bytes) = (0, 0);
    while Instant::now() < until {
        file.write_all_at(&room[from..from + block], at)
            .context("write directly")?;
        bytes += block as u64;
        at = (at + block as u64) % FILE_BYTES_MAX;
    }
    std::fs::remove_file(path).context("remove a file")?;
    Ok(bytes)
}

fn loopback(block: usize) -> anyhow::Result<f64> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let mut sender = TcpStream::connect(listener.local_addr()?)?;
    let (mut receiver, _) = listener.accept()?;
    let until = Instant::now() + TIME;
    let sending = thread::spawn(move || {
        let bytes = vec![0x5a; block];
        while Instant::now() < until && sender.write_all(&bytes).is_ok() {}
    });
    let (mut room, mut received, begun) = (vec![0; block], 0u64, Instant::now());
    loop {
        match receiver.read(&mut room)? {
            0 => break,
            got => received += got as u64,
        }
    }
    let elapsed = begun.elapsed();
    let _ = sending.join();
    Ok(received as f64 / elapsed.as_secs_f64() / 1e6)
}
