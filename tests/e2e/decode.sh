#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Does a program that keeps its state on the host - stateless, or with an offloaded KV cache - give the same tokens as the one that keeps it on
# the device, locally and remotely, from pinned and from plain memory, also when it reads and changes that state between its steps; and what
# does a step cost in bytes and round trips?
# by default: release
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
steps=3 prompt=5 hosts=pinned # a sanitizer's kernels are slow: fewer runs
[ "$variant" = release ] && steps=4 hosts="pinned pageable"

# The lines that have to be the same everywhere.
said() { grep -E '^(tokens|touched)' "$1"; }
run() { # run NAME locally|remotely ARGUMENT...
    GENIE_STATS=$lib_scratch/$1.json "$2" timeout 100 "$b/llm_decode" --model tiny --prompt-tokens $prompt --seed 5 --print-tokens "${@:3}" \
        >"$lib_scratch/$1" 2>"$lib_scratch/$1.err" || { cat "$lib_scratch/$1.err"; return 1; }
    [ ! -s "$lib_scratch/$1.err" ] || { cat "$lib_scratch/$1.err"; return 1; }
}
hinted() { GENIE_HINTS=$root/configs/hints.d remotely "$@"; }
as_local() { # as_local STYLE HOST: the tokens are those of the stateful program
    local name=$1-$2 how
    for how in locally remotely hinted; do
        run "$name" $how --steps $steps --style "$1" --host "$2" && diff <(said "$lib_scratch/local") <(said "$lib_scratch/$name") || return 1
    done
}
touched() { # touched STYLE HOST SEED
    local name=touched-$1-$2-$3 how
    run "$name" locally --steps $steps --style "$1" --host "$2" --touch-kv "$3" || return 1
    for how in remotely hinted; do
        run "$name-$how" $how --steps $steps --style "$1" --host "$2" --touch-kv "$3" &&
            diff <(said "$lib_scratch/$name") <(said "$lib_scratch/$name-$how") || return 1
    done
}
# two_runs HOW STYLE: runs whose lengths differ by two steps; a_step KEY: what one more step costs.
two_runs() { run few "$1" --steps $steps --style "$2" && run many "$1" --steps $((steps + 2)) --style "$2"; }
a_step() { echo $((($(stat_of "$lib_scratch/many.json" "$1") - $(stat_of "$lib_scratch/few.json" "$1")) / 2)); }
costs() { # costs KEY TEST VALUE
    local value
    value=$(a_step "$1") && echo "$1 a step: $value, not $2 $3" && [ "$value" "$2" "$3" ]
}
naive() { # every call is a round trip; weights and cache go up, cache, logits and token come down (4 bytes up travel as 8)
    local -x GENIE_OPT=-all
    two_runs remotely stateless && costs bytes_sent.payload -eq 19191816 && costs bytes_received.payload -eq 2113540
}
saves() { # one page at most of each buffer travels: its end, which fills no page
    two_runs hinted "$1" && costs bytes_sent.payload -le "$2" && costs bytes_received.payload -le 4096 && costs round_trips -eq 1
}
second_start() { # the weights are there: what travels is the image and what is below 4 KiB
    run first hinted --steps 1 --style stateful && run second hinted --steps 1 --style stateful &&
        echo "payload $(stat_of "$lib_scratch/first.json" bytes_sent.payload), then $(stat_of "$lib_scratch/second.json" bytes_sent.payload)" &&
        [ "$(stat_of "$lib_scratch/second.json" bytes_sent.payload)" -le 300000 ]
}
one_row() { # of 128 rows of logits: the row, and what is read ahead
    local how
    for how in locally hinted; do
        run logits-$how $how --steps 0 --style stateful --prompt-logits || return 1
        grep '^logits' "$lib_scratch/logits-$how" >"$lib_scratch/$how.row"
    done
    cmp "$lib_scratch/locally.row" "$lib_scratch/hinted.row" && [ "$(stat_of "$lib_scratch/logits-hinted.json" bytes_received.payload)" -le 50000 ]
}
waits_once() { two_runs "$1" "$2" && costs round_trips -eq 1; }
sidecars() { "$b/genie-ctl" hints check configs/hints.d/*.toml; }

check "the sidecars are good" sidecars
check "runs locally" run local locally --steps $steps
serve
for style in stateless offload; do
    for host in $hosts; do
        check "$style, $host: the tokens of the stateful program" as_local $style $host
    done
    check "$style: a program that reads and changes its cache" touched $style pinned 7
done
[ "$variant" = release ] || tap_end
check "stateless, pageable: a program that reads and changes its cache" touched stateless pageable 8
check "stateless, without optimisations: all state travels at every step" naive
check "stateless: a step waits once" waits_once remotely stateless
check "a second start sends no weights" second_start
if [ "$(stat_of "$lib_scratch/many.json" shadow.ranges)" = 0 ] && ! [ -w /dev/userfaultfd ]; then
    skip "state stays at the server" "no userfaultfd that serves faults of the kernel"
else
    check "stateless, with its sidecar: no state travels" saves stateless 16384
    check "offload, with its sidecar: no state travels" saves offload 4096
    check "of the logits of a prompt the row that is read comes" one_row
fi
tap_end
