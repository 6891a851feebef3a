// SPDX-License-Identifier: Apache-2.0
// Do floating-point instructions and conversions give the bits that the ISA says: rounding modes, NaN,
// infinities, subnormals, saturation?
#include "test_ptx.h"

#include <fenv.h>
#include <math.h>

typedef uint64_t u64;
typedef uint32_t u32;
static u64 in32[1024][3], in64[1024][3];

static float f(u64 b)
{
    u32 v = (u32)b;
    float r;
    memcpy(&r, &v, 4);
    return r;
}
static u64 fb(float v)
{
    u32 r;
    memcpy(&r, &v, 4);
    return v != v ? 0x7fffffff : r;
}
static double d(u64 b)
{
    double r;
    memcpy(&r, &b, 8);
    return r;
}
static u64 db(double v)
{
    u64 r;
    memcpy(&r, &v, 8);
    return r;
}

static int setup(void **state)
{
    (void)state;
    static const u64 edges32[] = {0,          0x80000000, 1,          0x80000001, 0x7fffff,   0x800000,
                                  0x3f800000, 0xbf800000, 0x3f800001, 0x7f7fffff, 0xff7fffff, 0x7f800000,
                                  0xff800000, 0x7fc00000, 0x7f800001, 0xffc12345, 0x3f000000, 0x40490fdb,
                                  0x00c00000, 0x33800000, 0x4b000001};
    static const u64 edges64[] = {0,
                                  (u64)1 << 63,
                                  1,
                                  0xfffffffffffff,
                                  0x10000000000000,
                                  0x3ff0000000000000,
                                  0xbff0000000000001,
                                  0x7fefffffffffffff,
                                  0x7ff0000000000000,
                                  0xfff0000000000000,
                                  0x400921fb54442d18,
                                  0x3ca0000000000000,
                                  0x41dfffffffc00000,
                                  0x43e0000000000000,
                                  0xc3e0000000000000,
                                  0x3fe0000000000000};
    t_inputs(in32, edges32, sizeof edges32 / sizeof *edges32, 1024);
    t_inputs(in64, edges64, sizeof edges64 / sizeof *edges64, 1024);
    return 0;
}

static int mode_now;
#define ROUNDED(type, expr)                                                                                  \
    ({                                                                                                       \
        fesetround(mode_now);                                                                                \
        volatile type x_ = (expr);                                                                           \
        fesetround(FE_TONEAREST);                                                                            \
        x_;                                                                                                  \
    })
static volatile float va, vb, vc;
static volatile double wa, wb, wc;
#define F32(name, expr)                                                                                      \
    static u64 name(u64 a, u64 b, u64 c)                                                                     \
    {                                                                                                        \
        va = f(a);                                                                                           \
        vb = f(b);                                                                                           \
        vc = f(c);                                                                                           \
        return fb(ROUNDED(float, expr));                                                                     \
    }
// NaNs of f64 are compared as such: their payload is the processor's.
#define F64(name, expr)                                                                                      \
    static u64 name(u64 a, u64 b, u64 c)                                                                     \
    {                                                                                                        \
        wa = d(a);                                                                                           \
        wb = d(b);                                                                                           \
        wc = d(c);                                                                                           \
        return db(ROUNDED(double, expr));                                                                    \
    }
