//! How many cores the control group allows: `cpu.max` (v2) or `cpu.cfs_quota_us` (v1), of it and all its parents.

use std::fs;
use std::path::{Path, PathBuf};

const MOUNT: &str = "/sys/fs/cgroup";

/// Whole cores of the smallest quota on the way to the root, rounded down; `None` when there is no quota.
pub(super) fn quota_cores() -> Option<usize> {
    let membership = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    smallest_quota(Path::new(MOUNT), &membership)
}

fn smallest_quota(mount: &Path, membership: &str) -> Option<usize> {
    membership.lines().filter_map(|line| hierarchy_quota(mount, line)).min()
}

/// A line of /proc/self/cgroup: `0::/path` for v2, `4:cpu,cpuacct:/path` for v1.
fn hierarchy_quota(mount: &Path, line: &str) -> Option<usize> {
    let mut fields = line.splitn(3, ':');
    let (_, controllers, path) = (fields.next()?, fields.next()?, fields.next()?);
    let path = path.trim_start_matches('/');
    if controllers.is_empty() {
        return walk(mount, path, read_v2);
    }
    if !controllers.split(',').any(|controller| controller == "cpu") {
        return None;
    }
    [controllers, "cpu"]
        .iter()
        .find_map(|name| walk(&mount.join(name), path, read_v1))
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
fn read_v2(group: &Path) -> Option<usize> {
    let content = fs::read_to_string(group.join("cpu.max")).ok()?;
    let (quota, period) = content.trim().split_once(' ')?;
    whole_cores(quota, period)
}

fn read_v1(group: &Path) -> Option<usize> {
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

#[cfg(test)]
mod tests {
    use super::*;

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
}
