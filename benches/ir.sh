#!/bin/sh
# Instructions per turn of each micro-bench, with callgrind alone: Ir(2N) - Ir(N), so that the start drops out. The
# counts of two runs differ by some hundredths of a percent, whatever else the machine does.
#
#   sh benches/ir.sh [NAME…]     all of them without a name
set -eu
cd "$(dirname "$0")/.."
turns=${TURNS:-200}

command -v valgrind >/dev/null || { echo "valgrind is not installed: no instructions are counted"; exit 0; }
binary=$(cargo bench --bench micro --no-run --message-format=json 2>/dev/null |
    sed -n 's/.*"executable":"\([^"]*\/micro-[^"]*\)".*/\1/p' | tail -1)
[ -x "$binary" ] || { echo "the micro-benches do not build: cargo bench --no-run says why" >&2; exit 1; }

collected() { # NAME COUNT: all instructions of a process that makes so many turns
    valgrind --tool=callgrind --callgrind-out-file=/dev/null "$binary" --ir "$1" "$2" 2>&1 |
        sed -n 's/.*Collected : *//p'
}

[ $# -gt 0 ] || set -- $("$binary" --names)
printf '%-32s %14s\n' turn instructions
for name in "$@"; do
    once=$(collected "$name" "$turns")
    twice=$(collected "$name" "$((2 * turns))")
    printf '%-32s %14s\n' "$name" "$(((twice - once) / turns))"
done
