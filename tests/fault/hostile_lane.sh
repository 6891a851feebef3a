#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Lanes that nobody should get, and lanes that are misused: who has not the key gets none, what does not fit its command ends its own session and
# no other, and a piece that does not come holds up nobody else (raw_lane.c has the misuses).
# by default: release asan
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
raw=$b/tests/fault/raw_lane
export GENIE_LANES=3 # of the programs that are served in between
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
check "no worker is left over" few_workers
check "the next program is served" next_is_fine
tap_end
