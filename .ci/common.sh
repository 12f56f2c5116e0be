# Sourced by the other scripts of this folder: the folders of the repository, and how a missing tool is found
# or installed. What is installed outside the repository comes from Debian; everything else goes under target/.

set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

WEB=signaling/web
BROWSER=tests/browser
NODE_MIN=20.19
NODE_FETCHED=22.23.3 # from npm, if the version of Debian is older than NODE_MIN
SCHEMATHESIS=4.32.5 # from PyPI
TOOLS="$PWD/target/tools"

# The folder of cargo's build results, also with CARGO_TARGET_DIR.
BUILT=$(realpath -m "${CARGO_TARGET_DIR:-target}")

# In CI the lock file must not change; on a developer's machine it may follow an edited Cargo.toml.
LOCKED=()
if [ -n "${CI:-}" ]; then LOCKED=(--locked); fi

# rustup installs cargo here; a shell that was open before does not have this folder in its PATH.
PATH="$TOOLS/bin:$PATH:${CARGO_HOME:-$HOME/.cargo}/bin"
export PATH

say() { printf '\n== %s\n' "$*" >&2; }
die() { printf 'error: %s\n' "$*" >&2; exit 1; }
have() { command -v "$1" >/dev/null 2>&1; }

# Runs a command as root.
as_root() {
    if [ "$(id -u)" -eq 0 ]; then "$@"
    elif have sudo; then sudo "$@"
    else die "'$*' must run as root, and sudo is missing. Run it as root, then start again."
    fi
}

# The package lists are fetched once per script, and only when something is missing.
APT_FRESH=
apt_refresh() {
    [ -z "$APT_FRESH" ] || return 0
    as_root apt-get -qq update </dev/null >&2
    APT_FRESH=1
}

# apt_install PACKAGE…
apt_install() {
    have apt-get || die "missing: $*. This machine has no apt-get; install them with its package manager, then start again."
    say "installing $*"
    apt_refresh
    as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends "$@" </dev/null >&2
}

# need COMMAND [PACKAGE]: installs the package when the command is missing.
need() { have "$1" || apt_install "${2:-$1}"; }

# The tests start servers of their own; the package has the programs outside of PATH.
need_postgresql() {
    compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null || apt_install postgresql
}

# need_rust: the toolchain itself comes from rust-toolchain.toml, so only rustup is needed.
need_rust() {
    need gcc
    [ -e /usr/include/stdio.h ] || apt_install libc6-dev
    # `boring-sys` needs these to build BoringSSL: it patches a copy of the sources, and reads their headers
    # with libclang.
    need g++
    need make
    need cmake
    need git
    compgen -G '/usr/lib/llvm-*/lib/libclang.so*' >/dev/null || [ -n "${LIBCLANG_PATH:-}" ] || apt_install libclang-dev
    # For the DTLS of the load generator.
    need pkg-config
    [ -e /usr/include/openssl/ssl.h ] || apt_install libssl-dev
    if ! have rustup && ! have cargo && have apt-get; then
        # Debian 13 has rustup; Debian 12 has only a cargo of 2022, which is too old for this repository.
        apt_refresh
        if [ -n "$(apt-cache search --names-only '^rustup$' 2>/dev/null)" ]; then apt_install rustup; fi
    fi
    if ! have cargo; then
        die "Rust is missing, and this Debian has no rustup package (the cargo of Debian 12 is too old).
Install rustup from https://rustup.rs, then start again."
    fi
    # Rust without rustup does not read rust-toolchain.toml: check its version.
    local wanted found
    wanted=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml)
    found=$(cargo --version | cut -d' ' -f2)
    at_least "$found" "$wanted" || die "the version of cargo is $found, this repository needs $wanted: run 'rustup update stable'."
}

# at_least FOUND WANTED: compares dotted versions.
at_least() { [ "$(printf '%s\n%s\n' "$2" "$1" | sort -V | head -n 1)" = "$2" ]; }

node_version() { node --version 2>/dev/null | sed 's/^v//'; }

need_node() {
    need node nodejs
    need npm
    at_least "$(node_version)" "$NODE_MIN" && return
    local arch
    case "$(uname -m)" in
        x86_64) arch=x64 ;;
        aarch64) arch=arm64 ;;
        *) die "the version of node is $(node_version), the web app needs $NODE_MIN or newer." ;;
    esac
    say "the version of node is $(node_version); fetching $NODE_FETCHED from npm into target/tools"
    npm install --silent --no-save --prefix "$TOOLS" "node-linux-$arch@$NODE_FETCHED" </dev/null
    mkdir -p "$TOOLS/bin"
    ln -sf "$TOOLS/node_modules/node-linux-$arch/bin/node" "$TOOLS/bin/node"
    hash -r
    at_least "$(node_version)" "$NODE_MIN" || die "node is still $(node_version), the web app needs $NODE_MIN or newer."
}

