#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Is our declaration of the driver ABI NVIDIA's? Where a CUDA 13.0 toolkit is installed, every signature, enumerator, size and offset is compared
# with its cuda.h; elsewhere that is skipped. Prints TAP.
set -u
cd "$(dirname "${BASH_SOURCE[0]}")/../.." || exit 1
include=${CUDA_HOME:-/usr/local/cuda}/include
scratch=$(mktemp -d) || exit 1
trap 'rm -rf "$scratch"' EXIT
n=0
say() { # say STATUS NAME [LOG]
    n=$((n + 1))
    [ "$1" -eq 0 ] && echo "ok $n - $2" && return
    echo "not ok $n - $2"
    head -n 20 "$3" | sed 's/^/# /'
}

exported=$(nm -D --defined-only build/libgenie_shim.so | awk '$3 ~ /^cu/ {print $3}' | sort)
diff <(sort remoting/cuda_symbols_13_0.txt) <(printf '%s\n' "$exported") >"$scratch/log"
say $? "the shim exports exactly the 637 symbols of the driver" "$scratch/log"
diff docs/COVERAGE.md build/gen/COVERAGE.md >"$scratch/log"
say $? "docs/COVERAGE.md is what the table says (else: cp build/gen/COVERAGE.md docs/)" "$scratch/log"
for cu in bench/apps/llm_kernels.cu tests/e2e/kernels.cu; do
    bash bench/apps/make_ptx.sh --verify "$cu" "${cu%.cu}.ptx" >"$scratch/log" 2>&1
    say $? "the PTX committed beside $cu was made from it" "$scratch/log"
done

if ! grep -q '#define CUDA_VERSION 13000' "$include/cuda.h" 2>/dev/null; then
    for what in "every signature is that of cuda.h" "every enumerator has cuda.h's value" "every structure has cuda.h's layout"; do
        n=$((n + 1))
        echo "ok $n - $what # SKIP no CUDA 13.0 toolkit"
    done
    echo "1..$n"
    exit 0
fi

gcc -std=gnu11 -w -fsyntax-only -I"$include" build/gen/api_signatures.c 2>"$scratch/log"
say $? "every signature is that of cuda.h" "$scratch/log"

{
    printf '#define __CUDA_API_VERSION_INTERNAL\n#include <cuda.h>\n'
    grep -oE '\b[A-Za-z_0-9]+ = (0x[0-9a-f]+|-?[0-9]+)' remoting/cuda_types.h |
        sed -E 's/(.*) = (.*)/_Static_assert((long long)\1 == \2, "\1");/'
} >"$scratch/values.c"
[ "$(wc -l <"$scratch/values.c")" -gt 500 ] && gcc -std=gnu11 -w -fsyntax-only -I"$include" "$scratch/values.c" 2>"$scratch/log"
say $? "every enumerator has cuda.h's value" "$scratch/log"

# The same program against both headers; it prints what it sees.
structures="CUuuid CUipcMemHandle CUipcEventHandle CUdevprop CUexecAffinityParam CUctxCreateParams CUDA_MEMCPY2D CUDA_MEMCPY3D CUDA_MEMCPY3D_PEER
    CUaccessPolicyWindow CUlaunchMemSyncDomainMap CUlaunchAttributeValue CUlaunchAttribute CUlaunchConfig CUmemLocation CUmemAllocationProp CUmemAccessDesc"
fields="CUDA_MEMCPY2D.srcPitch CUDA_MEMCPY2D.dstDevice CUDA_MEMCPY2D.Height CUDA_MEMCPY3D.srcHeight CUDA_MEMCPY3D.dstLOD CUDA_MEMCPY3D.Depth
    CUDA_MEMCPY3D_PEER.srcContext CUDA_MEMCPY3D_PEER.Depth CUaccessPolicyWindow.missProp CUlaunchAttribute.value CUlaunchConfig.hStream
    CUlaunchConfig.numAttrs CUmemAllocationProp.location CUmemAllocationProp.allocFlags CUmemAccessDesc.flags CUctxCreateParams.cigParams"
{
    printf '#include HEADER\n#include <stddef.h>\n#include <stdio.h>\nint main(void)\n{\n'
    for s in $structures; do printf 'printf("%%zu %s\\n", sizeof(%s));\n' "$s" "$s"; done
    for f in $fields; do printf 'printf("%%zu %s\\n", offsetof(%s, %s));\n' "$f" "${f%%.*}" "${f#*.}"; done
    printf 'return 0;\n}\n'
} >"$scratch/layout.c"
gcc -w "-DHEADER=<cuda.h>" -I"$include" "$scratch/layout.c" -o "$scratch/theirs" 2>"$scratch/log" &&
    gcc -w '-DHEADER="remoting/cuda_types.h"' -I. "$scratch/layout.c" -o "$scratch/ours" 2>>"$scratch/log" &&
    diff <("$scratch/theirs") <("$scratch/ours") >>"$scratch/log"
say $? "every structure has cuda.h's layout" "$scratch/log"
echo "1..$n"
