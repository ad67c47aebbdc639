//! The flags by which every tool finds the brokers, and small things that several tools print.

use std::collections::BTreeMap;

use anyhow::{Context, bail};

use crate::client::Cluster;

#[derive(clap::Args)]
pub(super) struct ConnectArgs {
    /// Brokers to connect to, as host:port,host:port
    #[arg(long, visible_alias = "broker-list", value_name = "HOST:PORT,…")]
    bootstrap_server: Option<String>,
    /// A file with client settings; `bootstrap.servers` and `client.id` have an effect
    #[arg(long, value_name = "FILE")]
    command_config: Option<std::path::PathBuf>,
    /// Not supported: the tools ask the brokers, not ZooKeeper
    #[arg(long, value_name = "HOST:PORT", hide = true)]
    zookeeper: Option<String>,
}

impl ConnectArgs {
    /// Connects, or says what is missing.
    pub(super) fn cluster(&self, client_id: &str) -> anyhow::Result<Cluster> {
        if let Some(ensemble) = &self.zookeeper {
            bail!(
                "--zookeeper {ensemble}: tools speak to the brokers since Kafka 3.0; \
                 use --bootstrap-server HOST:9092 with the address of a broker"
            );
        }
        let config = self.config()?;
        let bootstrap = self.bootstrap_server.as_deref().or(config.get("bootstrap.servers"));
        let bootstrap = bootstrap.context("Missing required argument \"[bootstrap-server]\"")?;
        Ok(Cluster::connect(
            bootstrap,
            config.get("client.id").unwrap_or(client_id),
        )?)
    }

    /// What the file of client settings says.
    pub(super) fn config(&self) -> anyhow::Result<crate::config::Properties> {
        let Some(file) = &self.command_config else {
            return Ok(crate::config::Properties::default());
        };
        let bytes = crate::rt::blocking::read_file(file).with_context(|| format!("read {}", file.display()))?;
        Ok(crate::config::Properties::parse(&String::from_utf8_lossy(&bytes)))
    }
}

/// Settings given as `key=value`, one per flag.
pub(super) fn properties(settings: &[String]) -> anyhow::Result<BTreeMap<String, String>> {
    let split = |setting: &String| {
        let (key, value) = setting
            .split_once('=')
            .with_context(|| format!("{setting}: not key=value"))?;
        Ok((key.trim().to_owned(), value.to_owned()))
    };
    settings.iter().map(split).collect()
}

/// Broker ids as Kafka prints them: 1,2,3.
pub(super) fn list_of(ids: &[i32]) -> String {
    ids.iter().map(i32::to_string).collect::<Vec<_>>().join(",")
}
