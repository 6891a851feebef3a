#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Queries of events and streams (marks.c): as locally, with and without marks, threads, shared memory, over both kinds of sockets.
# by default: release tsan
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
program=$b/tests/e2e/marks
case $variant in asan) export E2E_TRIES=25 ;; tsan) export E2E_TRIES=12 ;; esac

counted() { # marks are told when they are on, and only then
    local on off
    on=$(stat_of "$lib_scratch/on.json" marks) off=$(stat_of "$lib_scratch/off.json" marks)
    echo "marks: $on, without: $off; queries known here: $(stat_of "$lib_scratch/on.json" queries_known)"
    [ "$on" -gt 100 ] && [ "$off" -eq 0 ] && [ "$(stat_of "$lib_scratch/on.json" queries_known)" -gt 1000 ]
}

serve
GENIE_STATS=$lib_scratch/on.json check "as locally" same 60 unix "$program"
GENIE_OPT=-marks GENIE_STATS=$lib_scratch/off.json check "as locally with -marks" same 60 marks "$program"
[ "$variant" = release ] && check "marks are counted" counted
full=${E2E_TRIES:-200} # the most that any of its loops does
export E2E_TRIES=$((full < 40 ? full : 40))
GENIE_OPT=-shm check "as locally with -shm" same 60 shm "$program"
MARKS_BREATHE=1 GENIE_OPT=-threads check "as locally with -threads" same 60 threads "$program"
if [ "$variant" = release ]; then
    GENIE_OPT=-post check "as locally with -post" same 60 post "$program"
    MARKS_BREATHE=1 GENIE_OPT=-shm,-uring,-threads check "as locally with plain sockets and no threads" same 60 plain "$program"
fi
stop_server "$server_pid"
serve 127.0.0.1:0
E2E_TRIES=$full check "as locally over TCP" same 60 tcp "$program"
tap_end
