//! Advice about this machine: the rows of `tuning/knobs.tsv` that can be looked at from inside the broker.
//!
//! `tuning/tune` reads the same table, looks at more of it, and can change what it finds. Nothing is changed here, and
//! nothing is refused: hard requirements are `preflight`'s. `tests/tuning` holds both to the same answers.

mod host;
mod judge;
mod table;

use std::path::{Path, PathBuf};

use crate::rt;
use host::Host;
pub use judge::Status;
pub use table::{KNOBS, Knob};

/// One knob as it is on this machine.
#[derive(Clone, Debug)]
pub struct Finding {
    /// The knob's id, with what it was looked at on: "scheduler:vda".
    pub id: String,
    pub status: Status,
    pub current: String,
    pub wanted: String,
    pub knob: &'static Knob,
}

impl Finding {
    /// Whether an operator should do something.
    pub fn is_wrong(&self) -> bool {
        matches!(self.status, Status::Warn | Status::Fail)
    }

    /// What to do about it.
    pub fn cure(&self) -> &'static str {
        match self.knob.cure {
            "" => "tune apply sets it, and takes it back",
            cure => cure,
        }
    }
}

/// Which rows are for a machine like this.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Profile {
    Prod,
    Latency,
    Container,
    Dev,
}

impl Profile {
    /// By the name that the key `tuning.profile` and `tune --profile` take.
    pub fn named(name: &str) -> Option<Profile> {
        Some(match name {
            "prod" => Profile::Prod,
            "latency" => Profile::Latency,
            "container" => Profile::Container,
            "dev" => Profile::Dev,
            _ => return None,
        })
    }

    pub fn name(self) -> &'static str {
        match self {
            Profile::Prod => "prod",
            Profile::Latency => "latency",
            Profile::Container => "container",
            Profile::Dev => "dev",
        }
    }

    /// A broker on loopback alone is somebody's own; else by where this process runs.
    pub fn guessed(on_loopback_only: bool) -> Profile {
        let is_there = |path: &str| rt::host::exists(Path::new(path));
        if on_loopback_only {
            Profile::Dev
        } else if is_there("/.dockerenv") || is_there("/run/.containerenv") {
            Profile::Container
        } else {
            Profile::Prod
        }
    }
}

/// Looks at this machine and at this process's limits.
pub fn check(profile: Profile, log_dirs: &[PathBuf]) -> Vec<Finding> {
    check_at(Path::new("/"), profile, log_dirs)
}

/// Looks at a machine whose /proc and /sys lie below `root`; the limits are this process's own all the same.
pub fn check_at(root: &Path, profile: Profile, log_dirs: &[PathBuf]) -> Vec<Finding> {
    let host = Host::new(root, log_dirs);
    let is_for = |knob: &&Knob| knob.profiles.split(',').any(|name| name == profile.name());
    KNOBS
        .iter()
        .filter(is_for)
        .flat_map(|knob| judge::look(&host, knob))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_can_be_looked_at() {
        let findings = check(Profile::Prod, &[std::env::temp_dir()]);
        let has = |id: &str| findings.iter().any(|finding| finding.id.starts_with(id));
        assert!(has("swappiness") && has("filesystem:") && has("nofile"));
    }

    #[test]
    fn a_profile_is_found_by_its_name() {
        for profile in [Profile::Prod, Profile::Latency, Profile::Container, Profile::Dev] {
            assert_eq!(Profile::named(profile.name()), Some(profile));
        }
        assert_eq!(Profile::named("big"), None);
        assert_eq!(Profile::guessed(true), Profile::Dev);
    }
}
