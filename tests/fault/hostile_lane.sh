#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Lanes that nobody should get, and lanes that are misused: who has not the key gets none, what does not fit its command ends its own session and
# no other, and a piece that does not come holds up nobody else (raw_lane.c has the misuses).
. "$(dirname "${BASH_SOURCE[0]}")/../e2e/lib.sh"
raw=$b/tests/fault/raw_lane
next_is_fine() { GENIE_LANES=3 remotely timeout 60 "$b/tests/fault/work" once; }

# misuse NAME ANSWER [LOG]
misuse() {
    local answer tries
    : >"$lib_scratch/server.log"
    answer=$(timeout 60 "$raw" "$GENIE_SERVER" "$1" 2>&1)
    echo "$1: $answer"
    grep -qE -- "$2" <<<"$answer" || { cat "$lib_scratch/server.log"; return 1; }
    for ((tries = 60; tries > 0; tries--)); do
        [ -z "${3:-}" ] || grep -qE -- "$3" "$lib_scratch/server.log" && break
        sleep 0.05
    done
    [ "$tries" -gt 0 ] || { cat "$lib_scratch/server.log"; return 1; }
    kill -0 "$server_pid"
}
broke='broke the protocol'
serve 127.0.0.1:0
check "payload before its command and behind it" misuse right '^replies: 1$' 'session .* ended: over'
check "a wrong key" misuse wrong-key '^refused$' 'without the key'
check "no such session" misuse no-session '^refused$' 'without the key'
check "a session that wants no lanes" misuse not-wanted '^refused$' 'without the key'
check "the same lane twice" misuse twice '^refused$' 'has already'
check "lanes that there are not" misuse too-many '^refused$' 'does not have'
check "a command for a lane that has not joined" misuse not-joined '^goodbye: .*lane' "$broke"
check "a command for a lane that cannot be" misuse lane-fifteen '^goodbye: .*lane' "$broke"
check "payload without commands" misuse without-command '^goodbye: .*window' "$broke"
check "a piece of another size" misuse another-size '^goodbye: .*lane' "$broke"
check "a piece out of order" misuse another-number '^goodbye: .*order' "$broke"
check "a piece of 2 GiB" misuse huge '^goodbye: .*size' "$broke"
check "a piece that is too small for a lane" misuse tiny '^goodbye: .*size' "$broke"
check "packed payload on a lane" misuse packed '^goodbye: .*lane' "$broke"
check "small payload on a lane" misuse small-payload '^goodbye: .*lane' "$broke"
check "a control frame on a lane" misuse control-frame '^goodbye: .*lane' "$broke"
check "a lane that ends" misuse lane-ends '^(closed|goodbye)' 'session .* ended: over'
beside() { # half a piece, and another session meanwhile
    timeout 60 "$raw" "$GENIE_SERVER" half-a-piece >"$lib_scratch/half" 2>&1 &
    local half=$!
    sleep 0.3
    next_is_fine || return 1
    kill -0 "$half" || { echo "it did not last"; cat "$lib_scratch/half"; return 1; }
    wait "$half"
    grep -q '^silent$' "$lib_scratch/half"
}
check "half a piece, and nothing more: others are served" beside
few_workers() {
    local tries
    for ((tries = 60; tries > 0; tries--)); do
        [ "$(ps -o pid= --ppid "$server_pid" | wc -l)" -le 1 ] && return 0
        sleep 0.05
    done
    ps -o pid,stat,args --ppid "$server_pid"
    return 1
}
check "no worker is left over" few_workers
check "the next program is served" next_is_fine
tap_end
