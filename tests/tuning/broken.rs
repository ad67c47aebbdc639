//! What goes wrong on real machines: writes that fail, a tune killed half-way, two at once, other hands, other boots,
//! files that cannot be read.

use std::process::{Command, Stdio};

use super::machine::Machine;

const SWAPPINESS: &str = "/proc/sys/vm/swappiness";
const STATE: &str = "/var/lib/corelane/tuning/state.tsv";

/// A refused write is exit 3; the state has the changes that stand and not this one.
#[test]
fn a_kernel_that_does_not_take_a_value_is_noticed() {
    let machine = Machine::new("virtio-2c");
    let before = machine.tree();
    machine.mischief("case $3 in */swappiness) echo 60 >\"$root$3\" ;; esac");
    let applied = machine.tune("apply --yes");
    assert_eq!(applied.code, 3, "{}", applied.out);
    assert!(
        applied
            .err
            .contains("swappiness: /proc/sys/vm/swappiness did not take 1: it is 60"),
        "{}",
        applied.err
    );
    let state = machine.read(STATE);
    assert!(!state.contains("swappiness") && state.contains("tcp_wmem"), "{state}");
    machine.remove("/mischief");
    assert_eq!(machine.tune("revert --yes").code, 0);
    assert_eq!(machine.tree().content(), before.content());
}

#[test]
fn a_path_that_vanishes_meanwhile_is_noticed() {
    let machine = Machine::new("virtio-2c");
    machine.mischief("case $3 in */swappiness) rm -f \"$root/proc/sys/net/ipv4/tcp_wmem\" ;; esac");
    let applied = machine.tune("apply --yes");
    assert_eq!(applied.code, 3);
    assert!(
        applied.err.contains("tcp_wmem: /proc/sys/net/ipv4/tcp_wmem is gone"),
        "{}",
        applied.err
    );
    assert!(!machine.read(STATE).contains("tcp_wmem"));
}

#[test]
fn a_file_that_cannot_be_written_is_noticed() {
    let machine = Machine::new("virtio-2c");
    let file = machine.root.join("proc/sys/vm/swappiness");
    let frozen = |flag: &str| {
        let changed = Command::new("chattr")
            .arg(flag)
            .arg(&file)
            .stderr(Stdio::null())
            .status();
        changed.is_ok_and(|status| status.success())
    };
    if !frozen("+i") {
        eprintln!("skipped: chattr +i needs root and a file system that knows it");
        return;
    }
    let applied = machine.tune("apply --yes");
    assert!(frozen("-i"));
    assert_eq!(applied.code, 3);
    assert!(applied.err.contains("did not take 1"), "{}", applied.err);
    assert!(!machine.read(STATE).contains("swappiness"));
}

#[test]
fn a_directory_that_cannot_be_made_leaves_the_change_until_the_next_boot() {
    let machine = Machine::new("virtio-2c");
    machine.write("/etc/tmpfiles.d", "a file where a directory should be\n");
    let applied = machine.tune("apply --yes --only clocksource");
    assert_eq!(applied.code, 3);
    assert!(
        applied
            .err
            .contains("cannot make the directory of /etc/tmpfiles.d/60-corelane.conf"),
        "{}",
        applied.err
    );
    assert!(
        machine.read(STATE).contains("clocksource"),
        "the value was changed, and can be taken back"
    );
}

#[test]
fn without_a_place_for_the_state_nothing_is_changed() {
    let machine = Machine::new("gcp-localssd");
    machine.write("/var/lib/corelane/tuning", "a file where a directory should be\n");
    let before = machine.tree().content().len();
    let applied = machine.tune("apply --yes");
    assert_eq!(applied.code, 3);
    assert!(applied.err.contains("nothing was changed"), "{}", applied.err);
    assert_eq!(machine.read("/proc/sys/net/ipv4/tcp_slow_start_after_idle"), "1\n");
    assert_eq!(machine.tree().content().len(), before);
}

#[test]
fn a_file_of_the_operators_own_is_left_alone() {
    let machine = Machine::new("gcp-localssd");
    machine.write("/etc/sysctl.d/60-corelane.conf", "vm.swappiness = 5\n");
    let applied = machine.tune("apply --yes");
    assert_eq!(applied.code, 3);
    assert!(
        applied.err.contains("is not tune's: put this line into it yourself"),
        "{}",
        applied.err
    );
    machine.ok("revert --yes");
    assert_eq!(machine.read("/etc/sysctl.d/60-corelane.conf"), "vm.swappiness = 5\n");
}

#[test]
fn a_drop_in_that_wins_over_ours_is_named() {
    let machine = Machine::new("rhel9");
    let applied = machine.tune("apply --yes");
    assert_eq!(applied.code, 3);
    assert!(
        applied
            .err
            .contains("another drop-in of corelane.service sets LimitNOFILE"),
        "{}",
        applied.err
    );
}

