# plan, apply, revert. Every change: note it in the state, make it, read it back, then have it made again at each boot.
# Sourced by tune.
# shellcheck shell=sh

sysctl_file=/etc/sysctl.d/60-corelane.conf
udev_file=/etc/udev/rules.d/60-corelane.rules
tmpfiles_file=/etc/tmpfiles.d/60-corelane.conf
limits_file=/etc/security/limits.d/60-corelane.conf
unit_file=/etc/systemd/system/corelane.service.d/60-tuning.conf
fstab_file=/etc/fstab
our_header="# Written by corelane's tune; \`tune revert\` takes it away."

# Has the machine do what is more than a file; under a TUNE_ROOT its stand-in is told, never the machine.
act() { # NAME ARGUMENT…
    if [ -z "$root" ]; then
        case $1 in
            remount) mount -o "remount,$3" "$2" ;;
            reload) ! command -v systemctl >/dev/null || systemctl daemon-reload >/dev/null 2>&1 || : ;;
        esac
    elif [ -x "$root/kernel" ]; then
        "$root/kernel" "$root" "$@"
    fi
}

changes() { # the findings that tune can do something about
    awk -F "$tab" '($4 == "WARN" || $4 == "FAIL") && $7 != "-"' "$work/findings"
}

plan() {
    find_all >"$work/findings"
    changes >"$work/changes"
    if [ -n "$json" ]; then print_json changes; else print_plan; fi
    exit_by_findings
}

print_plan() {
    fold "$work/changes" >"$work/shown"
    while IFS=$tab read -r id kind path _ current _ target _ _ why risk _; do
        printf '%s: %s -> %s\n    why:     %s\n' "$id" "$current" "$target" "$why"
        [ "$risk" = - ] || printf '    risk:    %s\n' "$risk"
        case $kind in
            limit) printf '    persist: %s, %s\n' "$limits_file" "$unit_file" ;;
            mount) printf '    change:  mount -o remount,%s %s\n' "$target" "$path" ;;
            *) printf '    change:  %s\n' "$path" ;;
        esac
        [ "$kind" = limit ] || [ -n "$no_persist" ] || printf '    persist: %s\n' "$(persist_file "$kind")"
    done <"$work/shown"
    total=$(wc -l <"$work/changes")
    left=$(awk -F "$tab" '($4 == "WARN" || $4 == "FAIL") && $7 == "-"' "$work/findings" | wc -l)
    printf '%d to change, nothing was changed; %d more need a person (tune check).\n' "$total" "$left"
}

persist_file() { # KIND
    case $1 in
        sysctl) echo "$sysctl_file" ;;
        sysfs) echo "$tmpfiles_file" ;;
        block | rps) echo "$udev_file" ;;
        mount) echo "$fstab_file" ;;
    esac
}

apply() {
    need_root
    find_all >"$work/findings"
    changes >"$work/changes"
    if [ ! -s "$work/changes" ]; then
        note "nothing to change"
        return 0
    fi
    confirm "change $(wc -l <"$work/changes" | tr -d ' ') settings of this machine (tune plan shows them)"
    lock
    made=
    # Twice: the directories of the state itself are noted once there is a place to note them in.
    if ! make_dirs "$state_file" || ! [ -w "$root$state_dir" ] || ! make_dirs "$state_file"; then
        fail 3 "cannot keep the state in $state_dir: nothing was changed"
    fi
    failed=0 reload=
    while IFS=$tab read -r id kind path _ current _ target _ _ _ _ _; do
        if apply_one; then
            note "$id: $current -> $target"
        else
            failed=$((failed + 1))
        fi
    done <"$work/changes"
    [ -z "$reload" ] || act reload
    [ "$failed" -eq 0 ] || fail 3 "$failed of $(wc -l <"$work/changes" | tr -d ' ') changes failed; the others stand (tune status)"
}

