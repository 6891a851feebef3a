#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Order: of threads' commands, of copies through pinned and pageable memory, of host functions (order.c), over both kinds of sockets, with and
# without the optimisations that could disturb it, and with windows so small that everything has to wait.
# by default: release tsan
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
program=$b/tests/e2e/order
case $variant in asan) export E2E_TRIES=12 ;; tsan) export E2E_TRIES=8 ;; esac

serve
check "as locally, through shared memory" same 60 unix "$program"
full=${E2E_TRIES:-600} # the most that any of its loops does
export E2E_TRIES=$((full < 60 ? full : 60))
for off in shm shm,-uring threads; do
    GENIE_OPT=-$off check "as locally with -$off" same 60 "$off" "$program"
done
if [ "$variant" = release ]; then
    GENIE_OPT=-post check "as locally with -post" same 60 post "$program"
    GENIE_RING=64KiB check "as locally with a ring of 64 KiB" same 60 ring "$program"
fi
stop_server "$server_pid"
cat >"$lib_scratch/server.toml" <<END
[server]
log = "warn"
[limits]
chunk = "64KiB"
window = "256KiB"
END
serve 127.0.0.1:0 --config "$lib_scratch/server.toml"
E2E_TRIES=$full check "as locally over TCP with a small window" same 60 small "$program"
tap_end
