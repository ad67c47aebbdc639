# The checks that are more than one file of the kernel: nothing here can be written by tune. Sourced by tune.
# shellcheck shell=sh

check_kernel() {
    read_value "$root/proc/sys/kernel/osrelease" || { skipped "" - "the kernel does not tell its release"; return; }
    release=$value
    state=0
    version_at_least "$release" "$wanted" || state=$?
    case $state in
        0) finding "" - OK "$release" - ;;
        2) skipped "" - "the release $release is no version number" ;;
        *)
            case $release in *.el[89]* | *.el1[0-9]*) severity=WARN ;; esac # Red Hat's numbers say little
            finding "" - "$severity" "$release" -
            ;;
    esac
}

check_filesystem() {
    each_dir check_filesystem_of
}

check_filesystem_of() { # DIR
    mount_of "$1" || { skipped ":$1" - "no mount is known for $1"; return; }
    case $mount_type in
        xfs) finding ":$1" "$mount_point" OK xfs - ;;
        nfs* | cifs | overlay | btrfs | tmpfs | ramfs | fuse* | 9p)
            severity=FAIL
            finding ":$1" "$mount_point" FAIL "$mount_type" - "$mount_type has no direct I/O that a log can rely on"
            severity=$row_severity
            ;;
        *) finding ":$1" "$mount_point" WARN "$mount_type" - ;;
    esac
}

check_space() {
    each_dir check_space_of
}

check_space_of() { # DIR
    there=$1
    while [ -z "$root" ] && [ ! -e "$there" ] && [ "$there" != / ]; do
        there=$(dirname "$there")
    done
    free_kib=$(probe df df -Pk "$there" | awk 'NR == 2 { print $4 }')
    is_number "$free_kib" || { skipped ":$1" - "df does not tell"; return; }
    judge_gib ":$1" "$1" $((free_kib / 1048576))
}

judge_gib() { # SUFFIX PATH GIB
    state=OK
    at_least "$3" "$row_wanted" || state=$severity
    wanted=">= $row_wanted GiB"
    finding "$1" "$2" "$state" "$3 GiB" -
}

check_fstrim() {
    trims=
    for disk in $disks; do
        ! read_value "$root/sys/block/$disk/queue/discard_max_bytes" || [ "$value" = 0 ] || trims=yes
    done
    [ -n "$trims" ] || { skipped "" - "no disk here takes discards"; return; }
    answer=$(probe fstrim systemctl is-active fstrim.timer) || :
    case $answer in
        active | inactive | failed) judged "" - "$answer" - ;;
        *) skipped "" - "systemd is not there to ask" ;;
    esac
}

check_seccomp() {
    status_field Seccomp
    case $value in
        0) finding "" - OK off - ;;
        1 | 2) finding "" - "$severity" filter - ;;
        *) skipped "" - "this kernel does not tell" ;;
    esac
}

check_swap() {
    [ -r "$root/proc/swaps" ] || { skipped "" - "this kernel has no swap"; return; }
    swap=$(awk 'NR > 1 { size += $3; used += $4 } END { printf "%d %d", size / 1024, used / 1024 }' "$root/proc/swaps" 2>/dev/null) ||
        { skipped "" - "cannot be read here"; return; }
    case $swap in
        "0 "*) finding "" - "$severity" none - ;;
        *)
            # What was pushed out once and never missed is no sign of trouble: 64 MiB of it pass.
            if [ "${swap#* }" -le 64 ]; then current=unused; else current="${swap#* } MiB used"; fi
            judged "" - "$current" -
            ;;
    esac
}

check_ram() {
    kib=$(awk '$1 == "MemTotal:" { print $2 }' "$root/proc/meminfo" 2>/dev/null) || :
    is_number "$kib" || { skipped "" - "/proc/meminfo does not tell"; return; }
    # Rounded: firmware keeps a little of the last GiB.
    judge_gib "" - $(((kib / cores + 524288) / 1048576))
}

# The control group's file, in $value: version 2, or the controller of version 1, of this group or the mount's root.
cgroup_value() { # FILE CONTROLLER FILE_V1
    group=$(sed -n 's/^0:://p' "$root/proc/self/cgroup" 2>/dev/null | head -n 1)
    for file in "/sys/fs/cgroup$group/$1" "/sys/fs/cgroup/$1" "/sys/fs/cgroup/$2/$3"; do
        ! read_value "$root$file" || return 0
    done
    return 1
}

