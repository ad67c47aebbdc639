//! A row and a machine make findings: read, compare, say.

use super::host::{Host, Mount};
use super::{Finding, Knob};
use crate::rt::host as process;

/// What locked memory each core's executor takes: its rings, and its I/O memory registered three times.
const MEMLOCK_PER_CORE_BYTES: u64 = ((3 * 8) << 20) + (512 << 10);
/// How ext4 writes its journal where nothing else is said, in seconds.
const COMMIT_DEFAULT: &str = "5";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    Ok,
    Warn,
    Fail,
    /// For information.
    Info,
    /// Not there, or cannot be read.
    Skip,
}

impl Status {
    pub fn name(self) -> &'static str {
        match self {
            Status::Ok => "OK",
            Status::Warn => "WARN",
            Status::Fail => "FAIL",
            Status::Info => "INFO",
            Status::Skip => "SKIP",
        }
    }
}

/// The findings of a row: one for each file, disk or mount; none for kinds that only `tune` looks at.
pub(super) fn look(host: &Host, knob: &'static Knob) -> Vec<Finding> {
    match (knob.kind, knob.path) {
        ("sysctl", name) => vec![file(host, knob, "", &format!("/proc/sys/{}", name.replace('.', "/")))],
        ("sysfs", pattern) => sysfs(host, knob, pattern),
        ("block", name) => host.disks.iter().map(|disk| block(host, knob, disk, name)).collect(),
        ("mount", _) => mounts(host).into_iter().map(|mount| option(knob, mount)).collect(),
        ("limit", "nofile") => vec![nofile(knob)],
        ("limit", "memlock") => vec![memlock(knob)],
        ("check", "filesystem") => host.log_dirs.iter().map(|dir| file_system(host, knob, dir)).collect(),
        _ => Vec::new(),
    }
}

fn finding(knob: &'static Knob, suffix: &str, status: Status, current: impl Into<String>) -> Finding {
    Finding {
        id: format!("{}{suffix}", knob.id),
        status,
        current: current.into(),
        wanted: wanted(knob),
        knob,
    }
}

fn wanted(knob: &Knob) -> String {
    match knob.op {
        "ge" => format!(">= {}", knob.value),
        "le" => format!("<= {}", knob.value),
        "ne" => format!("not {}", knob.value),
        "ge3" => format!("max >= {}", knob.value),
        "in" => format!("{} or as fast", knob.value.split('|').next().unwrap_or_default()),
        "has" => knob.path.to_owned(),
        _ => knob.value.to_owned(),
    }
}

fn severity(knob: &Knob) -> Status {
    match knob.severity {
        "FAIL" => Status::Fail,
        "INFO" => Status::Info,
        _ => Status::Warn,
    }
}

fn judged(knob: &'static Knob, suffix: &str, current: &str) -> Finding {
    let status = if severity(knob) != Status::Info && meets(knob, current) {
        Status::Ok
    } else {
        severity(knob)
    };
    finding(knob, suffix, status, current)
}

fn meets(knob: &Knob, current: &str) -> bool {
    let number = |text: &str| text.parse::<u128>().ok();
    let at_least =
        |one: &str, other: &str| matches!((number(one), number(other)), (Some(one), Some(other)) if one >= other);
    match knob.op {
        "eq" | "choice" => current == knob.value,
        "ne" => current != knob.value,
        "ge" => at_least(current, knob.value),
        "le" => at_least(knob.value, current),
        "ge3" => at_least(current.rsplit(' ').next().unwrap_or_default(), knob.value),
        "in" => knob.value.split('|').any(|allowed| allowed == current),
        "range" => knob
            .value
            .split_once("..")
            .is_some_and(|(from, to)| at_least(current, from) && at_least(to, current)),
        _ => false,
    }
}

fn file(host: &Host, knob: &'static Knob, suffix: &str, path: &str) -> Finding {
    match host.value(path) {
        Some(value) => judged(knob, suffix, chosen(&value)),
        None => finding(knob, suffix, Status::Skip, ""),
    }
}

/// The word in brackets of "always [madvise] never"; a value without brackets is itself.
fn chosen(value: &str) -> &str {
    let inside = value.split_once('[').and_then(|(_, rest)| rest.split_once(']'));
    inside.map_or(value, |(word, _)| word)
}

fn sysfs(host: &Host, knob: &'static Knob, pattern: &str) -> Vec<Finding> {
    let found = host.matching(pattern);
    if found.is_empty() {
        return vec![finding(knob, "", Status::Skip, "")];
    }
    let suffix = |path: &str| match pattern.contains('*') {
        true => format!(":{}", path.rsplit('/').nth(1).unwrap_or_default()),
        false => String::new(),
    };
    found.iter().map(|path| file(host, knob, &suffix(path), path)).collect()
}

