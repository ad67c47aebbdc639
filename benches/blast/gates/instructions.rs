//! Instructions by callgrind, of the whole broker: the same load once, twice, and slowly, so that connecting, looking for the
//! topic and what happens by the clock drop out.
//!
//! The broker is asked for its counts while it runs (`vgdb … dump` writes what has been executed since the last dump): a
//! stop under valgrind can take minutes.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, ensure};

use super::Spent;
use super::loads;
use super::target::{Target, Wrapping};

/// Batches of the single load.
const ONCE: u64 = 400;

pub struct Instructions {
    pub per_batch_produced: f64,
    pub per_batch_fetched: f64,
}

pub fn missing() -> Option<String> {
    let answers = |program: &str| Command::new(program).arg("--version").output().is_ok();
    (!answers("valgrind") || !answers("vgdb")).then(|| "valgrind is not installed".to_owned())
}

pub fn measure(binary: &Path, data: &Path) -> anyhow::Result<Instructions> {
    let dumps = Dumps::new(data)?;
    let target = Target::start(binary, data, &dumps.wrapping())?;
    let topic = target.run(&loads::produce_small(1, ONCE / 4))?.topology.topic;
    let spent = |load| -> anyhow::Result<Spent> {
        dumps.take(&target)?;
        let start = Instant::now();
        target.run(&loads::onto(load, &topic))?;
        let seconds = start.elapsed().as_secs_f64();
        let count = dumps.take(&target)?;
        Ok(Spent { count, seconds })
    };
    let per_batch_produced = super::per_batch_alone(ONCE, spent)?;
    let read = || -> anyhow::Result<f64> {
        dumps.take(&target)?;
        let batches = target.run(&loads::read(&topic))?.consumed.batches;
        ensure!(batches >= 3 * ONCE, "the log came back with {batches} batches only");
        Ok(dumps.take(&target)? / batches as f64)
    };
    Ok(Instructions {
        per_batch_produced,
        per_batch_fetched: super::least(read)?,
    })
}

/// Callgrind's files: NAME.1, NAME.2 and so on, one per dump.
struct Dumps {
    dir: PathBuf,
}

impl Dumps {
    fn new(data: &Path) -> anyhow::Result<Dumps> {
        let dir = data.join("callgrind");
        let _ = fs::remove_dir_all(&dir);
        fs::create_dir_all(&dir).context("make a directory for callgrind")?;
        Ok(Dumps { dir })
    }

    fn wrapping(&self) -> Wrapping<'_> {
        let out = format!("--callgrind-out-file={}", self.dir.join("dump").display());
        // Fair: a thread that waits inside io_uring would otherwise keep the others from running.
        let before = ["valgrind", "--tool=callgrind", "--fair-sched=yes", &out]
            .map(str::to_owned)
            .to_vec();
        Wrapping {
            before,
            ..Wrapping::default()
        }
    }

    /// Instructions since the last dump.
    fn take(&self, target: &Target) -> anyhow::Result<f64> {
        let output = Command::new("vgdb")
            .args([&format!("--pid={}", target.process.pid()), "dump"])
            .output()
            .context("start vgdb")?;
        ensure!(
            output.status.success(),
            "vgdb: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        let newest = self.newest()?;
        let text = fs::read_to_string(&newest).context("read callgrind's dump")?;
        fs::remove_file(&newest).context("remove callgrind's dump")?;
        summary(&text).context("callgrind's dump has no summary")
    }

    fn newest(&self) -> anyhow::Result<PathBuf> {
        let entries = fs::read_dir(&self.dir).context("list callgrind's dumps")?;
        let number = |path: &PathBuf| path.extension()?.to_str()?.parse::<u32>().ok();
        let paths = entries
            .filter_map(|entry| Some(entry.ok()?.path()))
            .filter(|path| number(path).is_some());
        paths.max_by_key(number).context("callgrind wrote no dump")
    }
}

impl Drop for Dumps {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.dir);
    }
}

fn summary(text: &str) -> Option<f64> {
    let line = text.lines().find_map(|line| line.strip_prefix("summary:"))?;
    line.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::summary;

    #[test]
    fn a_dumps_sum_is_read() {
        assert_eq!(summary("events: Ir\nsummary: 110492628\n\nfn=x\n"), Some(110_492_628.0));
        assert_eq!(summary("nothing"), None);
    }
}
