#!/bin/sh
# Stands in for the machine below a TUNE_ROOT: what the kernel does with what was written, and what mount does.
#   kernel.sh ROOT wrote PATH VALUE | remount POINT OPTIONS | reload
set -eu
root=$1
case $2 in
    wrote)
        words=
        case $3 in
            */scheduler) words="none mq-deadline kyber bfq " ;;
            */transparent_hugepage/enabled) words="always madvise never" ;;
            */tcp_?mem)
                printf '%s\n' "$4" | tr ' ' '\t' >"$root$3"
                ;;
        esac
        [ -z "$words" ] || printf '%s\n' "$words" | sed "s/\(^\| \)$4\( \|\$\)/\1[$4]\2/" >"$root$3"
        ;;
    remount)
        awk -v point="$3" -v options="${4#atime,}" '
            BEGIN { OFS = " " }
            $2 == point {
                n = split($4, old, ",")
                $4 = ""
                for (i = 1; i <= n; i++) {
                    if (options ~ /atime$/ && old[i] ~ /atime$/) old[i] = options
                    if (options ~ /^commit=/ && old[i] ~ /^commit=/) { old[i] = options; done = 1 }
                    if (options ~ /^(no)?barrier$/ && old[i] ~ /barrier/) old[i] = options == "barrier" ? "" : "barrier=0"
                    if (old[i] != "") $4 = $4 ($4 == "" ? "" : ",") old[i]
                }
                if (options ~ /^commit=/ && !done) $4 = $4 "," options
                sub(/,commit=5$/, "", $4)
                if (options == "nobarrier" && $4 !~ /barrier/) $4 = $4 ",barrier=0"
            }
            { print }' "$root/proc/mounts" >"$root/proc/mounts.new"
        cat "$root/proc/mounts.new" >"$root/proc/mounts"
        rm "$root/proc/mounts.new"
        ;;
    reload) ;;
esac
if [ "$2" = wrote ] && [ -f "$root/mischief" ]; then . "$root/mischief"; fi
