#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Are results the same when large payload, either way, comes over further connections? Programs that look at order and sizes run with lanes, over a network
# that is slow and cuts everything to pieces too; the statistics say whether lanes were used, and where they must not be.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
stats=$lib_scratch/stats.json
case $variant in asan) export E2E_TRIES=8 ;; tsan) export E2E_TRIES=3 ;; esac
config() { printf '[server]\nlog = "warn"\n[limits]\n%s\n' "$1" >"$lib_scratch/server.toml"; }

# used NAME PROGRAM...: as locally, with lanes.  unused: as locally, without.
used() {
    GENIE_STATS=$stats same 120 "$@" || return 1
    grep -E '"lane' "$stats"
    [ "$(stat_of "$stats" lanes)" -gt 0 ] && [ "$(stat_of "$stats" lane_sends)" -gt 0 ] && [ "$(stat_of "$stats" lane_receives)" -gt 0 ]
}
unused() {
    GENIE_STATS=$stats same 120 "$@" || return 1
    grep -E '"lane' "$stats"
    [ "$(stat_of "$stats" lanes)" -eq 0 ] && [ "$(stat_of "$stats" lane_sends)" -eq 0 ] && [ "$(stat_of "$stats" lane_receives)" -eq 0 ]
}

serve 127.0.0.1:0
export GENIE_LANES=4
check "sizes over four connections" used sizes "$b/tests/e2e/sizes"
export E2E_TRIES=${E2E_TRIES:-60} # large copies of 16 MiB from here on, as many of them
check "order over four connections" same 120 order "$b/tests/e2e/order"
[ "$variant" = tsan ] || check "waits over four connections" same 240 waits "$b/tests/e2e/waits"
check "a lost context with lanes" same 120 errors "$b/tests/e2e/errors"
# A thread that opens a connection when the program forks leaves its memory to the child, where nobody has it: that is no leak.
ASAN_OPTIONS=${ASAN_OPTIONS:-}:detect_leaks=0 check "a program that forks" same 120 forks "$b/tests/e2e/forks"
[ "$variant" = release ] && { # the counts are the same under a sanitizer
GENIE_LANES=8 check "sizes over eight connections" used eight "$b/tests/e2e/sizes"
GENIE_LANES=1 check "GENIE_LANES=1: none" unused one "$b/tests/e2e/sizes"
GENIE_OPT=-lanes check "-lanes: none" unused off "$b/tests/e2e/sizes"
GENIE_OPT=-threads check "-threads: none" unused threads "$b/tests/e2e/sizes"
GENIE_LANES=auto check "by itself: none over loopback" unused auto "$b/tests/e2e/sizes"
}

# As many bytes come to the program over lanes as without, none of them twice; and every round trip is one that there would be without.
as_many() {
    local with without
    GENIE_OPT=-lz4 used down "$b/tests/e2e/down" || return 1
    with=$(stat_of "$stats" bytes_received.payload)/$(stat_of "$stats" round_trips)
    GENIE_OPT=-lz4,-lanes unused down_off "$b/tests/e2e/down" || return 1
    without=$(stat_of "$stats" bytes_received.payload)/$(stat_of "$stats" round_trips)
    echo "with lanes $with, without $without"
    [ "$with" = "$without" ]
}
[ "$variant" = tsan ] || check "copies to the host: the same bytes, as many of them" as_many

through_relay() { # NAME ADDRESS PROGRAM RELAY-OPTION...
    local name=$1 address=$2 program=$3 relay tries result
    shift 3
    "$b/genie-relay" --listen "unix:$lib_scratch/$name.relay" --server "$address" "$@" >"$lib_scratch/relay.log" 2>&1 &
    relay=$!
    for ((tries = 100; tries > 0; tries--)); do
        [ -S "$lib_scratch/$name.relay" ] && break
        sleep 0.05
    done
    GENIE_SERVER=unix:$lib_scratch/$name.relay used "$name" "$program"
    result=$?
    kill "$relay"
    wait "$relay" 2>/dev/null
    return $result
}
# Connections that break in the middle of copies to the host: calls fail, and all of them come back.
breaks() {
    local relay tries code
    "$b/genie-relay" --listen "unix:$lib_scratch/break.relay" --server "$GENIE_SERVER" --cut-bytes "$1" --seed 7 >"$lib_scratch/relay.log" 2>&1 &
    relay=$!
    for ((tries = 100; tries > 0; tries--)); do
        [ -S "$lib_scratch/break.relay" ] && break
        sleep 0.05
    done
    GENIE_SERVER=unix:$lib_scratch/break.relay remotely timeout -k 5 60 "$b/tests/e2e/down" >"$lib_scratch/break.out" 2>&1
    code=$?
    kill "$relay"
    wait "$relay" 2>/dev/null
    rm -f "$lib_scratch/break.relay"
    tail -n 5 "$lib_scratch/break.out"
    [ "$code" -gt 0 ] && [ "$code" -lt 124 ] && grep -q "genie: " "$lib_scratch/break.out"
}
if [ -x "$b/genie-relay" ]; then
    check "connections that break after 40 MB" breaks 40000000
    [ "$variant" = tsan ] || { # the threads that share lanes have met by now, what the network is like is no matter of theirs
    check "connections that break after 51 MB" breaks 51000007
    check "connections that break after 62 MB" breaks 62000001
    E2E_TRIES=6 check "sizes over connections that are slow" through_relay slow "$GENIE_SERVER" "$b/tests/e2e/sizes" --rtt-us 4000 --gbit 2
    check "copies to the host over connections that are slow" through_relay slow_down "$GENIE_SERVER" "$b/tests/e2e/down" --rtt-us 4000 --gbit 2
    E2E_TRIES=6 check "sizes over connections that cut everything up" through_relay cut "$GENIE_SERVER" "$b/tests/e2e/sizes" --pieces 3001 --seed 5
    check "copies to the host over connections that cut everything up" through_relay cut_down "$GENIE_SERVER" "$b/tests/e2e/down" --pieces 30011 --seed 6
    }
else
    skip "sizes over connections that are slow" "no genie-relay in this variant"
fi
stop_server "$server_pid"

config 'chunk = "64KiB"
window = "256KiB"
lanes = 2'
serve 127.0.0.1:0 --config "$lib_scratch/server.toml"
GENIE_RING=64KiB check "two lanes, a small window and ring" used small "$b/tests/e2e/sizes"
check "copies to the host over two lanes, in small pieces" used small_down "$b/tests/e2e/down"
stop_server "$server_pid"
[ "$variant" = tsan ] && tap_end # from here on there are none
config 'lanes = 0'
serve 127.0.0.1:0 --config "$lib_scratch/server.toml"
check "lanes = 0 at the server: none" unused none "$b/tests/e2e/sizes"
stop_server "$server_pid"
serve "unix:$lib_scratch/shared"
check "shared memory: none" unused shared "$b/tests/e2e/sizes"
tap_end
