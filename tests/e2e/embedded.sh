#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The embedded profile of libgenie.a: the main job gives the same tokens with it, in less than 256 KiB of heap and without a thread of Genie's
# own; everything else works in it too, linked statically and in the shim; and how large the library is.
# by default: release asan
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
limit=$((256 << 10))
[ "$variant" = release ] && steps=16 prompt=12 programs="order errors contexts prints sizes bulk waits forks" || { steps=2 prompt=4 programs="order errors prints" E2E_TRIES=20; export E2E_TRIES; }
args=(--model tiny --prompt-tokens $prompt --steps $steps --seed 3 --print-tokens)
bin=$b/tests/e2e
export GENIE_MOCK=devices=2 E2E_ONE_THREAD=1

note() { printf '# %s\n' "$@" >&3; }
exec 3>&1
report() { sed -n "s/^$1 //p" "$lib_scratch/report"; }

# The threads of a process, looked at for as long as it runs; the most goes to a file.
watch_threads() { # PID FILE
    local most=0 now
    while now=$(ls "/proc/$1/task" 2>/dev/null | wc -l) && [ "$now" -gt 0 ]; do
        [ "$now" -gt "$most" ] && most=$now
        sleep 0.02
    done
    echo "$most" >"$2"
}
run_local() { locally "$b/llm_decode" "${args[@]}" >"$lib_scratch/local" && grep -q '^tokens' "$lib_scratch/local"; }
run_embedded() { # NAME [PROGRAM]
    local pid most
    GENIE_PROFILE=embedded EMBEDDED_REPORT=$lib_scratch/report "${2:-$bin/llm_embedded}" "${args[@]}" >"$lib_scratch/$1" 2>"$lib_scratch/$1.err" &
    pid=$!
    watch_threads "$pid" "$lib_scratch/threads"
    wait "$pid" || { tail -n 20 "$lib_scratch/$1.err" "$lib_scratch/server.log"; return 1; }
    [ ! -s "$lib_scratch/$1.err" ] || { cat "$lib_scratch/$1.err"; return 1; }
    cat "$lib_scratch/report"
    diff <(grep '^tokens' "$lib_scratch/local") <(grep '^tokens' "$lib_scratch/$1") || return 1
    most=$(cat "$lib_scratch/threads")
    note "$1: heap at most $(report heap_peak) bytes, $(report heap_left) at exit; mapped $(report mapped); $most thread(s)"
    [ "$(report threads_started)" -eq 0 ] || { echo "it started threads"; return 1; }
    [ "$variant" = tsan ] || [ "$most" -le 1 ] || { echo "$most threads"; return 1; } # tsan has one of its own
    [ "$(report heap_peak)" -lt "$limit" ]
}
embedded() {
    EMBEDDED_REPORT=$lib_scratch/report timeout 300 "$bin/embedded" >"$lib_scratch/out" 2>&1 || { cat "$lib_scratch/out" "$lib_scratch/server.log"; return 1; }
    cat "$lib_scratch/out"
    note "everything: $(grep '^heap' "$lib_scratch/out"), mapped $(report mapped)"
}
sizes() {
    size -t "$b/libgenie.a" >"$lib_scratch/size" || return 1
    note "libgenie.a: $(awk 'NR == 1' "$lib_scratch/size")" "libgenie.a: $(tail -n 1 "$lib_scratch/size")"
}

check "size of libgenie.a" sizes
check "the main job runs locally" run_local
serve
check "the same tokens over a Unix socket, in less than 256 KiB and one thread" run_embedded unix
check "everything works in it, linked statically" embedded
[ "$variant" = release ] && export E2E_TRIES=60
for p in $programs; do
    GENIE_PROFILE=embedded check "$p: as locally with GENIE_PROFILE=embedded" same 240 "$p" "$bin/$p"
done
GENIE_OPT=-all check "the same tokens, with every optimisation off" run_embedded plain
stop_server "$server_pid"
serve 127.0.0.1:0
check "the same tokens over TCP" run_embedded tcp
[ "$variant" = release ] && check "the same tokens without any shared library" run_embedded static "$b/llm_embedded_static"
tap_end
