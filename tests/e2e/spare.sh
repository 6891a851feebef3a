#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Spare workers that have initialised the driver, and such that have not: programs see the same; one whose driver refuses serves all the same,
# and its session is told why.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
program=$b/tests/e2e/trips

settings() { # LINE...: a server with these settings
    printf '%s\n' '[server]' "$@" >"$lib_scratch/server.toml"
    serve "unix:$lib_scratch/socket" --config "$lib_scratch/server.toml"
}
several() { # sessions one after the other and at once: with spares, and when there is none left
    local i pids=() bad=0
    for i in 1 2 3; do remotely timeout 60 "$program" >"$lib_scratch/one" 2>&1 </dev/null || { cat "$lib_scratch/one"; bad=1; }; done
    for i in 1 2 3 4; do
        remotely timeout 60 "$program" >"$lib_scratch/at.$i" 2>&1 </dev/null &
        pids+=($!)
    done
    for i in "${pids[@]}"; do wait "$i" || bad=1; done
    for i in 1 2 3 4; do cmp "$lib_scratch/one" "$lib_scratch/at.$i" || bad=1; done
    return $bad
}
says() { # within two seconds the server's log has these words
    for _ in {1..20}; do
        grep -q "$1" "$lib_scratch/server.log" && return 0
        sleep 0.1
    done
    cat "$lib_scratch/server.log"
    return 1
}
says_not() { sleep 0.5; ! grep "$1" "$lib_scratch/server.log"; }
refused() {
    remotely timeout 30 "$program" >"$lib_scratch/refused" 2>&1 </dev/null && { echo "it ran"; return 1; }
    cat "$lib_scratch/refused"
    grep -q 'CUDA_ERROR_NO_DEVICE' "$lib_scratch/refused"
}

serve
check "as locally" same 60 init "$program"
check "several sessions" several
stop_server "$server_pid"
settings 'spare_init = false'
check "as locally with drivers initialised by their sessions" same 60 late "$program"
check "several such sessions" several
stop_server "$server_pid"
settings 'spare_workers = 0'
check "several sessions without spares" several
stop_server "$server_pid"
# A library that is no driver: whoever comes is refused, with and without the attempt ahead.
start_server "$lib_scratch/server.log" 30 "$b/genie-srv" --listen "unix:$lib_scratch/socket" --driver /nowhere/libcuda.so.1 || exit 1
export GENIE_SERVER=$server_addr
check "a driver that refuses is said ahead" says 'cannot use the driver yet'
check "and to the session" refused
check "and to the next" refused
stop_server "$server_pid"
printf '%s\n' '[server]' 'spare_init = false' >"$lib_scratch/server.toml"
start_server "$lib_scratch/server.log" 30 "$b/genie-srv" --config "$lib_scratch/server.toml" --listen "unix:$lib_scratch/socket" --driver /nowhere/libcuda.so.1 || exit 1
check "nothing is tried ahead where that is not wanted" says_not 'cannot use the driver yet'
check "the session is told" refused
tap_end
