//! What the machine must offer, checked before anything is opened: refuses with the cause and the cure, warns where the
//! broker can live with less. What would only be better is `tuning`'s: a warning each, never a refusal.

use std::path::Path;

use anyhow::{Context, bail};
use tracing::warn;

use crate::config::BrokerConfig;
use crate::rt::{Cores, host};
use crate::tuning::{self, Finding, Profile};

/// What the checks decided.
#[derive(Debug)]
pub struct Preflight {
    /// Registered I/O memory per shard, in bytes: what the configuration asks for, or what the limit leaves.
    pub io_memory_bytes: usize,
    /// What this machine is set to.
    pub findings: Vec<Finding>,
}

/// Locked memory that an executor cannot do without, in bytes: below it glommio does not start.
const MEMLOCK_PER_SHARD_BYTES: u64 = 512 << 10;
/// Each executor registers its I/O memory with three rings.
const REGISTRATIONS_PER_SHARD: u64 = 3;
/// Descriptors that a broker with few partitions and connections needs.
const NOFILE_MIN: u64 = 1_024;

/// Checks this machine for a broker of `shards` shards.
pub fn check(config: &BrokerConfig, shards: usize) -> anyhow::Result<Preflight> {
    topology()?;
    // Before io_uring, which on older kernels would only say that memory is short.
    let io_memory_bytes = locked_memory(config, shards as u64)?;
    io_uring()?;
    descriptors(config)?;
    config.log_dirs.iter().try_for_each(|dir| log_dir(config, dir))?;
    if !config.log_dir_volatile {
        lasting(&config.metadata_log_dir)?;
    }
    let findings = advice(config);
    for finding in findings.iter().filter(|finding| finding.is_wrong()) {
        warn!("{}", said(finding));
    }
    Ok(Preflight {
        io_memory_bytes,
        findings,
    })
}

/// Checks this machine for a node that is a controller only.
pub fn check_controller(config: &BrokerConfig) -> anyhow::Result<()> {
    descriptors(config)?;
    match config.log_dir_volatile {
        true => Ok(()),
        false => lasting(&config.metadata_log_dir),
    }
}

/// The cores of the shards, one each: of `shard.cpus` or those that this process may use; as many as `shard.count` says.
pub fn cores_of_shards(config: &BrokerConfig) -> Vec<usize> {
    let cores = config.shard_cpus.clone().unwrap_or_else(|| Cores::available().ids);
    let shards = config.shard_count.unwrap_or(cores.len()).max(1);
    cores.iter().copied().cycle().take(shards).collect()
}

/// What this machine is set to, by the profile of the configuration; nothing for "none". Locked memory is left out: it is
/// checked here, against what this broker takes.
pub fn advice(config: &BrokerConfig) -> Vec<Finding> {
    let is_own = |host: &str| matches!(host, "127.0.0.1" | "localhost" | "::1");
    let profile = match config.tuning_profile.as_str() {
        "none" => return Vec::new(),
        "auto" => {
            let mut hosts = config.listeners.iter().map(|listener| listener.host.as_str());
            Profile::guessed(!config.listeners.is_empty() && hosts.all(is_own))
        }
        name => Profile::named(name).unwrap_or(Profile::Prod),
    };
    let mut findings = tuning::check(profile, &config.log_dirs);
    findings.retain(|finding| finding.knob.path != "memlock");
    findings
}

/// What is wrong, and what to do, in a sentence.
pub fn said(finding: &Finding) -> String {
    let Finding {
        id,
        current,
        wanted,
        knob,
        ..
    } = finding;
    format!(
        "{id} of this machine is {current}, better {wanted}: {}; {}",
        knob.why,
        finding.cure()
    )
}

/// The executor reads the processors' layout from /sys, which a chroot may lack.
fn topology() -> anyhow::Result<()> {
    const CPUS: &str = "/sys/devices/system/cpu/online";
    if !host::exists(Path::new(CPUS)) {
        bail!("{CPUS} is not there: mount /sys (read-only will do)");
    }
    Ok(())
}

pub fn io_uring() -> anyhow::Result<()> {
    host::io_uring().context("io_uring is needed")
}

/// How much registered I/O memory per shard the limit of locked memory leaves, in bytes.
pub fn locked_memory(config: &BrokerConfig, shards: u64) -> anyhow::Result<usize> {
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

/// Raises the limit of open files as far as it goes.
pub fn descriptors(config: &BrokerConfig) -> anyhow::Result<()> {
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

/// Whether a log can be written in a directory. What will be there is asked of what is there already: a refused start makes
/// no directory.
pub fn log_dir(config: &BrokerConfig, dir: &Path) -> anyhow::Result<()> {
    if !config.log_dir_volatile {
        lasting(dir)?;
    }
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
