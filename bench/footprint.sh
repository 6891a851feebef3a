#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Prints what the client costs: the size of libgenie.a; heap and threads of the main job, in both profiles, counted for the library alone; the
# time of each call through a server on this machine, and beside it the same program on the mock driver directly. The mock computes nothing
# (exec=off), so the figures are the path's, not the kernels'.
set -eu
cd "$(dirname "${BASH_SOURCE[0]}")/.."
root=$PWD
. tests/compat/lib.sh
lib_begin
echo "== size of build/libgenie.a"
size -t build/libgenie.a | awk 'NR == 1 {print} {last = $0} END {print last}'
export GENIE_MOCK=exec=off
for address in 127.0.0.1:0 unix:"$lib_scratch/socket"; do
    start_server "$lib_scratch/log" 10 build/genie-srv --listen "$address" --driver "$root/build/libgenie_mock.so" ||
        { cat "$lib_scratch/log"; exit 1; }
    export GENIE_SERVER=$server_addr
    for profile in default embedded; do
        echo "== the main job (tiny) with libgenie.a, profile $profile, server at ${server_addr%%:*}"
        for program in build/tests/e2e/llm_embedded build/llm_embedded_static; do
            GENIE_PROFILE=$profile EMBEDDED_REPORT=$lib_scratch/report "$program" --model tiny --steps 8 >/dev/null
            printf '%-28s %s\n' "${program##*/}" "$(tr '\n' ' ' <"$lib_scratch/report")"
        done
        echo "== calls with libgenie.a, profile $profile, server at ${server_addr%%:*}"
        GENIE_PROFILE=$profile build/launch_path_static
    done
    stop_server "$server_pid"
done
echo "== the mock directly"
LD_LIBRARY_PATH=build/mock build/launch_path
