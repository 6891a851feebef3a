#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Is a restore of device memory left out where nothing has been written, and only there (proof.c)? With the proof and without, from a sidecar
# that keeps everything at the server; and through the C runtime's fatbins, whose PTX is packed.
# by default: release
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
program=$b/tests/e2e/proof
printf 'schema = 1\n[[region]]\nclass = "kv_cache"\nmatch = { size = ">= 1" }\nkeep = "remote"\n' >"$lib_scratch/keep.toml"

proven() { # proven OPT ARGUMENT: bytes whose restore was left out
    GENIE_OPT=$1 GENIE_STATS=$lib_scratch/stats.json GENIE_HINTS=$lib_scratch/keep.toml remotely timeout 60 "$program" "$2" >"$lib_scratch/out" 2>&1 ||
        { cat "$lib_scratch/out"; return 1; }
    stat_of "$lib_scratch/stats.json" hints.saved_proven
}
# With a userfaultfd for the kernel's faults too copies stay at the server; without, there is nothing to leave out.
keeps() { [ "$(stat_of "$lib_scratch/stats.json" hints.saved_shadow_down)" -gt 0 ]; }
left_out() {
    local bytes
    bytes=$(proven "" proven) && echo "$bytes bytes" && [ "$bytes" -ge $((4 * 2 * 3 * 65536)) ]
}
none_of() { # none_of OPT ARGUMENT
    local bytes
    bytes=$(proven "$1" "$2") && echo "$bytes bytes" && [ "$bytes" -eq 0 ]
}
known() { # launches whose writes are known, of those that were made
    proven "" written >/dev/null && [ "$(stat_of "$lib_scratch/stats.json" proof.launches_known)" -gt 100 ] &&
        [ "$(stat_of "$lib_scratch/stats.json" proof.unlisted)" -le 4 ]
}

serve
check "as locally without a sidecar" same 60 plain "$program"
export GENIE_HINTS=$lib_scratch/keep.toml
check "as locally with one" same 60 hinted "$program"
offs=proof
[ "$variant" = release ] && offs='proof shadow unchanged content all'
for off in $offs; do
    GENIE_OPT=-$off check "as locally with -$off" same 60 "off-$off" "$program"
done
unset GENIE_HINTS
proven "" proven >"$lib_scratch/first" || cat "$lib_scratch/first"
if keeps; then
    check "a restore that is proven needless is left out" left_out
    check "one that is not, is made" none_of "" written
    check "without the proof, every one is made" none_of -proof proven
    check "what most kernels write is known" known
else
    skip "a restore that is proven needless is left out" "nothing is kept here: no userfaultfd that serves the kernel"
fi
tap_end
