# What the machine is: reading its files, its log directories, their mounts and disks. Sourced by tune.
# Every path of the machine is "$root/…"; under a TUNE_ROOT no command of the host is asked, only recorded answers.
# shellcheck shell=sh

tab=$(printf '\t')

# read_value FILE: its words in $value, one blank between them. 1 where there is no file, 2 where it cannot be read.
# By cat: the shell's read takes a byte at a time, and the kernel's sysctl files give only the first one that way.
read_value() {
    value=
    [ -e "$1" ] || return 1
    value=$(cat "$1" 2>/dev/null) && [ -n "$value" ] || return 2
    # shellcheck disable=SC2086 # split on purpose
    set -- $value
    value=$*
}

# probe NAME COMMAND…: what the command prints; under a TUNE_ROOT what probe/NAME recorded.
probe() {
    probe_name=$1
    shift
    if [ -n "$root" ]; then
        cat "$root/probe/$probe_name" 2>/dev/null
    else
        "$@" 2>/dev/null
    fi
}

# matches PATTERN: the paths of the machine that it matches, without the root in front.
matches() {
    set +f
    for path in "$root"$1; do
        if [ -e "$path" ] || [ -L "$path" ]; then printf '%s\n' "${path#"$root"}"; fi
    done
    set -f
}

is_number() {
    case $1 in '' | *[!0-9]*) return 1 ;; esac
}

# at_least A B: whether the whole number A >= B; numbers that do not fit into 64 bits are only large.
at_least() {
    is_number "$1" && is_number "$2" || return 1
    [ "${#1}" -le 18 ] || return 0
    [ "$1" -ge "$2" ]
}

# version_at_least 6.18.44-x 6.1
version_at_least() {
    set -- "$1" "${2%%.*}" "${2#*.}"
    version=${1%%[!0-9.]*}
    major=${version%%.*}
    rest=${version#*.}
    [ "$rest" != "$version" ] || rest=0
    minor=${rest%%.*}
    is_number "$major" && is_number "$minor" || return 2
    [ "$major" -gt "$2" ] || { [ "$major" -eq "$2" ] && [ "$minor" -ge "$3" ]; }
}

# list_size 0-3,8: how many that is.
list_size() {
    size=0
    old_ifs=$IFS
    IFS=,
    for part in $1; do
        first=${part%-*} last=${part#*-}
        is_number "$first" && is_number "$last" && size=$((size + last - first + 1))
    done
    IFS=$old_ifs
    [ "$size" -gt 0 ] || size=1
}

# The machine's cores, in $cores.
count_cores() {
    read_value "$root/sys/devices/system/cpu/online" || value=0
    list_size "$value"
    cores=$size
}

# A field of /proc/self/status, in $value.
status_field() {
    value=$(awk -v name="$1:" '$1 == name { print $2; exit }' "$root/proc/self/status" 2>/dev/null) || value=
}

# The broker's log directories, comma separated, in $dirs: of --dirs, else of the configuration.
find_dirs() {
    [ -z "$dirs" ] || return 0
    if [ -r "$root$config" ]; then
        dirs=$(sed -n 's/^[[:space:]]*log\.dirs[[:space:]]*[=:][[:space:]]*//p' "$root$config" | tail -n 1)
        [ -n "$dirs" ] ||
            dirs=$(sed -n 's/^[[:space:]]*log\.dir[[:space:]]*[=:][[:space:]]*//p' "$root$config" | tail -n 1)
    fi
    dirs=$(printf '%s' "${dirs:-$dirs_default}" | tr -d ' \r')
}

# each_dir COMMAND: runs it with each log directory.
each_dir() {
    each=$1
    old_ifs=$IFS
    IFS=,
    # shellcheck disable=SC2086 # split on purpose
    set -- $dirs
    IFS=$old_ifs
    for dir in "$@"; do
        "$each" "$dir"
    done
}

# mount_of DIR: $mount_point, $mount_source, $mount_type and $mount_options of the file system that holds it.
mount_of() {
    found=$(awk -v dir="$1" '
        { point = $2; gsub(/\\040/, " ", point) }
        point == "/" || dir == point || index(dir, point "/") == 1 {
            if (length(point) >= best) { best = length(point); line = $1 "\t" point "\t" $3 "\t" $4 }
        }
        END { print line }' "$root/proc/mounts" 2>/dev/null) || found=
    [ -n "$found" ] || return 1
    IFS=$tab read -r mount_source mount_point mount_type mount_options <<END
$found
END
}

# has_option OPTION OPTIONS: as a whole word of a comma separated list; "commit=" matches by its beginning.
has_option() {
    case $1 in
        *=) case ",$2" in *",$1"*) return 0 ;; esac ;;
        *) case ",$2," in *",$1,"*) return 0 ;; esac ;;
    esac
    return 1
}

# disks_below NAME: the whole disks under a block device: of a partition, of LVM, RAID or a crypt device.
disks_below() {
    if [ -d "$root/sys/block/$1/slaves" ] && [ -n "$(ls "$root/sys/block/$1/slaves")" ]; then
        for slave in $(ls "$root/sys/block/$1/slaves"); do
            disks_below "$slave"
        done
    elif [ -d "$root/sys/block/$1" ]; then
        printf '%s\n' "$1"
    else
        whole=$(matches "/sys/block/*/$1" | head -n 1)
        [ -z "$whole" ] || { whole=${whole%/*}; printf '%s\n' "${whole##*/}"; }
    fi
}

# The kernel's name of a mount's source: /dev/mapper/vg-data is a dm-N, /dev/root may be anything.
device_name() {
    case $1 in
        /dev/mapper/*)
            for file in $(matches "/sys/block/dm-*/dm/name"); do
                read_value "$root$file" && [ "$value" = "${1#/dev/mapper/}" ] || continue
                file=${file#/sys/block/}
                printf '%s\n' "${file%%/*}"
                return
            done
            ;;
        /dev/*) printf '%s\n' "${1##*/}" ;;
    esac
}

disks_of_dir() {
    mount_of "$1" || return 0
    name=$(device_name "$mount_source")
    [ -z "$name" ] || disks_below "$name"
}

# The disks under the log directories, each once.
find_disks() {
    disks=$(each_dir disks_of_dir | sort -u)
}

# The network cards that are hardware (virtual ones have no device behind them).
find_cards() {
    cards=$(matches "/sys/class/net/*/device" | sed 's|/device$||; s|.*/||')
}
