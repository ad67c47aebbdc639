//! `tuning/tune` on recorded machines: a TUNE_ROOT below a scratch directory, never this machine's own settings.
//!
//! A fixture is one file, `fixtures/NAME.tree`: a path at the start of a line, its content indented by a tab below it,
//! `path/` for a directory, `path -> target` for a link. What check and plan say of it stands beside it as JSON;
//! `UPDATE_GOLDEN=1` writes those anew. `kernel.sh` plays the kernel and mount.

mod agree;
mod broken;
pub mod machine;
mod real;

use std::fs;

use machine::{FIXTURES, Machine, golden, shells, tune_dir};

#[test]
fn check_and_plan_say_what_is_recorded_and_touch_nothing() {
    for fixture in FIXTURES {
        let machine = Machine::new(fixture);
        let before = machine.tree();
        for shell in shells() {
            let check = machine.tune_with(&shell, "check --json");
            golden(&format!("{fixture}.check.json"), &check.out);
            assert_eq!(check.code, exit_of(&check.out), "{fixture}: {}", check.err);
            let plan = machine.tune_with(&shell, "plan --json");
            golden(&format!("{fixture}.plan.json"), &plan.out);
        }
        assert_eq!(machine.tree(), before, "{fixture}");
    }
}

/// 2 with a FAIL, else 1 with a WARN, else 0.
fn exit_of(json: &str) -> i32 {
    let has = |status: &str| json.contains(&format!("\"status\": \"{status}\""));
    if has("FAIL") { 2 } else { i32::from(has("WARN")) }
}

#[test]
fn apply_leaves_nothing_to_do_and_revert_nothing_behind() {
    for (fixture, profile) in FIXTURES.iter().flat_map(|name| [(name, "prod"), (name, "latency")]) {
        if *fixture == "container" {
            continue; // nothing is applied in a container
        }
        let mut machine = Machine::new(fixture);
        machine.profile = profile;
        machine.remove("/etc/systemd/system/corelane.service.d/local.conf");
        let before = machine.tree();

        let applied = machine.tune("apply --yes");
        assert_eq!(applied.code, 0, "{fixture}: {}{}", applied.out, applied.err);
        assert_eq!(machine.rows("plan --json").len(), 0, "{fixture}");
        let status = machine.tune("status");
        assert_eq!(status.code, 0, "{fixture}: {}", status.out);

        let reverted = machine.tune("revert --yes");
        assert_eq!(reverted.code, 0, "{fixture}: {}{}", reverted.out, reverted.err);
        assert_eq!(machine.tree().content(), before.content(), "{fixture}");
    }
}

#[test]
fn a_second_apply_writes_nothing() {
    let machine = Machine::new("nvme-16c");
    machine.ok("apply --yes");
    let once = machine.tree();
    assert_eq!(machine.ok("apply --yes"), "nothing to change\n");
    assert_eq!(machine.tree(), once);
}

#[test]
fn a_second_revert_has_nothing_to_take_back() {
    let machine = Machine::new("gcp-localssd");
    machine.ok("apply --yes");
    machine.ok("revert --yes");
    assert_eq!(machine.ok("revert --yes"), "nothing to take back\n");
}

#[test]
fn what_is_applied_is_made_again_at_each_boot() {
    let machine = Machine::new("virtio-2c");
    machine.ok("apply --yes");
    let has = |path: &str, line: &str| {
        let content = machine.read(path);
        assert!(
            content.lines().any(|found| found == line),
            "{path} has not {line}:\n{content}"
        );
    };
    has("/etc/sysctl.d/60-corelane.conf", "vm.swappiness = 1");
    has(
        "/etc/sysctl.d/60-corelane.conf",
        "net.ipv4.tcp_wmem = 4096 16384 16777216",
    );
    has(
        "/etc/udev/rules.d/60-corelane.rules",
        r#"ACTION=="add|change", SUBSYSTEM=="block", KERNEL=="vda", ATTR{queue/scheduler}="none""#,
    );
    has(
        "/etc/tmpfiles.d/60-corelane.conf",
        "w /sys/devices/system/clocksource/clocksource0/current_clocksource - - - - tsc",
    );
    has("/etc/security/limits.d/60-corelane.conf", "* - nofile 1000000");
    has(
        "/etc/systemd/system/corelane.service.d/60-tuning.conf",
        "LimitNOFILE=1000000",
    );
    has(
        "/etc/systemd/system/corelane.service.d/60-tuning.conf",
        "LimitMEMLOCK=infinity",
    );
    has("/etc/fstab", "/dev/vda\t/\text4\tdefaults,noatime,commit=30\t0\t1");
}

