#!/bin/sh
# Installs, runs, upgrades, removes and purges the Debian package in a fresh Debian: deb.sh BINARY. Needs root, debootstrap and
# the mirror that apt uses here; without them it says so and skips (exit 77).
set -eu
binary=$1
top=$(cd "$(dirname "$0")/../.." && pwd)
work=$top/target/deb-test
root=$work/root

skip() {
    echo "skipped: $*"
    exit 77
}

step() {
    echo "-- $*"
}

[ "$(id -u)" = 0 ] || skip "a chroot needs root"
command -v debootstrap >/dev/null || skip "debootstrap is not installed"
# shellcheck disable=SC2016 # apt's own variable
mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' | grep -v security | head -n 1)
[ -n "$mirror" ] || skip "apt names no mirror"
. /etc/os-release

in_root() {
    chroot "$root" env PATH=/usr/sbin:/usr/bin:/sbin:/bin DEBIAN_FRONTEND=noninteractive LC_ALL=C "$@"
}

broker=
clean() {
    [ -z "$broker" ] || kill "$broker" 2>/dev/null || :
    umount "$root/proc" "$root/sys" 2>/dev/null || :
    rm -rf "$root"
}
trap clean EXIT

step "two versions of the package"
rm -rf "$work/debs"
# Packed once for here only: speed before size.
export COMPRESSION=gzip
old=$(VERSION=0.0.1 "$top/config/deb/build" "$binary" "$work/debs")
new=$(VERSION=0.0.2 "$top/config/deb/build" "$binary" "$work/debs")

step "a fresh $VERSION_CODENAME"
rm -rf "$root"
# The base is packed once and unpacked for each run.
if [ ! -s "$work/base.tar" ]; then
    debootstrap --variant=minbase --include=adduser "$VERSION_CODENAME" "$root" "$mirror" >"$work/debootstrap.log" 2>&1 ||
        { tail -n 5 "$work/debootstrap.log"; skip "debootstrap failed (the mirror?)"; }
    tar -cf "$work/base.tar" -C "$root" .
else
    mkdir -p "$root"
    tar -xf "$work/base.tar" -C "$root"
fi
# Read-only: nothing in here may change this machine.
mount -t proc -o ro proc "$root/proc"
mount -t sysfs -o ro sysfs "$root/sys"
cp "$old" "$new" "$root/tmp/"
in_root find / -xdev \( -path /proc -o -path /sys -o -path /run -o -path /var/lib/dpkg -o -path /var/cache -o -path /var/log -o -path /tmp \) -prune -o -print | sort >"$work/before"

step "install"
in_root dpkg --install "/tmp/$(basename "$old")"
in_root corelane --version
in_root test -e /usr/share/man/man1/corelane-topics.1.gz -o ! -d /usr/share/man/man1
in_root corelane config check /etc/corelane/server.properties
in_root corelane-tune list >/dev/null
[ "$(in_root stat -c %U:%a /var/lib/corelane)" = corelane:750 ]

step "run, as the user of the package"
printf 'KAFKA_LISTENERS=PLAINTEXT://127.0.0.1:%s\n' "$PORT" >>"$root/etc/default/corelane"
echo '# a local change' >>"$root/etc/corelane/server.properties"
start() {
    # shellcheck disable=SC2046 # its lines are settings
    chroot --userspec=corelane "$root" env $(grep '^KAFKA' "$root/etc/default/corelane") KAFKA_LOG_DIR_MIN_FREE_BYTES=0 \
        /usr/bin/corelane start /etc/corelane/server.properties >"$work/broker.log" 2>&1 &
    broker=$!
    tries=0
    until in_root kafka-topics.sh --bootstrap-server "127.0.0.1:$PORT" --list >"$work/topics" 2>/dev/null; do
        tries=$((tries + 1))
        [ "$tries" -lt 100 ] && kill -0 "$broker" || { cat "$work/broker.log"; exit 1; }
        sleep 0.2
    done
}
stop() {
    kill "$broker"
    wait "$broker" # its exit code counts
    broker=
}
start
in_root kafka-topics.sh --bootstrap-server "127.0.0.1:$PORT" --create --topic packaged --partitions 2
echo hello | in_root kafka-console-producer.sh --bootstrap-server "127.0.0.1:$PORT" --topic packaged
stop

step "upgrade: local changes and records stay"
in_root dpkg --install "/tmp/$(basename "$new")"
grep -q '# a local change' "$root/etc/corelane/server.properties"
[ "$(in_root dpkg-query --show --showformat '${Version}' corelane)" = 0.0.2 ]
start
grep -qx packaged "$work/topics"
[ "$(in_root kafka-console-consumer.sh --bootstrap-server "127.0.0.1:$PORT" --topic packaged --from-beginning --max-messages 1 2>/dev/null)" = hello ]
stop

step "remove, purge: nothing is left but the records"
in_root dpkg --remove corelane
[ ! -e "$root/usr/bin/corelane" ] && [ ! -e "$root/usr/bin/kafka-topics.sh" ]
in_root dpkg --purge corelane
in_root find / -xdev \( -path /proc -o -path /sys -o -path /run -o -path /var/lib/dpkg -o -path /var/cache -o -path /var/log -o -path /tmp \) -prune -o -print | sort >"$work/after"
left=$(comm -13 "$work/before" "$work/after" | grep -v -e '^/var/lib/corelane' -e '^/etc/\(passwd\|group\|shadow\|gshadow\|subuid\|subgid\)-$' || :)
[ -z "$left" ] || { echo "left behind: $left"; exit 1; }
[ -d "$root/var/lib/corelane/data" ]
echo "the package installs, runs, upgrades and removes cleanly"
