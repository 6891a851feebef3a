// SPDX-License-Identifier: Apache-2.0
// Do the C operators on 32 and 64-bit integers compute as on the CPU, at the edges of the types and on random
// pairs?
#include "int_ops.cuh"

int main()
{
    check_type<int32_t>("int32", 4000);
    check_type<uint32_t>("uint32", 4000);
    check_type<int64_t>("int64", 4000);
    check_type<uint64_t>("uint64", 4000);
    return finish("int_wide");
}
