//! How far moves are, on one line of a terminal: bytes that are still to be copied, and about how long that takes.

use std::collections::BTreeMap;
use std::io::{IsTerminal, Write, stderr};
use std::time::Duration;

use super::dirs::{self, Disks};
use crate::cli::partitions::{Moving, Named};
use crate::client::Cluster;
use crate::rt::{Instant, now};

pub(super) struct Progress {
    partitions: usize,
    is_shown: bool,
    /// When it was first looked, and what was left then.
    began: Option<(Instant, u64)>,
}

impl Progress {
    /// Nothing is shown where nobody watches.
    pub(super) fn new(partitions: usize) -> Progress {
        Progress {
            partitions,
            is_shown: stderr().is_terminal(),
            began: None,
        }
    }

    /// A broker that cannot be asked just now makes the line less true, and no more.
    pub(super) fn show(&mut self, cluster: &mut Cluster, moving: &BTreeMap<Named, Moving>) {
        if !self.is_shown {
            return;
        }
        let (left, all) = to_copy(&dirs::look(cluster, moving.keys()), moving);
        let (since, left_then) = *self.began.get_or_insert((now(), left));
        let speed = (left_then.saturating_sub(left), now().since(since));
        let line = line(self.partitions, moving.len(), (left, all), speed);
        // To the line's start, over what stood there, and to the end of it.
        let _ = write!(stderr(), "\r{line}\x1b[K").and_then(|()| stderr().flush());
    }

    pub(super) fn end(&self) {
        if self.began.is_some() {
            let _ = write!(stderr(), "\r\x1b[K");
        }
    }
}

/// The bytes that the replicas to come still miss, of those that they are to have: what the largest replica has.
fn to_copy(disks: &Disks, moving: &BTreeMap<Named, Moving>) -> (u64, u64) {
    let (mut left, mut all) = (0, 0);
    for (id, moving) in moving {
        let replica = |broker: &i32| disks.replicas.get(&(*broker, id.clone()));
        let size = |broker: &i32| replica(broker).map_or(0, |on_disk| on_disk.bytes);
        let whole = moving.replicas.iter().map(size).max().unwrap_or(0);
        for broker in &moving.adding {
            left += whole - size(broker).min(whole);
            all += whole;
        }
    }
    (left, all)
}

/// `speed`: so many bytes were copied in so long.
fn line(partitions: usize, moving: usize, (left, all): (u64, u64), speed: (u64, Duration)) -> String {
    let done = partitions.saturating_sub(moving);
    let mut line = format!(
        "{done} of {partitions} partitions moved; to copy: {} of {}",
        bytes(left),
        bytes(all)
    );
    let (copied, time) = speed;
    if copied > 0 && left > 0 {
        let seconds = time.as_secs_f64() * left as f64 / copied as f64;
        line.push_str(&format!(", about {}", span(seconds)));
    }
    line
}

fn span(seconds: f64) -> String {
    let seconds = seconds.ceil() as u64;
    match (seconds / 3600, seconds / 60 % 60, seconds % 60) {
        (0, 0, seconds) => format!("{seconds} s"),
        (0, minutes, seconds) => format!("{minutes} min {seconds} s"),
        (hours, minutes, _) => format!("{hours} h {minutes} min"),
    }
}

fn bytes(count: u64) -> String {
    let mut value = count as f64;
    for unit in ["B", "KiB", "MiB", "GiB"] {
        if value < 1024.0 {
            let digits = if unit == "B" { 0 } else { 1 };
            return format!("{value:.digits$} {unit}");
        }
        value /= 1024.0;
    }
    format!("{value:.1} TiB")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::reassign_partitions::dirs::OnDisk;

    #[test]
    fn the_rest_is_told_with_the_time_that_it_takes() {
        let copied = (1 << 30, Duration::from_secs(30));
        assert_eq!(
            line(3, 2, (4 << 30, 6 << 30), copied),
            "1 of 3 partitions moved; to copy: 4.0 GiB of 6.0 GiB, about 2 min 0 s"
        );
        assert_eq!(
            line(1, 1, (300, 300), (0, Duration::ZERO)),
            "0 of 1 partitions moved; to copy: 300 B of 300 B"
        );
        assert_eq!(
            (span(59.2), span(7320.0)),
            ("1 min 0 s".to_owned(), "2 h 2 min".to_owned())
        );
    }

    /// Only what comes counts, each replica against the largest one.
    #[test]
    fn what_is_left_is_what_new_replicas_miss() {
        let id = ("foo".to_owned(), 0);
        let moving = Moving {
            replicas: vec![1, 2, 3],
            adding: vec![2, 3],
            removing: vec![1],
        };
        let mut disks = Disks::default();
        for (broker, bytes) in [(1, 100), (2, 30)] {
            let dir = "/a".to_owned();
            disks.replicas.insert((broker, id.clone()), OnDisk { dir, bytes });
        }
        assert_eq!(to_copy(&disks, &BTreeMap::from([(id, moving)])), (170, 200));
    }
}