F32(add32, va + vb)
F32(sub32, va - vb) F32(mul32, va *vb) F32(fma32, fmaf(va, vb, vc)) F32(div32, va / vb) F32(rcp32, 1 / va)
    F32(sqrt32, sqrtf(va)) F64(add64, wa + wb) F64(mul64, wa *wb) F64(fma64, fma(wa, wb, wc))
        F64(div64, wa / wb) F64(sqrt64, sqrt(wa))

            static void rounding(void **state)
{
    (void)state;
    static const struct {
        const char *suffix;
        int mode;
    } modes[] = {{"rn", FE_TONEAREST}, {"rz", FE_TOWARDZERO}, {"rm", FE_DOWNWARD}, {"rp", FE_UPWARD}};
    static const struct {
        const char *op, *operands, *kind;
        u64 (*want)(u64, u64, u64);
    } rows[] = {
        {"add", "f32 %rf, %fa0, %fa1", "rf", add32}, {"sub", "f32 %rf, %fa0, %fa1", "rf", sub32},
        {"mul", "f32 %rf, %fa0, %fa1", "rf", mul32}, {"fma", "f32 %rf, %fa0, %fa1, %fa2", "rf", fma32},
        {"div", "f32 %rf, %fa0, %fa1", "rf", div32}, {"rcp", "f32 %rf, %fa0", "rf", rcp32},
        {"sqrt", "f32 %rf, %fa0", "rf", sqrt32},     {"add", "f64 %rd, %da0, %da1", "rd", add64},
        {"mul", "f64 %rd, %da0, %da1", "rd", mul64}, {"fma", "f64 %rd, %da0, %da1, %da2", "rd", fma64},
        {"div", "f64 %rd, %da0, %da1", "rd", div64}, {"sqrt", "f64 %rd, %da0", "rd", sqrt64}};
    for (size_t k = 0; k < sizeof modes / sizeof *modes; k++)
        for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
            char text[128];
            bool wide = !strcmp(rows[i].kind, "rd");
            const u64(*in)[3] = (const u64(*)[3])(wide ? in64 : in32);
            static u64 out[1024];
            snprintf(text, sizeof text, "%s.%s.%s;", rows[i].op, modes[k].suffix, rows[i].operands);
            t_ops(text, rows[i].kind, in, out, 1024);
            mode_now = modes[k].mode;
            for (int n = 0; n < 1024; n++) {
                u64 want = rows[i].want(in[n][0], in[n][1], in[n][2]);
                bool both_nan = wide && isnan(d(want)) && isnan(d(out[n]));
                if (out[n] != want && !both_nan)
                    fail_msg("%s of %llx, %llx, %llx: got %llx, want %llx", text,
                             (unsigned long long)in[n][0], (unsigned long long)in[n][1],
                             (unsigned long long)in[n][2], (unsigned long long)out[n],
                             (unsigned long long)want);
            }
        }
}

static void edges(void **state)
{
    (void)state;
    const u64 nan = 0x7fffffff, one = 0x3f800000, two = 0x40000000, inf = 0x7f800000;
    t_one("min.f32 %rf, %fa0, %fa1;", "rf", 0x7fc00001, one, 0, one); // a NaN loses
    t_one("max.f32 %rf, %fa0, %fa1;", "rf", one, 0xffc00001, 0, one);
    t_one("max.f32 %rf, %fa0, %fa1;", "rf", 0x7f800001, 0xffc00001, 0, nan);
    t_one("min.NaN.f32 %rf, %fa0, %fa1;", "rf", 0x7fc00001, one, 0, nan);
    t_one("min.f32 %rf, %fa0, %fa1;", "rf", 0, 0x80000000, 0, 0x80000000);
    t_one("max.f32 %rf, %fa0, %fa1;", "rf", 0x80000000, 0, 0, 0);
    t_one("min.f64 %rd, %da0, %da1;", "rd", 0x7ff8000000000001, 0x3ff0000000000000, 0, 0x3ff0000000000000);
    t_one("add.ftz.f32 %rf, %fa0, %fa1;", "rf", 1, 2, 0, 0); // subnormals count as zero
    t_one("add.f32 %rf, %fa0, %fa1;", "rf", 1, 2, 0, 3);
    t_one("mul.ftz.f32 %rf, %fa0, %fa1;", "rf", 0x80800000, 0x3f000000, 0, 0x80000000);
    t_one("add.sat.f32 %rf, %fa0, %fa1;", "rf", one, one, 0, one);
    t_one("add.sat.f32 %rf, %fa0, %fa1;", "rf", 0x7fc00000, one, 0, 0);
    t_one("mul.sat.f32 %rf, %fa0, %fa1;", "rf", 0xbf800000, one, 0, 0);
    t_one("sub.f32 %rf, %fa0, %fa1;", "rf", inf, inf, 0, nan);
    t_one("neg.f32 %rf, %fa0;", "rf", 0, 0, 0, 0x80000000);
    t_one("abs.ftz.f32 %rf, %fa0;", "rf", 0x80000001, 0, 0, 0);
    t_one("copysign.f32 %rf, %fa0, %fa1;", "rf", 0x80000000, two, 0, 0xc0000000);
    t_one("rsqrt.approx.f32 %rf, %fa0;", "rf", 0x40800000, 0, 0, 0x3f000000);
    t_one("ex2.approx.f32 %rf, %fa0;", "rf", 0x40400000, 0, 0, 0x41000000);
    t_one("lg2.approx.f32 %rf, %fa0;", "rf", 0x41000000, 0, 0, 0x40400000);
    t_one("rcp.approx.ftz.f64 %rd, %da0;", "rd", 0x4000000000000000, 0, 0, 0x3fe0000000000000);
    t_one("testp.subnormal.f32 %p, %fa0;", "p", 5, 0, 0, 1);
    t_one("testp.notanumber.f64 %p, %da0;", "p", 0x7ff0000000000001, 0, 0, 1);
    // Comparisons with a NaN: ordered ones fail, unordered ones hold.
    static const struct {
        const char *cmp;
        u64 less, nan;
    } rows[] = {{"eq", 0, 0},  {"ne", 1, 0},  {"lt", 1, 0},  {"le", 1, 0},  {"gt", 0, 0},
                {"ge", 0, 0},  {"equ", 0, 1}, {"neu", 1, 1}, {"ltu", 1, 1}, {"leu", 1, 1},
                {"gtu", 0, 1}, {"geu", 0, 1}, {"num", 1, 0}, {"nan", 0, 1}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char text[80];
        snprintf(text, sizeof text, "setp.%s.f32 %%p, %%fa0, %%fa1;", rows[i].cmp);
        t_one(text, "p", one, two, 0, rows[i].less);
        t_one(text, "p", one, 0x7fc00000, 0, rows[i].nan);
        snprintf(text, sizeof text, "setp.%s.f64 %%p, %%da0, %%da1;", rows[i].cmp);
        t_one(text, "p", 0x3ff0000000000000, 0x4000000000000000, 0, rows[i].less);
        t_one(text, "p", 0x7ff8000000000000, 0, 0, rows[i].nan);
        snprintf(text, sizeof text, "setp.%s.f16 %%p, %%ha0, %%ha1;", rows[i].cmp);
        t_one(text, "p", 0x3c00, 0x4000, 0, rows[i].less);
        t_one(text, "p", 0x3c00, 0x7e00, 0, rows[i].nan);
    }
}

