//! Logs: one event per line on the standard error, human on a terminal, JSON otherwise, unless told; and the levels that
//! decide which events.
//!
//! The levels are those of the configuration, and over them what was set at run time: each for its time, or for as long as the
//! process lives. Nobody else has a hand on the filter.

mod levels;

use std::collections::BTreeMap;
use std::io::{IsTerminal, stderr};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Registry, fmt, reload};

use crate::rt::{self, Instant};

pub use levels::{LEVELS, Level, Levels, ROOMS, ROOT, Setting, is_logger, logger_name};

/// Goes over log.level: what tracing's tools call a filter, as in "info,corelane.storage=debug".
const VARIABLE: &str = "CORELANE_LOG";
/// `text` or `json`, where the terminal is not to decide.
const FORMAT: &str = "CORELANE_LOG_FORMAT";

/// One of a process, as its logs are.
static LOG: Mutex<Log> = Mutex::new(Log::new());

struct Log {
    levels: Layered,
    filter: Option<reload::Handle<Targets, Registry>>,
    /// The environment decides, whatever the file says.
    is_fixed: bool,
}

/// What is configured, and what was set over it.
#[derive(Debug)]
struct Layered {
    configured: Levels,
    set: BTreeMap<String, Set>,
}

#[derive(Clone, Copy, Debug)]
struct Set {
    level: Level,
    until: Option<Instant>,
}

/// A logger as others see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Logger {
    pub name: String,
    pub level: Level,
    /// Set at run time, not by the configuration.
    pub is_set: bool,
    /// Until it returns to what is configured.
    pub left: Option<Duration>,
}

/// Starts the process's logs, at the level of the environment or at info.
pub fn start() {
    let asked = std::env::var(VARIABLE).ok().map(|text| text.parse::<Levels>());
    let mut log = lock();
    if let Some(Ok(levels)) = &asked {
        log.levels.configured = levels.clone();
        log.is_fixed = true;
    }
    let (filter, handle) = reload::Layer::new(log.levels.effective().targets());
    let lines = fmt::layer().with_writer(stderr);
    let registry = tracing_subscriber::registry().with(filter);
    // Only a second start in one process can fail; the first one then goes on logging.
    let on_terminal = stderr().is_terminal();
    let is_text = match std::env::var(FORMAT).as_deref() {
        Ok("text") => true,
        Ok("json") => false,
        Ok(_) | Err(_) => on_terminal,
    };
    let started = match is_text {
        true => registry
            .with(lines.with_target(false).with_ansi(on_terminal))
            .try_init(),
        false => registry.with(lines.json()).try_init(),
    };
    log.filter = started.is_ok().then_some(handle);
    drop(log);
    if let Some(Err(problem)) = asked {
        tracing::warn!("{VARIABLE} in the environment is ignored: {problem}");
    }
}

/// Takes the levels of the configuration. What was set at run time stays over them.
pub fn configure(levels: &Levels) {
    let mut log = lock();
    if !log.is_fixed {
        log.levels.configured = levels.clone();
        log.apply();
    }
}

/// Sets loggers, or (`None`) returns them to what is configured. Their names are checked by [`is_logger`].
pub fn set(changes: Vec<(String, Option<Setting>)>) {
    let now = rt::now();
    let mut log = lock();
    for (name, setting) in &changes {
        log.levels.set(name, setting.as_ref(), now);
    }
    log.apply();
    drop(log);
    for (logger, setting) in changes {
        match setting {
            Some(Setting { level, time: None }) => tracing::warn!(logger, level = level.word(), "log level set"),
            Some(Setting {
                level,
                time: Some(time),
            }) => {
                tracing::warn!(
                    logger,
                    level = level.word(),
                    seconds = time.as_secs(),
                    "log level set for a time"
                );
            }
            None => tracing::warn!(logger, "log level as configured again"),
        }
    }
}

/// Every logger with its level: the root, the program, its rooms, and what else was named.
pub fn loggers() -> Vec<Logger> {
    lock().levels.loggers(rt::now())
}

/// Returns those loggers whose time is over to what is configured. To be called about once a second.
pub fn expire() {
    let mut log = lock();
    let over = log.levels.expire(rt::now());
    if over.is_empty() {
        return;
    }
    log.apply();
    drop(log);
    for logger in over {
        tracing::warn!(logger, "log level as configured again: its time is over");
    }
}

