//! A small file system on a loop device, mounted in a directory of its own. Unmounted and detached when dropped.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::{is_root, scratch_dir};

/// mkfs.xfs makes nothing smaller than 300 MiB; what is too much for a test is taken by a filler.
const SIZES: [(&str, u64); 2] = [("ext4", 64 << 20), ("xfs", 320 << 20)];

pub struct Disk {
    dir: PathBuf,
    device: String,
}

impl Disk {
    /// `None`, with the reason printed, where this user or machine cannot have one.
    pub fn new(kind: &str) -> Option<Disk> {
        if let Err(reason) = can_mount(kind) {
            eprintln!("skipped: {reason}");
            return None;
        }
        let (_, bytes) = SIZES.into_iter().find(|(name, _)| *name == kind).unwrap();
        let dir = scratch_dir();
        let image = dir.join("image");
        fs::File::create(&image).unwrap().set_len(bytes).unwrap();
        let device = run("losetup", &["--find", "--show", image.to_str().unwrap()]);
        let disk = Disk { dir, device };
        // No share for root on ext4: what is free is free for all.
        let options: &[&str] = if kind == "xfs" { &["-f"] } else { &["-F", "-m", "0"] };
        run(&format!("mkfs.{kind}"), &[&["-q"], options, &[&disk.device]].concat());
        fs::create_dir(disk.path()).unwrap();
        run("mount", &[&disk.device, disk.path().to_str().unwrap()]);
        Some(disk)
    }

    pub fn path(&self) -> PathBuf {
        self.dir.join("mounted")
    }

    /// Bytes that anybody may still use.
    pub fn free(&self) -> u64 {
        let told = run(
            "stat",
            &["--file-system", "--format=%a %S", self.path().to_str().unwrap()],
        );
        told.split(' ').map(|number| number.parse::<u64>().unwrap()).product()
    }

    /// A file that takes all but `bytes`.
    pub fn leave_free(&self, bytes: u64) {
        let length = (self.free() - bytes).to_string();
        run("fallocate", &["--length", &length, self.filler().to_str().unwrap()]);
    }

    /// A file that takes all there is, whatever others write meanwhile.
    pub fn fill(&self) {
        let mut filler = fs::File::create(self.filler()).unwrap();
        let problem = io::copy(&mut io::repeat(0), &mut filler).unwrap_err();
        assert_eq!(problem.kind(), io::ErrorKind::StorageFull);
    }

    pub fn remove_filler(&self) {
        fs::remove_file(self.filler()).unwrap();
    }

    /// From now on nearly every block lies behind the end of the device: reads and writes fail with EIO.
    pub fn fail(&self) {
        let image = fs::File::options().write(true).open(self.dir.join("image")).unwrap();
        image.set_len(1 << 20).unwrap();
        run("losetup", &["--set-capacity", &self.device]);
    }

    fn filler(&self) -> PathBuf {
        self.path().join("filler")
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Lazily: a broker that a failed test has left may still hold it for a moment.
        let _ = Command::new("umount").arg("--lazy").arg(self.path()).status();
        let _ = Command::new("losetup").args(["--detach", &self.device]).status();
        let _ = fs::remove_dir_all(&self.dir);
    }
}

fn can_mount(kind: &str) -> Result<(), String> {
    if !is_root() {
        return Err("mounting a file system needs root".to_owned());
    }
    let mkfs = format!("mkfs.{kind}");
    let is_there = |dir: &str| Path::new(dir).join(&mkfs).exists();
    if !["/usr/sbin", "/sbin", "/usr/bin"].into_iter().any(is_there) {
        return Err(format!("{mkfs} is not installed"));
    }
    match Command::new("losetup").arg("--find").output() {
        Ok(output) if output.status.success() => Ok(()),
        _ => Err("there is no loop device".to_owned()),
    }
}

/// The standard output of a command that must succeed.
fn run(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output().unwrap();
    let problem = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {arguments:?}: {problem}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}
