#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Many readers, host functions that wait for other threads, and what is left behind an error: everybody gets through, as locally.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
bin=$b/tests/e2e

serve
check "as locally, through shared memory" same 240 waits "$bin/waits"
for off in post shm shm,-uring; do
    GENIE_OPT=-$off check "as locally with -$off" same 240 "waits.$off" "$bin/waits"
done
stop_server "$server_pid"
serve 127.0.0.1:0
check "as locally over TCP" same 240 waits.tcp "$bin/waits"
tap_end