/// The note was written, the change was not, and the lock is still there.
#[test]
fn a_tune_killed_half_way_can_go_on_or_back() {
    for next in ["apply", "revert"] {
        let machine = Machine::new("virtio-2c");
        let before = machine.tree();
        machine.mischief("case $3 in */swappiness) echo 60 >\"$root$3\"; kill -9 $PPID ;; esac");
        let killed = machine.command(&["sh"], "apply --yes").status().unwrap();
        assert!(!killed.success() && killed.code().is_none(), "killed by a signal");
        assert!(machine.read(STATE).contains("swappiness") && machine.read(SWAPPINESS) == "60\n");
        machine.remove("/mischief");
        let run = machine.tune(&format!("{next} --yes"));
        assert_eq!(run.code, 0, "{}", run.err);
        assert!(run.out.contains("taking over the lock"), "{}", run.out);
        if next == "apply" {
            assert_eq!(machine.read(SWAPPINESS), "1\n");
            machine.ok("revert --yes");
        }
        assert_eq!(machine.tree().content(), before.content(), "{next}");
    }
}

#[test]
fn two_tunes_at_once_are_one_too_many() {
    let machine = Machine::new("virtio-2c");
    machine.write("/run/corelane-tune.lock/pid", &format!("{}\n", std::process::id()));
    let before = machine.tree();
    let second = machine.tune("apply --yes");
    assert_eq!(second.code, 3);
    assert!(second.err.contains("another tune is at work"), "{}", second.err);
    assert_eq!(machine.tree(), before);
}

#[test]
fn what_somebody_else_changed_is_theirs_unless_forced() {
    let machine = Machine::new("virtio-2c");
    let before = machine.tree();
    machine.ok("apply --yes");
    machine.write(SWAPPINESS, "30\n");
    assert_eq!(machine.tune("status").code, 1);
    let reverted = machine.tune("revert --yes");
    assert_eq!(reverted.code, 3);
    assert!(reverted.err.contains("somebody else changed it"), "{}", reverted.err);
    assert_eq!(machine.read(SWAPPINESS), "30\n");
    assert_eq!(
        machine
            .read(STATE)
            .lines()
            .filter(|line| !line.contains("\tdir\t"))
            .count(),
        1,
        "the rest was taken back"
    );
    machine.ok("revert --yes --force");
    assert_eq!(machine.tree().content(), before.content());
}

#[test]
fn a_changed_fstab_is_not_overwritten() {
    let machine = Machine::new("virtio-2c");
    machine.ok("apply --yes --only noatime");
    let theirs = machine.read("/etc/fstab") + "tmpfs /tmp tmpfs defaults 0 0\n";
    machine.write("/etc/fstab", &theirs);
    assert_eq!(machine.tune("revert --yes").code, 3);
    assert_eq!(machine.read("/etc/fstab"), theirs);
}

/// After a boot the values are the kernel's again where nothing persisted them; what tune found first is not forgotten.
#[test]
fn a_state_from_another_boot_keeps_what_the_machine_had_before() {
    let machine = Machine::new("virtio-2c");
    machine.ok("apply --yes --no-persist --only swappiness");
    machine.write("/proc/sys/kernel/random/boot_id", "another\n");
    machine.write(SWAPPINESS, "45\n");
    let status = machine.tune("status");
    assert_eq!(status.code, 1);
    assert!(status.out.contains("(an earlier boot)"), "{}", status.out);
    machine.ok("apply --yes --no-persist --only swappiness");
    assert!(
        machine.read(STATE).contains("\t60\t1\tanother\t"),
        "{}",
        machine.read(STATE)
    );

    machine.write("/proc/sys/kernel/random/boot_id", "a third\n");
    machine.write(SWAPPINESS, "45\n");
    let reverted = machine.ok("revert --yes");
    assert!(reverted.contains("has booted since"), "{reverted}");
    assert_eq!(machine.read(SWAPPINESS), "45\n");
    assert!(!machine.exists(STATE));
}

#[test]
fn odd_kernels_and_files_that_cannot_be_read_are_skipped() {
    let machine = Machine::new("virtio-2c");
    for (release, status) in [
        ("strange", "SKIP"),
        ("4.19.0+", "FAIL"),
        ("5.19-rc1", "OK"),
        ("6.1-custom", "OK"),
        ("10.0.1", "OK"),
        ("5.14.0-427.el9.x86_64", "WARN"),
    ] {
        machine.write("/proc/sys/kernel/osrelease", &format!("{release}\n"));
        assert_eq!(machine.status_of("kernel"), status, "{release}");
    }
    for path in [
        "/proc/sys/vm/swappiness",
        "/proc/meminfo",
        "/proc/swaps",
        "/proc/interrupts",
        "/proc/self/limits",
    ] {
        machine.remove(path);
        machine.write(&format!("{path}/a"), "now a directory\n");
    }
    machine.write("/sys/kernel/mm/transparent_hugepage/enabled", "");
    machine.write("/proc/sys/net/core/somaxconn", "99999999999999999999999\n");
    machine.write("/proc/sys/net/ipv4/tcp_notsent_lowat", "many\n");
    for id in ["swappiness", "ram", "irq", "nofile", "memlock", "thp"] {
        assert_eq!(machine.status_of(id), "SKIP", "{id}");
    }
    assert_eq!(machine.status_of("somaxconn"), "OK");
    assert_eq!(machine.status_of("notsent_lowat"), "WARN");
}

#[test]
fn a_machine_without_proc_is_skipped_over() {
    let machine = Machine::new("virtio-2c");
    std::fs::remove_dir_all(machine.root.join("proc")).unwrap();
    let check = machine.tune("check");
    assert!(check.code <= 1, "{}{}", check.out, check.err);
    assert_eq!(check.err, "");
}
