#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Which way does a session go, and does who runs it learn of that? Shared memory behind a Unix socket, the socket where either side wants that or
# the memory cannot come along, TCP; said in GENIE_STATS and by genie-ctl; the same results each way, from a container that has only the socket too.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
program=$b/tests/e2e/prints
stats=$lib_scratch/stats.json err=$lib_scratch/err

# goes WAY [TRANSPORT]: the program's results are right, its statistics name the way.
goes() {
    rm -f "$stats"
    GENIE_STATS=$stats same 60 "$(tr -c 'a-z\n' _ <<<"$*")" "$program" || return 1
    grep '"link"' "$stats"
    grep -qE "\"link\": \"($1)\"" "$stats"
}
socket='io_uring|plain'

printf '[server]\ncontrol = "%s"\n' "$lib_scratch/control" >"$lib_scratch/server.toml"
serve "unix:$lib_scratch/socket" --config "$lib_scratch/server.toml"
check "shared memory behind a Unix socket" goes "shared memory"
GENIE_OPT=-shm check "-shm: the socket" goes "$socket"
GENIE_OPT=-all check "-all: the plain socket" goes plain
GENIE_OPT=-all,shm check "-all,shm: shared memory without threads, posting and io_uring" goes "shared memory"

told() { # WAY: what genie-ctl says while a session runs
    rm -f "$lib_scratch/in" "$lib_scratch/said"
    mkfifo "$lib_scratch/in" && exec 9<>"$lib_scratch/in"
    LD_PRELOAD=${preload:+$preload:}$b/libgenie_shim.so "$b/tests/fault/work" idle <&9 >"$lib_scratch/said" 2>&1 &
    local client=$! tries
    for ((tries = 200; tries > 0; tries--)); do
        grep -qs ready "$lib_scratch/said" && break
        sleep 0.05
    done
    "$b/genie-ctl" --socket "$lib_scratch/control" status >"$lib_scratch/table"
    "$b/genie-ctl" --socket "$lib_scratch/control" status --json >"$lib_scratch/json"
    echo >&9
    wait "$client"
    cat "$lib_scratch/table" "$lib_scratch/json" "$lib_scratch/said"
    grep -qE "work/.* ($1) " "$lib_scratch/table" && grep -qE "\"transport\": \"($1)\"" "$lib_scratch/json"
}
check "genie-ctl tells of shared memory" told "shared memory"
GENIE_OPT=-shm check "genie-ctl tells of a socket" told "$socket"

# A relay between two Unix sockets passes bytes on and no descriptors.
relayed() {
    "$b/genie-relay" --listen "unix:$lib_scratch/relay" --server "unix:$lib_scratch/socket" >"$lib_scratch/relay.log" 2>&1 &
    local relay=$! tries result
    for ((tries = 100; tries > 0; tries--)); do
        [ -S "$lib_scratch/relay" ] && break
        sleep 0.05
    done
    GENIE_SERVER=unix:$lib_scratch/relay goes "$socket"
    result=$?
    GENIE_SERVER=unix:$lib_scratch/relay GENIE_LOG=info remotely "$b/tests/fault/work" once 2>"$err" >/dev/null
    kill "$relay"
    wait "$relay" 2>/dev/null
    cat "$err"
    [ "$result" -eq 0 ] && [ "$(grep -c "did not come along" "$err")" -eq 1 ]
}
if [ -x "$b/genie-relay" ]; then check "a relay that loses the memory: the socket, said once" relayed; else skip "a relay that loses the memory" "no genie-relay in this variant"; fi

# Another mount, network, process and IPC namespace, where the socket is all that both see.
apart() {
    rm -f "$stats"
    # The leak checker cannot stop threads in another process namespace.
    ASAN_OPTIONS=detect_leaks=0 GENIE_STATS=$stats LD_PRELOAD=${preload:+$preload:}$b/libgenie_shim.so timeout 60 unshare --mount --net --ipc --pid --fork --map-root-user \
        sh -c 'mount -t tmpfs none /dev/shm && exec "$0"' "$program" >"$lib_scratch/apart" 2>"$err" || { cat "$err"; return 1; }
    grep '"link": "shared memory"' "$stats" && locally "$program" | cmp - "$lib_scratch/apart"
}
if unshare --mount --net --ipc --pid --fork --map-root-user sh -c 'mount -t tmpfs none /dev/shm' 2>/dev/null; then
    check "from other namespaces, with nothing but the socket" apart
else
    skip "from other namespaces" "no namespaces for this user"
fi
stop_server "$server_pid"

printf '[server]\nshared_memory = 0\n' >"$lib_scratch/server.toml"
serve "unix:$lib_scratch/none" --config "$lib_scratch/server.toml"
check "shared_memory = 0: the socket" goes "$socket"
stop_server "$server_pid"
serve 127.0.0.1:0
check "TCP: the socket" goes "$socket"
tap_end
