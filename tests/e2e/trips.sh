#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# What calls cost in round trips, to the last one (trips.c), and that their results are the local ones with what saves them on and off.
# by default: release asan
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
program=$b/tests/e2e/trips

counted() { # what a session costs, row by row
    TRIPS_FILE=$lib_scratch/trips.json remotely timeout 60 "$program" >"$lib_scratch/counted" 2>&1
    local code=$?
    cat "$lib_scratch/counted"
    [ "$code" -eq 0 ]
}

serve
check "as locally" same 60 unix "$program"
check "round trips" counted
for off in cache post threads all; do
    GENIE_OPT=-$off check "as locally with -$off" same 60 "$off" "$program"
done
tap_end
