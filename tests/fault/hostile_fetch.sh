#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Fetch channels that nobody should get, and some that are misused (fetch_misuse.c has the misuses): what is wrong ends its channel and nothing else,
# nobody gets another session's bytes, and a client that is killed in the middle leaves nothing behind.
# by default: release asan
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
channel() { [ "$(timeout -k 5 60 "$b/tests/fault/fetch_misuse" "$1" 2>&1 | tee /dev/stderr)" = fine ]; } # it has the shim in it
all() {
    for what in number none one-more huge reserved garbage out-of-range keys many half deaf unfilled; do
        check "$1: $what" channel "$what"
    done
}
serve 127.0.0.1:0
all tcp
# Another session asks for what a first one has; then that is killed in the middle.
others() {
    local pid id tries result
    "$b/tests/fault/fetch_misuse" forever >"$lib_scratch/forever" 2>&1 &
    pid=$!
    for ((tries = 100; tries > 0; tries--)); do
        id=$(head -n 1 "$lib_scratch/forever") && [ -n "$id" ] && break
        sleep 0.05
    done
    FOREIGN=$id channel foreign
    result=$?
    kill -KILL "$pid" || return 1
    wait "$pid" 2>/dev/null
    [ "$result" -eq 0 ] && few_workers && channel garbage
}
check "another session, and a client that is killed while it fetches" others
check "no worker is left" few_workers
stop_server "$server_pid"
if [ "$variant" = release ]; then
    serve "unix:$lib_scratch/socket"
    all unix
    stop_server "$server_pid"
fi
printf '[server]\nlog = "warn"\n[kept]\nhost = 0\n' >"$lib_scratch/server.toml"
serve 127.0.0.1:0 --config "$lib_scratch/server.toml"
off() { timeout 60 "$b/tests/fault/fetch_misuse" out-of-range 2>&1 | grep -qx 'not kept'; }
check "kept.host = 0: nothing is kept" off
stop_server "$server_pid"
tap_end
