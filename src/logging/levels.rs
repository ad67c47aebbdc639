//! Levels of loggers, as text and as a filter.

use std::collections::BTreeMap;
use std::str::FromStr;
use std::sync::LazyLock;
use std::time::Duration;

use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;

/// The logger of everything for which no other one is named.
pub const ROOT: &str = "root";
/// The logger of the program without the libraries that it is made of.
const PROGRAM: &str = "corelane";
/// Libraries whose remarks are for their own developers: they are heard when they are named, or everything is at TRACE.
const QUIET: &[&str] = &["openraft"];
/// The program's rooms, a logger each, as the map names them. The loggers of their files go on from there:
/// `corelane.storage.log`.
pub static ROOMS: LazyLock<Vec<String>> = LazyLock::new(|| MAP.lines().filter_map(room).collect());

const MAP: &str = include_str!("../lib.rs");

fn room(line: &str) -> Option<String> {
    let name = line.strip_prefix("pub mod ")?.strip_suffix(';')?;
    Some(format!("{PROGRAM}.{name}"))
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    Off,
    Error,
    Warn,
    Info,
    Debug,
    Trace,
}

/// (as Kafka writes it, the level). FATAL is a word of Kafka's; nothing here is worse than an error.
const WORDS: &[(&str, Level, LevelFilter)] = &[
    ("OFF", Level::Off, LevelFilter::OFF),
    ("ERROR", Level::Error, LevelFilter::ERROR),
    ("WARN", Level::Warn, LevelFilter::WARN),
    ("INFO", Level::Info, LevelFilter::INFO),
    ("DEBUG", Level::Debug, LevelFilter::DEBUG),
    ("TRACE", Level::Trace, LevelFilter::TRACE),
    ("FATAL", Level::Error, LevelFilter::ERROR),
];
/// What may be written, for those who wrote something else.
pub const LEVELS: &str = "OFF, FATAL, ERROR, WARN, INFO, DEBUG, TRACE";

/// (behind the number, seconds).
const UNITS: &[(char, u64)] = &[('s', 1), ('m', 60), ('h', 3_600), ('d', 86_400)];

/// A level for everything, and others for some loggers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Levels {
    root: Level,
    others: BTreeMap<String, Level>,
}

/// A level that is to be set, for a time or for good: `DEBUG`, `DEBUG for 10m`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Setting {
    pub level: Level,
    pub time: Option<Duration>,
}

/// A logger's name, also where it is written as the module that logs: `corelane::storage`. Kafka's tools take no colon.
pub fn logger_name(written: &str) -> String {
    written.trim().replace("::", ".")
}

/// Whether there is such a logger: the root, the program, a room of it or something in a room.
pub fn is_logger(name: &str) -> bool {
    let is_path = |path: &str| {
        let letters = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
        path.split('.').all(letters)
    };
    let is_room = |room: &String| holds(room, name);
    name == ROOT || name == PROGRAM || (ROOMS.iter().any(is_room) && is_path(name))
}

/// Whether `name` is `logger` or below it.
fn holds(logger: &str, name: &str) -> bool {
    let rest = name.strip_prefix(logger);
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

impl Level {
    pub fn word(self) -> &'static str {
        WORDS.iter().find(|row| row.1 == self).map_or("INFO", |row| row.0)
    }

    fn filter(self) -> LevelFilter {
        WORDS
            .iter()
            .find(|row| row.1 == self)
            .map_or(LevelFilter::INFO, |row| row.2)
    }
}

impl FromStr for Level {
    type Err = String;

    fn from_str(text: &str) -> Result<Level, String> {
        let row = WORDS.iter().find(|row| row.0.eq_ignore_ascii_case(text.trim()));
        row.map(|row| row.1)
            .ok_or_else(|| format!("{text:?} is no level: write one of {LEVELS}"))
    }
}

impl FromStr for Setting {
    type Err = String;

    fn from_str(text: &str) -> Result<Setting, String> {
        let (level, time) = match text.trim().split_once(char::is_whitespace) {
            Some((level, rest)) => (level, Some(rest.trim())),
            None => (text, None),
        };
        let level: Level = level.parse()?;
        let time = time.map(|time| {
            let wrong = || format!("{time:?} is no time: write it as in \"{} for 10m\"", level.word());
            time.strip_prefix("for").and_then(duration).ok_or_else(wrong)
        });
        let time = time.transpose()?;
        Ok(Setting { level, time })
    }
}

/// `90s`, `10m`, `2h`, `1d`; never nothing.
fn duration(text: &str) -> Option<Duration> {
    let text = text.trim();
    let unit = text.chars().next_back()?;
    let (_, seconds) = UNITS.iter().find(|row| row.0 == unit)?;
    let count: u64 = text.strip_suffix(unit)?.trim().parse().ok()?;
    let seconds = count.checked_mul(*seconds).filter(|seconds| *seconds > 0)?;
    Some(Duration::from_secs(seconds))
}

impl FromStr for Levels {
    type Err = String;

    fn from_str(text: &str) -> Result<Levels, String> {
        let pieces = text.split(',').map(str::trim).filter(|piece| !piece.is_empty());
        let mut levels = Levels::info();
        for piece in pieces {
            match piece.split_once('=') {
                Some((name, level)) => drop(levels.others.insert(logger_name(name), level.parse()?)),
                None => levels.root = piece.parse()?,
            }
        }
        Ok(levels)
    }
}