apply_one() {
    case $kind in
        limit) apply_limit ;;
        mount) apply_mount ;;
        *) apply_value ;;
    esac
}

apply_value() {
    before=$(raw_value "$path") || { complain "$id: $path is gone"; return 1; }
    write_value value "$path" "$before" "$target" || return 1
    [ -z "$no_persist" ] || return 0
    case $kind in
        sysctl) line="$(sysctl_name "$path") = $target" ;;
        sysfs) line="w $path - - - - $target" ;;
        block) line=$(udev_line block "$(printf '%s' "$path" | cut -d / -f 4)" "queue/${path##*/}") ;;
        rps) line=$(udev_line net "$(printf '%s' "$path" | cut -d / -f 5)" "${path#/sys/class/net/*/}") ;;
    esac
    add_line "$(persist_file "$kind")" "$line"
}

sysctl_name() {
    printf '%s' "${1#/proc/sys/}" | tr / .
}

udev_line() { # SUBSYSTEM DEVICE ATTRIBUTE
    printf 'ACTION=="add|change", SUBSYSTEM=="%s", KERNEL=="%s", ATTR{%s}="%s"\n' "$1" "$2" "$3" "$target"
}

raw_value() { # PATH: what is in force, as it would be written
    read_value "$root$1" || return 1
    chosen "$value"
}

# Notes, writes, reads back. What an earlier boot noted keeps its old value: it is what the machine had before tune.
write_value() { # KIND PATH OLD NEW
    if state_of "$id" "$1" "$2"; then keep=$row_old; else keep=$3; fi
    state_add "$id" "$1" "$2" "$keep" "$4" || { complain "$id: the state cannot be written"; return 1; }
    if put "$1" "$2" "$4" && [ "$(in_force "$1" "$2" "$4")" = "$4" ]; then
        return 0
    fi
    now=$(in_force "$1" "$2" "$4")
    complain "$id: $2 did not take $4: it is $now"
    [ "$now" != "$keep" ] || state_drop "$id" "$1" "$2" "$4"
    return 1
}

put() { # KIND PATH NEW
    case $1 in
        value) ( printf '%s\n' "$3" >"$root$2" ) 2>/dev/null && act wrote "$2" "$3" ;;
        mount)
            # mount adds what is asked to what is there: without atime, noatime would stay and win.
            case $3 in relatime | strictatime) set -- "$1" "$2" "atime,$3" ;; esac
            act remount "$2" "$3" 2>/dev/null
            ;;
    esac
}

# What is in force at a path, in the words of the change: a value, or the mount option of that family.
in_force() { # KIND PATH NEW
    if [ "$1" = value ]; then
        raw_value "$2" || printf 'gone\n'
        return
    fi
    mount_of "$2" && [ "$mount_point" = "$2" ] || { printf 'gone\n'; return; }
    case $3 in
        commit=*) printf 'commit=%s\n' "$(commit_seconds "$mount_options")" ;;
        *atime) atime_option "$mount_options" ;;
        barrier) if has_option nobarrier "$mount_options" || has_option barrier=0 "$mount_options"; then echo nobarrier; else echo barrier; fi ;;
        nobarrier) if has_option nobarrier "$mount_options" || has_option barrier=0 "$mount_options"; then echo nobarrier; else echo barrier; fi ;;
    esac
}

apply_mount() {
    write_value mount "$path" "$(in_force mount "$path" "$target")" "$target" || return 1
    [ -n "$no_persist" ] || persist_mount
}

