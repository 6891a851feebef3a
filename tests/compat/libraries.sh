#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# NVIDIA's closed libraries: do they start and take calls on the mock device, and through a server the same? Their kernels are machine code, so
# the mock counts launches and computes nothing. Prints TAP; skips where nvcc or a library is missing.
. "$(dirname "${BASH_SOURCE[0]}")/../e2e/lib.sh"
nvcc=${NVCC:-$(command -v nvcc || echo /usr/local/cuda/bin/nvcc)}
toolkit=$(dirname "$(dirname "$(readlink -f "$nvcc")")")
bin=$root/build/compat/libraries
mkdir -p "$bin"
export GENIE_MOCK=sass=skip LD_LIBRARY_PATH=$toolkit/lib64${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}

# launches_same NAME: as `same` (tests/e2e/lib.sh), and as many launches.
launches_same() {
    same 120 "$1" "$bin/$1" || return 1
    local here there
    here=$(sed -n 's/^genie-mock: at exit: \([0-9]*\) of .*/\1/p' "$lib_scratch"/local.*.err)
    for _ in 1 2 3 4 5 6 7 8 9 10; do # the server says so when the worker has ended
        there=$(sed -n 's/.* ended: .*, \([0-9]*\) launches, .*/\1/p' "$lib_scratch/server.log" | tail -n 1)
        [ -z "$there" ] || break
        sleep 0.1
    done
    [ "${here:-0}" -gt 0 ] && [ "$here" = "$there" ] || { echo "$here launches locally, $there remotely"; return 1; }
}

library() { # NAME FLAG: builds and compares, or says why not
    local source=tests/compat/libraries/$1.cu
    if [ ! -x "$nvcc" ]; then
        skip "$1: the same calls and codes as locally" "no nvcc"
    elif ! ls "$toolkit"/lib64/lib"$1".so* >/dev/null 2>&1; then
        skip "$1: the same calls and codes as locally" "the toolkit has no $1"
    else
        [ "$bin/$1" -nt "$source" ] || check "$1: builds" "$nvcc" -arch=sm_75 -o "$bin/$1" "$source" "$2"
        check "$1: the same calls and codes as locally" launches_same "$1"
    fi
}

serve
library cublas -lcublas
tap_end