check_cgroup_memory() {
    need=$((cores * 216 + 256)) # MiB: cache, requests and I/O memory of a shard by default, and the rest
    cgroup_value memory.max memory memory.limit_in_bytes || { skipped "" - "no control group is visible"; return; }
    wanted="$need MiB"
    if [ "$value" = max ] || at_least "$value" 1000000000000000; then
        finding "" - OK "no limit" -
    elif at_least "$value" $((need * 1048576)); then
        finding "" - OK "$((value / 1048576)) MiB" -
    else
        finding "" - "$severity" "$((value / 1048576)) MiB" -
    fi
}

check_cgroup_cpu() {
    wanted="whole cores"
    if cgroup_value cpu.max none none; then
        quota=${value% *} period=${value#* }
    elif cgroup_value none cpu cpu.cfs_quota_us; then
        quota=$value
        cgroup_value none cpu cpu.cfs_period_us || value=100000
        period=$value
    else
        skipped "" - "no control group is visible"
        return
    fi
    if ! is_number "$quota" || ! at_least "$period" 1; then
        finding "" - OK "no limit" -
    elif [ $((quota % period)) -eq 0 ]; then
        finding "" - OK "$((quota / period))" -
    else
        finding "" - "$severity" "$((quota / period)).$((quota % period * 10 / period))" -
    fi
}

check_cgroup_pids() {
    cgroup_value pids.max pids pids.max || { skipped "" - "no control group is visible"; return; }
    if [ "$value" = max ]; then finding "" - OK "no limit" -; else judged "" - "$value" -; fi
}

check_ntp() {
    answer=$(probe ntp timedatectl show -p NTPSynchronized --value) || :
    if [ -z "$answer" ] && [ -z "$root" ] && command -v chronyc >/dev/null; then
        case $(chronyc -n tracking 2>/dev/null) in *"Leap status     : Normal"*) answer=yes ;; esac
    fi
    case $answer in
        yes | no) judged "" - "$answer" - ;;
        *) skipped "" - "neither timedatectl nor chronyc tells; \`corelane doctor\` asks the kernel" ;;
    esac
}

# The core that took most of a device's interrupts, for each of its queues, sorted: "0,3".
interrupt_cores() { # a pattern of the interrupt's name
    awk -v name="$1" '
        NR == 1 { cpus = NF; next }
        $NF ~ name {
            best = 0
            for (cpu = 0; cpu < cpus; cpu++) if ($(cpu + 2) + 0 > best) { best = $(cpu + 2) + 0; core = cpu }
            if (best > 0) print core
        }' "$root/proc/interrupts" 2>/dev/null | sort -nu | paste -s -d , -
}

# What a device's interrupts are called: nvme0q1, virtio1-req.0, eth0-TxRx-3.
interrupt_name() { # NAME DEVICE_LINK
    case $1 in nvme*) printf '^%sq[1-9]\n' "${1%%n[0-9]*}"; return ;; esac
    device=$(readlink "$root$2" 2>/dev/null) || device=
    case ${device##*/} in
        virtio*) printf '^%s-(req|requests|input|output|rx|tx)' "${device##*/}" ;;
        *) printf '(^|@)%s([-_.]|$)' "$1" ;;
    esac
}

check_irq() {
    [ "$cores" -gt 1 ] || { skipped "" - "there is one core"; return; }
    said= of_disks= of_cards=
    for disk in $disks; do
        on=$(interrupt_cores "$(interrupt_name "$disk" "/sys/block/$disk/device")")
        [ -z "$on" ] || said="$said, $disk cpu $on" of_disks="$of_disks $on"
    done
    for card in $cards; do
        on=$(interrupt_cores "$(interrupt_name "$card" "/sys/class/net/$card/device")")
        [ -z "$on" ] || said="$said, $card cpu $on" of_cards="$of_cards $on"
    done
    [ -n "$of_disks" ] && [ -n "$of_cards" ] || { skipped "" - "the interrupts' names do not tell the devices"; return; }
    wanted="different cores"
    # A list of several cores holds a comma: such a device has spread its interrupts itself.
    case $of_disks$of_cards in
        *,*) finding "" - OK "${said#, }" - ;;
        *)
            if [ "$(printf '%s\n' $of_disks $of_cards | sort -u | wc -l)" -eq 1 ]; then
                finding "" - "$severity" "${said#, }" -
            else
                finding "" - OK "${said#, }" -
            fi
            ;;
    esac
}
