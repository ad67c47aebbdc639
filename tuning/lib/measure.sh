# measure: what the disk under the log directory and the loopback do, so that a change can be judged. Sourced by tune.
#
# Each name's results are a file, NAME.tsv: tool metric value unit better. With two names or more, a table and a picture:
# the median of the rounds, and from the least to the most of them. A difference counts only where those do not overlap.
# shellcheck shell=sh

rounds=5

measure() { # NAME
    case $1 in */* | .* | *[[:space:]]*) fail 64 "a name without slashes and blanks: $1" ;; esac
    place=$(nearest_dir "$root${dirs%%,*}")
    [ -w "$place" ] || fail 3 "$place cannot be written"
    mkdir -p "$out"
    broker=$(find_broker)
    : >"$work/results"
    round=1
    while [ "$round" -le "$rounds" ]; do
        [ ! -t 2 ] || printf '\r%s: round %d of %d' "$1" "$round" "$rounds" >&2
        measure_once >>"$work/results" || fail 3 "the measurement failed in $place"
        round=$((round + 1))
    done
    [ ! -t 2 ] || printf '\r%60s\r' '' >&2
    cp "$work/results" "$out/$1.tsv"
    grep -qxF "$1" "$out/names" 2>/dev/null || printf '%s\n' "$1" >>"$out/names"
    note "Measured in $place, $rounds rounds; results in $out/$1.tsv"
    compare
}

nearest_dir() {
    near=$1
    while [ ! -d "$near" ] && [ "$near" != / ]; do
        near=$(dirname "$near")
    done
    printf '%s\n' "$near"
}

# The compiled probe is the broker's own binary: beside this script, as installed, or as built.
find_broker() {
    for file in "${CORELANE:-}" "$(command -v corelane || :)" "$home/../target/release/corelane"; do
        [ -z "$file" ] || [ ! -x "$file" ] || { printf '%s\n' "$file"; return; }
    done
}

measure_once() {
    if [ -n "$broker" ]; then
        "$broker" measure "$place" | sed "s/^/corelane$tab/"
    else
        measure_by_dd
    fi
}

# Without the binary: two figures of the disk, none of the loopback. They do not compare with the binary's.
measure_by_dd() {
    file=$place/.corelane-measure.$$
    seconds=$(dd_seconds if=/dev/zero of="$file" bs=1M count=128 oflag=direct conv=fsync) || { rm -f "$file"; return 1; }
    printf 'dd\tdirect write 1 MiB\t%s\tMiB/s\thigher\n' "$(awk -v s="$seconds" 'BEGIN { printf "%.1f", 128 / s }')"
    seconds=$(dd_seconds if=/dev/zero of="$file" bs=4k count=64 oflag=direct,dsync conv=notrunc) || { rm -f "$file"; return 1; }
    printf 'dd\tsynced write 4 KiB, mean\t%s\tus\tlower\n' "$(awk -v s="$seconds" 'BEGIN { printf "%.0f", s / 64 * 1000000 }')"
    rm -f "$file"
}

dd_seconds() {
    dd "$@" 2>"$work/dd" || { cat "$work/dd" >&2; return 1; }
    sed -n 's/.*copied, \([0-9.]*\(e-[0-9]*\)\{0,1\}\) s.*/\1/p' "$work/dd" | grep .
}

