//! A machine's files: what the kernel shows, its mounts, the disks below the log directories.

use std::path::{Path, PathBuf};

use crate::rt::{blocking, host as rt_host};

/// How many layers of LVM, RAID and encryption are looked through.
const LAYERS_MAX: usize = 8;

pub(super) struct Host {
    root: PathBuf,
    pub(super) log_dirs: Vec<PathBuf>,
    /// The whole disks below them, each once.
    pub(super) disks: Vec<String>,
    mounts: Vec<Mount>,
}

/// A line of /proc/mounts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Mount {
    pub(super) source: String,
    pub(super) point: String,
    pub(super) kind: String,
    options: String,
}

impl Mount {
    fn parse(line: &str) -> Option<Mount> {
        let mut fields = line.split(' ').map(|field| field.replace("\\040", " "));
        Some(Mount {
            source: fields.next()?,
            point: fields.next()?,
            kind: fields.next()?,
            options: fields.next()?,
        })
    }

    pub(super) fn has(&self, option: &str) -> bool {
        self.options.split(',').any(|word| word == option)
    }

    /// The value of `option=value`.
    pub(super) fn value_of(&self, option: &str) -> Option<&str> {
        self.options
            .split(',')
            .find_map(|word| word.strip_prefix(option)?.strip_prefix('='))
    }
}

impl Host {
    pub(super) fn new(root: &Path, log_dirs: &[PathBuf]) -> Host {
        let mut host = Host {
            root: root.to_owned(),
            log_dirs: log_dirs.iter().map(|dir| absolute(dir)).collect(),
            disks: Vec::new(),
            mounts: Vec::new(),
        };
        let mounts = host.text("/proc/mounts").unwrap_or_default();
        host.mounts = mounts.lines().filter_map(Mount::parse).collect();
        let devices = host.log_dirs.iter().filter_map(|dir| host.mount_of(dir));
        let mut disks: Vec<_> = devices.flat_map(|mount| host.disks_of(&mount.source)).collect();
        disks.sort_unstable();
        disks.dedup();
        host.disks = disks;
        host
    }

    fn at(&self, path: &str) -> PathBuf {
        self.root.join(path.trim_start_matches('/'))
    }

    fn text(&self, path: &str) -> Option<String> {
        let bytes = blocking::read_file(&self.at(path)).ok()?;
        Some(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// A kernel file's words with one blank between them; `None` where it is missing, empty or cannot be read.
    pub(super) fn value(&self, path: &str) -> Option<String> {
        let text = self.text(path)?;
        let words: Vec<_> = text.split_whitespace().collect();
        (!words.is_empty()).then(|| words.join(" "))
    }

    fn names(&self, dir: &str) -> Vec<String> {
        let listed = blocking::list_dir(&self.at(dir)).unwrap_or_default();
        let mut names: Vec<_> = listed.into_iter().map(|(name, _)| name).collect();
        names.sort_unstable();
        names
    }

    /// The paths behind one with a single `*` at the end of one of its parts: `/sys/…/policy*/scaling_governor`.
    pub(super) fn matching(&self, pattern: &str) -> Vec<String> {
        let Some((head, tail)) = pattern.split_once('*') else {
            return vec![pattern.to_owned()];
        };
        let (dir, prefix) = head.rsplit_once('/').unwrap_or(("", head));
        let named = self.names(dir).into_iter().filter(|name| name.starts_with(prefix));
        named
            .map(|name| format!("{dir}/{name}{tail}"))
            .filter(|path| rt_host::exists(&self.at(path)))
            .collect()
    }

    /// The mount that a directory lies on: the longest mount point above it, the last of equal ones.
    pub(super) fn mount_of(&self, dir: &Path) -> Option<&Mount> {
        let above = self.mounts.iter().filter(|mount| dir.starts_with(&mount.point));
        above.max_by_key(|mount| mount.point.len())
    }

    fn disks_of(&self, source: &str) -> Vec<String> {
        let Some(name) = source.strip_prefix("/dev/") else {
            return Vec::new();
        };
        match name.strip_prefix("mapper/") {
            Some(mapped) => {
                let is_it =
                    |device: &String| self.value(&format!("/sys/block/{device}/dm/name")).as_deref() == Some(mapped);
                let device = self.names("/sys/block").into_iter().find(is_it);
                device.map(|device| self.disks_below(&device, 0)).unwrap_or_default()
            }
            None => self.disks_below(name.rsplit('/').next().unwrap_or(name), 0),
        }
    }

    fn disks_below(&self, device: &str, layer: usize) -> Vec<String> {
        let slaves = self.names(&format!("/sys/block/{device}/slaves"));
        let disks = self.names("/sys/block");
        if !slaves.is_empty() && layer < LAYERS_MAX {
            slaves
                .iter()
                .flat_map(|slave| self.disks_below(slave, layer + 1))
                .collect()
        } else if disks.iter().any(|disk| disk == device) {
            vec![device.to_owned()]
        } else {
            let holds = |disk: &String| {
                self.names(&format!("/sys/block/{disk}"))
                    .iter()
                    .any(|part| part == device)
            };
            disks.into_iter().filter(holds).collect()
        }
    }
}

/// A relative directory belongs to this process's own.
fn absolute(dir: &Path) -> PathBuf {
    std::path::absolute(dir).unwrap_or_else(|_| dir.to_owned())
}
