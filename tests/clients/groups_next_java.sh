#!/bin/sh
# Kafka 4.3's own consumers and tools in groups of the newer protocol (KIP-848): two console consumers that share a topic, one
# that is killed, what consumer-groups and configs say, and (STAGE=dump, once the broker has stopped) the dump of its records.
set -eu
kit=$(cd "$(dirname "$0")/../.." && pwd)/target/clients/kafka
work=$(mktemp -d "${WORK:-/tmp}/java.XXXXXX")
topic=next-$$
pids=
trap 'kill -9 $pids 2>/dev/null || true; rm -rf "$work"' EXIT

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
    exec java -Xmx256M -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -Dlog4j.shutdownHookEnabled=false \
        -Dlog4j2.configurationFile="$work/log4j2.properties" -cp "$kit/libs/*" "$class" "$@"
}
if [ "${STAGE:-}" = dump ]; then
    logs=$(find "$DATA" -path '*/__consumer_offsets-*' -name '*.log' | paste -s -d , -)
    (tool org.apache.kafka.tools.DumpLogSegments --offsets-decoder --files "$logs" >"$work/dump") || fail "$(tail -n 3 "$work/dump")"
    for kind in 'key: {"type":"3"' 'key: {"type":"5"' 'key: {"type":"6"' 'key: {"type":"7"' 'key: {"type":"8"'; do
        grep -q "$kind.*\"groupId\":\"next\"" "$work/dump" || fail "no record $kind: $(grep -m 3 payload "$work/dump")"
    done
    ! grep -q 'Could not decode\|UNKNOWN\|unknown' "$work/dump" || fail "$(grep -i -m 3 'decode\|unknown' "$work/dump")"
    echo "ok dump"
    exit
fi

groups() { (tool org.apache.kafka.tools.consumer.group.ConsumerGroupCommand --bootstrap-server "$BOOTSTRAP" "$@"); }
consume() { # ARGUMENT…: in the background, as $!
    (tool org.apache.kafka.tools.consumer.ConsoleConsumer --bootstrap-server "$BOOTSTRAP" --topic "$topic" --group next \
        --command-property group.protocol=consumer --from-beginning "$@") &
    pids="$pids $!"
}
await() { # SECONDS WHAT COMMAND…
    deadline=$(($(date +%s) + $1))
    what=$2
    shift 2
    until "$@"; do
        [ "$(date +%s)" -lt "$deadline" ] || fail "$what: $(cat "$work/members" 2>/dev/null)"
        sleep 0.3
    done
}
shares() { # SIZES…: the sizes of the members' assignments, sorted
    groups --describe --group next --members >"$work/members" 2>/dev/null || return 1
    [ "$(awk '$1 == "next" { print $NF }' "$work/members" | sort -n | paste -s -d ' ' -)" = "$*" ]
}

(tool org.apache.kafka.tools.TopicCommand --bootstrap-server "$BOOTSTRAP" --create --topic "$topic" --partitions 4 >/dev/null)
seq 1 2000 | sed 's/^/line /' >"$work/in"
(tool org.apache.kafka.tools.ConsoleProducer --bootstrap-server "$BOOTSTRAP" --topic "$topic" <"$work/in")

consume >"$work/out.1" 2>"$work/err.1"
first=$!
consume >"$work/out.2" 2>"$work/err.2"
second=$!
await 90 "two members share" shares 2 2
all_read() { cat "$work/out.1" "$work/out.2" | sort | cmp -s - "$work/in.sorted"; }
sort "$work/in" >"$work/in.sorted"
await 60 "every line is read once" all_read
echo "ok two console consumers"

groups --describe --group next --members --verbose >"$work/verbose"
grep -q "$topic:" "$work/verbose" || fail "$(cat "$work/verbose")"
groups --describe --group next --state >"$work/state"
grep -q 'uniform  *Stable .*2' "$work/state" || fail "$(cat "$work/state")"
groups --list --type consumer | grep -qw next || fail list
echo "ok consumer-groups"

kill -9 "$second"
await 90 "the other one takes over" shares 4
kill "$first"
wait "$first" || true
empty() { groups --describe --group next --state 2>/dev/null | grep -q 'Empty'; }
await 60 "the group is empty" empty
seq 2001 2100 | sed 's/^/line /' >"$work/more"
(tool org.apache.kafka.tools.ConsoleProducer --bootstrap-server "$BOOTSTRAP" --topic "$topic" <"$work/more")
(tool org.apache.kafka.tools.consumer.ConsoleConsumer --bootstrap-server "$BOOTSTRAP" --topic "$topic" --group next \
    --command-property group.protocol=consumer --max-messages 100 --timeout-ms 60000 >"$work/out.3" 2>/dev/null)
sort "$work/more" >"$work/more.sorted"
sort "$work/out.3" | cmp - "$work/more.sorted" || fail "it does not go on where the others were: $(head -n 3 "$work/out.3")"
echo "ok resumed"

configs() { (tool kafka.admin.ConfigCommand --bootstrap-server "$BOOTSTRAP" --entity-type groups --entity-name next "$@"); }
configs --alter --add-config consumer.heartbeat.interval.ms=700 >/dev/null || fail "a group's config"
configs --describe >"$work/configs"
grep -q 'consumer.heartbeat.interval.ms=700' "$work/configs" || fail "$(cat "$work/configs")"
! configs --alter --add-config consumer.heartbeat.interval.ms=1 >/dev/null 2>&1 || fail "out of bounds"
echo "ok configs"
