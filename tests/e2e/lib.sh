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

# same SECONDS NAME COMMAND...: a program's exit status and output are the same remotely as locally, and it is content. What it printed stays
# in $lib_scratch/NAME.{local,remote} and .err.
same() {
    local seconds=$1 name=$lib_scratch/$2 local_code remote_code
    shift 2
    run_locally "$seconds" "$name" "$@"
    local_code=$?
    LD_PRELOAD=${preload:+$preload:}$b/libgenie_shim.so timeout -k 5 "$seconds" "$@" >"$name.remote" 2>"$name.err" </dev/null
    remote_code=$?
    [ "$local_code" -eq 0 ] || { echo "locally: exit status $local_code"; tail -n 12 "$name.local" "$name.local.err"; }
    [ "$remote_code" -eq "$local_code" ] || { echo "remotely: exit status $remote_code"; tail -n 12 "$name.remote" "$name.err" "$lib_scratch/server.log"; }
    diff "$name.local" "$name.remote" | head -n 20
    [ "$local_code" -eq 0 ] && [ "$remote_code" -eq 0 ] && cmp -s "$name.local" "$name.remote"
}
