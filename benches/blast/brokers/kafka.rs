//! Apache Kafka, one KRaft node, from its jars.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context;

use super::{process::free_port, root};

pub const VERSION: &str = "4.3.1";
/// The collector of its start script, and a heap of a fixed size.
const JVM: &[&str] = &["-Xms1g", "-Xmx1g", "-XX:+UseG1GC", "-XX:MaxGCPauseMillis=20"];
const CLUSTER_ID: &str = "Y29yZWxhbmUtYmVuY2gtMQ";
/// One node, and a session that outlasts being stopped while another broker is measured. The rest are Kafka's defaults.
const SETTINGS: &str = "process.roles=broker,controller
node.id=1
controller.listener.names=CONTROLLER
inter.broker.listener.name=PLAINTEXT
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
offsets.topic.replication.factor=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
broker.session.timeout.ms=3600000
";
const LOGGING: &str = "rootLogger.level = WARN
rootLogger.appenderRefs = stderr
rootLogger.appenderRef.stderr.ref = STDERR
appender.stderr.type = Console
appender.stderr.name = STDERR
appender.stderr.target = SYSTEM_ERR
appender.stderr.layout.type = PatternLayout
appender.stderr.layout.pattern = [%d] %p %m (%c)%n
";

pub fn libs() -> PathBuf {
    root().join("target/clients/kafka/libs")
}

/// A JVM with Kafka's classes; the class and its arguments follow.
pub fn java(dir: &Path, options: &[&str]) -> anyhow::Result<Command> {
    let logging = dir.join("log4j2.properties");
    fs::write(&logging, LOGGING).context("write log4j2.properties")?;
    let mut command = Command::new("java");
    command
        .args(options)
        .arg(format!("-Dlog4j2.configurationFile={}", logging.display()))
        .arg("-cp")
        .arg(format!("{}/*", libs().display()));
    Ok(command)
}

pub fn command(dir: &Path, port: u16, settings: &[String]) -> anyhow::Result<Command> {
    let file = dir.join("server.properties");
    let is_restart = file.exists();
    if !is_restart {
        let controller = free_port_besides(port);
        let text = format!(
            "{SETTINGS}controller.quorum.voters=1@127.0.0.1:{controller}\n\
             listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}\n\
             advertised.listeners=PLAINTEXT://127.0.0.1:{port}\nlog.dirs={}\n{}\n",
            dir.join("data").display(),
            settings.join("\n")
        );
        fs::write(&file, text).context("write server.properties")?;
        format(dir, &file)?;
    }
    let mut command = java(dir, JVM)?;
    command.arg("kafka.Kafka").arg(&file);
    if is_restart {
        // It is not stopped any more, and after a kill waits for the end of the session that it had.
        command.args(["--override", "broker.session.timeout.ms=9000"]);
    }
    Ok(command)
}

fn format(dir: &Path, file: &Path) -> anyhow::Result<()> {
    let output = java(dir, &["-Xmx256m"])?
        .args(["kafka.tools.StorageTool", "format", "-t", CLUSTER_ID, "-c"])
        .arg(file)
        .output()
        .context("start java")?;
    let words = String::from_utf8_lossy(&output.stderr);
    anyhow::ensure!(
        output.status.success(),
        "Kafka's directory could not be formatted: {words}"
    );
    Ok(())
}

/// The first port is claimed later than the second is looked for.
fn free_port_besides(port: u16) -> u16 {
    let other = free_port();
    if other == port { port + 1 } else { other }
}
