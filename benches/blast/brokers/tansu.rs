//! Tansu, a broker in Rust that speaks Kafka's protocol, with its memory engine: nothing is durable there.

use std::path::PathBuf;
use std::process::Command;

use super::root;

pub const VERSION: &str = "0.6.0";

pub fn binary() -> PathBuf {
    root().join("target/clients/tansu/tansu")
}

pub fn command(port: u16) -> anyhow::Result<Command> {
    let url = format!("tcp://127.0.0.1:{port}");
    let mut command = Command::new(binary());
    command
        .arg("broker")
        .args(["--listener-url", &url])
        .args(["--advertised-listener-url", &url])
        .args(["--storage-engine", "memory://tansu/"]);
    Ok(command)
}
