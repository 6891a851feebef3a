#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Is docs/error-cases.md what the table of error cases says? Prints TAP.
set -u
cd "$(dirname "${BASH_SOURCE[0]}")/../.." || exit 1
if out=$(build/tests/errors/errors_static --markdown 2>&1 | diff docs/error-cases.md - 2>&1); then
    echo "ok 1 - docs/error-cases.md is what the table says"
else
    echo "not ok 1 - docs/error-cases.md is what the table says (else: build/tests/errors/errors_static --markdown >docs/error-cases.md)"
    printf '%s\n' "$out" | head -n 20 | sed 's/^/# /'
fi
echo "1..1"
