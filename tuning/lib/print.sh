# Tables, JSON and messages. Sourced by tune.
# shellcheck shell=sh

note() {
    printf '%s\n' "$*"
}

complain() {
    printf '%s\n' "$*" >&2
}

fail() { # EXIT_CODE MESSAGE…
    exit_code=$1
    shift
    complain "tune: $*"
    exit "$exit_code"
}

# Columns of a tab separated table, as wide as their widest value; the last one is not padded.
print_columns() {
    awk -F "$tab" '
        { for (i = 1; i <= NF; i++) { cell[NR, i] = $i; if (length($i) > width[i]) width[i] = length($i) }; fields = NF }
        END {
            for (row = 1; row <= NR; row++) {
                line = ""
                for (i = 1; i <= fields; i++)
                    line = line (i < fields ? sprintf("%-" (width[i] + 2) "s", cell[row, i]) : cell[row, i])
                print line
            }
        }'
}

# What an operator looks at: what is wrong with its cure, then what is right; rows for information only with --all.
print_check() {
    printf 'Profile %s; log directories %s; on %s\n\n' "$profile" "$dirs" "$(printf '%s' "${disks:-no block device that is known}" | tr '\n' ' ')"
    {
        printf 'ID\tSTATUS\tCURRENT\tWANTED\tSEVERITY\tWHY\n'
        fold "$work/findings" | awk -F "$tab" -v OFS="$tab" -v all="$all" '
            ($4 == "INFO" || $4 == "SKIP") && all == "" { next }
            { print $1, $4, $5, $6, $8, $10 }'
    } | print_columns | coloured
    print_cures
    print_summary
}

# One row for the files that a pattern matches (a policy for each core) where they say the same: "governor (16)".
fold() { # FINDINGS
    awk -F "$tab" -v OFS="$tab" '
        function flush() { if (count > 1) { sub(/:.*/, " (" count ")", id); $0 = row; $1 = id; print } else if (count) print row }
        { base = $1; sub(/:.*/, "", base); key = base SUBSEP $2 SUBSEP $4 SUBSEP $5 SUBSEP $7 }
        count && $2 == "sysfs" && key == last { count++; next }
        { now = $0; flush(); $0 = now; row = now; id = $1; last = key; count = 1 }
        END { flush() }' "$1"
}

coloured() {
    if [ -t 1 ] && [ -z "${NO_COLOR:-}" ]; then
        esc=$(printf '\033')
        sed "s/ OK  /${esc}[32m&${esc}[0m/; s/ WARN  /${esc}[33m&${esc}[0m/; s/ FAIL  /${esc}[31m&${esc}[0m/; s/ SKIP  /${esc}[2m&${esc}[0m/"
    else
        cat
    fi
}

print_cures() {
    awk -F "$tab" '
        ($4 == "WARN" || $4 == "FAIL") && $7 == "-" && $12 != "-" {
            id = $1; sub(/:.*/, "", id)
            if (seen[id]++) next
            if (!count++) print "\nFor you to do (tune cannot):"
            print "  " id ": " $12
        }' "$work/findings"
}

print_summary() {
    awk -F "$tab" -v all="$all" '
        { count[$4]++ }
        ($4 == "WARN" || $4 == "FAIL") && $7 != "-" { ours++ }
        END {
            printf "\n%d OK, %d WARN, %d FAIL", count["OK"], count["WARN"], count["FAIL"]
            hidden = count["INFO"] + count["SKIP"]
            if (all == "" && hidden) printf "; %d more do not apply or are for information (--all)", hidden
            print "."
            if (ours) printf "tune apply would change %d of them; tune plan shows how.\n", ours
        }' "$work/findings"
}

print_json() { # findings, or changes
    awk -F "$tab" -v profile="$profile" '
        function text(s) { gsub(/\\/, "\\\\", s); gsub(/"/, "\\\"", s); return "\"" s "\"" }
        function or_null(s) { return s == "-" ? "null" : text(s) }
        BEGIN { printf "{\"profile\": %s, \"rows\": [", text(profile) }
        {
            printf "%s\n  {\"id\": %s, \"status\": %s, \"current\": %s, \"wanted\": %s, \"target\": %s, \"severity\": %s, \"path\": %s, \"why\": %s, \"risk\": %s, \"cure\": %s, \"source\": %s}",
                (NR > 1 ? "," : ""), text($1), text($4), or_null($5), or_null($6), or_null($7), text($8), or_null($3), text($10), or_null($11), or_null($12), text($9)
        }
        END { print "\n]}" }' "$work/$1"
}

print_list() {
    {
        printf 'ID\tSEVERITY\tWANTED\tPROFILES\tWHERE\n'
        profile='' knobs | awk -F "$tab" -v OFS="$tab" '{ print $1, $6, $5, $7, $3 }'
    } | print_columns
}

print_explanation() { # ID
    row=$(awk -F "$tab" -v id="${1%%:*}" '$1 == id' "$home/knobs.tsv")
    [ -n "$row" ] || fail 64 "no knob is called $1 (tune list names them)"
    IFS=$tab read -r id kind path op wanted severity profiles reboot source why risk cure <<END
$row
END
    printf '%s\n\n  %s.\n\n' "$id" "$why"
    case $source in
        "the operator's notebook ("*)
            item=${source#*\(}
            printf "  One of the notebook's four settings: %s.\n\n" "${item%%)*}"
            ;;
    esac
    printf '  where     %s %s\n  wanted    %s %s\n  severity  %s\n  profiles  %s\n' "$kind" "$path" "$op" "$wanted" "$severity" "$profiles"
    [ "$reboot" = no ] || printf '  reboot    needed\n'
    printf '  source    %s\n' "$source"
    [ "$risk" = - ] || printf '  risk      %s\n' "$risk"
    [ "$cure" = - ] || printf '  to do     %s\n' "$cure"
}

exit_by_findings() {
    if grep -q "^[^$tab]*$tab[^$tab]*$tab[^$tab]*${tab}FAIL$tab" "$work/findings"; then
        exit 2
    elif grep -q "^[^$tab]*$tab[^$tab]*$tab[^$tab]*${tab}WARN$tab" "$work/findings"; then
        exit 1
    fi
    exit 0
}