#[test]
fn without_persistence_only_the_running_machine_changes() {
    let machine = Machine::new("gcp-localssd");
    machine.ok("apply --yes --no-persist");
    assert_eq!(machine.read("/proc/sys/net/ipv4/tcp_slow_start_after_idle"), "0\n");
    assert!(!machine.exists("/etc/sysctl.d/60-corelane.conf"));
}

#[test]
fn only_and_skip_choose_the_knobs() {
    let machine = Machine::new("virtio-2c");
    machine.ok("apply --yes --only swappiness,scheduler --skip scheduler");
    assert_eq!(machine.read("/proc/sys/vm/swappiness"), "1\n");
    assert_eq!(
        machine.read("/sys/block/vda/queue/scheduler"),
        "none [mq-deadline] kyber bfq \n"
    );
    machine.ok("apply --yes --only slow_start");
    machine.ok("revert --yes --only swappiness");
    assert_eq!(machine.read("/proc/sys/vm/swappiness"), "60\n");
    assert_eq!(machine.read("/proc/sys/net/ipv4/tcp_slow_start_after_idle"), "0\n");
    assert_eq!(machine.tune("check --only nonsense").code, 64);
}

#[test]
fn the_notebooks_four_are_explained_as_such() {
    let machine = Machine::new("virtio-2c");
    for (id, item) in [
        ("nofile", "ulimit -n 1000000"),
        ("filesystem", "file system: XFS"),
        ("swappiness", "swappiness: small, not 0"),
        ("commit", "commit interval: longer"),
    ] {
        let said = machine.ok(&format!("explain {id}"));
        assert!(
            said.contains(&format!("One of the notebook's four settings: {item}.")),
            "{said}"
        );
    }
    assert!(machine.ok("explain commit").contains("POWER CUT"), "its price is named");
    let named = machine
        .ok("list")
        .lines()
        .skip(1)
        .filter(|line| !line.is_empty())
        .count();
    let explained = fs::read_to_string(tune_dir().join("knobs.tsv"))
        .unwrap()
        .lines()
        .skip(1)
        .filter(|row| {
            machine
                .ok(&format!("explain {}", row.split('\t').next().unwrap()))
                .contains("source")
        })
        .count();
    assert_eq!(explained, named);
}

#[test]
fn every_row_of_the_table_is_whole() {
    let table = fs::read_to_string(tune_dir().join("knobs.tsv")).unwrap();
    let mut lines = table.lines();
    assert_eq!(
        lines.next().unwrap().replace('\t', " "),
        "id kind path op value severity profiles reboot source why risk cure"
    );
    let mut ids = Vec::new();
    for line in lines {
        let fields: Vec<_> = line.split('\t').collect();
        assert_eq!(fields.len(), 12, "{line}");
        assert!(
            fields.iter().all(|field| !field.trim().is_empty()),
            "an empty field is written -: {line}"
        );
        assert!(["FAIL", "WARN", "INFO"].contains(&fields[5]), "{line}");
        let known = |profile: &str| ["prod", "latency", "container", "dev"].contains(&profile);
        assert!(fields[6].split(',').all(known), "{line}");
        assert!(["yes", "no"].contains(&fields[7]), "{line}");
        ids.push(fields[0]);
    }
    let count = ids.len();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), count, "an id stands twice");
}

#[test]
fn wrong_usage_is_exit_64() {
    let machine = Machine::new("virtio-2c");
    let before = machine.tree();
    for arguments in [
        "",
        "nonsense",
        "check --nonsense",
        "check --profile big",
        "explain",
        "explain nonsense",
        "check --only",
        "check extra",
        "apply",
        "revert --force extra",
    ] {
        assert_eq!(machine.tune(arguments).code, 64, "{arguments}");
    }
    assert_eq!(machine.tree(), before);
    assert_eq!(machine.tune("help").code, 0);
}

#[test]
fn a_row_for_each_file_of_a_pattern_is_one_line_for_people() {
    let machine = Machine::new("nvme-16c");
    let table = machine.tune("check").out;
    assert!(table.contains("governor (16) "), "{table}");
    let columns: Vec<_> = table
        .lines()
        .skip(3)
        .take(20)
        .map(|line| line.find(" OK ").or(line.find(" WARN ")))
        .collect();
    assert!(columns.windows(2).all(|pair| pair[0] == pair[1]), "aligned:\n{table}");
}
