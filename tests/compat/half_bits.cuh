// SPDX-License-Identifier: Apache-2.0
// half_bits.cuh: the CPU's own half and bfloat16: exact values from bits and one correct rounding back to
// bits.
#pragma once

#include "compat.cuh"
#include <cmath>

struct Format {
    int mantissa_bits, min_exponent, max_exponent;
};
constexpr Format half_format = {10, -14, 15}, bfloat_format = {7, -126, 127};

inline double value_of(Format f, uint16_t bits)
{
    int exponent_bits = 15 - f.mantissa_bits, mantissa = bits & ((1 << f.mantissa_bits) - 1);
    int exponent = bits >> f.mantissa_bits & ((1 << exponent_bits) - 1);
    double magnitude;
    if (exponent == (1 << exponent_bits) - 1)
        magnitude = mantissa ? NAN : INFINITY;
    else if (exponent == 0)
        magnitude = std::ldexp((double)mantissa, f.min_exponent - f.mantissa_bits);
    else
        magnitude = std::ldexp((double)(mantissa + (1 << f.mantissa_bits)),
                               exponent - 1 + f.min_exponent - f.mantissa_bits);
    return bits & 0x8000 ? -magnitude : magnitude;
}

// To nearest, ties to even. A NaN becomes 0x7fff, as the device's conversions give it.
inline uint16_t bits_of(Format f, long double x)
{
    int exponent_bits = 15 - f.mantissa_bits, infinity = ((1 << exponent_bits) - 1) << f.mantissa_bits;
    if (std::isnan(x))
        return 0x7fff;
    int sign = std::signbit(x) ? 0x8000 : 0;
    long double magnitude = std::fabs(x);
    if (std::isinf(magnitude))
        return (uint16_t)(sign | infinity);
    if (magnitude == 0)
        return (uint16_t)sign;
    int exponent = std::max(std::ilogb(magnitude), f.min_exponent);
    long double steps = std::nearbyint(std::ldexp(magnitude, f.mantissa_bits - exponent));
    // A carry out of the mantissa moves into the exponent field by itself.
    int64_t code = ((int64_t)(exponent - f.min_exponent) << f.mantissa_bits) + (int64_t)steps;
    return (uint16_t)(sign | (code > infinity ? infinity : (int)code));
}
