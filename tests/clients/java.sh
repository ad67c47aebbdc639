#!/bin/sh
# Kafka 4.3's own tools: console producer and consumer, topics, configs, offsets, performance and verifiable producers.
set -eu
kit=$(cd "$(dirname "$0")/../.." && pwd)/target/clients/kafka
work=$(mktemp -d "${WORK:-/tmp}/java.XXXXXX")
trap 'rm -rf "$work"' EXIT
topic=java-$$

cat >"$work/log4j2.properties" <<'P'
rootLogger.level = WARN
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
topics() { tool org.apache.kafka.tools.TopicCommand --bootstrap-server "$BOOTSTRAP" "$@"; }

[ "$(topics --create --topic "$topic" --partitions 3 --replication-factor 1)" = "Created topic $topic." ] || fail create
echo "ok create"
topics --create --topic "$topic" --partitions 3 --replication-factor 1 >"$work/again" 2>/dev/null && fail "created twice"
grep -q "Topic '$topic' already exists." "$work/again" || fail "no reason: $(cat "$work/again")"
echo "ok create again"
topics --list | grep -qx "$topic" || fail list
echo "ok list"
topics --describe --topic "$topic" >"$work/describe"
grep -q "^Topic: $topic	TopicId: .*	PartitionCount: 3	ReplicationFactor: 1	Configs: " "$work/describe" || fail "$(cat "$work/describe")"
[ "$(grep -c "Leader: 0	Replicas: 0	Isr: 0" "$work/describe")" = 3 ] || fail "$(cat "$work/describe")"
echo "ok describe"

tool kafka.admin.ConfigCommand --bootstrap-server "$BOOTSTRAP" --entity-type topics --entity-name "$topic" --alter \
    --add-config max.message.bytes=10485760 | grep -qx "Completed updating config for topic $topic." || fail alter
tool kafka.admin.ConfigCommand --bootstrap-server "$BOOTSTRAP" --entity-type topics --entity-name "$topic" --describe |
    grep -q "max.message.bytes=10485760 sensitive=false synonyms={DYNAMIC_TOPIC_CONFIG:max.message.bytes=10485760, DEFAULT_CONFIG:message.max.bytes=1048588}" ||
    fail "describe configs"
echo "ok configs"
loggers() { tool kafka.admin.ConfigCommand --bootstrap-server "$BOOTSTRAP" --entity-type broker-loggers --entity-name 0 "$@"; }
loggers --alter --add-config 'corelane.conn=DEBUG,root=WARN for 10m' |
    grep -qx "Completed updating config for broker-logger 0." || fail "alter loggers"
loggers --describe >"$work/loggers"
grep -q "^  corelane.conn=DEBUG sensitive=false" "$work/loggers" && grep -q "^  root=WARN sensitive" "$work/loggers" ||
    fail "describe loggers: $(cat "$work/loggers")"
loggers --alter --delete-config corelane.conn >/dev/null
loggers --describe | grep -q "^  corelane.conn=WARN " || fail "a logger that was deleted follows the root"
loggers --alter --add-config corelane.conn=LOUD >/dev/null 2>&1 && fail "a level that is none"
echo "ok loggers"

seq 1 5000 | sed 's/^/line /' >"$work/in"
tool org.apache.kafka.tools.ConsoleProducer --bootstrap-server "$BOOTSTRAP" --topic "$topic" <"$work/in"
for partition in 0 1 2; do
    tool org.apache.kafka.tools.consumer.ConsoleConsumer --bootstrap-server "$BOOTSTRAP" --topic "$topic" \
        --partition $partition --offset earliest --timeout-ms 4000 2>/dev/null
done >"$work/out" || true
sort "$work/in" >"$work/in.sorted"
sort "$work/out" | cmp - "$work/in.sorted" || fail "the console tools' lines differ"
echo "ok console"
tool org.apache.kafka.tools.GetOffsetShell --bootstrap-server "$BOOTSTRAP" --topic "$topic" >"$work/offsets"
[ "$(awk -F: '{ sum += $3 } END { print sum }' "$work/offsets")" = 5000 ] || fail "offsets: $(cat "$work/offsets")"
echo "ok get-offsets"

for codec in none gzip snappy lz4 zstd; do
    for acks in 0 1 all; do
        echo "acks=$acks compression.type=$codec"
    done
done | while read -r acks codec; do
    tool org.apache.kafka.tools.ProducerPerformance --topic "$topic" --num-records 2000 --record-size 500 --throughput -1 \
        --producer-props bootstrap.servers="$BOOTSTRAP" "$acks" "$codec" | grep -q "^2000 records sent" || fail "$acks $codec"
    echo "ok performance $acks $codec"
done
tool org.apache.kafka.tools.VerifiableProducer --bootstrap-server "$BOOTSTRAP" --topic "$topic" --max-messages 1000 --acks -1 >"$work/verifiable"
[ "$(grep -c producer_send_success "$work/verifiable")" = 1000 ] || fail "verifiable producer: $(tail -n 2 "$work/verifiable")"
echo "ok verifiable"
topics --alter --topic "$topic" --partitions 5
[ "$(topics --describe --topic "$topic" | grep -c Partition:)" = 5 ] || fail "partitions were not added"
topics --delete --topic "$topic"
topics --list | grep -qx "$topic" && fail "still listed"
echo "ok delete"
