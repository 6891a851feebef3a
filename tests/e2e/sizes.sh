#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Number and size: threads, streams, events, allocations, 8 GiB, parameters, names, copies and boxes (sizes.c), with default and with small
# windows, chunks and rings. And a limit on a session's memory, which is told by the call that goes beyond it.
# by default: release asan
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
export GENIE_MOCK=mem=16G
case $variant in asan) export E2E_TRIES=40 ;; tsan) export E2E_TRIES=12 ;; esac

config() { # LINES...
    printf '[server]\nlog = "warn"\n[limits]\n' >"$lib_scratch/server.toml"
    printf '%s\n' "$@" >>"$lib_scratch/server.toml"
}
serve
check "as locally, through shared memory" same 120 unix "$b/tests/e2e/sizes"
export E2E_TRIES=${E2E_TRIES:-1000} # once all of it is enough
GENIE_OPT=-shm check "as locally, over a Unix socket" same 120 socket "$b/tests/e2e/sizes"
stop_server "$server_pid"
printf '[server]\nlog = "warn"\nshared_memory = "64KiB"\n' >"$lib_scratch/server.toml"
serve "unix:$lib_scratch/narrow" --config "$lib_scratch/server.toml"
export E2E_TRIES=$((E2E_TRIES < 40 ? E2E_TRIES : 40))
GENIE_RING=64KiB check "as locally through rings of 64 KiB" same 120 narrow "$b/tests/e2e/sizes"
stop_server "$server_pid"
config 'chunk = "64KiB"' 'window = "256KiB"'
serve 127.0.0.1:0 --config "$lib_scratch/server.toml"
GENIE_RING=64KiB check "as locally over TCP with a small window and ring" same 120 small "$b/tests/e2e/sizes"
stop_server "$server_pid"

config 'memory = "100MiB"'
serve "unix:$lib_scratch/limited" --config "$lib_scratch/server.toml"
limited() {
    remotely "$b/tests/e2e/limited" 100
}
check "a limit on memory is told at the call" limited
tap_end
