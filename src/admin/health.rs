//! /livez and /readyz: a table of checks, each with its reason.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use axum::extract::{Query, State};
use axum::http::StatusCode;

use super::Sources;
use crate::metrics::Metric;

/// Where the process stands in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Phase {
    Starting,
    /// The shards have been started; their logs may still be recovering.
    Running,
    Stopping,
}

/// Ok and Err alike say why.
type Outcome = Result<String, String>;
type Check = (&'static str, fn(&Sources) -> Outcome);

/// What must hold before clients are sent here.
const READY: &[Check] = &[
    ("phase", phase),
    ("metadata", metadata),
    ("shards", shards),
    ("recovery", recovery),
    ("log-directories", log_directories),
];

impl Sources {
    pub fn set_phase(&self, phase: Phase) {
        self.phase.store(phase as u8, Ordering::Release);
    }

    pub fn phase(&self) -> Phase {
        match self.phase.load(Ordering::Acquire) {
            0 => Phase::Starting,
            1 => Phase::Running,
            _ => Phase::Stopping,
        }
    }

    pub fn is_ready(&self) -> bool {
        READY.iter().all(|(_, check)| check(self).is_ok())
    }

    /// The first check that fails, in a sentence; `None` when the broker is ready.
    pub(super) fn not_ready_because(&self) -> Option<String> {
        let failed = |(name, check): &Check| Some(format!("{name}: {}", check(self).err()?));
        READY.iter().find_map(failed)
    }
}

pub async fn livez(State(sources): State<Arc<Sources>>) -> (StatusCode, String) {
    match sources.pulse.standing().as_slice() {
        [] => (StatusCode::OK, "ok\n".to_string()),
        standing => (
            StatusCode::SERVICE_UNAVAILABLE,
            format!("shards that stand still: {standing:?}\n"),
        ),
    }
}

pub async fn readyz(
    State(sources): State<Arc<Sources>>,
    Query(query): Query<HashMap<String, String>>,
) -> (StatusCode, String) {
    let outcomes: Vec<(&str, Outcome)> = READY.iter().map(|(name, check)| (*name, check(&sources))).collect();
    let is_ready = outcomes.iter().all(|(_, outcome)| outcome.is_ok());
    let (code, verdict) = match is_ready {
        true => (StatusCode::OK, "ok\n"),
        false => (StatusCode::SERVICE_UNAVAILABLE, "not ready\n"),
    };
    let shown = |(name, outcome): &(&str, Outcome)| match outcome {
        Ok(detail) => format!("[+] {name}: {detail}\n"),
        Err(reason) => format!("[-] {name}: {reason}\n"),
    };
    let mut text = String::new();
    if query.contains_key("verbose") || !is_ready {
        text.extend(outcomes.iter().map(shown));
    }
    (code, text + verdict)
}

fn phase(sources: &Sources) -> Outcome {
    match sources.phase() {
        Phase::Starting => Err("starting".to_string()),
        Phase::Running => Ok("running".to_string()),
        Phase::Stopping => Err("stopping".to_string()),
    }
}

/// The broker is registered, and its leaderships are not somebody else's. A controller only knows who leads the quorum.
fn metadata(sources: &Sources) -> Outcome {
    if let Some(why) = sources.registry.control().waiting() {
        return Err(why);
    }
    let image = sources.image().ok_or("being recovered")?;
    if !sources.is_broker() {
        let leader = image.controller.filter(|_| sources.is_heard());
        let leader = leader.ok_or("the controller does not answer, or no majority hears it")?;
        return Ok(format!("node {} is the controller, epoch {}", leader.0, image.epoch.0));
    }
    match image.brokers.get(&sources.me()) {
        None => Err("this broker is not registered yet".to_string()),
        Some(broker) if broker.fenced => Err("this broker is fenced".to_string()),
        Some(_) if !sources.is_heard() => Err("the controller does not answer, or no majority hears it".to_string()),
        Some(_) => Ok(format!("registered, epoch {}", image.epoch.0)),
    }
}

fn shards(sources: &Sources) -> Outcome {
    if !sources.pulse.has_begun() {
        return Err("not all have begun".to_string());
    }
    match sources.pulse.standing().as_slice() {
        [] => Ok(format!("{} turning", sources.registry.shards().len())),
        standing => Err(format!("shards that stand still: {standing:?}")),
    }
}

/// Logs that come later, with new topics, are not waited for.
fn recovery(sources: &Sources) -> Outcome {
    let opening = sources.registry.total(Metric::PartitionsOpening);
    let all = sources.registry.total(Metric::Partitions);
    if sources.recovered.load(Ordering::Relaxed) {
        return Ok(format!("{} of {all} partitions open", all - opening));
    }
    if !sources.pulse.has_begun() {
        return Err("not begun".to_string());
    }
    if opening > 0 {
        return Err(format!("{} of {all} partitions open", all - opening));
    }
    sources.recovered.store(true, Ordering::Relaxed);
    Ok(format!("{all} of {all} partitions open"))
}

/// One that serves is enough: the others' partitions are reported elsewhere.
fn log_directories(sources: &Sources) -> Outcome {
    let dirs = &sources.dirs.get().ok_or("not open yet")?.dirs;
    let online = dirs.iter().filter(|dir| !dir.is_offline()).count();
    let text = format!("{online} of {} online", dirs.len());
    if online > 0 { Ok(text) } else { Err(text) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::testing;

    /// Not ready before the shards have begun and their logs are open, nor while stopping; a later topic changes nothing.
    #[test]
    fn ready_from_recovery_to_stop() {
        let (sources, beats) = testing::sources(&[("a", 2)]);
        assert!(!sources.is_ready());
        sources.set_phase(Phase::Running);
        let reason = |sources: &Sources| sources.not_ready_because().unwrap_or_default();
        assert!(reason(&sources).starts_with("shards: "), "{}", reason(&sources));
        let cells = sources.registry.shard(0);
        cells.set(Metric::Partitions, 2);
        cells.set(Metric::PartitionsOpening, 1);
        beats[0].store(1, Ordering::Relaxed);
        assert_eq!(reason(&sources), "recovery: 1 of 2 partitions open");
        cells.set(Metric::PartitionsOpening, 0);
        assert!(sources.is_ready());
        cells.set(Metric::PartitionsOpening, 5);
        assert!(sources.is_ready());
        sources.set_phase(Phase::Stopping);
        assert_eq!(reason(&sources), "phase: stopping");
    }

    /// A log directory that fails takes readiness with it only when it was the last one.
    #[test]
    fn one_log_directory_is_enough() {
        let (sources, _) = testing::sources(&[]);
        let dirs = &sources.dirs.get().expect("set").dirs;
        assert_eq!(log_directories(&sources), Ok("1 of 1 online".to_string()));
        dirs[0].set_offline("a test");
        assert_eq!(log_directories(&sources), Err("0 of 1 online".to_string()));
    }
}
