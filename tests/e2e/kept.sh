#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# What the server keeps for the program's host memory, used as the shim uses it (kept.c), on the device and in host memory, over every kind of link.
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
