#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# What the server keeps for the program's host memory, used as the shim uses it (kept.c), on the device and in host memory, over every kind of link.
# by default: release tsan
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
case $variant in asan) export E2E_TRIES=20 ;; tsan) export E2E_TRIES=10 ;; esac
config() { printf '[server]\nlog = "warn"\n[kept]\n%s\n' "$1" >"$lib_scratch/server.toml"; }
kept() { timeout -k 5 120 "$b/tests/e2e/kept" "$@" 2>&1; } # it has the shim in it

serve 127.0.0.1:0
check "kept on the device, over TCP" kept
GENIE_OPT=-uring GENIE_LANES=3 check "with lanes" kept
stop_server "$server_pid"
serve "unix:$lib_scratch/memory"
check "beside shared memory" kept
GENIE_OPT=-shm check "over a Unix socket" kept
stop_server "$server_pid"
config 'device = 0'
serve 127.0.0.1:0 --config "$lib_scratch/server.toml"
check "kept in host memory" kept host
stop_server "$server_pid"
told() { # what genie-ctl says of a session that keeps six copies
    local client tries result
    "$b/tests/fault/fetch_misuse" forever >"$lib_scratch/forever" 2>&1 &
    client=$!
    for ((tries = 100; tries > 0; tries--)); do
        [ -s "$lib_scratch/forever" ] && break
        sleep 0.05
    done
    sleep 0.2
    "$b/genie-ctl" --socket "$lib_scratch/control" status >"$lib_scratch/table"
    "$b/genie-ctl" --socket "$lib_scratch/control" status --json >"$lib_scratch/json"
    kill "$client"
    wait "$client" 2>/dev/null
    cat "$lib_scratch/table" "$lib_scratch/json" "$lib_scratch/forever"
    grep -q 'kept: 6 copies, 4.0 MiB on devices, 0 B in host memory' "$lib_scratch/table" &&
        grep -q '"kept": 6, "kept_device_bytes": 4214784, "kept_host_bytes": 0, "kept_moved_bytes": 0, "fetched_bytes": [1-9]' "$lib_scratch/json"
}
printf '[server]\nlog = "warn"\ncontrol = "%s/control"\n' "$lib_scratch" >"$lib_scratch/server.toml"
serve 127.0.0.1:0 --config "$lib_scratch/server.toml"
check "genie-ctl tells what is kept" told
stop_server "$server_pid"
config 'device = 25'
export GENIE_MOCK=mem=96M
serve 127.0.0.1:0 --config "$lib_scratch/server.toml"
check "a device that is all the program's" kept full
GENIE_OPT=-alloc check "with every allocation asked for" kept full
stop_server "$server_pid"
unset GENIE_MOCK
printf '[server]\nlog = "warn"\n[limits]\nmemory = "64MiB"\n' >"$lib_scratch/server.toml"
serve 127.0.0.1:0 --config "$lib_scratch/server.toml"
check "a session's limit that is all the program's" kept full
stop_server "$server_pid"
tap_end