need_chromium() { need chromium; }
need_firefox() { need firefox-esr; }

# For the tests of plain RTP.
need_ffmpeg() { need ffmpeg; }
need_gstreamer() {
    need gst-launch-1.0 gstreamer1.0-tools
    # Without its plugins the command exists and does nothing.
    local element
    for element in opusenc vp8enc rtpbin; do
        gst-inspect-1.0 --exists "$element" && continue
        apt_install gstreamer1.0-plugins-base gstreamer1.0-plugins-good
        return
    done
}

# For the tests of WHIP and WHEP: webrtcbin with its Python bindings and codecs.
need_webrtcbin() {
    /usr/bin/python3 - 2>/dev/null <<'END' && return
import gi
for name in ("Gst", "GstWebRTC", "GstSdp"):
    gi.require_version(name, "1.0")
from gi.repository import Gst
Gst.init(None)
wanted = ("webrtcbin", "nicesink", "srtpenc", "x264enc", "openh264dec", "h264parse", "vp8enc", "opusenc")
raise SystemExit(any(Gst.ElementFactory.find(name) is None for name in wanted))
END
    apt_install python3-gst-1.0 gir1.2-gst-plugins-base-1.0 gir1.2-gst-plugins-bad-1.0 gstreamer1.0-nice \
        gstreamer1.0-plugins-base gstreamer1.0-plugins-good gstreamer1.0-plugins-bad gstreamer1.0-plugins-ugly
}

# For the test of the HTTP API with generated requests.
need_schemathesis() {
    have schemathesis && return
    need python3
    python3 -c 'import ensurepip' 2>/dev/null || apt_install python3-venv
    say "installing schemathesis $SCHEMATHESIS from PyPI into target/tools"
    python3 -m venv "$TOOLS/schemathesis"
    "$TOOLS/schemathesis/bin/pip" install --quiet --disable-pip-version-check "schemathesis==$SCHEMATHESIS" </dev/null >&2
    mkdir -p "$TOOLS/bin"
    ln -sf "$TOOLS/schemathesis/bin/schemathesis" "$TOOLS/bin/schemathesis"
    hash -r
}

# For the test of the load generator with another server, and for the virtual network of both servers.
need_janus() {
    need janus
    need ip iproute2
}

# The reverse proxies that tests run in front of signaling.
need_proxies() {
    need /usr/sbin/nginx nginx-light
    need /usr/sbin/haproxy haproxy
}

# The clients in the tests of the TURN server.
need_coturn() { need turnutils_uclient coturn; }

# The tests with NATs make the NATs with these. They run as root.
need_namespaces() {
    need ip iproute2
    need iptables
    need sysctl procps
    need nsenter util-linux
}

# npm_ci FOLDER: installs exactly what the lock file says, and nothing if that is done already.
npm_ci() {
    local stamp="$1/node_modules/.leat-lock"
    cmp -s "$1/package-lock.json" "$stamp" && return
    say "installing the npm packages of $1"
    (cd "$1" && npm ci --no-audit --no-fund </dev/null >&2)
    cp "$1/package-lock.json" "$stamp"
}

# web_app: builds dist/, which the binary of leat-signaling contains.
web_app() {
    npm_ci "$WEB"
    say "building the web app"
    (cd "$WEB" && npm run --silent build </dev/null)
}

# Browser tests that run alone: in them no picture may freeze, no packet may be lost, or the estimate of the
# browser must rise.
ALONE=(call encrypted firefox large_file previous simulcast spread survival svc sync tcp thin versions)

# browser_tests alone|others OPTION…: runs these with the options of node. Of the others, which wait most of the
# time, two files run at a time.
browser_tests() {
    local which=$1 jobs=2 files=() path name
    shift
    [ "$which" = others ] || jobs=1
    for path in "$BROWSER"/*.test.js; do
        name=$(basename "$path" .test.js)
        case " ${ALONE[*]} " in
            *" $name "*) [ "$which" = alone ] || continue ;;
            *) [ "$which" = others ] || continue ;;
        esac
        files+=("$name.test.js")
    done
    (cd "$BROWSER" && node --test --test-concurrency="$jobs" "$@" "${files[@]}")
}
