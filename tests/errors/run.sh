#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The table of error cases: the same codes at the same calls on the mock, through a server (over both kinds of sockets, with optimisations off),
# and with the static library. And what a driver fails that Genie has posted: the code, once, and no later than a driver's own asynchronous
# error would appear.
. "$(dirname "${BASH_SOURCE[0]}")/../e2e/lib.sh"
errors=$b/tests/errors/errors

# as_written WAY COMMAND...: every row, and the failed assertion of one of them is on stdout once.
as_written() {
    local way=$1
    shift
    "$way" timeout -k 5 120 "$@" >"$lib_scratch/out" 2>"$lib_scratch/err" || { tail -n 20 "$lib_scratch/out" "$lib_scratch/err"; return 1; }
    [ "$(grep -c 'Assertion .fails. failed' "$lib_scratch/out")" = 1 ] || { echo "the words of the failed assertion are not there once"; return 1; }
}
directly() { "$@"; }

check "on the mock" as_written locally "$errors"
serve
check "through a server" as_written remotely "$errors"
for off in post uring threads all; do
    GENIE_OPT=-$off check "through a server with -$off" as_written remotely "$errors"
done
check "with libgenie.a" as_written directly "$errors"_static
GENIE_OPT=-post check "with libgenie.a and -post" as_written directly "$errors"_static
GENIE_MODE=local GENIE_DRIVER=$b/libgenie_mock.so check "in local mode" as_written remotely "$errors"
# What tests/gpu/run.sh does on a real driver: what is seen is the same on both ways, and here all of it is as written.
observed() {
    locally timeout -k 5 120 "$errors" --observe --real >"$lib_scratch/here" 2>&1 || return 1
    remotely timeout -k 5 120 "$errors" --observe --real >"$lib_scratch/there" 2>"$lib_scratch/err" || return 1
    diff "$lib_scratch/here" "$lib_scratch/there" && ! grep 'other than written' "$lib_scratch/here" && [ "$(wc -l <"$lib_scratch/here")" -gt 300 ]
}
check "what is observed is the same on both ways" observed
stop_server "$server_pid"
serve 127.0.0.1:0
check "over TCP" as_written remotely "$errors"
stop_server "$server_pid"

export GENIE_MOCK=fail=cuLaunchKernel:1:701
for name in cuMemsetD8_v2 cuMemsetD8Async cuMemsetD32Async cuMemcpyHtoD_v2 cuMemcpyHtoDAsync_v2 cuMemcpyDtoD_v2 cuMemcpyDtoDAsync_v2 \
    cuStreamWriteValue32_v2 cuCtxSetCacheConfig; do
    GENIE_MOCK+=,fail=$name:1:2
done
fault() { "$1" timeout -k 5 60 "$errors" --fault; }
check "a driver that fails: on the mock" fault locally
serve
check "a driver that fails: through a server" fault remotely
GENIE_OPT=-post check "a driver that fails: through a server with -post" fault remotely
tap_end
