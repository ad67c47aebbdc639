//! A recorded machine, unpacked for one test, and the shells that tune must run under.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::support::{is_installed, root, scratch_dir};

pub const FIXTURES: [&str; 5] = ["nvme-16c", "gcp-localssd", "virtio-2c", "container", "rhel9"];

/// The shells of Debian that are installed here; `sh` is one of them.
pub fn shells() -> Vec<Vec<&'static str>> {
    let mut found = vec![vec!["sh"]];
    for (program, command) in [("dash", vec!["dash"]), ("busybox", vec!["busybox", "sh"])] {
        if is_installed(program) {
            found.push(command);
        } else {
            eprintln!("skipped under {program}: it is not installed, and installing it needs root");
        }
    }
    found
}

pub fn tune_dir() -> PathBuf {
    root().join("tuning")
}

pub struct Run {
    pub code: i32,
    pub out: String,
    pub err: String,
}

pub struct Machine {
    pub root: PathBuf,
    pub profile: &'static str,
}

impl Machine {
    pub fn new(fixture: &str) -> Machine {
        let machine = Machine {
            root: scratch_dir(),
            profile: if fixture == "container" { "container" } else { "prod" },
        };
        let tree = fs::read_to_string(here().join(format!("fixtures/{fixture}.tree"))).unwrap();
        machine.unpack(&tree);
        let kernel = machine.root.join("kernel");
        fs::copy(here().join("kernel.sh"), &kernel).unwrap();
        fs::set_permissions(&kernel, fs::Permissions::from_mode(0o755)).unwrap();
        machine
    }

    fn unpack(&self, tree: &str) {
        let mut files: Vec<(&str, String)> = Vec::new();
        for line in tree.lines().filter(|line| !line.starts_with('#')) {
            match (line.strip_prefix('\t'), line.split_once(" -> ")) {
                (Some(content), _) => files.last_mut().unwrap().1.push_str(&format!("{content}\n")),
                (None, Some((path, target))) => {
                    fs::create_dir_all(self.at(path).parent().unwrap()).unwrap();
                    symlink(target, self.at(path)).unwrap();
                }
                (None, None) if line.ends_with('/') => fs::create_dir_all(self.at(line)).unwrap(),
                (None, None) => files.push((line, String::new())),
            }
        }
        for (path, content) in files {
            self.write(path, &content);
        }
    }

    /// Runs tune on this machine's profile; words are separated by blanks.
    pub fn tune(&self, arguments: &str) -> Run {
        self.tune_with(&["sh"], arguments)
    }

    pub fn tune_with(&self, shell: &[&str], arguments: &str) -> Run {
        let output = self.command(shell, arguments).output().unwrap();
        Run {
            code: output.status.code().unwrap(),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }

    pub fn command(&self, shell: &[&str], arguments: &str) -> Command {
        assert!(self.root.starts_with(std::env::temp_dir()) || self.root.starts_with(crate::support::target_dir()));
        let mut command = Command::new(shell[0]);
        command
            .args(&shell[1..])
            .arg(tune_dir().join("tune"))
            .args(arguments.split_whitespace())
            .args(
                ["--profile", self.profile]
                    .iter()
                    .filter(|_| !arguments.contains("--profile")),
            )
            .env("TUNE_ROOT", &self.root)
            .stdin(Stdio::null());
        command
    }

    /// The standard output of a run that must succeed.
    pub fn ok(&self, arguments: &str) -> String {
        let run = self.tune(arguments);
        assert_eq!(run.code, 0, "{arguments}: {}{}", run.out, run.err);
        run.out
    }

    /// The rows of check or plan as JSON.
    pub fn rows(&self, arguments: &str) -> Vec<serde_json::Value> {
        let run = self.tune(arguments);
        let parsed: serde_json::Value =
            serde_json::from_str(&run.out).unwrap_or_else(|why| panic!("{why}: {}", run.out));
        parsed["rows"].as_array().unwrap().clone()
    }

    /// The status of one knob.
    pub fn status_of(&self, id: &str) -> String {
        let rows = self.rows("check --json");
        let row = rows
            .iter()
            .find(|row| row["id"] == id)
            .unwrap_or_else(|| panic!("no row {id}"));
        row["status"].as_str().unwrap().to_owned()
    }

    fn at(&self, path: &str) -> PathBuf {
        self.root.join(path.trim_start_matches('/'))
    }

    pub fn read(&self, path: &str) -> String {
        fs::read_to_string(self.at(path)).unwrap_or_else(|why| panic!("{path}: {why}"))
    }

    pub fn write(&self, path: &str, content: &str) {
        fs::create_dir_all(self.at(path).parent().unwrap()).unwrap();
        fs::write(self.at(path), content).unwrap();
    }

    pub fn exists(&self, path: &str) -> bool {
        self.at(path).exists()
    }

    pub fn remove(&self, path: &str) {
        let _ = fs::remove_file(self.at(path));
    }

    /// What happens besides when the kernel is written to: `$3` is the path, `$4` the value.
    pub fn mischief(&self, script: &str) {
        self.write("/mischief", script);
    }

    pub fn tree(&self) -> Tree {
        let mut tree = Tree::default();
        collect(&self.root, &self.root, &mut tree);
        tree
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            let _ = fs::remove_dir_all(&self.root);
        }
    }
}

/// Every file, directory and link, with content, mode and time of change.
#[derive(Debug, Default, PartialEq)]
pub struct Tree(BTreeMap<PathBuf, (String, u32, i64, i64)>);

impl Tree {
    /// Without the times.
    pub fn content(&self) -> BTreeMap<&Path, (&str, u32)> {
        self.0
            .iter()
            .map(|(path, (content, mode, ..))| (path.as_path(), (content.as_str(), *mode)))
            .collect()
    }
}

fn collect(root: &Path, dir: &Path, tree: &mut Tree) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        let meta = path.symlink_metadata().unwrap();
        let content = if meta.is_symlink() {
            fs::read_link(&path).unwrap().display().to_string()
        } else if meta.is_file() {
            String::from_utf8_lossy(&fs::read(&path).unwrap()).into_owned()
        } else {
            collect(root, &path, tree);
            "a directory".to_owned()
        };
        let name = path.strip_prefix(root).unwrap().to_owned();
        tree.0
            .insert(name, (content, meta.mode(), meta.mtime(), meta.mtime_nsec()));
    }
}

/// Compares with the recorded answer, or records it.
pub fn golden(name: &str, said: &str) {
    let file = here().join("fixtures").join(name);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(&file, said).unwrap();
    }
    let recorded = fs::read_to_string(&file).unwrap_or_default();
    assert_eq!(
        said, recorded,
        "{name}: if the new answer is right, UPDATE_GOLDEN=1 records it"
    );
}

fn here() -> PathBuf {
    root().join("tests/tuning")
}
