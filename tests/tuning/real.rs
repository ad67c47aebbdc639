//! What only a real machine shows: how the kernel answers, the scripts' own cleanness, a real mount.

use std::fs;
use std::process::{Command, Stdio};

use super::machine::{Machine, tune_dir};
use crate::support::{is_installed, scratch_dir};

/// Looks at this machine, and changes nothing. The kernel's files answer the first read only: a shell that reads them
/// byte by byte sees one digit.
#[test]
fn check_reads_this_machine_as_the_kernel_shows_it() {
    let output = Command::new(tune_dir().join("tune"))
        .args(["check", "--json"])
        .env_remove("TUNE_ROOT")
        .output()
        .unwrap();
    let code = output.status.code().unwrap();
    assert!(
        (0..=2).contains(&code),
        "{code}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    let said: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    for row in said["rows"].as_array().unwrap() {
        let (path, current) = (row["path"].as_str().unwrap_or_default(), row["current"].as_str());
        if let (true, Some(current)) = (path.starts_with("/proc/sys/"), current) {
            let words: Vec<_> = fs::read_to_string(path)
                .unwrap()
                .split_whitespace()
                .map(str::to_owned)
                .collect();
            assert_eq!(current, words.join(" "), "{path}");
        }
    }
}

#[test]
fn the_scripts_are_clean() {
    if !is_installed("shellcheck") {
        eprintln!("skipped: shellcheck is not installed, and installing it needs root");
        return;
    }
    let checked = Command::new("shellcheck")
        .args(["-x", "tune"])
        .current_dir(tune_dir())
        .output()
        .unwrap();
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stdout));
}

/// A real XFS on a file, remounted by the machine's stand-in, so that mount's own words are what tune reads.
#[test]
fn a_real_xfs_is_remounted_and_back() {
    let Some(disk) = LoopMount::new() else {
        eprintln!("skipped: making and mounting an XFS needs root, mkfs.xfs and loop devices");
        return;
    };
    let machine = Machine::new("virtio-2c");
    let point = disk.point.display().to_string();
    machine.write("/etc/corelane/server.properties", &format!("log.dirs={point}\n"));
    machine.write("/etc/fstab", &format!("/dev/loop0 {point} xfs defaults 0 0\n"));
    let kernel = "#!/bin/sh\nset -eu\n[ \"$2\" != remount ] || mount -o \"remount,$4\" \"$3\"\ncat /proc/mounts >\"$1/proc/mounts\"\n";
    fs::write(machine.root.join("kernel"), kernel).unwrap();
    machine.write("/proc/mounts", &fs::read_to_string("/proc/mounts").unwrap());

    let noatime = format!("noatime:{point}");
    assert_eq!(machine.status_of(&format!("filesystem:{point}")), "OK");
    assert_eq!(
        machine.status_of(&format!("commit:{point}")),
        "SKIP",
        "XFS has no commit option"
    );
    assert_eq!(machine.status_of(&noatime), "WARN");
    machine.ok("apply --yes --only noatime");
    assert_eq!(machine.status_of(&noatime), "OK");
    assert!(disk.options().contains("noatime"));
    assert!(machine.read("/etc/fstab").contains("defaults,noatime"));
    machine.ok("revert --yes");
    assert!(disk.options().contains("relatime"));
}

struct LoopMount {
    point: std::path::PathBuf,
}

impl LoopMount {
    fn new() -> Option<LoopMount> {
        let dir = scratch_dir();
        let (image, point) = (dir.join("image"), dir.join("mount"));
        fs::create_dir_all(&point).unwrap();
        fs::File::create(&image).unwrap().set_len(512 << 20).unwrap();
        let run = |program: &str, arguments: &[&str]| {
            let mut command = Command::new(program);
            command.args(arguments).stdout(Stdio::null()).stderr(Stdio::null());
            command.status().is_ok_and(|status| status.success())
        };
        let (image, at) = (image.display().to_string(), point.display().to_string());
        let is_mounted = run("mkfs.xfs", &["-q", &image]) && run("mount", &["-o", "loop", &image, &at]);
        if !is_mounted {
            let _ = fs::remove_dir_all(&dir);
        }
        is_mounted.then_some(LoopMount { point })
    }

    fn options(&self) -> String {
        let mounts = fs::read_to_string("/proc/mounts").unwrap();
        let at = self.point.display().to_string();
        let line = mounts
            .lines()
            .find(|line| line.split(' ').nth(1) == Some(at.as_str()))
            .unwrap();
        line.split(' ').nth(3).unwrap().to_owned()
    }
}

impl Drop for LoopMount {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.point).status();
        let _ = fs::remove_dir_all(self.point.parent().unwrap());
    }
}