# The fourth field of the mount point's line, every other byte as it was.
persist_mount() {
    if ! awk -v point="$path" '!/^[ \t]*#/ && $2 == point { found = 1 } END { exit !found }' "$root$fstab_file" 2>/dev/null; then
        note "$id: $fstab_file does not name $path: put $target into the Options= of its .mount unit yourself"
        return 0
    fi
    saved=saved/fstab.$(state_lines | grep -c "${tab}fstab$tab" || :)
    make_dirs "$state_dir/$saved" && cat "$root$fstab_file" >"$root$state_dir/$saved" || return 1
    awk -v point="$path" -v option="$target" '
        $0 !~ /^[ \t]*#/ && $2 == point {
            match($0, /^[ \t]*[^ \t]+[ \t]+[^ \t]+[ \t]+[^ \t]+[ \t]+/)
            head = substr($0, 1, RLENGTH); rest = substr($0, RLENGTH + 1)
            match(rest, /^[^ \t]+/)
            $0 = head with(substr(rest, 1, RLENGTH)) substr(rest, RLENGTH + 1)
        }
        { print }
        function with(options,  n, i, parts, kept) {
            n = split(options, parts, ",")
            for (i = 1; i <= n; i++) if (!same(parts[i])) kept = kept (kept == "" ? "" : ",") parts[i]
            return kept (kept == "" ? "" : ",") option
        }
        function same(old) {
            if (option ~ /^commit=/) return old ~ /^commit=/
            if (option ~ /atime$/) return old ~ /atime$/
            return old ~ /barrier/
        }' "$root$state_dir/$saved" >"$work/fstab" || return 1
    sum=$(cksum <"$work/fstab")
    state_add "$id" fstab "$fstab_file" "$saved" "$sum" || return 1
    if ! ( cat "$work/fstab" >"$root$fstab_file" ) 2>/dev/null; then
        state_drop "$id" fstab "$fstab_file" "$sum"
        complain "$id: $fstab_file cannot be written: the option holds until the next boot only"
        return 1
    fi
}

apply_limit() {
    case $path in
        nofile) first="* - nofile $target" second="root - nofile $target" ;;
        memlock) first="corelane - memlock $target" second="root - memlock $target" ;;
    esac
    add_line "$limits_file" "$first" && add_line "$limits_file" "$second" || return 1
    case $target in unlimited) line=infinity ;; *) line=$target ;; esac
    add_line "$unit_file" "$(limit_directive)=$line" || return 1
    reload=yes
    [ "$(unit_limit "$(limit_directive)")" = "$line" ] || {
        complain "$id: another drop-in of corelane.service sets $(limit_directive) after $unit_file"
        return 1
    }
}

# add_line FILE LINE: to a file that is tune's alone.
add_line() {
    ! grep -qxF "$2" "$root$1" 2>/dev/null || return 0
    if [ -s "$root$1" ] && [ "$(head -n 1 "$root$1")" != "$our_header" ]; then
        complain "$id: $1 is not tune's: put this line into it yourself: $2"
        return 1
    fi
    make_dirs "$1" || { complain "$id: cannot make the directory of $1"; return 1; }
    state_add "$id" line "$1" - "$2" || return 1
    if ! ( [ -s "$root$1" ] || first_lines "$1" >"$root$1"; printf '%s\n' "$2" >>"$root$1" ) 2>/dev/null; then
        state_drop "$id" line "$1" "$2"
        complain "$id: $1 cannot be written: the change holds until the next boot only"
        return 1
    fi
}

first_lines() { # FILE
    printf '%s\n' "$our_header"
    [ "$1" != "$unit_file" ] || printf '[Service]\n'
}

remove_line() { # FILE LINE: the file goes with its last line
    grep -qxF "$2" "$root$1" 2>/dev/null || return 0
    awk -v line="$2" '$0 != line' "$root$1" >"$work/lines" || return 1
    if [ "$(cat "$work/lines")" = "$(first_lines "$1")" ]; then
        rm -f "$root$1"
    else
        ( cat "$work/lines" >"$root$1" ) 2>/dev/null
    fi
}

