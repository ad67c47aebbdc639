//! How many cores and how much memory the control group allows: `cpu.max` and `memory.max` (v2), `cpu.cfs_quota_us` and
//! `memory.limit_in_bytes` (v1), of it and all its parents.

use std::fs;
use std::path::{Path, PathBuf};

const MOUNT: &str = "/sys/fs/cgroup";

/// What a control group can limit, and how its files say so.
struct Limited {
    controller: &'static str,
    read_v1: fn(&Path) -> Option<usize>,
    read_v2: fn(&Path) -> Option<usize>,
}

const CPU: Limited = Limited {
    controller: "cpu",
    read_v1: cores_v1,
    read_v2: cores_v2,
};
const MEMORY: Limited = Limited {
    controller: "memory",
    read_v1: |group| number(&group.join("memory.limit_in_bytes")),
    read_v2: |group| number(&group.join("memory.max")),
};

/// Whole cores of the smallest quota on the way to the root, rounded down; `None` when there is no quota.
pub(super) fn quota_cores() -> Option<usize> {
    CPU.smallest(Path::new(MOUNT), &membership())
}

/// Bytes of the smallest limit on the way to the root; `None` when there is none. (Version 1 says so by a huge number.)
pub(super) fn memory_limit_bytes() -> Option<usize> {
    MEMORY.smallest(Path::new(MOUNT), &membership())
}

fn membership() -> String {
    fs::read_to_string("/proc/self/cgroup").unwrap_or_default()
}

impl Limited {
    fn smallest(&self, mount: &Path, membership: &str) -> Option<usize> {
        membership
            .lines()
            .filter_map(|line| self.of_hierarchy(mount, line))
            .min()
    }

    /// A line of /proc/self/cgroup: `0::/path` for v2, `4:cpu,cpuacct:/path` for v1.
    fn of_hierarchy(&self, mount: &Path, line: &str) -> Option<usize> {
        let mut fields = line.splitn(3, ':');
        let (_, controllers, path) = (fields.next()?, fields.next()?, fields.next()?);
        let path = path.trim_start_matches('/');
        if controllers.is_empty() {
            return walk(mount, path, self.read_v2);
        }
        if !controllers.split(',').any(|controller| controller == self.controller) {
            return None;
        }
        [controllers, self.controller]
            .iter()
            .find_map(|name| walk(&mount.join(name), path, self.read_v1))
    }
}

/// From the group up to the hierarchy's root. In a container the path may lie outside of what is mounted: the files that
/// are not there are passed over, and the root's are those of the container.
fn walk(root: &Path, path: &str, read: fn(&Path) -> Option<usize>) -> Option<usize> {
    let mut group: PathBuf = root.join(path);
    let mut smallest = None;
    while group.starts_with(root) {
        smallest = smallest.into_iter().chain(read(&group)).min();
        if !group.pop() {
            break;
        }
    }
    smallest
}

/// `max 100000` or `250000 100000`.
fn cores_v2(group: &Path) -> Option<usize> {
    let content = fs::read_to_string(group.join("cpu.max")).ok()?;
    let (quota, period) = content.trim().split_once(' ')?;
    whole_cores(quota, period)
}

fn cores_v1(group: &Path) -> Option<usize> {
    let quota = fs::read_to_string(group.join("cpu.cfs_quota_us")).ok()?;
    let period = fs::read_to_string(group.join("cpu.cfs_period_us")).ok()?;
    whole_cores(quota.trim(), period.trim())
}

/// `None` for `max` (v2) and -1 (v1): no limit.
fn whole_cores(quota: &str, period: &str) -> Option<usize> {
    let quota: usize = quota.parse().ok()?;
    let period: usize = period.parse().ok().filter(|period| *period > 0)?;
    Some(quota / period)
}

/// `None` for `max` too.
fn number(file: &Path) -> Option<usize> {
    fs::read_to_string(file).ok()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn smallest_quota(mount: &Path, membership: &str) -> Option<usize> {
        CPU.smallest(mount, membership)
    }

    fn group(root: &Path, path: &str, files: &[(&str, &str)]) {
        let dir = root.join(path);
        fs::create_dir_all(&dir).unwrap();
        for (name, content) in files {
            fs::write(dir.join(name), content).unwrap();
        }
    }

    #[test]
    fn the_smallest_quota_on_the_way_to_the_root_counts() {
        let root = tempfile::tempdir().unwrap();
        group(root.path(), "a", &[("cpu.max", "250000 100000\n")]);
        group(root.path(), "a/b", &[("cpu.max", "max 100000\n")]);
        assert_eq!(smallest_quota(root.path(), "0::/a/b\n"), Some(2));
        group(root.path(), "a/b", &[("cpu.max", "100000 100000\n")]);
        assert_eq!(smallest_quota(root.path(), "0::/a/b\n"), Some(1));
    }

    #[test]
    fn no_quota_is_no_limit() {
        let root = tempfile::tempdir().unwrap();
        group(root.path(), "", &[("cpu.max", "max 100000\n")]);
        assert_eq!(smallest_quota(root.path(), "0::/\n"), None);
        assert_eq!(smallest_quota(root.path(), ""), None);
        group(
            root.path(),
            "cpu",
            &[("cpu.cfs_quota_us", "-1\n"), ("cpu.cfs_period_us", "100000\n")],
        );
        assert_eq!(smallest_quota(root.path(), "4:cpu,cpuacct:/\n"), None);
    }

    #[test]
    fn a_container_that_sees_only_its_own_group_finds_its_quota_at_the_root() {
        let root = tempfile::tempdir().unwrap();
        group(root.path(), "", &[("cpu.max", "300000 100000\n")]);
        assert_eq!(smallest_quota(root.path(), "0::/outside/of/what/is/mounted\n"), Some(3));
    }

    #[test]
    fn version_one_hierarchies_are_read_too() {
        let root = tempfile::tempdir().unwrap();
        group(
            root.path(),
            "cpu,cpuacct/x",
            &[("cpu.cfs_quota_us", "400000\n"), ("cpu.cfs_period_us", "100000\n")],
        );
        assert_eq!(smallest_quota(root.path(), "7:memory:/x\n4:cpu,cpuacct:/x\n"), Some(4));
    }

    #[test]
    fn the_smallest_memory_limit_counts() {
        let root = tempfile::tempdir().unwrap();
        group(root.path(), "a", &[("memory.max", "1073741824\n")]);
        group(root.path(), "a/b", &[("memory.max", "max\n")]);
        assert_eq!(MEMORY.smallest(root.path(), "0::/a/b\n"), Some(1 << 30));
        group(root.path(), "memory/x", &[("memory.limit_in_bytes", "536870912\n")]);
        assert_eq!(MEMORY.smallest(root.path(), "0::/a/b\n9:memory:/x\n"), Some(512 << 20));
        assert_eq!(MEMORY.smallest(root.path(), "0::/none\n4:cpu:/x\n"), None);
    }
}
