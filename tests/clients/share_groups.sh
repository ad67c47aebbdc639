#!/bin/sh
# Kafka 4.3's own share consumer and share group tools; see ShareGroups.java for the stages before and after a kill -9.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
kit=$(cd "$here/../.." && pwd)/target/clients/kafka
work=$(mktemp -d "${WORK:-/tmp}/share.XXXXXX")
trap 'rm -rf "$work"' EXIT

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

DELIVERIES=${DELIVERIES:-2} tool "$here/ShareGroups.java"
[ -z "${STAGE:-}" ] || exit 0

shares() { tool org.apache.kafka.tools.consumer.group.ShareGroupCommand --bootstrap-server "$BOOTSTRAP" "$@"; }

shares --list >"$work/list"
grep -qx shared "$work/list" || fail "$(cat "$work/list")"
shares --list --state >"$work/list"
grep -q '^shared *Empty' "$work/list" || fail "$(cat "$work/list")"
echo "ok list"

shares --describe --group shared --offsets >"$work/offsets" 2>"$work/notice"
[ "$(awk '$2 == "shared" { print $4, $5 }' "$work/offsets")" = "1000 0" ] || fail "$(cat "$work/offsets" "$work/notice")"
echo "ok describe"

shares --reset-offsets --group shared --topic shared --to-earliest --execute >"$work/reset" || fail "$(cat "$work/reset")"
tool org.apache.kafka.tools.consumer.ConsoleShareConsumer --bootstrap-server "$BOOTSTRAP" --topic shared --group shared \
    --max-messages 1000 --timeout-ms 30000 >"$work/out" 2>"$work/errors" || fail "$(cat "$work/errors")"
[ "$(sort -u "$work/out" | wc -l)" = 1000 ] || fail "$(wc -l <"$work/out") lines"
echo "ok reset-offsets and the console share consumer"

shares --delete-offsets --group shared --topic shared >"$work/deleted" || fail "$(cat "$work/deleted")"
! shares --describe --group shared --offsets 2>/dev/null | grep -q '^shared *shared' || fail "offsets are still there"
shares --delete --group shared >"$work/deleted" || fail "$(cat "$work/deleted")"
! shares --list | grep -qx shared || fail "the group is still there"
echo "ok delete"
