// SPDX-License-Identifier: Apache-2.0
// Do 8 and 16-bit integers compute as on the CPU? Every pair of 8-bit values, and edges and random pairs of
// 16 bits.
#include "int_ops.cuh"

template <typename T> static void every_pair(const char *name)
{
    std::vector<T> a, b;
    for (int x = 0; x < 256; x++)
        for (int y = 0; y < 256; y += 3) {
            a.push_back((T)x);
            b.push_back((T)y);
        }
    check_operators<T>(name, a, b);
}

int main()
{
    every_pair<int8_t>("int8");
    every_pair<uint8_t>("uint8");
    check_type<int8_t>("int8 edges", 100);
    check_type<int16_t>("int16", 3000);
    check_type<uint16_t>("uint16", 3000);
    return finish("int_narrow");
}
