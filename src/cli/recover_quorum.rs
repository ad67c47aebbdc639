//! `corelane recover-quorum`: when most nodes of a quorum are lost for good, makes one that is left the first of another.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, bail};

use super::configuration::{self, Resolved, read_properties};
use super::exit;
use super::start::refuse;
use crate::broker::metadata_dir;
use crate::config::BrokerConfig;
use crate::metadata::{Image, Salvage};
use crate::storage::LogDirs;

#[derive(clap::Args)]
pub(super) struct Args {
    /// The server.properties of a node that is left, and does not run
    file: PathBuf,
    /// Do it: what only the lost nodes had is lost, and they must never start with their old disks again
    #[arg(long)]
    accept_loss: bool,
}

pub(super) fn run(args: Args) -> anyhow::Result<ExitCode> {
    match configuration::resolve(read_properties(&args.file)?, &[])? {
        Ok(Resolved { config, .. }) => recover(config, args.accept_loss),
        Err(problems) => Ok(refuse(&args.file.display().to_string(), &problems)),
    }
}

fn recover(config: BrokerConfig, accept_loss: bool) -> anyhow::Result<ExitCode> {
    match &config.quorum {
        None => {
            bail!("the configuration makes no quorum: this node keeps its metadata alone, and needs no other")
        }
        Some(quorum) if quorum.is_observer() => {
            bail!(
                "this node is a broker only, and never had a vote: take one of the controllers, or begin with a new one"
            )
        }
        Some(_) => {}
    }
    if LogDirs::cluster_id(&config.log_dirs, config.broker_id)?.is_none() {
        bail!("no log directory says to which cluster this node belongs: it has never been started");
    }
    // Locked meanwhile: the node cannot start, and if it runs this is refused.
    let (_dirs, cluster_id) = LogDirs::open(&config.log_dirs, config.broker_id)?;
    let dir = metadata_dir(&config);
    let is_dynamic = config.quorum.as_ref().is_some_and(|quorum| quorum.is_dynamic);
    let config = Arc::new(config);
    let mut salvage = Salvage::read(&dir, Image::empty(&cluster_id, config))?;
    let known = &salvage.image.cluster_id;
    if **known != *cluster_id {
        bail!(
            "the metadata in {} are those of cluster {known}, and the log directories belong to {cluster_id}",
            dir.display()
        );
    }
    print!("{}", told(&cluster_id, &salvage));
    if !accept_loss {
        eprintln!(
            "Nothing was changed. What only the lost nodes had would be lost, and they must never start with their old \
             disks again: together they would go on as another quorum. Where several nodes are left, take the one whose \
             last entry is the greatest: the others join it with empty directories, so what only they have is lost too. To \
             do it, say --accept-loss."
        );
        return Ok(exit::usage());
    }
    salvage.step_over();
    salvage.fence_others();
    let aside = salvage
        .make_single()
        .context("put the metadata in the quorum's place")?;
    println!(
        "This node has them alone now; the quorum's files are in {}. Start it: {}",
        aside.display(),
        match is_dynamic {
            true => "others are added to it (add-controller) once they come with empty log directories, and name it.",
            false => "the other nodes of controller.quorum.voters join it once they come with empty log directories.",
        }
    );
    Ok(ExitCode::SUCCESS)
}

fn told(cluster_id: &str, salvage: &Salvage) -> String {
    let image = &salvage.image;
    let partitions: usize = image.topics.values().map(|topic| topic.partitions.len()).sum();
    let brokers: Vec<String> = image.brokers.keys().map(|id| id.0.to_string()).collect();
    let (term, last) = salvage.last();
    format!(
        "Metadata of cluster {cluster_id} up to commit {}, the last entry {last} of term {term}: {} topics, {partitions} \
         partitions, brokers {}\n",
        image.epoch.0,
        image.topics.len(),
        brokers.join(", ")
    )
}
