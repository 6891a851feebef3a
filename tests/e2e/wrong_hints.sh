#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Sidecars that say the wrong thing (wrong_hints.c): programs print the same as without any, whatever is said of their memory.
#
#   wrong_hints.sh [release|asan|tsan]                   some dozens, and whether a difference would be seen
#   wrong_hints.sh VARIANT --count N [--seed S]          N from seed S on
# by default: release asan
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
shift
count=0 seed=1
while [ $# -gt 1 ]; do
    case $1 in
    --count) count=$2 ;;
    --seed) seed=$2 ;;
    *) echo "wrong_hints.sh: $1?" >&2; exit 2 ;;
    esac
    shift 2
done
decode="$b/llm_decode --model tiny --print-tokens --prompt-tokens 3 --steps 2 --seed 5"
cat >"$lib_scratch/programs" <<END
$decode --style stateless --host pinned
$decode --style stateless --host pageable --touch-kv 3
$decode --style offload --host pinned
$decode --style offload --host pageable --touch-kv 4
$decode --style stateful
$b/tests/e2e/proof
END
wrong() { # wrong SECONDS REMOTE ARGUMENT...
    LD_PRELOAD=${preload:+$preload:}$b/libgenie_mock.so timeout -k 5 "$1" "$b/tests/e2e/wrong_hints" --scratch "$lib_scratch" --programs "$lib_scratch/programs" \
        --local "${preload:+$preload:}$b/libgenie_mock.so" --remote "${preload:+$preload:}$2" "${@:3}"
}
# The runner is right to trust only if it sees a difference: without a server the programs print something else.
sees() {
    GENIE_SERVER=unix:$lib_scratch/nowhere wrong 60 "$b/libgenie_shim.so" --seed 1 --count 2
    [ $? -eq 1 ]
}

export GENIE_LOG=off
serve
if [ "$count" -gt 0 ]; then
    wrong 36000 "$b/libgenie_shim.so" --seed "$seed" --count "$count"
    exit
fi
[ "$variant" = release ] && some=40 || some=10
check "a difference is seen" sees
check "$some wrong sidecars" wrong 100 "$b/libgenie_shim.so" --seed "$seed" --count $some
tap_end