fn block(host: &Host, knob: &'static Knob, disk: &str, name: &str) -> Finding {
    let suffix = format!(":{disk}");
    let of_queue = |name: &str| format!("/sys/block/{disk}/queue/{name}");
    // A virtual disk says that it spins when it does not know.
    let is_virtual = disk.starts_with("vd") || disk.starts_with("xvd");
    let is_spinning = !is_virtual && host.value(&of_queue("rotational")).as_deref() == Some("1");
    if is_spinning && severity(knob) != Status::Info {
        return finding(knob, &suffix, Status::Skip, "");
    }
    file(host, knob, &suffix, &of_queue(name))
}

/// The mounts of the log directories, each once.
fn mounts(host: &Host) -> Vec<&Mount> {
    let mut found: Vec<&Mount> = Vec::new();
    for mount in host.log_dirs.iter().filter_map(|dir| host.mount_of(dir)) {
        if !found.contains(&mount) {
            found.push(mount);
        }
    }
    found
}

fn option(knob: &'static Knob, mount: &Mount) -> Finding {
    let suffix = format!(":{}", mount.point);
    let is_set = mount.has(knob.path) || (knob.path == "nobarrier" && mount.has("barrier=0"));
    match knob.op {
        "has" if is_set => finding(knob, &suffix, Status::Ok, knob.path),
        "has" => finding(knob, &suffix, severity(knob), "not set"),
        "lacks" | "not" if is_set => finding(knob, &suffix, severity(knob), knob.path),
        "lacks" | "not" => finding(knob, &suffix, Status::Ok, knob.value),
        _ if !matches!(mount.kind.as_str(), "ext3" | "ext4") => finding(knob, &suffix, Status::Skip, ""),
        _ => judged(knob, &suffix, mount.value_of(knob.path).unwrap_or(COMMIT_DEFAULT)),
    }
}

fn file_system(host: &Host, knob: &'static Knob, dir: &std::path::Path) -> Finding {
    let suffix = format!(":{}", dir.display());
    let Some(kind) = host.mount_of(dir).map(|mount| mount.kind.as_str()) else {
        return finding(knob, &suffix, Status::Skip, "");
    };
    const WITHOUT_DIRECT_IO: [&str; 6] = ["cifs", "overlay", "btrfs", "tmpfs", "ramfs", "9p"];
    let status = match kind {
        "xfs" => Status::Ok,
        _ if WITHOUT_DIRECT_IO.contains(&kind) || kind.starts_with("nfs") || kind.starts_with("fuse") => Status::Fail,
        _ => Status::Warn,
    };
    finding(knob, &suffix, status, kind)
}

fn nofile(knob: &'static Knob) -> Finding {
    match process::raise_nofile() {
        Ok(limit) => judged(knob, "", &limit.now.to_string()),
        Err(_) => finding(knob, "", Status::Skip, ""),
    }
}

/// No limit is wanted; what every core's executor takes is enough.
fn memlock(knob: &'static Knob) -> Finding {
    let cores = crate::rt::Cores::available().ids.len() as u64;
    match process::memlock_limit() {
        Ok(None) => finding(knob, "", Status::Ok, "unlimited"),
        Ok(Some(limit)) if limit >= cores * MEMLOCK_PER_CORE_BYTES => finding(knob, "", Status::Ok, limit.to_string()),
        Ok(Some(limit)) => finding(knob, "", Status::Warn, limit.to_string()),
        Err(_) => finding(knob, "", Status::Skip, ""),
    }
}

#[cfg(test)]
mod tests {
    use super::{chosen, meets};
    use crate::tuning::Knob;

    #[test]
    fn each_op_is_held_to_its_value() {
        let meets = |op, value, current| {
            let knob = Knob {
                id: "",
                kind: "",
                path: "",
                op,
                value,
                severity: "WARN",
                profiles: "",
                why: "",
                cure: "",
            };
            meets(&knob, current)
        };
        assert!(meets("range", "1..10", "1") && meets("range", "1..10", "10"));
        assert!(!meets("range", "1..10", "0") && !meets("range", "1..10", "60"));
        assert!(meets("ge", "4096", "99999999999999999999999") && !meets("ge", "4096", "many"));
        assert!(meets("ge3", "16777216", "4096 131072 33554432") && !meets("ge3", "16777216", "4096 131072 6291456"));
        assert!(meets("in", "tsc|kvm-clock", "kvm-clock") && !meets("in", "tsc|kvm-clock", "hpet"));
        assert!(meets("le", "131072", "131072") && !meets("le", "131072", "4294967295"));
    }

    #[test]
    fn the_word_in_brackets_is_the_one_in_force() {
        assert_eq!(chosen("none [mq-deadline] kyber bfq"), "mq-deadline");
        assert_eq!(chosen("60"), "60");
    }
}
