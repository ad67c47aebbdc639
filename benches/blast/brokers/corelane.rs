//! Our own broker: the release binary of this checkout.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context;

use super::root;
use crate::output::environment::output;

pub fn binary() -> PathBuf {
    // Another build of the same revision may be named: one with counters in it, say.
    std::env::var_os("CORELANE_BINARY").map_or_else(|| root().join("target/release/corelane"), PathBuf::from)
}

pub fn version() -> String {
    let text = output(&binary().to_string_lossy(), &["--version"]).unwrap_or_default();
    text.rsplit(' ').next().unwrap_or_default().to_owned()
}

pub fn command(dir: &Path, port: u16, settings: &[String]) -> anyhow::Result<Command> {
    let mut command = Command::new(binary());
    command.arg("start").arg(properties(dir, port, settings)?);
    Ok(command)
}

/// Defaults, but for the port, the directory and `settings`.
pub fn properties(dir: &Path, port: u16, settings: &[String]) -> anyhow::Result<PathBuf> {
    let file = dir.join("server.properties");
    let text = format!(
        "broker.id=1\nadmin.listener=\nlisteners=PLAINTEXT://127.0.0.1:{port}\nlog.dirs={}\n{}\n",
        dir.join("data").display(),
        settings.join("\n")
    );
    fs::write(&file, text).context("write server.properties")?;
    Ok(file)
}