impl Levels {
    pub const fn info() -> Levels {
        Levels {
            root: Level::Info,
            others: BTreeMap::new(),
        }
    }

    pub(super) fn with(mut self, name: &str, level: Level) -> Levels {
        match name {
            ROOT => self.root = level,
            name => drop(self.others.insert(name.to_owned(), level)),
        }
        self
    }

    /// The level of the nearest logger above, or its own.
    pub(super) fn of(&self, name: &str) -> Level {
        let above = self.others.iter().filter(|(logger, _)| holds(logger, name));
        above
            .max_by_key(|(logger, _)| logger.len())
            .map_or(self.root, |(_, level)| *level)
    }

    /// Every logger that has a name of its own, the root first.
    pub(super) fn names(&self) -> Vec<&str> {
        let known = [PROGRAM].into_iter().chain(ROOMS.iter().map(String::as_str));
        let others = self.others.keys().map(String::as_str);
        let mut names: Vec<&str> = known.chain(others).collect();
        names.sort_unstable();
        names.dedup();
        names.insert(0, ROOT);
        names
    }

    /// A filter's names are beginnings of others, so each room stands there: `corelane.cli` would be `corelane.client` too.
    pub(super) fn targets(&self) -> Targets {
        let named = self.names().into_iter().filter(|name| *name != ROOT);
        let targets = named.map(|name| (name.replace('.', "::"), self.of(name).filter()));
        let is_wanted = |name: &str| self.others.contains_key(name) || self.root == Level::Trace;
        let is_quiet = |name: &&&str| self.root > Level::Error && !is_wanted(name);
        let quiet = QUIET.iter().filter(is_quiet).map(|name| (*name, Level::Error.filter()));
        Targets::new()
            .with_default(self.root.filter())
            .with_targets(quiet)
            .with_targets(targets)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn levels(text: &str) -> Levels {
        text.parse().unwrap_or_else(|problem| panic!("{text}: {problem}"))
    }

    /// The nearest logger above decides; a name that only begins alike is none.
    #[test]
    fn the_nearest_logger_decides() {
        let levels = levels("warn, corelane=info,corelane.cli=trace ,corelane::storage::log=Debug");
        let of = |name| levels.of(name);
        assert_eq!([of(ROOT), of("hyper.proto")], [Level::Warn; 2]);
        assert_eq!([of("corelane.client"), of("corelane.storage")], [Level::Info; 2]);
        assert_eq!(of("corelane.storage.log.work"), Level::Debug);
        assert_eq!(of("corelane.cli.start"), Level::Trace);
        let targets = levels.targets();
        let enabled = |target, level| targets.would_enable(target, &level);
        assert!(enabled("corelane::cli::start", tracing::Level::TRACE));
        assert!(!enabled("corelane::client::cluster", tracing::Level::DEBUG));
        assert!(enabled("corelane::client::cluster", tracing::Level::INFO));
        assert!(!enabled("hyper::proto", tracing::Level::INFO) && enabled("hyper", tracing::Level::WARN));
    }

    /// What a library says to its own developers is heard when it is asked for.
    #[test]
    fn a_quiet_library_is_heard_when_it_is_named() {
        let hears = |text: &str| {
            levels(text)
                .targets()
                .would_enable("openraft::core", &tracing::Level::INFO)
        };
        assert_eq!(
            [
                hears("info"),
                hears("warn"),
                hears("info,openraft=info"),
                hears("debug"),
                hears("trace"),
            ],
            [false, false, true, false, true]
        );
    }

    #[test]
    fn what_is_no_level_is_refused() {
        for wrong in ["verbose", "info,corelane=", "corelane=loud", "info;debug"] {
            assert!(wrong.parse::<Levels>().is_err(), "{wrong}");
        }
        assert_eq!(levels(""), Levels::info());
        assert_eq!("FATAL".parse(), Ok(Level::Error));
    }

    #[test]
    fn a_setting_is_a_level_and_perhaps_a_time() {
        let time = |text: &str| {
            text.parse::<Setting>()
                .map(|setting| setting.time.map(|time| time.as_secs()))
        };
        assert_eq!(time("DEBUG"), Ok(None));
        assert_eq!(time("debug for 90s"), Ok(Some(90)));
        assert_eq!(time(" trace  for 10 m "), Ok(Some(600)));
        assert_eq!(time("off for 2h"), Ok(Some(7_200)));
        for wrong in [
            "",
            "debug 10m",
            "debug for",
            "debug for 0s",
            "debug for 10",
            "debug for 99999999999999999999d",
        ] {
            assert!(time(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn loggers_are_the_program_and_what_is_in_it() {
        for good in [ROOT, "corelane", "corelane.storage", "corelane.storage.log"] {
            assert!(is_logger(good), "{good}");
        }
        for bad in [
            "",
            "corelane.",
            "corelane.nowhere",
            "corelane.storage.",
            "corelane.storagelog",
            "kafka.server.X",
        ] {
            assert!(!is_logger(bad), "{bad}");
        }
    }
}
