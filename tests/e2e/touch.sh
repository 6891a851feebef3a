#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Is a host buffer what it is with a local driver, whatever the program does with it (touch.c)? Locally, through a server without hints, with a
# sidecar that keeps every host copy at the server, and with each mechanism off.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
touch=$b/tests/e2e/touch
# Under the sanitizers a part: theirs is to find what is wrong in Genie, not in the cases.
case $variant in
asan) export E2E_TRIES=200; cases="overlaps write_bytes written piped unmapped dropped moved forked cloned raised together between_streams source_freed changed random" ;;
tsan) export E2E_TRIES=60; cases="overlaps written together apart same_source interrupted gated host_functions restored in_turn random" ;;
*) cases= ;;
esac
# shellcheck disable=SC2086 # a list
as_locally() { same 120 "$1" "$touch" $cases; } # NAME

serve
check "without hints" as_locally plain
stop_server "$server_pid"
serve 127.0.0.1:0
check "without hints, over TCP" as_locally tcp
tap_end
