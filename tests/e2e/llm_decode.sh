#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Does the main job give the same tokens locally and remotely, through shared memory, over Unix and TCP sockets, with every optimisation off in turn; and does a decode
# step cost one round trip? The figures come from GENIE_STATS, where they are exact.
# by default: release asan
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
steps=2 prompt=4 switches=all # a sanitizer's kernels are slow: fewer steps, and every switch at once
[ "$variant" = release ] && steps=16 prompt=12 switches="post shm uring threads all"
args=(--model tiny --prompt-tokens $prompt --steps $steps --seed 3 --print-tokens)
tokens() { grep '^tokens' "$1"; }

run_local() { locally "$b/llm_decode" "${args[@]}" >"$lib_scratch/local" && tokens "$lib_scratch/local"; }
run_remote() { # NAME
    GENIE_STATS=$lib_scratch/$1.json remotely "$b/llm_decode" "${args[@]}" >"$lib_scratch/$1" 2>"$lib_scratch/$1.err" || {
        cat "$lib_scratch/$1.err" "$lib_scratch/server.log"
        return 1
    }
    [ ! -s "$lib_scratch/$1.err" ] || { cat "$lib_scratch/$1.err"; return 1; }
    diff <(tokens "$lib_scratch/local") <(tokens "$lib_scratch/$1")
}
checked() { remotely "$b/llm_decode" --model tiny --prompt-tokens 4 --steps 2 --check; }
one_round_trip() {
    local more=$((steps + 3)) few many
    args=(--model tiny --prompt-tokens $prompt --steps $more --seed 3 --print-tokens)
    GENIE_STATS=$lib_scratch/more.json remotely "$b/llm_decode" "${args[@]}" >/dev/null || return 1
    few=$(stat_of "$lib_scratch/unix.json" round_trips) many=$(stat_of "$lib_scratch/more.json" round_trips)
    echo "$steps steps: $few round trips, $more steps: $many"
    [ -n "$few" ] && [ $((many - few)) -eq 3 ]
}
payload_down() { # the tokens, 4 bytes a step and one for the prefill: nothing else comes down
    local bytes
    bytes=$(stat_of "$lib_scratch/unix.json" bytes_received.payload)
    echo "payload received: $bytes"
    [ "$bytes" -eq $((4 * (steps + 1))) ]
}

check "runs locally" run_local
serve
check "the same tokens through shared memory" run_remote unix
check "a decode step costs one round trip" one_round_trip
check "only the tokens come down" payload_down
args=(--model tiny --prompt-tokens $prompt --steps $steps --seed 3 --print-tokens)
for off in $switches; do
    export GENIE_OPT=-$off
    check "the same tokens with -$off" run_remote "$off"
done
unset GENIE_OPT
check "agrees with the reference on the CPU" checked
stop_server "$server_pid"
serve 127.0.0.1:0
check "the same tokens over TCP" run_remote tcp
[ "$variant" = release ] || tap_end
args=(--model tiny --batch 3 --prompt-tokens 7 --steps 4 --seed 9 --print-tokens)
check "runs locally, three sequences" run_local
check "the same tokens, three sequences" run_remote batch
tap_end
