#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Device memory: allocations in order with the device's work, what memory info says, small devices to their last block (memory.c), virtual memory
# management (mapped.c); with addresses and memory granted in advance and without, on drivers that cannot map, and with a limit on the session.
# by default: release asan
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
case $variant in asan) export E2E_TRIES=10 ;; tsan) export E2E_TRIES=4 ;; esac
bin=$b/tests/e2e

serve
opts="all -alloc -post -shm -all"
[ "$variant" = release ] || opts="all -alloc"
for opt in $opts; do
    GENIE_OPT=$opt check "memory: as locally with $opt" same 120 "memory.$opt" "$bin/memory"
    GENIE_OPT=$opt check "mapped: as locally with $opt" same 120 "mapped.$opt" "$bin/mapped"
done
no_round_trips() {
    local n trips stats=$lib_scratch/stats.json
    for n in 10 400; do
        GENIE_STATS=$stats.$n remotely timeout 60 "$bin/memory" loop "$n" >/dev/null || return 1
        grep -E 'allocations|round_trips' "$stats.$n"
        [ "$(stat_of "$stats.$n" allocations.posted)" -eq $((4 * n)) ] && [ "$(stat_of "$stats.$n" allocations.asked)" -eq 0 ] || return 1
    done
    trips=$(stat_of "$stats.10" round_trips)
    [ "$trips" -le 3 ] && [ "$(stat_of "$stats.400" round_trips)" -eq "$trips" ] || return 1
    GENIE_OPT=-alloc GENIE_STATS=$stats.off remotely timeout 60 "$bin/memory" loop 10 >/dev/null || return 1
    grep allocations "$stats.off"
    [ "$(stat_of "$stats.off" allocations.posted)" -eq 0 ] && [ "$(stat_of "$stats.off" allocations.asked)" -eq 40 ]
}
check "allocations within the credit make no round trip" no_round_trips
# The range lies where this process has something: one exchange more, and all is as before. And a process that may have no more addresses asks.
elsewhere() {
    local stats=$lib_scratch/stats.json trips
    trips=$(stat_of "$stats.10" round_trips)
    GENIE_STATS=$stats.taken remotely timeout 60 "$bin/memory" taken 10 >/dev/null || return 1
    grep -E 'allocations|round_trips' "$stats.taken"
    [ "$(stat_of "$stats.taken" allocations.posted)" -eq 40 ] && [ "$(stat_of "$stats.taken" round_trips)" -eq $((trips + 1)) ] || return 1
    (ulimit -v 8000000 && GENIE_STATS=$stats.narrow remotely timeout 60 "$bin/memory" loop 10) || return 1
    grep -E 'allocations|round_trips' "$stats.narrow"
    [ "$(stat_of "$stats.narrow" allocations.asked)" -eq 40 ]
}
if [ "$variant" = release ]; then
    check "a range elsewhere, and none" elsewhere
else
    skip "a range elsewhere, and none" "sanitizers have the address space for themselves"
fi
stop_server "$server_pid"

# Each with a server of its own: the device is the server's. Locally the same GENIE_MOCK holds.
mocks="novmm=1 devices=3 devices=2,novmm=1 mem=64M mem=64M,novmm=1 mem=4M"
[ "$variant" = tsan ] && mocks="novmm=1 devices=3 mem=64M" # what differs between the others is no matter of threads
for mock in $mocks; do
    export GENIE_MOCK=$mock
    serve "unix:$lib_scratch/$mock"
    case $mock in
    mem*) arguments=$(echo "$mock" | tr -cd '0-9M,' | sed 's/M.*//') ;;
    *) arguments= ;;
    esac
    # shellcheck disable=SC2086
    check "memory: as locally with $mock" same 120 "memory.$mock" "$bin/memory" $arguments
    stop_server "$server_pid"
done
unset GENIE_MOCK

printf '[server]\nlog = "warn"\n[limits]\nmemory = "64MiB"\n' >"$lib_scratch/server.toml"
serve "unix:$lib_scratch/limited" --config "$lib_scratch/server.toml"
limited() {
    GENIE_OPT=-alloc remotely timeout 60 "$bin/memory" 64 >"$lib_scratch/limited.local" || { cat "$lib_scratch/limited.local"; return 1; }
    remotely timeout 60 "$bin/memory" 64 >"$lib_scratch/limited.remote" || { cat "$lib_scratch/limited.remote"; return 1; }
    diff "$lib_scratch/limited.local" "$lib_scratch/limited.remote"
}
check "a limit is a device of that size" limited
tap_end
