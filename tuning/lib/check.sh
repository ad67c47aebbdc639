# Reading the knobs: what each one is, what it should be, and what tune would write. Sourced by tune.
#
# A finding is one line of tab separated fields, an empty one as "-":
#   id kind path status current wanted target severity source why risk cure
# target is what apply writes; "-" where there is nothing to write, or only a person can.
# shellcheck shell=sh

knobs() { # the rows of the table that the profile, --only and --skip leave
    awk -F "$tab" -v profile="$profile" -v only="$only" -v skip="$skip" '
        function listed(list, id) { return index("," list ",", "," id ",") > 0 }
        NR == 1 { next }
        only != "" ? !listed(only, $1) : profile != "" && !listed($7, profile) { next }
        !listed(skip, $1)' "$home/knobs.tsv"
}

# find_all: every finding, on the standard output.
find_all() {
    knobs >"$work/knobs"
    while IFS=$tab read -r id kind path op row_wanted row_severity _ _ source why risk cure; do
        wanted=$row_wanted severity=$row_severity
        "find_$kind"
    done <"$work/knobs"
}

# finding SUFFIX PATH STATUS CURRENT TARGET [WHY]
finding() {
    shown_wanted
    # A container's settings are its host's, and how it was started.
    if [ "$profile" = container ]; then target=-; else target=${5:--}; fi
    printf '%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n' "$id$1" "$kind" "${2:--}" "$3" "${4:--}" \
        "$shown" "$target" "$severity" "$source" "${6:-$why}" "$risk" "$cure"
}

# What is wanted, in words for people, in $shown. Only a row's own value carries its op.
shown_wanted() {
    shown=$wanted
    [ "$wanted" = "$row_wanted" ] && [ "$wanted" != unlimited ] || return 0
    case $op in
        ge) shown=">= $wanted" ;;
        le) shown="<= $wanted" ;;
        ne) shown="not $wanted" ;;
        ge3) shown="max >= $wanted" ;;
        in) shown="${wanted%%|*} or as fast" ;;
    esac
}

# Where there is nothing to look at, or it cannot be read.
skipped() { # SUFFIX PATH REASON
    finding "$1" "$2" SKIP - - "$3"
}

# judged SUFFIX PATH CURRENT TARGET: by the row's op and severity.
judged() {
    if [ "$severity" = INFO ]; then
        finding "$1" "$2" INFO "$3" -
    elif meets "$3"; then
        finding "$1" "$2" OK "$3" -
    else
        finding "$1" "$2" "$severity" "$3" "$4"
    fi
}

# meets CURRENT: whether it is what the row's op and value ask for.
meets() {
    case $op in
        eq) [ "$1" = "$wanted" ] ;;
        ne) [ "$1" != "$wanted" ] ;;
        ge) at_least "$1" "$wanted" ;;
        le) at_least "$wanted" "$1" ;;
        range) at_least "$1" "${wanted%..*}" && at_least "${wanted#*..}" "$1" ;;
        ge3) at_least "${1##* }" "$wanted" ;;
        in) case "|$wanted|" in *"|$1|"*) ;; *) return 1 ;; esac ;;
        choice) [ "$(chosen "$1")" = "$wanted" ] ;;
        *) return 1 ;;
    esac
}

# The word in brackets of "always [madvise] never"; a value without brackets is itself.
chosen() {
    case $1 in
        *\[*\]*) chosen_word=${1#*\[}; printf '%s\n' "${chosen_word%%\]*}" ;;
        *) printf '%s\n' "$1" ;;
    esac
}

# What to write so that a value becomes what is wanted.
target_for() { # CURRENT
    case $op in
        range) printf '%s\n' "${wanted%%..*}" ;;
        ne) printf '0\n' ;;
        ge3) printf '%s %s\n' "${1% *}" "$wanted" ;;
        in) printf '%s\n' "${wanted%%|*}" ;;
        *) printf '%s\n' "$wanted" ;;
    esac
}

find_file() { # SUFFIX PATH: a knob that is one file of the kernel
    state=0
    read_value "$root$2" || state=$?
    case $state in
        1) skipped "$1" "$2" "this kernel or machine does not have it" ;;
        2) skipped "$1" "$2" "cannot be read here" ;;
        *)
            target=$(target_for "$value")
            if is_offered "$2" "$target"; then
                judged "$1" "$2" "$(chosen "$value")" "$target"
            else
                judged "$1" "$2" "$(chosen "$value")" -
            fi
            ;;
    esac
}

