//! The files that are deployed: units as systemd reads them, the container's files, the production configuration, the package.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use super::{corelane, out};
use crate::support::{free_port, is_installed, root, scratch_dir};

/// What the broker's unit may expose at most, in tenths of systemd's scale from 0 to 10.
const EXPOSURE_MAX: &str = "20";

/// The units with a program in the place of what is not installed here, so that systemd finds it.
fn units() -> PathBuf {
    let dir = scratch_dir();
    for unit in fs::read_dir(root().join("config/systemd")).unwrap() {
        let unit = unit.unwrap().path();
        let text = fs::read_to_string(&unit).unwrap();
        let text = text
            .replace("/usr/bin/corelane", env!("CARGO_BIN_EXE_corelane"))
            .replace(
                "/usr/share/corelane/tuning/tune",
                &root().join("tuning/tune").display().to_string(),
            );
        fs::write(dir.join(unit.file_name().unwrap()), text).unwrap();
    }
    dir
}

#[test]
fn systemd_reads_the_units_without_a_complaint() {
    if !is_installed("systemd-analyze") {
        eprintln!("skipped: systemd-analyze is not installed, and installing it needs root");
        return;
    }
    let dir = units();
    for unit in ["corelane.service", "corelane-tune.service", "corelane.slice"] {
        let verified = Command::new("systemd-analyze")
            .args(["verify", "--man=no"])
            .arg(dir.join(unit))
            .output()
            .unwrap();
        assert!(verified.status.success(), "{unit}: {}", out(&verified));
        assert_eq!(out(&verified), "", "{unit}");
    }
}

#[test]
fn the_brokers_unit_is_hardened() {
    if !is_installed("systemd-analyze") {
        eprintln!("skipped: systemd-analyze is not installed, and installing it needs root");
        return;
    }
    let looked = Command::new("systemd-analyze")
        .args(["security", "--offline=yes", "--no-pager", "--threshold", EXPOSURE_MAX])
        .arg(units().join("corelane.service"))
        .output()
        .unwrap();
    assert!(looked.status.success(), "{}", out(&looked));
}

#[test]
fn the_unit_and_the_table_ask_for_the_same_limits() {
    let unit = fs::read_to_string(root().join("config/systemd/corelane.service")).unwrap();
    for limit in ["LimitNOFILE=1000000", "LimitMEMLOCK=infinity"] {
        assert!(unit.lines().any(|line| line == limit), "{limit}");
    }
    let wanted = |id: &str| corelane::tuning::KNOBS.iter().find(|knob| knob.id == id).unwrap().value;
    assert_eq!((wanted("nofile"), wanted("memlock")), ("1000000", "unlimited"));
}

#[test]
fn the_production_configuration_has_nothing_to_warn_of() {
    let file = root().join("config/production.properties").display().to_string();
    let checked = corelane(&["config", "check", &file]).output().unwrap();
    assert!(checked.status.success(), "{}", out(&checked));
    assert!(!out(&checked).contains("warning"), "{}", out(&checked));
}

#[test]
fn the_containers_profile_lets_io_uring_through() {
    let text = fs::read_to_string(root().join("tuning/seccomp/corelane.json")).unwrap();
    let profile: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(profile["defaultAction"], "SCMP_ACT_ERRNO");
    let rules = profile["syscalls"].as_array().unwrap().iter();
    let allowed: Vec<_> = rules
        .filter(|rule| rule["action"] == "SCMP_ACT_ALLOW")
        .flat_map(|rule| rule["names"].as_array().unwrap())
        .map(|name| name.as_str().unwrap())
        .collect();
    for call in [
        "io_uring_setup",
        "io_uring_enter",
        "io_uring_register",
        "sched_setaffinity",
        "fallocate",
        "execve",
        "mlock",
    ] {
        assert!(allowed.contains(&call), "{call}");
    }
    for call in [
        "mount",
        "bpf",
        "kexec_load",
        "init_module",
        "ptrace",
        "setns",
        "unshare",
        "keyctl",
    ] {
        assert!(!allowed.contains(&call), "{call}");
    }
}

