# SPDX-License-Identifier: Apache-2.0
# What the whole-path scripts share: the variant's files, TAP, one server, running a program locally and remotely. To be sourced by bash.
# The sourcing script is called with the variant: release (default), asan or tsan.
set -u
cd "$(dirname "${BASH_SOURCE[0]}")/../.." || exit 1
root=$PWD
variant=${1:-release}
case $variant in
release) b=$root/build preload= ;;
asan | tsan) b=$root/build/$variant ;;
*) echo "the variant is release, asan or tsan" >&2; exit 2 ;;
esac
. tests/compat/lib.sh
[ "$variant" = release ] || preload=$(sanitizer_runtime "$variant")
# A process under the thread sanitizer would sleep for a second at its end; and the shim does not join its threads at exit.
export TSAN_OPTIONS=${TSAN_OPTIONS:-}:atexit_sleep_ms=0:report_thread_leaks=0
lib_begin
tap_count=0 tap_bad=0

# check NAME COMMAND...: one test; what the command prints is shown when it fails.
check() {
    local name=$1 out
    shift
    tap_count=$((tap_count + 1))
    if out=$("$@" 2>&1); then
        echo "ok $tap_count - $name"
    else
        tap_bad=$((tap_bad + 1))
        echo "not ok $tap_count - $name"
        printf '%s\n' "$out" | tail -n 30 | sed 's/^/# /'
    fi
}
skip() {
    tap_count=$((tap_count + 1))
    echo "ok $tap_count - $1 # SKIP $2"
}
tap_end() {
    echo "1..$tap_count"
    [ "$tap_bad" -eq 0 ]
    exit
}

# serve [ADDRESS] [OPTION...]: starts a server on the mock; its address is then in $GENIE_SERVER.
serve() {
    local address=${1:-unix:$lib_scratch/socket}
    shift
    start_server "$lib_scratch/server.log" 30 "$b/genie-srv" --listen "$address" --driver "$b/libgenie_mock.so" "$@" || {
        cat "$lib_scratch/server.log"
        echo "Bail out! the server does not start"
        exit 1
    }
    export GENIE_SERVER=$server_addr
}

# locally COMMAND... / remotely COMMAND...
locally() { LD_PRELOAD=${preload:+$preload:}$b/libgenie_mock.so "$@"; }
remotely() { LD_PRELOAD=${preload:+$preload:}$b/libgenie_shim.so "$@"; }

# stat_of FILE KEY: a number of the client's statistics, keys as group.name
stat_of() {
    case $2 in
    *.*) sed -n "s/.*\"${2%%.*}\": {\(.*\)}.*/\1/p" "$1" | tr ',' '\n' | sed -n "s/.*\"${2#*.}\": \([0-9]*\).*/\1/p" ;;
    *) sed -n "s/^ *\"$2\": \([0-9]*\).*/\1/p" "$1" ;;
    esac
}

# same SECONDS NAME COMMAND...: the program's exit status and output are the same remotely as locally, where it has to be content. It runs
# locally once for each command line. What it printed remotely stays in $lib_scratch/NAME.out and NAME.err.
same() {
    local seconds=$1 name=$lib_scratch/$2 alone code
    shift 2
    alone=$lib_scratch/local.$(printf '%s\n' "${GENIE_MOCK:-}" "$@" | cksum | cut -d ' ' -f 1)
    if [ ! -f "$alone.out" ]; then
        locally timeout -k 5 "$seconds" "$@" >"$alone.out" 2>"$alone.err" </dev/null
        code=$?
        [ "$code" -eq 0 ] || { echo "locally: exit status $code"; tail -n 12 "$alone.out" "$alone.err"; rm "$alone.out"; return 1; }
    fi
    remotely timeout -k 5 "$seconds" "$@" >"$name.out" 2>"$name.err" </dev/null
    code=$?
    [ "$code" -eq 0 ] || { echo "remotely: exit status $code"; tail -n 12 "$name.out" "$name.err" "$lib_scratch/server.log"; }
    diff "$alone.out" "$name.out" | head -n 20
    [ "$code" -eq 0 ] && cmp -s "$alone.out" "$name.out"
}
