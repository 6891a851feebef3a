#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# What does the launch path ask of the kernel? Under strace, a decode step of llm_decode may make batched sends, one receive for its round trip,
# and set the sender thread's timer once or twice a burst; nothing else. Release only: sanitizers make system calls of their own.
# by default: release
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
[ "$variant" = release ] || { skip "system calls of the launch path" "counted in the release only"; tap_end; }
command -v strace >/dev/null || { skip "system calls of the launch path" "there is no strace"; tap_end; }
strace -o /dev/null true 2>/dev/null || { skip "system calls of the launch path" "strace may not trace here"; tap_end; }
serve
few=4 many=24 off=-spin

trace() { # STEPS FILE
    # Looking for a reply before sleeping is many small calls, as many as fit into its time: counted elsewhere (GENIE_STATS).
    strace -f -qq -o "$2" -E GENIE_OPT=$off -E LD_PRELOAD="$b/libgenie_shim.so" "$b/llm_decode" --model tiny --prompt-tokens 4 --steps "$1" >/dev/null
}
calls() { # FILE: system calls by name, whoever made them; interrupted ones once; sleeping on a futex is no work asked of the kernel
    sed -E 's/^[0-9]+ +//' "$1" | grep -v '^<\.\.\. ' | grep -vE 'FUTEX_WAIT|^(\+\+\+|---)|unfinished.*FUTEX_WAIT' |
        grep -oE '^[a-z_0-9]+(\([^)]*FUTEX_WAKE)?' | sed -E 's/\(.*/ wake/' | sort | uniq -c
}
per_step() {
    trace $few "$lib_scratch/few" && trace $many "$lib_scratch/many" || return 1
    join -1 2 -2 2 -a 1 -e 0 -o 0,1.1,2.1 <(calls "$lib_scratch/many" | sed 's/ wake/_wake/' | sort -k2) \
        <(calls "$lib_scratch/few" | sed 's/ wake/_wake/' | sort -k2) |
        awk -v n=$((many - few)) '{print $1, ($2 - $3) / n}' >"$lib_scratch/per_step"
    cat "$lib_scratch/per_step"
}
# 36 launches and a copy a step. On a quiet machine that is 2 sends (of less than 4 KiB: plain ones), a receive through io_uring, and the timer set now and then; strace beside busy neighbours
# stretches a step over several of the timer's periods, so the bound is a third of what a call for each launch would make. Nothing of another
# kind may appear more than now and then.
bounded_step() {
    cat "$lib_scratch/per_step"
    awk '$1 == "io_uring_enter" && $2 > 12 {bad = 1}
         $1 == "timerfd_settime" && $2 > 12 {bad = 1}
         $1 == "futex_wake" && $2 > 3 {bad = 1}
         $1 == "read" && $2 > 12 {bad = 1}
         $1 == "sendto" && $2 > 12 {bad = 1}
         $1 !~ /^(io_uring_enter|timerfd_settime|read|sendto)$/ && $1 !~ /^futex/ && $2 > 0.5 {bad = 1}
         END {exit bad}' "$lib_scratch/per_step"
}
# Through shared memory a launch does nothing but wake the server where that sleeps, once at most: on its word, or in the socket when it has slept
# for 20 ms. Under strace it sleeps before nearly every launch.
bounded_shared_step() {
    cat "$lib_scratch/per_step"
    awk '$1 == "futex_wake" && $2 > 40 {bad = 1}
         $1 ~ /^(sendto|recvfrom|poll)$/ && $2 > 12 {bad = 1}
         $1 !~ /^(futex|futex_wake|sendto|recvfrom|poll)$/ && $2 > 0.5 {bad = 1}
         END {exit bad}' "$lib_scratch/per_step"
}
check "the program runs under strace" per_step
check "a step of 36 launches makes few system calls through shared memory" bounded_shared_step
off=-spin,-shm
check "the same over the socket" per_step
bounded_in_three() { # what is of the program is so every time
    bounded_step || { per_step && bounded_step; } || { per_step && bounded_step; }
}
check "a step of 36 launches makes few system calls" bounded_in_three
tap_end
