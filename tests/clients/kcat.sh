#!/bin/sh
# kcat on an old librdkafka (Debian's 2.0.2): every acks and codec, by position and time, metadata, failures.
set -eu
work=$(mktemp -d "${WORK:-/tmp}/kcat.XXXXXX")
trap 'rm -rf "$work"' EXIT
run=$$

fail() { echo "FAILED: $*" >&2; exit 1; }

seq 1 500 | sed 's/$/ a line that compresses well, well, well, well, well/' >"$work/in"
for acks in 0 1 all; do
    for codec in none gzip snappy lz4 zstd; do
        topic=kcat-$run-$acks-$codec
        kcat -b "$BOOTSTRAP" -P -t "$topic" -p 0 -X acks=$acks -z $codec "$work/in" -l
        tries=0
        until [ "$(kcat -b "$BOOTSTRAP" -Q -t "$topic:0:-1" 2>/dev/null)" = "$topic [0] offset 500" ]; do
            tries=$((tries + 1))
            [ $tries -lt 100 ] || fail "$topic did not reach offset 500"
        done
        kcat -b "$BOOTSTRAP" -C -t "$topic" -p 0 -o beginning -e -q >"$work/out"
        cmp "$work/in" "$work/out" || fail "$topic came back changed"
        echo "ok produce $acks $codec"
    done
done

[ "$(kcat -b "$BOOTSTRAP" -C -t "kcat-$run-1-gzip" -p 0 -o -1 -e -q)" = "$(tail -n 1 "$work/in")" ] || fail "the last record"
echo "ok tail"
[ "$(kcat -b "$BOOTSTRAP" -C -t "kcat-$run-1-none" -p 0 -o 7 -c 1 -q)" = "$(sed -n 8p "$work/in")" ] || fail "record 7"
echo "ok offset"
kcat -b "$BOOTSTRAP" -C -t "kcat-$run-1-none" -p 0 -o s@1000 -o e@1001 -e -q >"$work/none"
[ ! -s "$work/none" ] || fail "records before the first one's time"
echo "ok time"
kcat -b "$BOOTSTRAP" -L -t "kcat-$run-1-none" | grep -q 'topic "kcat-.*" with 1 partitions' || fail "metadata"
echo "ok metadata"
group() { # COUNT: that many lines as a member of the group, on from what it has committed
    kcat -b "$BOOTSTRAP" -G "kcat-$run" -X auto.offset.reset=earliest -c "$1" -q "kcat-$run-1-none"
}
group 300 >"$work/first"
group 200 >"$work/second"
cat "$work/first" "$work/second" | cmp - "$work/in" || fail "the group did not go on where it was"
echo "ok group"
head -c 3000000 /dev/zero | tr '\0' 'x' >"$work/large"
if kcat -b "$BOOTSTRAP" -P -t "kcat-$run-1-none" -p 0 -X message.max.bytes=5000000 "$work/large" 2>"$work/problem"; then
    grep -qi 'too large' "$work/problem" || fail "too large a message was taken"
fi
grep -qi 'too large' "$work/problem" || fail "no reason for the refusal: $(cat "$work/problem")"
echo "ok too large"
