//! The brokers under test: how each is started, with which settings, and who must have been installed for it.
//!
//! All listen on loopback and keep their data side by side under one directory, so on one file system.

mod corelane;
mod kafka;
mod process;
mod redis;
mod tansu;
mod trio;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;
use serde_json::{Value, json};

use ::corelane::client::Cluster;

pub use self::corelane::properties as own_properties;
pub use kafka::java;
pub use process::{Process, free_port};
pub use redis::{Redis, missing as redis_missing};
pub use trio::{NODES, Trio};

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Kind {
    Corelane,
    Kafka,
    Tansu,
}

/// A broker that speaks Kafka's protocol.
pub struct Broker {
    pub kind: Kind,
    pub name: String,
    pub version: String,
    pub bootstrap: String,
    /// What differs from its defaults.
    pub settings: Vec<String>,
    dir: PathBuf,
    process: Process,
}

impl Broker {
    /// Starts a broker on an empty directory.
    pub fn start(kind: Kind, data: &Path, settings: &[&str]) -> anyhow::Result<Broker> {
        let dir = data.join(format!("{kind:?}").to_lowercase());
        if dir.exists() {
            fs::remove_dir_all(&dir).with_context(|| format!("clear {}", dir.display()))?;
        }
        fs::create_dir_all(&dir).with_context(|| format!("make {}", dir.display()))?;
        let port = process::free_port();
        let bootstrap = format!("127.0.0.1:{port}");
        let settings: Vec<String> = settings.iter().map(|setting| (*setting).to_owned()).collect();
        let process = launch(kind, &dir, port, &settings)?;
        Ok(Broker {
            kind,
            name: format!("{kind:?}").to_lowercase(),
            version: version(kind),
            bootstrap,
            settings,
            dir,
            process,
        })
    }

    /// Starts the process again on the data that it left.
    pub fn restart(&mut self) -> anyhow::Result<()> {
        let port = self.bootstrap.rsplit(':').next().unwrap_or_default().parse()?;
        self.process = launch(self.kind, &self.dir, port, &self.settings)?;
        Ok(())
    }

    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// Whether an acknowledgement says anything of a disk.
    pub fn is_durable(&self) -> bool {
        self.kind != Kind::Tansu
    }

    pub fn to_json(&self) -> Value {
        json!({"name": self.name, "version": self.version, "config": self.settings})
    }
}

fn launch(kind: Kind, dir: &Path, port: u16, settings: &[String]) -> anyhow::Result<Process> {
    let mut process = spawn(kind, dir, port, settings)?;
    process.wait_until(|| is_answering(port))?;
    Ok(process)
}

fn spawn(kind: Kind, dir: &Path, port: u16, settings: &[String]) -> anyhow::Result<Process> {
    let mut command = match kind {
        Kind::Corelane => corelane::command(dir, port, settings)?,
        Kind::Kafka => kafka::command(dir, port, settings)?,
        Kind::Tansu => tansu::command(port)?,
    };
    Process::spawn(&format!("{kind:?}"), &mut command, dir)
}

fn is_answering(port: u16) -> bool {
    Cluster::connect(&format!("127.0.0.1:{port}"), "corelane-bench").is_ok()
}

fn version(kind: Kind) -> String {
    match kind {
        Kind::Corelane => corelane::version(),
        Kind::Kafka => kafka::VERSION.to_owned(),
        Kind::Tansu => tansu::VERSION.to_owned(),
    }
}

/// Whether what a broker needs has been installed; the reason if not.
pub fn missing(kind: Kind) -> Option<String> {
    let (path, cure) = match kind {
        Kind::Corelane => (corelane::binary(), "cargo build --release"),
        Kind::Kafka => (kafka::libs(), "sh benches/install.sh kafka"),
        Kind::Tansu => (tansu::binary(), "sh benches/install.sh tansu"),
    };
    (!path.exists()).then(|| format!("{} is not there: {cure}", path.display()))
}

/// The repository: the bench is run from a checkout.
fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}