/// Keys that the compose file and the image set are keys.
#[test]
fn the_containers_environment_is_understood() {
    let compose = fs::read_to_string(root().join("config/container/compose.yaml")).unwrap();
    let settings = compose.lines().filter_map(|line| line.trim().strip_prefix("KAFKA_"));
    let settings: Vec<_> = settings.filter_map(|line| line.split_once(": ")).collect();
    assert_eq!(settings.len(), 3);
    let file = root().join("config/production.properties").display().to_string();
    let checked = corelane(&["config", "check", &file])
        .envs(settings.iter().map(|(name, value)| (format!("KAFKA_{name}"), *value)))
        .output()
        .unwrap();
    assert!(
        checked.status.success() && !out(&checked).contains("warning"),
        "{}",
        out(&checked)
    );
}

#[test]
fn there_is_a_man_page_for_each_subcommand_and_completions_for_each_shell() {
    let dir = scratch_dir();
    let at = dir.display().to_string();
    for what in ["man", "completions"] {
        assert!(corelane(&["generate", what, &at]).status().unwrap().success());
    }
    let page = fs::read_to_string(dir.join("corelane-topics.1")).unwrap();
    assert!(
        page.contains("corelane\\-topics") && page.contains("bootstrap\\-server"),
        "{page}"
    );
    for name in [
        "corelane.1",
        "corelane-start.1",
        "corelane-debug-bundle.1",
        "corelane.bash",
        "corelane.fish",
        "_corelane",
    ] {
        assert!(fs::metadata(dir.join(name)).unwrap().len() > 100, "{name}");
    }
    let bash = Command::new("bash")
        .arg("-n")
        .arg(dir.join("corelane.bash"))
        .status()
        .unwrap();
    assert!(bash.success());
}

/// The contents of the package; that it installs, runs, upgrades and removes is `make deb-test`.
#[test]
fn the_package_holds_what_an_operator_needs() {
    if !is_installed("dpkg-deb") {
        eprintln!("skipped: dpkg-deb is not installed");
        return;
    }
    let dir = scratch_dir();
    let built = Command::new(root().join("config/deb/build"))
        .arg(env!("CARGO_BIN_EXE_corelane"))
        .arg(&dir)
        .env("COMPRESSION", "gzip")
        .output()
        .unwrap();
    assert!(built.status.success(), "{}", out(&built));
    let package = out(&built).trim().to_owned();
    let listed = out(&Command::new("dpkg-deb")
        .args(["--contents", &package])
        .output()
        .unwrap());
    for path in [
        "./usr/bin/corelane",
        "./usr/bin/corelane-tune -> ../share/corelane/tuning/tune",
        "./usr/bin/kafka-topics.sh -> corelane",
        "./usr/share/corelane/tuning/knobs.tsv",
        "./usr/lib/systemd/system/corelane.service",
        "./usr/lib/systemd/system/corelane-tune.service",
        "./usr/lib/systemd/system/corelane.slice",
        "./etc/corelane/server.properties",
        "./usr/share/man/man1/corelane-doctor.1.gz",
        "./usr/share/bash-completion/completions/corelane",
        "./usr/share/doc/corelane/operating.md",
    ] {
        assert!(
            listed.lines().any(|line| line.ends_with(path)),
            "{path} is not in\n{listed}"
        );
    }
    assert!(listed.lines().all(|line| line.contains("root/root")), "{listed}");
    let field = |name: &str| {
        out(&Command::new("dpkg-deb")
            .args(["--field", &package, name])
            .output()
            .unwrap())
    };
    assert_eq!(field("Version").trim(), env!("CARGO_PKG_VERSION"));
    assert!(field("Depends").contains("libc6 (>= 2."));
}

#[test]
#[ignore = "installs a Debian into a chroot: `make deb-test` runs it"]
fn the_package_installs_runs_upgrades_and_removes() {
    let run = Command::new(root().join("tests/deploy/deb.sh"))
        .arg(env!("CARGO_BIN_EXE_corelane"))
        .env("PORT", free_port().to_string())
        .output()
        .unwrap();
    eprintln!("{}", out(&run));
    match run.status.code() {
        Some(77) => eprintln!("skipped"),
        code => assert_eq!(code, Some(0)),
    }
}
