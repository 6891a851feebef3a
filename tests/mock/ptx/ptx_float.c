// SPDX-License-Identifier: Apache-2.0
// Rounding to the small floating-point formats.
#include "ptx_float.h"

#include <math.h>

uint32_t ptx_round_small(double v, int mantissa, int exponent, enum ptx_round mode, uint32_t nan)
{
    uint64_t bits = ptx_bits64(v), magnitude = bits & 0x7fffffffffffffff;
    const uint32_t sign = (uint32_t)(bits >> 63), top = sign << (mantissa + exponent);
    const uint32_t infinity = ((1u << exponent) - 1) << mantissa;
    if (magnitude > 0x7ff0000000000000)
        return nan;
    if (magnitude == 0x7ff0000000000000)
        return top | infinity;
    if (!magnitude)
        return top;
    const int bias = (1 << (exponent - 1)) - 1;
    int e = (int)(magnitude >> 52) - 1023; // a subnormal double is far below every small format
    uint64_t m = (magnitude & 0xfffffffffffff) | (magnitude >> 52 ? (uint64_t)1 << 52 : 0);
    int drop = 52 - mantissa; // bits below the last kept one
    int field = e + bias;
    if (field < 1) { // subnormal in the small format
        drop += 1 - field;
        field = 0;
    } else {
        m &= ~((uint64_t)1 << 52); // implicit
    }
    uint64_t kept, rest, half;
    if (drop > 63) {
        kept = 0;
        rest = 1; // something
        half = 2;
    } else {
        kept = m >> drop;
        rest = m & (((uint64_t)1 << drop) - 1);
        half = (uint64_t)1 << (drop - 1);
    }
    bool up = false;
    switch (mode) {
    case PTX_RN: up = rest > half || (rest == half && kept & 1); break;
    case PTX_RNA: up = rest >= half; break;
    case PTX_RZ: break;
    case PTX_RM: up = rest && sign; break;
    case PTX_RP: up = rest && !sign; break;
    }
    // A carry out of the mantissa goes into the exponent, as it should.
    uint64_t out = ((uint64_t)(uint32_t)(field < 0 ? 0 : field) << mantissa) + kept + up;
    if (out >= infinity || field >= (1 << exponent) - 1) {
        bool to_infinity =
            mode == PTX_RN || mode == PTX_RNA || (mode == PTX_RM && sign) || (mode == PTX_RP && !sign);
        return top | (to_infinity ? infinity : infinity - 1);
    }
    return top | (uint32_t)out;
}

double ptx_fma_odd(double a, double b, double c)
{
    double p = a * b; // exact: the operands have at most 24 bits
    double s = p + c;
    if (!isfinite(s))
        return s;
    double t = s - p, error = (p - (s - t)) + (c - t); // what the addition lost
    uint64_t bits = ptx_bits64(s);
    if (error != 0 && !(bits & 1)) {
        bool away = (error > 0) == (s > 0); // the true sum is farther from zero
        bits = away ? bits + 1 : bits - 1;
    }
    return ptx_float64(bits);
}
