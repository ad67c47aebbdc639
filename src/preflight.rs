//! What the machine must offer, checked before anything is opened: refuses with the cause and the cure, warns where the
//! broker can live with less.

use std::path::Path;

use anyhow::{Context, bail};
use tracing::warn;

use crate::config::BrokerConfig;
use crate::rt::host;

/// What the checks decided.
#[derive(Debug)]
pub struct Preflight {
    /// Registered I/O memory per shard, in bytes: what the configuration asks for, or what the limit leaves.
    pub io_memory_bytes: usize,
}

/// Locked memory that an executor cannot do without, in bytes: below it glommio does not start.
const MEMLOCK_PER_SHARD_BYTES: u64 = 512 << 10;
/// Each executor registers its I/O memory with three rings.
const REGISTRATIONS_PER_SHARD: u64 = 3;
/// Descriptors that a broker with few partitions and connections needs.
const NOFILE_MIN: u64 = 1_024;

/// Checks this machine for a broker of `shards` shards.
pub fn check(config: &BrokerConfig, shards: usize) -> anyhow::Result<Preflight> {
    host::io_uring().context("io_uring is needed")?;
    let io_memory_bytes = locked_memory(config, shards as u64)?;
    descriptors(config)?;
    if !config.log_dir_volatile {
        let metadata = std::iter::once(&config.metadata_log_dir);
        config
            .log_dirs
            .iter()
            .chain(metadata)
            .try_for_each(|dir| lasting(dir))?;
    }
    config.log_dirs.iter().try_for_each(|dir| log_dir(dir))?;
    Ok(Preflight { io_memory_bytes })
}

fn locked_memory(config: &BrokerConfig, shards: u64) -> anyhow::Result<usize> {
    let Some(limit) = host::memlock_limit().context("ask for the limit of locked memory")? else {
        return Ok(config.shard_io_memory_bytes);
    };
    if limit < MEMLOCK_PER_SHARD_BYTES * shards {
        bail!(
            "the limit of locked memory is {limit} bytes, and {shards} shards need {}: raise it (LimitMEMLOCK=infinity \
             in the unit, `ulimit -l unlimited` in a shell), or set shard.count lower",
            MEMLOCK_PER_SHARD_BYTES * shards
        );
    }
    let left = (limit / shards - MEMLOCK_PER_SHARD_BYTES) / REGISTRATIONS_PER_SHARD;
    let fits = usize::try_from(left)
        .unwrap_or(usize::MAX)
        .min(config.shard_io_memory_bytes);
    if fits < config.shard_io_memory_bytes {
        warn!(
            limit_bytes = limit,
            wanted_bytes = config.shard_io_memory_bytes,
            used_bytes = fits,
            "the limit of locked memory leaves less registered I/O memory than shard.io.memory.bytes asks for; \
             LimitMEMLOCK=infinity lifts it"
        );
    }
    Ok(fits)
}

fn descriptors(config: &BrokerConfig) -> anyhow::Result<()> {
    let limit = host::raise_nofile().context("raise the limit of open files")?;
    if limit.now < NOFILE_MIN {
        bail!(
            "the limit of open files is {}: raise it to at least {NOFILE_MIN} (LimitNOFILE, ulimit -n)",
            limit.now
        );
    }
    let connections = u64::try_from(config.max_connections).unwrap_or_default();
    if connections < i32::MAX as u64 && limit.now < connections + NOFILE_MIN {
        warn!(
            limit = limit.now,
            max_connections = connections,
            "the limit of open files is below max.connections and what the logs need; raise LimitNOFILE"
        );
    }
    Ok(())
}

/// What will be at `dir` is asked of what is there already: a refused start makes no directory.
fn log_dir(dir: &Path) -> anyhow::Result<()> {
    let shown = dir.display();
    let there = host::nearest_existing(dir);
    let writable = host::is_writable(&there).with_context(|| format!("look at the log directory {shown}"))?;
    if !writable && there == dir {
        bail!("the log directory {shown} is not writable for this user: change its owner or mode");
    }
    if !writable {
        bail!(
            "the log directory {shown} cannot be created, since {} is not writable for this user: create it, with this \
             user as its owner",
            there.display()
        );
    }
    let direct = host::direct_io(&there).with_context(|| {
        format!(
            "direct I/O does not work in the log directory {shown}: tmpfs, overlay and some network file systems cannot \
             do it; put log.dirs on XFS or ext4"
        )
    })?;
    if !direct.fits() {
        bail!(
            "direct I/O in the log directory {shown} needs blocks of {} bytes, and this broker writes blocks of {}: \
             use a file system with smaller blocks",
            direct.offset_align.max(direct.memory_align),
            crate::rt::ALIGN
        );
    }
    Ok(())
}

/// Kernels from 6.6 on do direct I/O on tmpfs, so that alone does not tell.
fn lasting(dir: &Path) -> anyhow::Result<()> {
    let shown = dir.display();
    let there = host::nearest_existing(dir);
    if host::is_in_memory(&there).with_context(|| format!("look at the file system of {shown}"))? {
        bail!(
            "the log directory {shown} lies on a file system in memory (tmpfs or ramfs), and a reboot loses it: put \
             log.dirs on XFS or ext4, or set log.dir.volatile.enable=true if that is what you want"
        );
    }
    Ok(())
}
