#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Does a program that keeps its state on the host - stateless, or with an offloaded KV cache - give the same tokens as the one that keeps it on
# the device, locally and remotely, from pinned and from plain memory, also when it reads and changes that state between its steps; and what
# does a step cost in bytes and round trips?
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
steps=3 prompt=5
[ "$variant" = release ] && steps=6

# The lines that have to be the same everywhere.
said() { grep -E '^(tokens|touched)' "$1"; }
run() { # run NAME locally|remotely ARGUMENT...
    GENIE_STATS=$lib_scratch/$1.json "$2" timeout 100 "$b/llm_decode" --model tiny --prompt-tokens $prompt --seed 5 --print-tokens "${@:3}" \
        >"$lib_scratch/$1" 2>"$lib_scratch/$1.err" || { cat "$lib_scratch/$1.err"; return 1; }
    [ ! -s "$lib_scratch/$1.err" ] || { cat "$lib_scratch/$1.err"; return 1; }
}
as_local() { # as_local STYLE HOST: the tokens are those of the stateful program
    local name=$1-$2
    run "$name" locally --steps $steps --style "$1" --host "$2" && diff <(said "$lib_scratch/local") <(said "$lib_scratch/$name") &&
        run "$name-remote" remotely --steps $steps --style "$1" --host "$2" && diff <(said "$lib_scratch/local") <(said "$lib_scratch/$name-remote")
}
touched() { # touched STYLE HOST SEED
    local name=touched-$1-$2-$3
    run "$name" locally --steps $steps --style "$1" --host "$2" --touch-kv "$3" &&
        run "$name-remote" remotely --steps $steps --style "$1" --host "$2" --touch-kv "$3" &&
        diff <(said "$lib_scratch/$name") <(said "$lib_scratch/$name-remote")
}
# a_step STYLE KEY: what one more step costs, from two runs whose lengths differ by two.
a_step() {
    run few remotely --steps $steps --style "$1" && run many remotely --steps $((steps + 2)) --style "$1" || return 1
    echo $((($(stat_of "$lib_scratch/many.json" "$2") - $(stat_of "$lib_scratch/few.json" "$2")) / 2))
}
costs() { # costs STYLE KEY VALUE
    local value
    value=$(a_step "$1" "$2") && echo "$1: $2 a step: $value, not $3" && [ "$value" -eq "$3" ]
}
naive() { # every call is a round trip; weights and cache go up, cache, logits and token come down (4 bytes up travel as 8)
    local -x GENIE_OPT=-all
    costs stateless bytes_sent.payload 19191816 && costs stateless bytes_received.payload 2113540
}

check "runs locally" run local locally --steps $steps
serve
for style in stateless offload; do
    for host in pinned pageable; do
        check "$style, $host: the tokens of the stateful program" as_local $style $host
    done
    check "$style: a program that reads and changes its cache" touched $style pinned 7
done
check "stateless, pageable: a program that reads and changes its cache" touched stateless pageable 8
check "stateless, without optimisations: all state travels at every step" naive
check "stateless: a step waits once" costs stateless round_trips 1
tap_end
