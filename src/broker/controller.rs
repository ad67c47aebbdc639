//! A node that is a controller only: it keeps the cluster's metadata with others and decides, and holds no partitions.

use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context;
use tracing::{info, warn};

use super::{Reread, form, metadata_dir, metadata_directory, serve_signals, start_admin, strays};
use crate::admin::{self, Phase, Sources};
use crate::config::BrokerConfig;
use crate::logging;
use crate::metadata::{self, ControlOptions, Published};
use crate::preflight;
use crate::rt;
use crate::storage::{LogDirs, count_partition_dirs};

/// Runs it until it is told to stop.
pub fn run(config: BrokerConfig, reread: Reread) -> anyhow::Result<ExitCode> {
    let began = rt::now();
    let signals = rt::signals().context("catch signals")?;
    preflight::check_controller(&config)?;
    note_partitions(&config)?;
    let config = Arc::new(config);
    let sources = start_admin(&config, 0)?;
    let metadata_dir = metadata_dir(&config);
    strays::refuse_lost_metadata(&config.log_dirs, &metadata_dir, true)?;
    let formed = form(&config, &metadata_dir)?;
    let known = formed.as_ref().map(|formed| formed.cluster_id.clone());
    let (dirs, cluster_id) = LogDirs::open_in_cluster(&config.log_dirs, config.broker_id, known)?;
    let (dirs, min_free) = (Arc::new(dirs), config.log_dir_min_free_bytes);
    dirs.check_space(min_free);
    // Set once, here.
    let _ = sources.dirs.set(dirs.clone());
    let options = ControlOptions {
        formed,
        directory: metadata_directory(&config, &dirs, &cluster_id)?,
        cells: sources.registry.control().clone(),
        every: vec![
            (super::LOG_LEVEL_CHECK_INTERVAL, Box::new(logging::expire)),
            (
                super::SPACE_CHECK_INTERVAL,
                Box::new(move || dirs.check_space(min_free)),
            ),
        ],
        ..ControlOptions::new(config.clone(), cluster_id, metadata_dir, Vec::new())
    };
    let (metadata, image) = metadata::start(options, vec![shown_in(sources.clone())])?;
    sources.show(image);
    let _ = sources.metadata.set(metadata.clone());
    let mut signals = signals.begin();
    sources.set_phase(Phase::Running);
    let took_ms = rt::now().since(began).as_millis() as u64;
    info!(controller = config.broker_id, took_ms, "started");

    let stopped = metadata.clone();
    let supervisor = rt::run_control("corelane-main", move || async move {
        serve_signals(&mut signals, &stopped, &sources, &reread).await;
        info!("stopping");
        admin::stopping(&sources);
        stopped.stop();
    });
    // A panic on any thread has ended the process before it could be joined.
    let _ = supervisor.context("start the main thread")?.join();
    metadata.join();
    info!("stopped");
    Ok(ExitCode::SUCCESS)
}

/// It was a broker as well once.
fn note_partitions(config: &BrokerConfig) -> anyhow::Result<()> {
    for dir in &config.log_dirs {
        let shown = dir.display();
        let partitions = count_partition_dirs(dir).with_context(|| format!("read the directory {shown}"))?;
        if partitions > 0 {
            warn!(
                "{partitions} partition directories lie in {shown}, and process.roles=controller serves none: move their replicas \
                 to brokers (kafka-reassign-partitions.sh) while this node is one, and unregister it as a broker afterwards"
            );
        }
    }
    Ok(())
}

/// The first image may have been followed by others before it is shown here.
fn shown_in(sources: Arc<Sources>) -> Box<dyn Fn(Published) + Send> {
    Box::new(move |published| sources.show(published.image))
}
