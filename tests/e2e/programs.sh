#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Error codes, contexts and devices, fork and exec, and device printf: the same remotely as locally, over both kinds of sockets, with every
# optimisation off, and with the local mode, where the calls only pass through Genie. And what Genie writes about it: trace and statistics.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
export GENIE_MOCK=devices=2
[ "$variant" = release ] || export E2E_TRIES=10
programs="errors contexts forks prints"
bin=$b/tests/e2e

serve
for p in $programs; do
    check "$p: as locally, through shared memory" same 60 "$p" "$bin/$p"
done
for off in post shm shm,-uring threads all; do
    for p in $programs; do
        GENIE_OPT=-$off check "$p: as locally with -$off" same 60 "$p.$off" "$bin/$p"
    done
done

# The driver by its full path; GENIE_SERVER is not looked at.
for p in $programs; do
    GENIE_MODE=local GENIE_DRIVER=$b/libgenie_mock.so check "$p: as locally in local mode" same 60 "$p.through" "$bin/$p"
done

# Every call of the program is in the trace, with its code; those that failed too.
traced() {
    GENIE_TRACE=$lib_scratch/trace same 60 traced "$bin/errors" || return 1
    grep -q 'cuMemAlloc.*CUDA_SUCCESS' "$lib_scratch/trace" || { echo "no cuMemAlloc that succeeded"; head -n 5 "$lib_scratch/trace"; return 1; }
    grep -q 'cuMemFree.*CUDA_ERROR_INVALID_VALUE' "$lib_scratch/trace" || { echo "no cuMemFree that failed"; return 1; }
    grep -q 'cuLaunchKernel.*CUDA_ERROR_ILLEGAL_ADDRESS' "$lib_scratch/trace" || { echo "no launch into a lost context"; return 1; }
    ! LC_ALL=C grep -nP '[^\x09\x20-\x7e]' "$lib_scratch/trace" | head -n 3 | grep .
}
check "GENIE_TRACE writes the calls with their codes" traced

counted() {
    local stats=$lib_scratch/stats.json
    GENIE_STATS=$stats same 60 counted "$bin/prints" || return 1
    cat "$stats"
    [ "$(stat_of "$stats" kernels)" = 41 ] && grep -q "\"cuLaunchKernel\": {\"count\": 41, \"errors\": 0}" "$stats" && "$bin/check_json" "$stats"
}
check "GENIE_STATS writes what was done, as JSON" counted

stop_server "$server_pid"
serve 127.0.0.1:0
for p in $programs; do
    check "$p: as locally over TCP" same 60 "$p.tcp" "$bin/$p"
done
tap_end