revert() {
    need_root
    [ -s "$root$state_file" ] || { note "nothing to take back"; return 0; }
    confirm "take back what tune has changed (tune status shows it)"
    lock
    now_boot=$(boot_id) failed=0 reload=
    state_lines | sed '1!G;h;$!d' >"$work/rows"
    while IFS=$tab read -r id kind path old new boot _; do
        if [ "$kind" = dir ] || ! is_selected "$id"; then
            continue
        elif revert_one; then
            state_drop "$id" "$kind" "$path" "$new" || fail 3 "the state cannot be written"
        else
            failed=$((failed + 1))
        fi
    done <"$work/rows"
    state_remove
    [ -z "$reload" ] || act reload
    [ "$failed" -eq 0 ] || fail 3 "$failed changes were not taken back (tune status)"
}

is_selected() { # ID of the state, "swappiness" or "scheduler:vda": --only and --skip may name both
    for wish in "$1" "${1%%:*}"; do
        ! has_option "$wish" "$skip" || return 1
        [ -n "$only" ] && ! has_option "$wish" "$only" || return 0
    done
    return 1
}

revert_one() {
    case $kind in
        line)
            [ "$path" != "$unit_file" ] || reload=yes
            remove_line "$path" "$new" || { complain "$id: $path cannot be written"; return 1; }
            ;;
        fstab) revert_fstab ;;
        value | mount) revert_value ;;
    esac
}

revert_value() {
    now=$(in_force "$kind" "$path" "$new")
    if [ "$now" = "$old" ]; then
        return 0
    elif [ "$now" = gone ]; then
        note "$id: $path is gone, and what was set there with it"
        return 0
    elif [ "$now" != "$new" ] && [ "$boot" != "$now_boot" ]; then
        note "$id: the machine has booted since, and $path is $now: left as it is"
        return 0
    elif [ "$now" != "$new" ] && [ -z "$force" ]; then
        complain "$id: $path is $now, and tune had written $new: somebody else changed it (--force overrides)"
        return 1
    fi
    if put "$kind" "$path" "$old" && [ "$(in_force "$kind" "$path" "$old")" = "$old" ]; then
        note "$id: $now -> $old"
    else
        complain "$id: $path did not take $old"
        return 1
    fi
}

revert_fstab() {
    if [ "$(cksum <"$root$path")" != "$new" ] && [ -z "$force" ]; then
        complain "$id: $path was changed since tune wrote it (--force puts the older one back)"
        return 1
    fi
    ( cat "$root$state_dir/$old" >"$root$path" ) 2>/dev/null || { complain "$id: $path cannot be written"; return 1; }
    rm -f "$root$state_dir/$old"
}

status() {
    [ -s "$root$state_file" ] || { note "tune has changed nothing here"; return 0; }
    now_boot=$(boot_id) drifted=0
    printf 'id\tpath\tbefore\tset\tnow\twhen\n' >"$work/status"
    state_lines >"$work/rows"
    while IFS=$tab read -r id kind path old new boot time; do
        case $kind in
            dir) continue ;;
            value | mount) now=$(in_force "$kind" "$path" "$new") ;;
            line) if grep -qxF "$new" "$root$path" 2>/dev/null; then now=$new; else now=gone; fi ;;
            fstab) # each was written over by the next one: the last one counts
                now=$(cksum <"$root$path")
                [ "$(awk -F "$tab" '$2 == "fstab" { new = $5 } END { print new }' "$work/rows")" = "$new" ] || now=$new
                ;;
        esac
        [ "$now" = "$new" ] || drifted=$((drifted + 1))
        [ "$boot" = "$now_boot" ] || time="$time (an earlier boot)"
        case $kind:$now in
            "line:$new") now=there ;;
            "fstab:$new") now=there new=options ;;
            fstab:*) now=changed new=options ;;
        esac
        printf '%s\t%s\t%s\t%s\t%s\t%s\n' "$id" "$path" "$old" "$new" "$now" "$time" >>"$work/status"
    done <"$work/rows"
    print_columns <"$work/status"
    [ "$drifted" -eq 0 ] || { note "$drifted no longer as tune left them"; exit 1; }
}
