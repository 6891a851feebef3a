#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Sets up, builds every variant and runs the default tests. Ends with `N passed, N failed, N skipped`; exit status 0 only when none failed.
#   ./test.sh [GROUP...]   groups: rules unit fault e2e errors differential compat fuzz (all of them by default). FUZZ_SECONDS=N: N for each target;
#   TEST_VARIANTS=all: scripts that run long in all variants, not only in those that add most
set -u
cd "$(dirname "${BASH_SOURCE[0]}")" || exit 1
tests/setup.sh --tests || exit 1
log=$(mktemp)
ninja all asan tsan fuzz >"$log" 2>&1 || { tail -n 60 "$log"; echo "0 passed, 1 failed, 0 skipped"; exit 1; }
rm -f "$log"
exec tests/run.sh "$@"
