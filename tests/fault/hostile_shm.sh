#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A client that writes anything into the memory it shares with the server, at any time: its session ends, or it gets what it asked for; the server
# and its next client are none the wiser (raw_shm.c has the misuses).
# by default: release asan
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
raw=$b/tests/fault/raw_shm
broke='broke the protocol'
serve
check "one that does it right" misuse right '^replies: 2$' 'session .* ended: over'
check "one that declines goes on over the socket" misuse declines '^declined$' 'session .* ended: over'
check "an answer that is none" misuse answers-nonsense '^closed$' "$broke"
check "half an answer" misuse answers-by-half '^closed$' 'session .* ended'
check "the memory cannot shrink, grow or be sealed" misuse cannot-shrink '^replies: 1$' 'session .* ended: over'
check "a position far ahead" misuse head-far '^closed' "$broke"
check "a position one byte too far" misuse head-over '^closed' "$broke"
check "a position that goes back" misuse head-back '^closed' "$broke"
check "more taken than was sent" misuse tail-far '^closed' "$broke"
check "a taken position that goes back" misuse tail-back '^closed' "$broke"
check "garbage for commands" misuse garbage '^(goodbye: .+|closed)' 'session .* ended'
check "a command that is cut off" misuse cut-off '^closed' 'session .* ended'
check "nonsense in the words of sleep" misuse scribbles-on-words '^replies: 2000$' 'session .* ended: over'
check "nonsense everywhere" misuse scribbles-everywhere '.' 'session .* ended'
check "the next program is served" next_is_fine
if [ "$variant" = release ]; then check "one that never reads" misuse never-reads '^closed$' 'does not read'; fi
check "no worker is left over" few_workers
check "the next program is served" next_is_fine
tap_end