/// Each change is whole before the lock is given up.
fn lock() -> MutexGuard<'static, Log> {
    LOG.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Log {
    const fn new() -> Log {
        Log {
            levels: Layered {
                configured: Levels::info(),
                set: BTreeMap::new(),
            },
            filter: None,
            is_fixed: false,
        }
    }

    fn apply(&self) {
        // Without a subscriber there is nothing to filter.
        if let Some(filter) = &self.filter {
            let _ = filter.reload(self.levels.effective().targets());
        }
    }
}

impl Layered {
    fn set(&mut self, name: &str, setting: Option<&Setting>, now: Instant) {
        match setting {
            Some(Setting { level, time }) => {
                let until = time.map(|time| now.after(time));
                self.set.insert(name.to_owned(), Set { level: *level, until });
            }
            None => drop(self.set.remove(name)),
        }
    }

    fn expire(&mut self, now: Instant) -> Vec<String> {
        let is_over = |_: &String, set: &mut Set| set.until.is_some_and(|until| until <= now);
        self.set.extract_if(.., is_over).map(|(name, _)| name).collect()
    }

    fn effective(&self) -> Levels {
        let set = self.set.iter().map(|(name, set)| (name.as_str(), set.level));
        set.fold(self.configured.clone(), |levels, (name, level)| {
            levels.with(name, level)
        })
    }

    fn loggers(&self, now: Instant) -> Vec<Logger> {
        let effective = self.effective();
        let logger = |name: &str| {
            let set = self.set.get(name);
            Logger {
                name: name.to_owned(),
                level: effective.of(name),
                is_set: set.is_some(),
                left: set.and_then(|set| Some(set.until?.since(now))),
            }
        };
        effective.names().into_iter().map(logger).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn setting(text: &str) -> Setting {
        text.parse().expect("a setting")
    }

    fn level(levels: &Layered, name: &str) -> Level {
        levels.effective().of(name)
    }

    /// What was set stands over what is configured, through a change of that too, until its time is over or it is taken back.
    #[test]
    fn a_level_that_was_set_returns_to_the_configured_one() {
        let mut levels = Layered {
            configured: "warn,corelane.group=info".parse().expect("levels"),
            set: BTreeMap::new(),
        };
        levels.set("corelane.storage", Some(&setting("debug for 10s")), Instant(0));
        levels.set("corelane.group", Some(&setting("TRACE")), Instant(0));
        assert_eq!(level(&levels, "corelane.storage"), Level::Debug);
        levels.configured = "error".parse().expect("levels");
        assert_eq!(level(&levels, "corelane.storage"), Level::Debug);
        assert_eq!(level(&levels, ROOT), Level::Error);

        assert!(levels.expire(Instant(10 * SECOND - 1)).is_empty());
        assert_eq!(levels.expire(Instant(10 * SECOND)), ["corelane.storage"]);
        assert_eq!(level(&levels, "corelane.storage"), Level::Error);
        assert!(levels.expire(Instant(u64::MAX)).is_empty(), "one without a time stays");
        assert_eq!(level(&levels, "corelane.group"), Level::Trace);
        levels.set("corelane.group", None, Instant(0));
        assert_eq!(level(&levels, "corelane.group"), Level::Error);
    }

    /// A logger says whether and for how long it was set; a file's logger is listed once it was named.
    #[test]
    fn loggers_say_what_was_set() {
        let mut levels = Layered {
            configured: Levels::info(),
            set: BTreeMap::new(),
        };
        levels.set("corelane.storage.log", Some(&setting("DEBUG for 1m")), Instant(0));
        let loggers = levels.loggers(Instant(20 * SECOND));
        let of = |name: &str| loggers.iter().find(|logger| logger.name == name).expect("listed");
        let log = of("corelane.storage.log");
        assert_eq!((log.level, log.is_set), (Level::Debug, true));
        assert_eq!(log.left, Some(Duration::from_secs(40)));
        assert_eq!(
            (of("corelane.storage").level, of("corelane.storage").is_set),
            (Level::Info, false)
        );
        assert_eq!(loggers.len(), ROOMS.len() + 3);
    }
}
