# What tune has changed, so that it can take it back. Sourced by tune.
#
# state.tsv has a line for each change, written before the change is made:
#   id kind path old new boot_id time
# kind: dir (made), value (a file of the kernel), line (of a file of ours), mount (options of a mount point),
# fstab (the whole file; old is the name of the copy, new the checksum of what was written).
# shellcheck shell=sh

state_dir=/var/lib/corelane/tuning
state_file=$state_dir/state.tsv
lock_dir=/run/corelane-tune.lock

boot_id() {
    read_value "$root/proc/sys/kernel/random/boot_id" || value=unknown
    printf '%s\n' "$value"
}

# One tune at a time: a directory is made by one of two. A lock whose process is gone is taken over.
lock() {
    [ -d "$root/run" ] || fail 3 "$root/run is not there"
    if ! mkdir "$root$lock_dir" 2>/dev/null; then
        read_value "$root$lock_dir/pid" || value=
        if [ -z "$value" ] || kill -0 "$value" 2>/dev/null; then
            fail 3 "another tune is at work (process ${value:-unknown}, $lock_dir)"
        fi
        note "taking over the lock of process $value, which is gone"
    fi
    locked=yes
    printf '%s\n' "$$" >"$root$lock_dir/pid"
}

unlock() {
    [ -z "$locked" ] || rm -rf "$root$lock_dir"
    locked=
}

state_lines() {
    [ ! -r "$root$state_file" ] || cat "$root$state_file"
}

# What a knob's file held before tune first wrote it, in $row_old; 1 where it never did.
state_of() { # ID KIND PATH
    row_old=$(state_lines | awk -F "$tab" -v id="$1" -v kind="$2" -v path="$3" '
        $1 == id && $2 == kind && $3 == path { old = $4 }
        END { print old }')
    [ -n "$row_old" ]
}

# The state reaches the disk before the change does: a new file, synced, then renamed over the old one.
state_write() { # the new content comes on the standard input
    cat >"$root$state_file.new" || return 1
    sync "$root$state_file.new" 2>/dev/null || sync
    mv -f "$root$state_file.new" "$root$state_file"
}

# A value or a mount is noted once: its newer line takes the place of the older one, in the same write.
state_add() { # ID KIND PATH OLD NEW
    {
        state_lines | awk -F "$tab" -v id="$1" -v kind="$2" -v path="$3" '
            !(kind ~ /^(value|mount)$/ && $1 == id && $2 == kind && $3 == path)'
        printf '%s\t%s\t%s\t%s\t%s\t%s\t%s\n' "$1" "$2" "$3" "$4" "$5" "$(boot_id)" "$(date -u +%Y-%m-%dT%H:%M:%SZ)"
    } | state_write
}

state_drop() { # ID KIND PATH NEW: the last such line
    state_lines | awk -F "$tab" -v id="$1" -v kind="$2" -v path="$3" -v new="$4" '
        { lines[NR] = $0 }
        $1 == id && $2 == kind && $3 == path && $5 == new { last = NR }
        END { for (n = 1; n <= NR; n++) if (n != last) print lines[n] }' | state_write
}

# Makes the directories above a path that are missing, and notes them, outermost first.
make_dirs() { # PATH
    missing=
    above=${1%/*}
    while [ -n "$above" ] && [ ! -d "$root$above" ]; do
        missing="$above $missing"
        above=${above%/*}
    done
    for above in $missing; do
        mkdir "$root$above" || return 1
        made="$made$above "
    done
    [ -d "$root$state_dir" ] || return 0
    for above in $made; do
        state_add - dir "$above" - made || return 1
    done
    made=
}

# At the end of a revert: with nothing left to take back, the state goes as well, and the directories made for it.
state_remove() {
    left=$(state_lines | awk -F "$tab" '$2 != "dir"')
    [ -z "$left" ] || return 0
    ours=$(state_lines | awk -F "$tab" '{ print $3 }' | sed '1!G;h;$!d')
    rm -rf "$root$state_file" "$root$state_dir/saved"
    for above in $ours; do
        rmdir "$root$above" 2>/dev/null || :
    done
}
