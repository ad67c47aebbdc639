#!/bin/sh
# Installs the real clients that the tests drive, each once, under target/clients. Without root, kcat is used if the
# system has it; its tests are skipped, and say so, where it does not.
set -eu
cd "$(dirname "$0")/../.."
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

venv() { # NAME PACKAGE…
    python3 -m venv "$dir/$1"
    venv_python=$dir/$1/bin/python
    shift
    "$venv_python" -m pip install --quiet --disable-pip-version-check "$@"
}

kit() { # NAME: Kafka's own clients and tools from Maven, by tests/clients/NAME-pom.xml
    mkdir -p "$dir/$1"
    cp "tests/clients/$1-pom.xml" "$dir/$1/pom.xml"
    (cd "$dir/$1" && mvn -q -B dependency:copy-dependencies -DoutputDirectory=libs -DincludeScope=runtime)
}

odradek() { # a conformance suite for brokers
    # Unoptimised: it sends a few hundred requests, and is built on every fresh machine.
    cargo install --debug odradek-acceptance --version 0.1.0 --root "$dir/odradek" --target-dir "$dir/odradek-build"
    rm -rf "$dir/odradek-build"
}

node_packages() {
    mkdir -p "$dir/node"
    npm install --silent --no-audit --no-fund --prefix "$dir/node" kafkajs@2.2.4
}

franz_go() { # no stamp: go builds again only what has changed
    (cd tests/clients/franz_go && go build -buildvcs=false -o "$dir/franz_go" .)
}

debian() { # PACKAGE…
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@"
}

step confluent venv confluent confluent-kafka==2.16.1
step kafka-python-2 venv kafka-python-2 kafka-python==2.0.2 six lz4 python-snappy xxhash zstandard
step kafka-python-3 venv kafka-python-3 kafka-python==3.0.12 lz4 python-snappy zstandard
step aiokafka venv aiokafka aiokafka==0.14.0
step kafkajs node_packages
step kafka-with-streams kit kafka
step kafka-0.8 kit kafka-0.8
step odradek odradek
if command -v go >/dev/null; then
    franz_go
else
    echo "go is not installed: the tests of franz-go will be skipped"
fi
if ! command -v kcat >/dev/null; then
    if [ "$(id -u)" = 0 ]; then
        step kcat debian kcat
    else
        echo "kcat is not installed and this is not root: its tests will be skipped"
    fi
fi
# What the tests of tuning/ and config/ look at the scripts and units with; what reads the metrics, renders the status page,
# and cuts networks.
for tool in busybox:busybox shellcheck:shellcheck mkfs.xfs:xfsprogs systemd-analyze:systemd promtool:prometheus chromium:chromium ip:iproute2; do
    if ! command -v "${tool%:*}" >/dev/null && [ ! -x "/sbin/${tool%:*}" ]; then
        if [ "$(id -u)" = 0 ]; then
            step "${tool#*:}" debian "${tool#*:}"
        else
            echo "${tool%:*} is not installed and this is not root: its tests will be skipped"
        fi
    fi
done
