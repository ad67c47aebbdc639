#!/bin/sh
# Kafka 4.3's own clients and tools in groups: console consumer, performance and verifiable consumers, consumer-groups, and
# (STAGE=dump, once the broker has stopped) the dump of the committed offsets' log.
set -eu
kit=$(cd "$(dirname "$0")/../.." && pwd)/target/clients/kafka
work=$(mktemp -d "${WORK:-/tmp}/java.XXXXXX")
trap 'rm -rf "$work"' EXIT
topic=groups-$$

cat >"$work/log4j2.properties" <<'P'
rootLogger.level = ERROR
rootLogger.appenderRefs = stderr
rootLogger.appenderRef.stderr.ref = STDERR
appender.stderr.type = Console
appender.stderr.name = STDERR
appender.stderr.target = SYSTEM_ERR
appender.stderr.layout.type = PatternLayout
appender.stderr.layout.pattern = [%d] %p %m (%c)%n
P

fail() { echo "FAILED: $*" >&2; exit 1; }
tool() { # CLASS ARGUMENT…
    class=$1
    shift
    java -Xmx256M -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -Dlog4j.shutdownHookEnabled=false \
        -Dlog4j2.configurationFile="$work/log4j2.properties" -cp "$kit/libs/*" "$class" "$@"
}
if [ "${STAGE:-}" = dump ]; then
    logs=$(find "$DATA" -path '*/__consumer_offsets-*' -name '*.log' | paste -s -d , -)
    tool org.apache.kafka.tools.DumpLogSegments --offsets-decoder --files "$logs" >"$work/dump" || fail "$(tail -n 3 "$work/dump")"
    grep -q '"group":"perf","topic":"groups-' "$work/dump" || fail "no committed offset: $(grep -m 3 payload "$work/dump")"
    grep -q '"protocolType":"consumer"' "$work/dump" || fail "no group: $(grep -m 3 payload "$work/dump")"
    ! grep -q 'UNKNOWN\|unknown' "$work/dump" || fail "$(grep -i -m 3 unknown "$work/dump")"
    echo "ok dump"
    exit
fi

groups() { tool org.apache.kafka.tools.consumer.group.ConsumerGroupCommand --bootstrap-server "$BOOTSTRAP" "$@"; }

tool org.apache.kafka.tools.TopicCommand --bootstrap-server "$BOOTSTRAP" --create --topic "$topic" --partitions 3 >/dev/null
seq 1 3000 | sed 's/^/line /' >"$work/in"
tool org.apache.kafka.tools.ConsoleProducer --bootstrap-server "$BOOTSTRAP" --topic "$topic" <"$work/in"

tool org.apache.kafka.tools.consumer.ConsoleConsumer --bootstrap-server "$BOOTSTRAP" --topic "$topic" --group console \
    --from-beginning --max-messages 3000 --timeout-ms 30000 >"$work/out" 2>/dev/null
sort "$work/in" >"$work/in.sorted"
sort "$work/out" | cmp - "$work/in.sorted" || fail "the console consumer's lines differ"
echo "ok console consumer"

groups --describe --group console >"$work/describe" 2>"$work/notice"
grep -q "Consumer group 'console' has no active members." "$work/notice" || fail "$(cat "$work/notice")"
[ "$(awk '$2 == "'"$topic"'" { lag += $6; end += $5 } END { print lag, end }' "$work/describe")" = "0 3000" ] ||
    fail "$(cat "$work/describe")"
echo "ok describe"

groups --reset-offsets --group console --topic "$topic" --to-earliest --execute >"$work/reset" || fail "$(cat "$work/reset")"
[ "$(awk '$2 == "'"$topic"'" && $4 == 0' "$work/reset" | wc -l)" = 3 ] || fail "$(cat "$work/reset")"
tool org.apache.kafka.tools.consumer.ConsoleConsumer --bootstrap-server "$BOOTSTRAP" --topic "$topic" --group console \
    --max-messages 3000 --timeout-ms 30000 2>/dev/null | sort | cmp - "$work/in.sorted" || fail "after the reset"
echo "ok reset-offsets"

groups --list | grep -qx console || fail list
groups --delete-offsets --group console --topic "$topic" | grep -q "Request succeeded for deleting offsets" || fail delete-offsets
groups --delete --group console | grep -q "Deletion of requested consumer groups ('console') was successful." || fail delete
! groups --list | grep -qx console || fail "deleted and still listed"
echo "ok delete"

tool org.apache.kafka.tools.ConsumerPerformance --bootstrap-server "$BOOTSTRAP" --topic "$topic" --group perf \
    --num-records 3000 >"$work/perf"
tail -n 1 "$work/perf" | awk -F', *' '$5 >= 3000 { found = 1 } END { exit !found }' || fail "$(cat "$work/perf")"
echo "ok performance consumer"

tool org.apache.kafka.tools.VerifiableConsumer --bootstrap-server "$BOOTSTRAP" --topic "$topic" --group-id verifiable \
    --max-messages 3000 --reset-policy earliest >"$work/verifiable"
grep -q '"name":"partitions_assigned"' "$work/verifiable" || fail "nothing was assigned: $(tail -n 3 "$work/verifiable")"
grep -q '"name":"offsets_committed".*"success":true' "$work/verifiable" || fail "nothing was committed"
echo "ok verifiable consumer"

# A static member that ends keeps its place: the next one of its name goes on at once, long before its session is over.
static() { # COUNT
    tool org.apache.kafka.tools.VerifiableConsumer --bootstrap-server "$BOOTSTRAP" --topic "$topic" --group-id static \
        --group-instance-id one --session-timeout 600000 --max-messages "$1" --reset-policy earliest >"$work/static"
    grep -q '"name":"partitions_assigned"' "$work/static" || fail "nothing was assigned: $(tail -n 3 "$work/static")"
}
static 1000
groups --describe --group static --members --verbose >"$work/members"
grep -q '^static .* one ' "$work/members" || fail "the static member has gone: $(cat "$work/members")"
static 2000
groups --describe --group static >"$work/describe"
[ "$(awk '$2 == "'"$topic"'" { lag += $6; end += $5 } END { print lag, end }' "$work/describe")" = "0 3000" ] ||
    fail "$(cat "$work/describe")"
echo "ok static verifiable consumer"
