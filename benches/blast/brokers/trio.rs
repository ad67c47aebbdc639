//! Three brokers of one kind, one cluster; each keeps its data and its quorum's port of its own.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};

use ::corelane::client::Cluster;

use super::process::free_ports;
use super::{Kind, Process, is_answering, spawn};
use crate::engine::clock::cpu_of;

pub const NODES: usize = 3;
/// Until they have found each other.
const PATIENCE: Duration = Duration::from_secs(120);

pub struct Trio {
    pub kind: Kind,
    pub name: String,
    nodes: Vec<Node>,
}

struct Node {
    dir: PathBuf,
    port: u16,
    settings: Vec<String>,
    process: Process,
}

impl Trio {
    /// Starts them on empty directories. They are named 1 to 3.
    pub fn start(kind: Kind, data: &Path, settings: &[&str]) -> anyhow::Result<Trio> {
        let ports = free_ports(2 * NODES);
        let (ports, controllers) = ports.split_at(NODES);
        let voter = |(at, port): (usize, &u16)| format!("{}@127.0.0.1:{port}", at + 1);
        let voters: Vec<String> = controllers.iter().enumerate().map(voter).collect();
        let name = format!("{kind:?}").to_lowercase();
        let mut nodes = Vec::new();
        for (at, (port, controller)) in ports.iter().zip(controllers).enumerate() {
            let id = at + 1;
            let dir = data.join(format!("{name}-{id}"));
            if dir.exists() {
                fs::remove_dir_all(&dir).with_context(|| format!("clear {}", dir.display()))?;
            }
            fs::create_dir_all(&dir).with_context(|| format!("make {}", dir.display()))?;
            // Of a key that is named twice the last line counts, with both brokers.
            let mut all = vec![
                format!("broker.id={id}"),
                format!("node.id={id}"),
                format!("listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}"),
                "controller.listener.names=CONTROLLER".to_owned(),
                format!("controller.quorum.voters={}", voters.join(",")),
            ];
            all.extend(settings.iter().map(|setting| (*setting).to_owned()));
            let process = spawn(kind, &dir, *port, &all)?;
            nodes.push(Node {
                dir,
                port: *port,
                settings: all,
                process,
            });
        }
        let mut trio = Trio { kind, name, nodes };
        trio.wait_until_complete()?;
        Ok(trio)
    }

    fn wait_until_complete(&mut self) -> anyhow::Result<()> {
        for node in &mut self.nodes {
            let port = node.port;
            node.process.wait_until(|| is_answering(port))?;
        }
        let deadline = Instant::now() + PATIENCE;
        while !self.ports().all(knows_all) {
            if Instant::now() > deadline {
                bail!("{}: the three have not found each other", self.name);
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(())
    }

    fn ports(&self) -> impl Iterator<Item = u16> {
        self.nodes.iter().map(|node| node.port)
    }

    pub fn bootstrap(&self) -> String {
        let addresses: Vec<String> = self.ports().map(|port| format!("127.0.0.1:{port}")).collect();
        addresses.join(",")
    }

    /// The process of the broker with this id.
    pub fn process(&mut self, id: usize) -> &mut Process {
        &mut self.nodes[id - 1].process
    }

    /// Starts a broker again on the data that it left, and waits until it is one of three.
    pub fn restart(&mut self, id: usize) -> anyhow::Result<()> {
        let node = &mut self.nodes[id - 1];
        node.process = spawn(self.kind, &node.dir, node.port, &node.settings)?;
        self.wait_until_complete()
    }

    /// Starts all of them again on the data that they left, after they have ended.
    pub fn restart_all(&mut self) -> anyhow::Result<()> {
        for node in &mut self.nodes {
            node.process = spawn(self.kind, &node.dir, node.port, &node.settings)?;
        }
        self.wait_until_complete()
    }

    /// CPU seconds that all three have used so far.
    pub fn cpu_s(&self) -> f64 {
        let each = self.nodes.iter().filter_map(|node| cpu_of(node.process.pid()));
        each.map(|used| used.as_secs_f64()).sum()
    }

    pub fn end(&mut self) {
        self.nodes.iter_mut().for_each(|node| node.process.terminate());
        self.nodes.iter_mut().for_each(|node| node.process.end());
    }
}

fn knows_all(port: u16) -> bool {
    let mut cluster = match Cluster::connect(&format!("127.0.0.1:{port}"), "corelane-bench") {
        Ok(cluster) => cluster,
        Err(_) => return false,
    };
    cluster
        .metadata(Some(&[]), false)
        .is_ok_and(|metadata| metadata.brokers.len() == NODES)
}
