#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Many readers, host functions that wait for other threads, and what is left behind an error: everybody gets through, as locally.
# by default: release tsan
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
bin=$b/tests/e2e

# The thread sanitizer makes bytes dear: there are fewer, and a window that is as much smaller.
printf '[server]\nlog = "warn"\n[limits]\n%s\n' "$([ "$variant" = tsan ] && echo 'window = "16MiB"')" >"$lib_scratch/server.toml"
case $variant in release) switches="post shm shm,-uring" ;; *) switches=shm,-uring ;; esac

serve "unix:$lib_scratch/socket" --config "$lib_scratch/server.toml"
check "as locally, through shared memory" same 240 waits "$bin/waits"
for off in $switches; do
    GENIE_OPT=-$off check "as locally with -$off" same 240 "waits.$off" "$bin/waits"
done
stop_server "$server_pid"
serve 127.0.0.1:0 --config "$lib_scratch/server.toml"
check "as locally over TCP" same 240 waits.tcp "$bin/waits"
tap_end
