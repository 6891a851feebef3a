// SPDX-License-Identifier: Apache-2.0
// Do integer instructions compute as the ISA says, at the edges of every width? Method: small kernels against
// C on edge and random values.
#include "test_ptx.h"

static uint64_t in[2048][3];
static uint32_t count;

static int setup(void **state)
{
    (void)state;
    static const uint64_t edges[] = {0,
                                     1,
                                     2,
                                     15,
                                     16,
                                     31,
                                     32,
                                     33,
                                     63,
                                     64,
                                     255,
                                     0x7f,
                                     0x80,
                                     0x7fff,
                                     0x8000,
                                     0xffff,
                                     0x7fffffff,
                                     0x80000000,
                                     0xffffffff,
                                     0x100000000,
                                     0x7fffffffffffffff,
                                     0x8000000000000000,
                                     0xffffffffffffffff,
                                     0xfffffffffffffffe,
                                     0x123456789abcdef0,
                                     3};
    count = t_inputs(in, edges, sizeof edges / sizeof *edges, 2048);
    return 0;
}

typedef uint64_t u64;
typedef int64_t s64;
typedef uint32_t u32;
typedef int32_t s32;
typedef uint16_t u16;
typedef int16_t s16;
#define W(name, expr)                                                                                        \
    static u64 name(u64 a, u64 b, u64 c)                                                                     \
    {                                                                                                        \
        (void)a;                                                                                             \
        (void)b;                                                                                             \
        (void)c;                                                                                             \
        return (expr);                                                                                       \
    }