# Whether the kernel takes the value: where it lists what it has, only that.
is_offered() { # PATH TARGET
    case $1 in
        */current_clocksource) offers=${1%/*}/available_clocksource ;;
        */scaling_governor) offers=${1%/*}/scaling_available_governors ;;
        */energy_performance_preference) offers=${1%/*}/energy_performance_available_preferences ;;
        *) offers=$1 ;;
    esac
    [ "$op" = choice ] || [ "$offers" != "$1" ] || return 0
    offered=$(cat "$root$offers" 2>/dev/null) || return 0
    case " $(printf '%s' "$offered" | tr '[]\n' '   ') " in *" $2 "*) ;; *) return 1 ;; esac
}

find_sysctl() {
    find_file "" "/proc/sys/$(printf '%s' "$path" | tr . /)"
}

find_sysfs() {
    found=$(matches "$path")
    if [ -z "$found" ]; then
        skipped "" "$path" "this kernel or machine does not have it"
    fi
    case $path in *\**) is_many=yes ;; *) is_many= ;; esac
    for file in $found; do
        part=${file%/*}
        find_file "${is_many:+:${part##*/}}" "$file"
    done
}

find_block() {
    [ -n "$disks" ] || skipped "" - "no block device is known under $dirs"
    for disk in $disks; do
        if [ "$severity" != INFO ] && is_spinning "$disk"; then
            skipped ":$disk" "/sys/block/$disk/queue/$path" "a spinning disk profits from ordering and merging"
        else
            find_file ":$disk" "/sys/block/$disk/queue/$path"
        fi
    done
}

# A virtual disk says that it spins when it does not know.
is_spinning() {
    case $1 in vd* | xvd*) return 1 ;; esac
    read_value "$root/sys/block/$1/queue/rotational" && [ "$value" = 1 ]
}

find_mount() {
    : >"$work/points"
    each_dir find_mount_of
}

find_mount_of() { # DIR: one finding for each mount point, not for each directory on it
    mount_of "$1" || { skipped ":$1" - "no mount is known for $1"; return; }
    ! grep -qxF "$mount_point" "$work/points" || return 0
    printf '%s\n' "$mount_point" >>"$work/points"
    wanted=$row_wanted
    case $op in
        has) find_wished_option ;;
        lacks | not) find_unwished_option ;;
        range) find_commit ;;
    esac
}

find_wished_option() {
    wanted=$path
    if has_option "$path" "$mount_options"; then
        finding ":$mount_point" "$mount_point" OK "$path" -
    else
        finding ":$mount_point" "$mount_point" "$severity" "$(atime_option "$mount_options")" "$path"
    fi
}

atime_option() { # OPTIONS: the access time option that is in force; none shown means each access
    for option in noatime relatime; do
        ! has_option "$option" "$1" || { printf '%s\n' "$option"; return; }
    done
    printf 'strictatime\n'
}

find_unwished_option() {
    [ "$path" != nobarrier ] || ! has_option barrier=0 "$mount_options" || mount_options=$mount_options,nobarrier
    if ! has_option "$path" "$mount_options"; then
        finding ":$mount_point" "$mount_point" OK "$wanted" -
    elif [ "$op" = not ]; then
        finding ":$mount_point" "$mount_point" "$severity" "$path" -
    else
        finding ":$mount_point" "$mount_point" "$severity" "$path" "$wanted"
    fi
}

find_commit() {
    case $mount_type in
        ext3 | ext4) ;;
        *) skipped ":$mount_point" "$mount_point" "$mount_type has no commit option"; return ;;
    esac
    seconds=$(commit_seconds "$mount_options")
    state=OK
    meets "$seconds" || state=$severity
    wanted=commit=$row_wanted
    if [ "$state" = OK ]; then target=-; else target=commit=${row_wanted%%..*}; fi
    finding ":$mount_point" "$mount_point" "$state" "commit=$seconds" "$target"
}

commit_seconds() { # OPTIONS; the kernel shows it only when it is not 5
    commit=5
    ! has_option commit= "$1" || { commit=${1##*commit=}; commit=${commit%%,*}; }
    printf '%s\n' "$commit"
}

# The limits that the broker has, or would get from its unit, or from this shell: in $current, with $from.
find_limit() {
    pid=$(running_broker)
    set_by_unit=$(unit_limit "$(limit_directive)")
    if [ -n "$pid" ]; then
        current=$(proc_limit "$root/proc/$pid/limits") from="process $pid"
    elif [ -n "$set_by_unit" ]; then
        current=$set_by_unit from=unit
    else
        current=$(proc_limit "$root/proc/self/limits") from=shell
    fi
    case $current in infinity) current=unlimited ;; '') skipped "" - "cannot be read here"; return ;; esac
    judge_limit
}

