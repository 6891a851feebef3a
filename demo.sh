#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Sets up, builds, and runs the main job twice: on the mock driver directly, and through a genie-srv that it starts. Arguments go to the program.
set -eu
cd "$(dirname "${BASH_SOURCE[0]}")"
root=$PWD
tests/setup.sh
ninja build/genie-srv build/libgenie_shim.so build/libgenie_mock.so build/llm_decode build/demo_report | tail -n 1
. tests/compat/lib.sh
lib_begin

args=(--model tiny --prompt-tokens 16 --steps 32 --seed 1 --print-tokens --json "$@")
echo "== local: llm_decode on the mock driver"
LD_PRELOAD=$root/build/libgenie_mock.so build/llm_decode "${args[@]}" >"$lib_scratch/local"
echo "== remote: llm_decode with LD_PRELOAD=build/libgenie_shim.so, through genie-srv"
start_server "$lib_scratch/server.log" 10 build/genie-srv --listen 127.0.0.1:0 --driver "$root/build/libgenie_mock.so" ||
    { cat "$lib_scratch/server.log"; exit 1; }
echo "   server at $server_addr"
GENIE_SERVER=$server_addr GENIE_STATS=$lib_scratch/stats.json LD_PRELOAD=$root/build/libgenie_shim.so \
    build/llm_decode "${args[@]}" >"$lib_scratch/remote" || { cat "$lib_scratch/server.log"; exit 1; }

build/demo_report "$lib_scratch/local" "$lib_scratch/remote" "$lib_scratch/stats.json"