W(add32, (u32)(a + b))
W(sub64, a - b) W(add16, (u16)(a + b)) W(addsat,
                                         (u32)((s64)(s32)a + (s32)b > INT32_MAX   ? INT32_MAX
                                               : (s64)(s32)a + (s32)b < INT32_MIN ? INT32_MIN
                                                                                  : (s32)a + (s64)(s32)b))
    W(mullo64, a *b) W(mulhiu32, (u64)(u32)a *(u32)b >> 32) W(mulhis32, (u32)((s64)(s32)a *(s32)b >> 32)) W(
        mulhiu64, (u64)((__uint128_t)a *b >> 64)) W(mulhis64, (u64)((__int128)(s64)a *(s64)b >> 64))
        W(mulhis16,
          (u16)((s32)(s16)a *(s16)b >>
                16)) W(widu32, (u64)(u32)a *(u32)b) W(wids32, (u64)((s64)(s32)a *(s32)b))
            W(wids16, (u32)((s32)(s16)a *(s16)b)) W(madlo32, (u32)(a *b + c)) W(
                madhis32,
                (u32)(((s64)(s32)a * (s32)b >> 32) + (s64)(u32)c)) W(madwide, (u64)(u32)a *(u32)b + c)
                W(mul24lo, (u32)((u64)(a & 0xffffff) * (b & 0xffffff))) W(
                    mul24his,
                    (u32)(((s64)((s32)((u32)a << 8) >> 8) * ((s32)((u32)b << 8) >> 8)) >>
                          16)) W(divu32, (u32)b ? (u32)a / (u32)b
                                                : 0xffffffff) W(remu32, (u32)b ? (u32)a % (u32)b : (u32)a)
                    W(divs32,
                      (u32)b == 0
                          ? 0xffffffff
                      : (u32)b ==
                              0xffffffff
                          ? (u32)(0 - (u32)a)
                          : (u32)((s32)a /
                                  (s32)b)) W(rems32, (u32)b == 0 ? (u32)a
                                                     : (
                                                           u32)b == 0xffffffff
                                                         ? 0
                                                         : (u32)((s32)a % (s32)b))
                        W(divs64,
                          !b             ? ~(u64)0
                          : b == ~(u64)0 ? 0 - a
                                         : (u64)((s64)a / (s64)b)) W(remu64, b ? a % b : a)
                            W(divs16, !(u16)b ? 0xffff : (u16)((s32)(s16)a / (s16)b)) W(
                                absd,
                                (u32)((s32)a < 0
                                          ? 0 - (u32)a
                                          : (u32)a)) W(neg64, 0 - a) W(mins32, (u32)((s32)a < (s32)b ? a : b))
                                W(maxu64, a > b ? a : b) W(mins16, (u16)((s16)a < (s16)b ? a : b)) W(
                                    sads32,
                                    (u32)(c + ((s32)a < (s32)b ? (u32)b - (u32)a : (u32)a - (u32)b)))
                                    W(shl32,
                                      (u32)b > 31
                                          ? 0
                                          : (u32)a << (u32)b) W(shru64, (u32)b > 63 ? 0 : a >> (u32)b)
                                        W(shrs32, (u32)((s32)a >> ((u32)b > 31 ? 31 : (u32)b))) W(
                                            shrs64,
                                            (u64)((s64)a >> ((u32)b > 63 ? 63 : (u32)b)))
                                            W(shl16, (u32)b > 15 ? 0 : (u16)((u32)(u16)a << (u32)b)) W(
                                                shrs16,
                                                (u16)((s16)a >> ((u32)b > 15 ? 15 : (u32)b))) W(cnot, !(u32)a)
                                                W(lop, (u32)((a & b) | (a & c) | (b & c)))
                                                    W(lopx, (u32)(a ^ b ^ c)) W(lopn, (u32)(~a &(b | ~c)))
                                                        W(setlt, (s32)a < (s32)b) W(setgeu, (u32)a >= (u32)b)
                                                            W(setne64, a != b) W(setles16, (s16)a <= (s16)b)
                                                                W(sethi, (u32)a > (u32)b) W(
                                                                    setand,
                                                                    ((u64)(a < b && (s64)c < 0)) |
                                                                        (u64)(!(a < b) && (s64)c < 0) << 1)
                                                                    W(setxor,
                                                                      (u64)(((s64)a > (s64)b) ^
                                                                            ((u32)c != 0))) W(selp, (s64)c < 0
                                                                                                        ? a
                                                                                                        : b)
                                                                        W(slct, (u32)((s32)c >= 0 ? a : b))
                                                                            W(sets,
                                                                              (s32)a > (s32)b
                                                                                  ? 0xffffffff
                                                                                  : 0) W(addc,
                                                                                         a + b) W(subc, a - b)
                                                                                W(madc,
                                                                                  (u64)(u32)a *(u32)b + c)

                                                                                    static void arithmetic(
                                                                                        void **state)
{
    (void)state;
    static const struct {
        const char *text, *kind;
        u64 (*want)(u64, u64, u64);
    } rows[] = {{"add.s32 %r32, %ra0, %ra1;", "r32", add32},
                {"sub.u64 %r64, %a0, %a1;", "r64", sub64},
                {"add.s16 %r16, %ha0, %ha1;", "r16", add16},
                {"add.sat.s32 %r32, %ra0, %ra1;", "r32", addsat},
                {"mul.lo.s64 %r64, %a0, %a1;", "r64", mullo64},
                {"mul.hi.u32 %r32, %ra0, %ra1;", "r32", mulhiu32},
                {"mul.hi.s32 %r32, %ra0, %ra1;", "r32", mulhis32},
                {"mul.hi.u64 %r64, %a0, %a1;", "r64", mulhiu64},
                {"mul.hi.s64 %r64, %a0, %a1;", "r64", mulhis64},
                {"mul.hi.s16 %r16, %ha0, %ha1;", "r16", mulhis16},
                {"mul.wide.u32 %r64, %ra0, %ra1;", "r64", widu32},
                {"mul.wide.s32 %r64, %ra0, %ra1;", "r64", wids32},
                {"mul.wide.s16 %r32, %ha0, %ha1;", "r32", wids16},
                {"mad.lo.s32 %r32, %ra0, %ra1, %ra2;", "r32", madlo32},
                {"mad.hi.s32 %r32, %ra0, %ra1, %ra2;", "r32", madhis32},
                {"mad.wide.u32 %r64, %ra0, %ra1, %a2;", "r64", madwide},
                {"mul24.lo.u32 %r32, %ra0, %ra1;", "r32", mul24lo},
                {"mul24.hi.s32 %r32, %ra0, %ra1;", "r32", mul24his},
                {"div.u32 %r32, %ra0, %ra1;", "r32", divu32},
                {"rem.u32 %r32, %ra0, %ra1;", "r32", remu32},
                {"div.s32 %r32, %ra0, %ra1;", "r32", divs32},
                {"rem.s32 %r32, %ra0, %ra1;", "r32", rems32},
                {"div.s64 %r64, %a0, %a1;", "r64", divs64},
                {"rem.u64 %r64, %a0, %a1;", "r64", remu64},
                {"div.s16 %r16, %ha0, %ha1;", "r16", divs16},
                {"abs.s32 %r32, %ra0;", "r32", absd},
                {"neg.s64 %r64, %a0;", "r64", neg64},
                {"min.s32 %r32, %ra0, %ra1;", "r32", mins32},
                {"max.u64 %r64, %a0, %a1;", "r64", maxu64},
                {"min.s16 %r16, %ha0, %ha1;", "r16", mins16},
                {"sad.s32 %r32, %ra0, %ra1, %ra2;", "r32", sads32},
                {"shl.b32 %r32, %ra0, %ra1;", "r32", shl32},
                {"shr.u64 %r64, %a0, %ra1;", "r64", shru64},
                {"shr.s32 %r32, %ra0, %ra1;", "r32", shrs32},
                {"shr.s64 %r64, %a0, %ra1;", "r64", shrs64},
                {"shl.b16 %r16, %ha0, %ra1;", "r16", shl16},
                {"shr.s16 %r16, %ha0, %ra1;", "r16", shrs16},
                {"cnot.b32 %r32, %ra0;", "r32", cnot},
                {"lop3.b32 %r32, %ra0, %ra1, %ra2, 0xe8;", "r32", lop},
                {"lop3.b32 %r32, %ra0, %ra1, %ra2, 0x96;", "r32", lopx},
                {"lop3.b32 %r32, %ra0, %ra1, %ra2, 0x0d;", "r32", lopn},
                {"setp.lt.s32 %p, %ra0, %ra1;", "p", setlt},
                {"setp.ge.u32 %p, %ra0, %ra1;", "p", setgeu},
                {"setp.ne.s64 %p, %a0, %a1;", "p", setne64},
                {"setp.le.s16 %p, %ha0, %ha1;", "p", setles16},
                {"setp.hi.u32 %p, %ra0, %ra1;", "p", sethi},
                {"setp.lt.s64 %s, %a2, 0; setp.lt.and.u64 %p|%q, %a0, %a1, %s;", "pq", setand},
                {"setp.eq.u32 %s, %ra2, 0; setp.gt.xor.s64 %p, %a0, %a1, !%s;", "p", setxor},
                {"setp.lt.s64 %s, %a2, 0; selp.b64 %r64, %a0, %a1, %s;", "r64", selp},
                {"slct.b32.s32 %r32, %ra0, %ra1, %ra2;", "r32", slct},
                {"set.gt.u32.s32 %r32, %ra0, %ra1;", "r32", sets},
                {"mov.b64 {%x0, %x1}, %a0; mov.b64 {%x2, %x3}, %a1; add.cc.u32 %x0, %x0, %x2; addc.u32 %x1, "
                 "%x1, %x3; mov.b64 %r64, {%x0, %x1};",
                 "r64", addc},
                {"mov.b64 {%x0, %x1}, %a0; mov.b64 {%x2, %x3}, %a1; sub.cc.u32 %x0, %x0, %x2; subc.u32 %x1, "
                 "%x1, %x3; mov.b64 %r64, {%x0, %x1};",
                 "r64", subc},
                {"mov.b64 {%x0, %x1}, %a2; mad.lo.cc.u32 %x2, %ra0, %ra1, %x0; madc.hi.u32 %x3, %ra0, %ra1, "
                 "%x1; mov.b64 %r64, {%x2, %x3};",
                 "r64", madc}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        t_check(rows[i].text, rows[i].kind, (const u64(*)[3])in, count, rows[i].want);
}

W(popc, (u64)__builtin_popcountll(a))
W(clz, (u32)a ? (u64)__builtin_clz((u32)a) : 32) W(clz64, a ? (u64)__builtin_clzll(a) : 64)
    W(bfindu, (u32)a ? 31u - (u32)__builtin_clz((u32)a) : 0xffffffff)
        W(bfinds,
          (u32)((s32)a < 0 ? ~a : a) ? 31u - (u32)__builtin_clz((u32)((s32)a < 0 ? ~a : a)) : 0xffffffff)
            W(shiftamt, (u32)a ? (u64)__builtin_clz((u32)a) : 0xffffffff) static u64 brev(u64 a, u64 b, u64 c)
{
    (void)b;
    (void)c;
    u64 r = 0;
    for (int i = 0; i < 64; i++)
        r |= (a >> i & 1) << (63 - i);
    return r;
}
// Bit by bit, as the ISA defines it.
static u64 bfe(u64 a, unsigned bits, bool is_signed, u64 b, u64 c)
{
    unsigned at = b & 0xff, length = c & 0xff, top = bits - 1;
    bool sign = is_signed && length && (a >> (at + length - 1 > top ? top : at + length - 1) & 1);
    u64 r = 0;
    for (unsigned i = 0; i <= top; i++)
        r |= (u64)(i < length && at + i <= top ? a >> (at + i) & 1 : sign) << i;
    return r;
}
W(bfeu32, bfe((u32)a, 32, false, b, c))
W(bfes32, bfe((u32)a, 32, true, b, c)) W(bfeu64, bfe(a, 64, false, b, c))
    W(bfes64, bfe(a, 64, true, b, c)) static u64 bfi(u64 field, u64 base, u64 at, u64 length, unsigned bits)
{
    u64 r = base;
    at &= 0xff;
    length &= 0xff;
    for (unsigned i = 0; i < length && at + i < bits; i++)
        r = (r & ~((u64)1 << (at + i))) | (field >> i & 1) << (at + i);
    return r;
}
W(bfi32, bfi((u32)a, (u32)b, c, 9, 32))
W(bfi64, bfi(a, b, c, 24, 64)) W(shflw, (u32)(((u64)(u32)b << 32 | (u32)a) << (c & 31) >> 32))
    W(shfrc, (u32)(((u64)(u32)b << 32 | (u32)a) >> ((u32)c > 32 ? 32 : (u32)c))) static u64
    prmt(u64 a, u64 b, u64 c)
{
    u64 both = (u64)(u32)b << 32 | (u32)a, r = 0;
    for (int k = 0; k < 4; k++) {
        unsigned n = c >> (4 * k) & 15, byte = both >> (8 * (n & 7)) & 255;
        r |= (u64)(n & 8 ? (byte & 128 ? 255 : 0) : byte) << (8 * k);
    }
    return r;
}
static u64 dp4a(u64 a, u64 b, u64 c)
{
    for (int k = 0; k < 4; k++)
        c += (u64)((s64)(int8_t)(a >> (8 * k)) * (s64)(b >> (8 * k) & 255));
    return (u32)c;
}
static u64 dp2a(u64 a, u64 b, u64 c)
{
    for (int k = 0; k < 2; k++)
        c += (u64)((s64)(s16)(a >> (16 * k)) * (s64)(int8_t)(b >> (8 * (k + 2))));
    return (u32)c;
}
static u64 absdiff4(u64 a, u64 b, u64 c)
{
    for (int k = 0; k < 4; k++) {
        int x = a >> (8 * k) & 255, y = b >> (8 * k) & 255;
        c += (u64)(x < y ? y - x : x - y);
    }
    return (u32)c;
}
W(bmsk, (u32)a > 31 ? 0 : (u32)(((u32)b > 31 ? 0xffffffffu : (1u << (u32)b) - 1) << (u32)a))
W(swap, (u32)(a << 16) | (u16)(a >> 16))

    static void bits(void **state)
{
    (void)state;
    static const struct {
        const char *text, *kind;
        u64 (*want)(u64, u64, u64);
    } rows[] = {{"popc.b64 %r32, %a0;", "r32", popc},
                {"clz.b32 %r32, %ra0;", "r32", clz},
                {"clz.b64 %r32, %a0;", "r32", clz64},
                {"brev.b64 %r64, %a0;", "r64", brev},
                {"bfind.u32 %r32, %ra0;", "r32", bfindu},
                {"bfind.s32 %r32, %ra0;", "r32", bfinds},
                {"bfind.shiftamt.u32 %r32, %ra0;", "r32", shiftamt},
                {"bfe.u32 %r32, %ra0, %ra1, %ra2;", "r32", bfeu32},
                {"bfe.s32 %r32, %ra0, %ra1, %ra2;", "r32", bfes32},
                {"bfe.u64 %r64, %a0, %ra1, %ra2;", "r64", bfeu64},
                {"bfe.s64 %r64, %a0, %ra1, %ra2;", "r64", bfes64},
                {"bfi.b32 %r32, %ra0, %ra1, %ra2, 9;", "r32", bfi32},
                {"bfi.b64 %r64, %a0, %a1, %ra2, 24;", "r64", bfi64},
                {"shf.l.wrap.b32 %r32, %ra0, %ra1, %ra2;", "r32", shflw},
                {"shf.r.clamp.b32 %r32, %ra0, %ra1, %ra2;", "r32", shfrc},
                {"prmt.b32 %r32, %ra0, %ra1, %ra2;", "r32", prmt},
                {"dp4a.s32.u32 %r32, %ra0, %ra1, %ra2;", "r32", dp4a},
                {"dp2a.hi.s32.s32 %r32, %ra0, %ra1, %ra2;", "r32", dp2a},
                {"vabsdiff4.u32.u32.u32.add %r32, %ra0, %ra1, %ra2;", "r32", absdiff4},
                {"bmsk.clamp.b32 %r32, %ra0, %ra1;", "r32", bmsk},
                {"mov.b32 {%y0, %y1}, %ra0; mov.b32 %r32, {%y1, %y0};", "r32", swap}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        t_check(rows[i].text, rows[i].kind, (const u64(*)[3])in, count, rows[i].want);
    t_one("fns.b32 %r32, %ra0, 4, 2;", "r32", 0xf0f0, 0, 0, 5);
    t_one("fns.b32 %r32, %ra0, 15, -5;", "r32", 0xf0f0, 0, 0, 7);
    t_one("fns.b32 %r32, %ra0, 15, -9;", "r32", 0xf0f0, 0, 0, 0xffffffff);
    t_one("szext.wrap.s32 %r32, %ra0, 8;", "r32", 0x1280, 0, 0, 0xffffff80);
    t_one("prmt.b32.rc16 %r32, %ra0, %ra1, 1;", "r32", 0x12345678, 0, 0, 0x12341234);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(arithmetic), cmocka_unit_test(bits)};
    return cmocka_run_group_tests_name("ptx integers", tests, setup, NULL);
}