compare() {
    : >"$work/all"
    while read -r name; do
        [ ! -r "$out/$name.tsv" ] || sed "s/^/$name$tab/" "$out/$name.tsv" >>"$work/all"
    done <"$out/names"
    # name tool metric value unit better, sorted by value within a name and metric, in the order of names.
    awk -F "$tab" -v OFS="$tab" '
        !(($1 SUBSEP $2 SUBSEP $3) in seen) { seen[$1, $2, $3]; order[++count] = $1 SUBSEP $2 SUBSEP $3 }
        { n = ++size[$1, $2, $3]; values[$1, $2, $3, n] = $4 + 0; unit[$2, $3] = $5; better[$2, $3] = $6 }
        END {
            for (i = 1; i <= count; i++) {
                split(order[i], key, SUBSEP); n = size[order[i]]
                for (a = 1; a <= n; a++) sorted[a] = values[order[i], a]
                for (a = 2; a <= n; a++) for (b = a; b > 1 && sorted[b] < sorted[b - 1]; b--) {
                    swap = sorted[b]; sorted[b] = sorted[b - 1]; sorted[b - 1] = swap
                }
                print key[2], key[3], key[1], sorted[int((n + 1) / 2)], sorted[1], sorted[n], unit[key[2], key[3]], better[key[2], key[3]]
            }
        }' "$work/all" | sort -s -t "$tab" -k 1,2 >"$work/medians"
    awk -F "$tab" -v OFS="$tab" '
        BEGIN { print "MEASURE", "NAME", "MEDIAN", "FROM .. TO", "UNIT", "AGAINST THE FIRST" }
        $1 $2 != last { last = $1 $2; first = $4; low = $5; high = $6; said = "-" }
        $1 $2 == last && $4 "" != "" {
            if ($3 != base[last] && base[last] != "") {
                said = sprintf("%+.0f %%", (first ? ($4 / first - 1) * 100 : 0))
                if ($5 <= high && $6 >= low) said = said ", within the noise"
                else said = said (($4 > first) == ($8 == "higher") ? ", better" : ", worse")
            }
            if (base[last] == "") base[last] = $3
            print $2 " (" $1 ")", $3, $4, $5 " .. " $6, $7, said
        }' "$work/medians" | print_columns
    draw >"$out/measure.svg"
    note "Picture: $out/measure.svg"
}

# A group of bars for each measure, in per cent of the first name's median, with a line from least to most.
draw() {
    awk -F "$tab" '
        function escaped(s) { gsub(/&/, "\\&amp;", s); gsub(/</, "\\&lt;", s); return s }
        { key = $1 SUBSEP $2
          if (!(key in base)) { base[key] = $4 ? $4 : 1; metrics[++groups] = key; title[key] = $2 ", " $7 " (" $8 " is better)" }
          if (!($3 in number)) { number[$3] = ++names; name[names] = $3 }
          n = ++bars[key]; who[key, n] = $3; median[key, n] = $4; low[key, n] = $5; high[key, n] = $6
          share = $6 / base[key]; if (share > most) most = share }
        END {
            split("#4e79a7 #f28e2b #59a14f #b07aa1 #76b7b2 #e15759", colour, " ")
            left = 20; wide = 640; scale = (wide - 160) / (most ? most : 1); y = 30
            for (g = 1; g <= groups; g++) rows += bars[metrics[g]]
            printf "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %d\" font-family=\"sans-serif\" font-size=\"12\">\n", wide + 40, 40 + groups * 34 + rows * 20
            print "<title>tune measure: medians, with the range of the rounds</title><rect width=\"100%\" height=\"100%\" fill=\"white\"/>"
            for (g = 1; g <= groups; g++) {
                key = metrics[g]
                printf "<text x=\"%d\" y=\"%d\" font-weight=\"bold\">%s</text>\n", left, y, escaped(title[key]); y += 8
                for (b = 1; b <= bars[key]; b++) {
                    w = median[key, b] / base[key] * scale; from = low[key, b] / base[key] * scale; to = high[key, b] / base[key] * scale
                    printf "<rect x=\"%d\" y=\"%d\" width=\"%.1f\" height=\"14\" fill=\"%s\"/>", left, y, w, colour[(number[who[key, b]] - 1) % 6 + 1]
                    printf "<line x1=\"%.1f\" x2=\"%.1f\" y1=\"%d\" y2=\"%d\" stroke=\"black\"/>", left + from, left + to, y + 7, y + 7
                    printf "<text x=\"%.1f\" y=\"%d\">%s: %s</text>\n", left + (to > w ? to : w) + 6, y + 11, escaped(who[key, b]), median[key, b]
                    y += 20
                }
                y += 26
            }
            print "</svg>"
        }' "$work/medians"
}
