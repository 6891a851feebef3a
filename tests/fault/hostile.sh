#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Whatever a client sends, in its hello or as commands: it is refused with a reason or its session ends with one in the log, the server lives in
# bounded memory, and the next program is served (raw.c has the violations, remoting/WIRE.md section 7 what they do).
# by default: release asan
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
raw=$b/tests/fault/raw
rss_kib() { awk '/^VmRSS/ {print $2}' "/proc/$server_pid/status"; }
printf '[server]\nlisten = ["unix:%s"]\n[limits]\nhello_s = 1\n' "$lib_scratch/hostile" >"$lib_scratch/server.toml"
serve 127.0.0.1:0 --config "$lib_scratch/server.toml"
next_is_fine >/dev/null
before_kib=$(rss_kib)

check "the right hello is welcome" misuse right '^welcome$'
check "another version" misuse wrong-version '^refused: .*version' 'refused.*version'
check "another build" misuse wrong-digest '^refused: .*builds' 'refused.*builds'
check "a ring of 2^60 bytes" misuse huge-ring '^(refused|closed|goodbye)' 'ring|session .* ended|memory'
check "garbage instead of a hello" misuse garbage '^closed$' "does not speak"
check "another protocol" misuse http '^closed$' "does not speak"
check "a hello of 2^40 bytes" misuse long-hello '^closed$' "too long"
check "a hello that is cut off" misuse short-hello '^closed$' "closed within its hello"
check "a malformed hello" misuse malformed-hello '^closed$' "malformed"
check "no hello at all" misuse silence '^closed$' "hello_s"
check "a frame of no size" misuse size-zero '^goodbye: .+' 'session .* ended'
check "a frame of 13 bytes" misuse size-odd '^goodbye: .+' 'session .* ended'
check "a frame of 4 GiB" misuse size-huge '^goodbye: .+' 'session .* ended'
check "an unknown command" misuse unknown-op '^goodbye: .+' 'session .* ended'
check "a command that is never sent" misuse unsupported-op '^goodbye: .+' 'session .* ended'
check "an unknown flag" misuse unknown-flag '^goodbye: .+' 'session .* ended'
check "an unknown control frame" misuse unknown-control '^goodbye: .+' 'session .* ended'
check "a body that is too short" misuse short-body '^goodbye: .+' 'session .* ended'
check "payload where none belongs" misuse unexpected-payload '^goodbye: .+' 'session .* ended'
check "payload of 2^62 bytes" misuse huge-payload '^goodbye: .+' 'session .* ended'
check "a handle that cannot be" misuse impossible-handle '^goodbye: .+' 'session .* ended'
check "a host function that was not asked for" misuse host-done-unasked '^goodbye: .+' 'session .* ended'
check "garbage instead of commands" misuse garbage-commands '^(goodbye: .+|closed)' 'session .* ended'
check "a command that is cut off" misuse cut-off '^(goodbye: .+|closed)' 'session .* ended'
check "more marks than there may be" misuse too-many-marks '^goodbye: .*marks' 'session .* ended'
check "the next program is served" next_is_fine

# More connections than there are places, half of a hello in some, and a program among them.
crowded() {
    timeout 100 "$raw" "$GENIE_SERVER" half-open "$1" >"$lib_scratch/crowd" 2>&1 &
    local crowd=$!
    sleep 0.5
    next_is_fine || { kill "$crowd"; return 1; }
    wait "$crowd" && cat "$lib_scratch/crowd" && grep -q "half-open connections: all" "$lib_scratch/crowd"
}
# Several times as many as there are places: each waits for a place, for a quarter of a second where none is free.
check "a crowd of half-open connections, and a program among them" crowded $([ "$variant" = release ] && echo 600 || echo 200)
check "the next program is served at once" timeout 5 bash -c "LD_PRELOAD=${preload:+$preload:}$b/libgenie_shim.so $b/tests/fault/work once"
bounded_memory() {
    local now_kib
    sleep 0.5
    now_kib=$(rss_kib)
    echo "$before_kib KiB before, $now_kib KiB now"
    [ "$now_kib" -lt $((before_kib + 16384)) ]
}
if [ "$variant" = release ]; then
    check "the server's memory is what it was" bounded_memory
fi
check "no worker is left over" few_workers
tap_end
