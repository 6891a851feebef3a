#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Whatever a client sends, in its hello or as commands: it is refused with a reason or its session ends with one in the log, the server lives in
# bounded memory, and the next program is served (raw.c has the violations, remoting/WIRE.md section 7 what they do).
. "$(dirname "${BASH_SOURCE[0]}")/../e2e/lib.sh"
raw=$b/tests/fault/raw
rss_kib() { awk '/^VmRSS/ {print $2}' "/proc/$server_pid/status"; }
logged() { grep -qE -- "$1" "$lib_scratch/server.log" || { echo "not in the log: $1"; tail -n 5 "$lib_scratch/server.log"; return 1; }; }

# violation NAME ANSWER [LOG]: the answer matches, the log says why, the server lives.
violation() {
    local answer
    : >"$lib_scratch/server.log"
    answer=$(timeout 60 "$raw" "$GENIE_SERVER" "$1" 2>&1)
    echo "$1: $answer"
    grep -qE -- "$2" <<<"$answer" || return 1
    [ -z "${3:-}" ] || { sleep 0.2; logged "$3" || { sleep 2; logged "$3"; } || return 1; }
    kill -0 "$server_pid"
}
next_is_fine() { remotely timeout 60 "$b/tests/fault/work" once; }

printf '[server]\nlisten = ["unix:%s"]\n[limits]\nhello_s = 2\n' "$lib_scratch/hostile" >"$lib_scratch/server.toml"
serve 127.0.0.1:0 --config "$lib_scratch/server.toml"
next_is_fine >/dev/null
before_kib=$(rss_kib)

check "the right hello is welcome" violation right '^welcome$'
check "another version" violation wrong-version '^refused: .*version' 'refused.*version'
check "another build" violation wrong-digest '^refused: .*builds' 'refused.*builds'
check "a ring of 2^60 bytes" violation huge-ring '^(refused|closed|goodbye)' 'ring|session .* ended|memory'
check "garbage instead of a hello" violation garbage '^closed$' "does not speak"
check "another protocol" violation http '^closed$' "does not speak"
check "a hello of 2^40 bytes" violation long-hello '^closed$' "too long"
check "a hello that is cut off" violation short-hello '^closed$' "closed within its hello"
check "a malformed hello" violation malformed-hello '^closed$' "malformed"
check "no hello at all" violation silence '^closed$' "hello_s"
check "a frame of no size" violation size-zero '^goodbye: .+' 'session .* ended'
check "a frame of 13 bytes" violation size-odd '^goodbye: .+' 'session .* ended'
check "a frame of 4 GiB" violation size-huge '^goodbye: .+' 'session .* ended'
check "an unknown command" violation unknown-op '^goodbye: .+' 'session .* ended'
check "a command that is never sent" violation unsupported-op '^goodbye: .+' 'session .* ended'
check "an unknown flag" violation unknown-flag '^goodbye: .+' 'session .* ended'
check "an unknown control frame" violation unknown-control '^goodbye: .+' 'session .* ended'
check "a body that is too short" violation short-body '^goodbye: .+' 'session .* ended'
check "payload where none belongs" violation unexpected-payload '^goodbye: .+' 'session .* ended'
check "payload of 2^62 bytes" violation huge-payload '^goodbye: .+' 'session .* ended'
check "a handle that cannot be" violation impossible-handle '^goodbye: .+' 'session .* ended'
check "a host function that was not asked for" violation host-done-unasked '^goodbye: .+' 'session .* ended'
check "garbage instead of commands" violation garbage-commands '^(goodbye: .+|closed)' 'session .* ended'
check "a command that is cut off" violation cut-off '^(goodbye: .+|closed)' 'session .* ended'
check "more marks than there may be" violation too-many-marks '^goodbye: .*marks' 'session .* ended'
check "the next program is served" next_is_fine

# More connections than there are places, half of a hello in some, and a program among them.
crowded() {
    timeout 100 "$raw" "$GENIE_SERVER" half-open "$1" >"$lib_scratch/crowd" 2>&1 &
    local crowd=$!
    sleep 0.5
    next_is_fine || { kill "$crowd"; return 1; }
    wait "$crowd" && cat "$lib_scratch/crowd" && grep -q "half-open connections: all" "$lib_scratch/crowd"
}
check "a crowd of half-open connections, and a program among them" crowded $([ "$variant" = release ] && echo 2000 || echo 300)
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
few_workers() { # that ended with their sessions: the spare one is left
    local tries
    for ((tries = 60; tries > 0; tries--)); do
        [ "$(ps -o pid= --ppid "$server_pid" | wc -l)" -le 1 ] && return 0
        sleep 0.05
    done
    ps -o pid,stat,args --ppid "$server_pid"
    return 1
}
check "no worker is left over" few_workers
tap_end