static void conversions(void **state)
{
    (void)state;
    static const struct {
        const char *text, *kind;
        u64 a, want;
    } rows[] = {// to integers: clamped; a NaN is 0, but the lone top bit from f64 or to 64 bits
                {"cvt.rzi.s32.f32 %r32, %fa0;", "r32", 0x4f000000, 0x7fffffff},
                {"cvt.rzi.s32.f32 %r32, %fa0;", "r32", 0xff800000, 0x80000000},
                {"cvt.rzi.s32.f32 %r32, %fa0;", "r32", 0x7fc00000, 0},
                {"cvt.rzi.u32.f32 %r32, %fa0;", "r32", 0xbf800000, 0},
                {"cvt.rzi.u32.f32 %r32, %fa0;", "r32", 0x4f800000, 0xffffffff},
                {"cvt.rzi.u32.f32 %r32, %fa0;", "r32", 0x4f7fffff, 0xffffff00},
                {"cvt.rzi.s64.f32 %r64, %fa0;", "r64", 0x7fc00000, 0x8000000000000000},
                {"cvt.rzi.u64.f32 %r64, %fa0;", "r64", 0x7fc00000, 0x8000000000000000},
                {"cvt.rzi.s32.f64 %r32, %da0;", "r32", 0x7ff8000000000000, 0x80000000},
                {"cvt.rzi.u32.f64 %r32, %da0;", "r32", 0x7ff8000000000000, 0x80000000},
                {"cvt.rzi.u64.f64 %r64, %da0;", "r64", 0x43f0000000000000, 0xffffffffffffffff},
                {"cvt.rzi.s64.f64 %r64, %da0;", "r64", 0xc3f0000000000000, 0x8000000000000000},
                {"cvt.rni.s32.f32 %r32, %fa0;", "r32", 0x40200000, 2},
                {"cvt.rni.s32.f32 %r32, %fa0;", "r32", 0x40600000, 4},
                {"cvt.rmi.s32.f32 %r32, %fa0;", "r32", 0xc0200000, 0xfffffffd},
                {"cvt.rpi.s32.f32 %r32, %fa0;", "r32", 0x40200000, 3},
                {"cvt.rzi.u8.f32 %r16, %fa0;", "r16", 0x43960000, 255},
                {"cvt.rzi.s8.f32 %r16, %fa0;", "r16", 0xc3960000, 0xff80},
                {"cvt.rni.f32.f32 %rf, %fa0;", "rf", 0xbf000000, 0x80000000},
                {"cvt.rmi.f64.f64 %rd, %da0;", "rd", 0xbfe0000000000000, 0xbff0000000000000},
                // from integers
                {"cvt.rn.f32.u64 %rf, %a0;", "rf", 0xffffffffffffffff, 0x5f800000},
                {"cvt.rz.f32.u64 %rf, %a0;", "rf", 0xffffffffffffffff, 0x5f7fffff},
                {"cvt.rp.f32.s32 %rf, %ra0;", "rf", 0x01000001, 0x4b800001},
                {"cvt.rm.f32.s32 %rf, %ra0;", "rf", 0xfeffffff, 0xcb800001},
                {"cvt.rn.f64.u64 %rd, %a0;", "rd", 0x8000000000000400, 0x43e0000000000000},
                {"cvt.rp.f64.u64 %rd, %a0;", "rd", 0x8000000000000001, 0x43e0000000000001},
                {"cvt.rn.f16.s32 %r16, %ra0;", "r16", 70000, 0x7c00},
                {"cvt.rn.bf16.u32 %r16, %ra0;", "r16", 3, 0x4040},
                // between floats
                {"cvt.rn.f32.f64 %rf, %da0;", "rf", 0x36a0000000000000, 1},
                {"cvt.rn.f32.f64 %rf, %da0;", "rf", 0x3690000000000000, 0},
                {"cvt.rz.f32.f64 %rf, %da0;", "rf", 0x47f0000000000000, 0x7f7fffff},
                {"cvt.rp.f32.f64 %rf, %da0;", "rf", 1, 1},
                {"cvt.f64.f32 %rd, %fa0;", "rd", 1, 0x36a0000000000000},
                {"cvt.sat.f32.f32 %rf, %fa0;", "rf", 0x7fc00000, 0},
                {"cvt.rn.f16.f32 %r16, %fa0;", "r16", 0x477ff000, 0x7c00},
                {"cvt.rn.f16.f32 %r16, %fa0;", "r16", 0x477fefff, 0x7bff},
                {"cvt.rn.f16.f32 %r16, %fa0;", "r16", 0x33000000, 0},
                {"cvt.rn.f16.f32 %r16, %fa0;", "r16", 0x33000001, 1},
                {"cvt.rn.f16.f32 %r16, %fa0;", "r16", 0x7fc00000, 0x7fff},
                {"cvt.rz.f16.f32 %r16, %fa0;", "r16", 0x477ff000, 0x7bff},
                {"cvt.f32.f16 %rf, %ha0;", "rf", 1, 0x33800000},
                {"cvt.f32.f16 %rf, %ha0;", "rf", 0xfc00, 0xff800000},
                {"cvt.rn.bf16.f32 %r16, %fa0;", "r16", 0x3f808000, 0x3f80},
                {"cvt.rn.bf16.f32 %r16, %fa0;", "r16", 0x3f818000, 0x3f82},
                {"cvt.rna.tf32.f32 %r32, %fa0;", "r32", 0x3f801000, 0x3f802000},
                {"cvt.rn.f16x2.f32 %r32, %fa0, 0f40000000;", "r32", 0x3f800000, 0x3c004000},
                {"cvt.rn.satfinite.e4m3x2.f32 %r16, %fa0, 0f3F800000;", "r16", 0x447a0000, 0x7e38},
                {"cvt.rn.satfinite.e5m2x2.f32 %r16, %fa0, 0f3F800000;", "r16", 0x48800000, 0x7b3c},
                {"cvt.rn.f16x2.e4m3x2 %r32, %ha0;", "r32", 0x7e38, 0x5f003c00},
                // between integers
                {"cvt.sat.u8.s32 %r16, %ra0;", "r16", 0xffffffff, 0},
                {"cvt.sat.s16.s64 %r16, %a0;", "r16", 0x123456789, 0x7fff},
                {"cvt.s32.s8 %r32, %ra0;", "r32", 0x180, 0xffffff80},
                {"cvt.u64.u32 %r64, %ra0;", "r64", 0xffffffff, 0xffffffff},
                {"cvt.s64.s16 %r64, %ha0;", "r64", 0x8000, 0xffffffffffff8000},
                {"cvt.u16.u64 %r16, %a0;", "r16", 0x12345, 0x2345},
                {"cvt.s8.s32 %r32, %ra0;", "r32", 0x1ff, 0xffffffff}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        t_one(rows[i].text, rows[i].kind, rows[i].a, 0, 0, rows[i].want);
}

// Every half against the definition, and rounding of floats against an exhaustive search of neighbours.
static double half_value(unsigned h)
{
    int e = h >> 10 & 31, m = h & 1023;
    double v = e == 31 ? (m ? NAN : INFINITY) : e ? ldexp(1024 + m, e - 25) : ldexp(m, -24);
    return h & 0x8000 ? -v : v;
}

static void halves(void **state)
{
    (void)state;
    static u64 in[4096][3], out[4096];
    for (unsigned base = 0; base < 65536; base += 4096) {
        for (unsigned i = 0; i < 4096; i++)
            in[i][0] = base + i;
        t_ops("cvt.f32.f16 %rf, %ha0;", "rf", (const u64(*)[3])in, out, 4096);
        for (unsigned i = 0; i < 4096; i++)
            assert_int_equal(out[i], fb((float)half_value(base + i)));
    }
    // Half-way points between neighbours go to the even one; a little less or more goes to the nearer.
    for (unsigned base = 0; base < 0x7bff; base += 4096) {
        for (unsigned i = 0; i < 4096; i++) {
            double middle = (half_value(base + i) + half_value(base + i + 1)) / 2;
            in[i][0] = fb((float)middle);
        }
        unsigned n = base + 4096 > 0x7bff ? 0x7bff - base : 4096;
        t_ops("cvt.rn.f16.f32 %r16, %fa0;", "r16", (const u64(*)[3])in, out, n);
        for (unsigned i = 0; i < n; i++)
            assert_int_equal(out[i], (base + i) & 1 ? base + i + 1 : base + i);
        for (unsigned i = 0; i < n; i++)
            in[i][0]--;
        t_ops("cvt.rn.f16.f32 %r16, %fa0;", "r16", (const u64(*)[3])in, out, n);
        for (unsigned i = 0; i < n; i++)
            assert_int_equal(out[i], base + i);
    }
    t_one("fma.rn.f16 %r16, %ha0, %ha1, %ha2;", "r16", 0x3c01, 0x3c01, 0xbc02, 0x0010); // exact: one rounding
    t_one("add.f16x2 %r32, %ra0, %ra1;", "r32", 0x3c007bff, 0x40007bff, 0, 0x42007c00);
    t_one("mul.bf16x2 %r32, %ra0, %ra1;", "r32", 0x40403f80, 0x40003f80, 0, 0x40c03f80);
    t_one("max.f16 %r16, %ha0, %ha1;", "r16", 0x7e00, 0x3c00, 0, 0x3c00);
    t_one("min.NaN.f16 %r16, %ha0, %ha1;", "r16", 0x7e00, 0x3c00, 0, 0x7fff);
    t_one("neg.f16x2 %r32, %ra0;", "r32", 0x3c000000, 0, 0, 0xbc008000);
    t_one("fma.rn.relu.f16 %r16, %ha0, %ha1, %ha2;", "r16", 0x3c00, 0xbc00, 0, 0);
    t_one("set.eq.f16x2.f16x2 %r32, %ra0, %ra1;", "r32", 0x3c004000, 0x3c003c00, 0, 0x3c000000);
    // The tie is broken by a number far below the double's last bit.
    t_one("fma.rn.bf16 %r16, %ha0, %ha1, %ha2;", "r16", 0x3f81, 0x3fc0, 0, 0x3fc2);
    t_one("fma.rn.bf16 %r16, %ha0, %ha1, %ha2;", "r16", 0x3f81, 0x3fc0, 0x8080, 0x3fc1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(rounding), cmocka_unit_test(edges),
                                       cmocka_unit_test(conversions), cmocka_unit_test(halves)};
    return cmocka_run_group_tests_name("ptx floats", tests, setup, NULL);
}