judge_limit() {
    said="$(shown_limit "$current") ($from)"
    [ "$path" != memlock ] || is_too_little_memory "$current" || severity=WARN
    if is_enough_limit "$current"; then
        finding "" "$path" OK "$said" -
    elif [ -n "$pid" ] && is_enough_limit "$set_by_unit"; then
        cure="restart the broker: the limit is set, and it still runs with the old one"
        finding "" "$path" "$severity" "$said" -
    else
        finding "" "$path" "$severity" "$said" "$wanted"
    fi
}

shown_limit() { # a size in MiB, where it is one
    if [ "$path" = memlock ] && at_least "$1" 1048576; then printf '%d MiB\n' $(($1 / 1048576)); else printf '%s\n' "$1"; fi
}

# memlock: no limit is wanted; what every core's rings and buffers take is enough.
is_enough_limit() {
    case $1 in
        '') return 1 ;;
        unlimited | infinity) return 0 ;;
    esac
    [ "$path" = memlock ] || { at_least "$1" "$wanted"; return; }
    at_least "$1" $((cores * 3 * 8388608 + cores * 524288))
}

# Below it the broker does not start.
is_too_little_memory() {
    ! at_least "$1" $((cores * 524288))
}

limit_directive() {
    case $path in nofile) echo LimitNOFILE ;; memlock) echo LimitMEMLOCK ;; esac
}

running_broker() {
    for file in $(matches "/proc/[0-9]*/comm"); do
        read_value "$root$file" || continue
        case $value in
            corelane | kafka-server-st*)
                process=${file%/comm}
                case $(tr '\0' ' ' 2>/dev/null <"$root$process/cmdline") in
                    *corelane\ start* | *kafka-server-start*) printf '%s\n' "${process#/proc/}"; return ;;
                esac
                ;;
        esac
    done
}

proc_limit() { # FILE: the hard limit, which the broker raises its own to
    case $path in nofile) words="Max open files" ;; memlock) words="Max locked memory" ;; esac
    awk -v words="$words" 'index($0, words) == 1 { sub(words, ""); print $2; exit }' "$1" 2>/dev/null || :
}

unit_limit() { # DIRECTIVE: as the unit and its drop-ins set it, the last one wins
    for file in /usr/lib/systemd/system /lib/systemd/system /etc/systemd/system; do
        [ ! -r "$root$file/corelane.service" ] || cat "$root$file/corelane.service"
    done >"$work/unit"
    for file in $(matches "/etc/systemd/system/corelane.service.d/*.conf"); do
        cat "$root$file"
    done >>"$work/unit"
    sed -n "s/^$1=//p" "$work/unit" | tail -n 1
}

# One-queue network cards: all cores share the work of the one that is interrupted.
find_rps() {
    [ -n "$cards" ] || skipped "" - "no network card is visible"
    for card in $cards; do
        queues=$(matches "/sys/class/net/$card/queues/rx-*")
        if [ "$cores" -lt 4 ]; then
            skipped ":$card" - "not worth it with fewer than 4 cores"
        elif [ "$(printf '%s\n' "$queues" | wc -l)" -ne 1 ]; then
            skipped ":$card" - "the card has a queue for each core or several"
        else
            find_rps_of "$card" "$queues/rps_cpus"
        fi
    done
}

find_rps_of() { # CARD PATH
    wanted=$(core_mask)
    read_value "$root$2" || { skipped ":$1" "$2" "cannot be read here"; return; }
    if [ "$(plain_mask "$value")" = "$(plain_mask "$wanted")" ]; then
        finding ":$1" "$2" OK "$value" -
    else
        finding ":$1" "$2" "$severity" "$value" "$wanted"
    fi
}

# All cores as the kernel prints it: words of 32 bits, ffffffff,ffffffff.
core_mask() {
    mask=
    left=$cores
    while [ "$left" -gt 32 ]; do
        mask=,ffffffff$mask
        left=$((left - 32))
    done
    printf '%x%s\n' $(((1 << left) - 1)) "$mask"
}

plain_mask() { # without leading zeros
    printf '%s\n' "$1" | sed 's/^[0,]*//; s/^$/0/'
}

find_none() {
    finding "" - INFO - -
}

find_check() {
    "check_$path"
}
