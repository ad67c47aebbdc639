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
    #[arg(long, alias = "admin.config", value_name = "FILE")]
    command_config: Option<std::path::PathBuf>,
    /// Not supported: the tools ask the brokers, not ZooKeeper
    #[arg(long, value_name = "HOST:PORT", hide = true)]
    zookeeper: Option<String>,
}

/// [`ConnectArgs`] of a tool whose `--broker-list` lists ids.
#[derive(clap::Args)]
pub(super) struct PlainConnectArgs {
    /// Brokers to connect to, as host:port,host:port
    #[arg(long, value_name = "HOST:PORT,…")]
    bootstrap_server: Option<String>,
    /// A file with client settings; `bootstrap.servers` and `client.id` have an effect
    #[arg(long, value_name = "FILE")]
    command_config: Option<std::path::PathBuf>,
    /// Not supported: the tools ask the brokers, not ZooKeeper
    #[arg(long, value_name = "HOST:PORT", hide = true)]
    zookeeper: Option<String>,
}

impl From<&PlainConnectArgs> for ConnectArgs {
    fn from(plain: &PlainConnectArgs) -> ConnectArgs {
        ConnectArgs {
            bootstrap_server: plain.bootstrap_server.clone(),
            command_config: plain.command_config.clone(),
            zookeeper: plain.zookeeper.clone(),
        }
    }
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

/// The same for tools that Kafka lets ask controllers too; their flags may stand before a subcommand or behind it.
#[derive(clap::Args)]
pub(super) struct ServerArgs {
    /// Brokers to connect to, as host:port,host:port
    #[arg(long, short = 'b', value_name = "HOST:PORT,…", global = true)]
    bootstrap_server: Option<String>,
    /// Not supported: every broker answers for the controllers
    #[arg(long, short = 'C', value_name = "HOST:PORT,…", global = true, hide = true)]
    bootstrap_controller: Option<String>,
    /// A file with client settings; `bootstrap.servers` and `client.id` have an effect
    #[arg(long, short = 'c', visible_alias = "config", value_name = "FILE", global = true)]
    command_config: Option<std::path::PathBuf>,
}

impl ServerArgs {
    /// The file of client settings, or whatever else the tool takes in its place.
    pub(super) fn command_config(&self) -> Option<&std::path::Path> {
        self.command_config.as_deref()
    }

    pub(super) fn cluster(self, client_id: &str) -> anyhow::Result<Cluster> {
        if let Some(controllers) = &self.bootstrap_controller {
            bail!(
                "--bootstrap-controller {controllers}: controllers speak to each other only, and every broker answers for \
                 them; use --bootstrap-server HOST:9092 with the address of a broker"
            );
        }
        let args = ConnectArgs {
            bootstrap_server: self.bootstrap_server,
            command_config: self.command_config,
            zookeeper: None,
        };
        args.cluster(client_id)
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
