#!/bin/sh
# Programs of Kafka 0.8 (0.8.2.2): the old producer with every acks and codec, its console producer, consumer and offset tools.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
kit=$here/../../target/clients/kafka-0.8
work=$(mktemp -d "${WORK:-/tmp}/java-0.8.XXXXXX")
trap 'rm -rf "$work"' EXIT
topic=old-$$

cat >"$work/log4j.properties" <<'P'
log4j.rootLogger=WARN, stderr
log4j.appender.stderr=org.apache.log4j.ConsoleAppender
log4j.appender.stderr.target=System.err
log4j.appender.stderr.layout=org.apache.log4j.PatternLayout
log4j.appender.stderr.layout.ConversionPattern=[%d] %p %m (%c)%n
P

fail() { echo "FAILED: $*" >&2; exit 1; }
old() { # CLASS ARGUMENT…
    java -Xmx256M -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -Dlog4j.configuration="file:$work/log4j.properties" \
        -cp "$work:$kit/libs/*" "$@" 2>>"$work/errors"
}
messages() { # PARTITION: all of its messages, from the earliest to the end
    old kafka.tools.SimpleConsumerShell --broker-list "$BOOTSTRAP" --topic "$topic" --partition "$1" --offset -2 --no-wait-at-logend |
        grep -v '^Terminating. Reached the end of partition'
}
end() { # TIME: the offset of partition 0
    old kafka.tools.GetOffsetShell --broker-list "$BOOTSTRAP" --topic "$topic" --partitions 0 --time "$1"
}

javac -nowarn -cp "$kit/libs/*" -d "$work" "$here/OldProducer.java" 2>"$work/javac" || fail "$(cat "$work/javac")"

# The topic does not exist: the first Metadata request makes it. Codecs: none, gzip, snappy (0.8 cannot read its own lz4).
for acks in 0 1 -1; do
    for codec in 0 1 2; do
        old OldProducer "$BOOTSTRAP" "$topic" 100 $acks $codec "$([ $acks = 0 ] && echo async || echo sync)"
    done
done
echo "ok produce"

# Answers to acks=0 do not exist, so the last ones are waited for.
expected=$((3 * 3 * 100))
deadline=$(($(date +%s) + 30))
until [ "$(end -1)" = "$topic:0:$expected" ]; do
    [ "$(date +%s)" -lt $deadline ] || fail "end: $(end -1) $(cat "$work/errors")"
done
[ "$(end -2)" = "$topic:0:0" ] || fail "earliest: $(end -2)"
later=$((($(date +%s) + 3600) * 1000))
[ "$(end $later)" = "$topic:0:$expected" ] || fail "by time: $(end $later)"
echo "ok offsets"

messages 0 >"$work/out"
for codec in 0 1 2; do
    for at in $(seq 0 99); do echo "$codec $at"; done
done | sort >"$work/once"
cat "$work/once" "$work/once" "$work/once" | sort >"$work/expected"
sort "$work/out" | cmp - "$work/expected" || fail "messages differ"
echo "ok consume"

# Messages without a key go where the producer likes.
seq 1 300 | sed 's/^/line /' >"$work/in"
old kafka.tools.ConsoleProducer --broker-list "$BOOTSTRAP" --topic "$topic" --request-required-acks 1 --sync <"$work/in"
messages 0 | tail -n 300 | cmp - "$work/in" || fail "console messages differ"
echo "ok console"

# Too large: refused, and said so.
head -c 1200000 /dev/zero | tr '\0' x >"$work/large"
old kafka.tools.ConsoleProducer --broker-list "$BOOTSTRAP" --topic "$topic" --request-required-acks 1 --sync <"$work/large" || true
grep -q MessageSizeTooLargeException "$work/errors" || fail "no reason: $(cat "$work/errors")"
echo "ok too large"
