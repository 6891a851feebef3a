// SPDX-License-Identifier: Apache-2.0
// A buffer that comes down to the host and goes up again, and in between is written in every way that CUDA has, or is not: what is there
// afterwards is what went up. Where a server keeps the host's copy (a sidecar with keep = "remote"), going up may be left out, but only
// where nothing has been written.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "tests/e2e/e2e.h"

enum { BYTES = 64 << 10, WORDS = BYTES / 4 };

// Kernels that find the buffer in different ways; each writes one word.
#define HEAD ".version 7.5\n.target sm_75\n.address_size 64\n"
#define REGISTERS "{ .reg .pred %p<2>; .reg .b32 %r<8>; .reg .b64 %rd<8>; .reg .f64 %fd<2>;"
static const char kernels[] = HEAD
    ".visible .global .align 8 .u64 variable;\n"
    ".visible .global .align 4 .u32 sink;\n"
    ".func (.param .b64 r) same(.param .b64 a) { .reg .b64 %d<2>; ld.param.b64 %d1, [a]; st.param.b64 [r], %d1; ret; }\n"
    ".func put(.param .b64 a) { .reg .b64 %d<2>; .reg .b32 %v; ld.param.b64 %d1, [a]; mov.u32 %v, 7; st.b32 [%d1], %v; ret; }\n"
    // reads only
    ".visible .entry reads(.param .u64 a)\n" REGISTERS
    " ld.param.u64 %rd1, [a]; ld.global.u32 %r1, [%rd1]; st.global.u32 [sink], %r1; ret; }\n"
    ".visible .entry writes(.param .u64 a)\n" REGISTERS " ld.param.u64 %rd1, [a]; mov.u32 %r1, 1; st.global.u32 [%rd1+8], %r1; ret; }\n"
    // the first of two, or the second
    ".visible .entry either(.param .u64 a, .param .u64 b, .param .u32 which)\n" REGISTERS
    " ld.param.u64 %rd1, [a]; ld.param.u64 %rd2, [b]; ld.param.u32 %r1, [which]; setp.ne.u32 %p1, %r1, 0; selp.b64 %rd3, %rd1, %rd2, %p1;"
    " cvta.to.global.u64 %rd4, %rd3; st.global.u32 [%rd4+16], %r1; ret; }\n"
    // only the second: the first is read
    ".visible .entry second(.param .u64 a, .param .u64 b)\n" REGISTERS
    " ld.param.u64 %rd1, [a]; ld.param.u64 %rd2, [b]; ld.global.u32 %r1, [%rd1]; st.global.u32 [%rd2], %r1; ret; }\n"
    // a pointer that lies in device memory
    ".visible .entry through(.param .u64 a)\n" REGISTERS
    " ld.param.u64 %rd1, [a]; ld.global.u64 %rd2, [%rd1]; mov.u32 %r1, 2; st.global.u32 [%rd2+20], %r1; ret; }\n"
    // a pointer that lies in a variable of the module
    ".visible .entry known()\n" REGISTERS " ld.global.u64 %rd2, [variable]; mov.u32 %r1, 3; st.global.u32 [%rd2+24], %r1; ret; }\n"
    ".visible .entry structure(.param .align 8 .b8 s[24])\n" REGISTERS
    " ld.param.u64 %rd1, [s+8]; ld.param.u32 %r1, [s+16]; st.global.u32 [%rd1+28], %r1; ret; }\n"
    ".visible .entry halves(.param .u32 low, .param .u32 high)\n" REGISTERS
    " ld.param.u32 %r1, [low]; ld.param.u32 %r2, [high]; cvt.u64.u32 %rd1, %r1; cvt.u64.u32 %rd2, %r2; shl.b64 %rd3, %rd2, 32;"
    " or.b64 %rd4, %rd3, %rd1; st.global.u32 [%rd4+32], %r1; ret; }\n"
    ".visible .entry shared_memory(.param .u64 a)\n" REGISTERS
    " .shared .align 8 .b8 place[8]; ld.param.u64 %rd1, [a]; st.shared.u64 [place], %rd1; ld.shared.u64 %rd2, [place]; mov.u32 %r1, 4;"
    " st.global.u32 [%rd2+36], %r1; ret; }\n"
    ".visible .entry backwards(.param .u64 end)\n" REGISTERS
    " ld.param.u64 %rd1, [end]; mov.u32 %r1, 5; st.global.u32 [%rd1+-4], %r1; ret; }\n"
    ".visible .entry adds(.param .u64 a)\n" REGISTERS " ld.param.u64 %rd1, [a]; red.global.add.u32 [%rd1+40], 9; ret; }\n"
    ".visible .entry exchanges(.param .u64 a)\n" REGISTERS
    " ld.param.u64 %rd1, [a]; mov.u32 %r1, 11; atom.global.exch.b32 %r2, [%rd1+44], %r1; ret; }\n"
    ".visible .entry calls(.param .u64 a)\n" REGISTERS
    " ld.param.u64 %rd1, [a]; { .param .b64 x; .param .b64 y; st.param.b64 [x], %rd1; call.uni (y), same, (x); ld.param.b64 %rd2, [y]; }"
    " { .param .b64 x; st.param.b64 [x], %rd2; call.uni put, (x); } ret; }\n"
    ".visible .entry loops(.param .u64 a)\n" REGISTERS
    " ld.param.u64 %rd1, [a]; mov.u32 %r1, 0; L: mov.u64 %rd3, %rd2; mov.u64 %rd2, %rd1; add.u32 %r1, %r1, 1; setp.lt.u32 %p1, %r1, 3;"
    " @%p1 bra L; st.global.u32 [%rd3+48], %r1; ret; }\n"
    ".visible .entry difference(.param .u64 a, .param .u64 b)\n" REGISTERS
    " ld.param.u64 %rd1, [a]; ld.param.u64 %rd2, [b]; sub.u64 %rd3, %rd2, %rd1; add.u64 %rd4, %rd1, %rd3; mov.u32 %r1, 6;"
    " st.global.u32 [%rd4+52], %r1; ret; }\n"
    ".visible .entry as_float(.param .u64 a)\n" REGISTERS
    " ld.param.f64 %fd1, [a]; mov.b64 %rd1, %fd1; mov.u32 %r1, 8; st.global.u32 [%rd1+56], %r1; ret; }\n";

static CUmodule module;
static CUstream stream, independent;
static CUdeviceptr buffer, other, cell, neighbour;
static uint8_t *seen;

static void launch(const char *name, CUstream where, void **parameters)
{
    CUfunction f;
    CU(cuModuleGetFunction(&f, module, name));
    CU(cuLaunchKernel(f, 1, 1, 1, 1, 1, 1, 0, where, parameters, NULL));
}

// --- the ways

static void nothing(void) {}
static void reads(void) { launch("reads", NULL, (void *[]){&buffer}); }
static void second(void) { launch("second", NULL, (void *[]){&buffer, &other}); }
static void kernel(void) { launch("writes", NULL, (void *[]){&buffer}); }
static void other_stream(void)
{
    launch("writes", independent, (void *[]){&buffer});
    CU(cuStreamSynchronize(independent));
}
static void either_first(void) { launch("either", NULL, (void *[]){&buffer, &other, &(unsigned){1}}); }
static void either_second(void) { launch("either", NULL, (void *[]){&other, &buffer, &(unsigned){0}}); }
static void through(void)
{
    CU(cuMemcpyHtoD(cell, &buffer, sizeof buffer));
    launch("through", NULL, (void *[]){&cell});
}
static void variable(void)
{
    CUdeviceptr at;
    size_t size_bytes;
    CU(cuModuleGetGlobal(&at, &size_bytes, module, "variable"));
    CU(cuMemcpyHtoD(at, &buffer, sizeof buffer));
    launch("known", NULL, NULL);
}
static void structure(void)
{
    struct {
        uint64_t a, b;
        uint32_t c, d;
    } s = {0, buffer, 13, 0};
    launch("structure", NULL, (void *[]){&s});
}
static void halves(void)
{
    uint32_t low = (uint32_t)buffer, high = (uint32_t)(buffer >> 32);
    launch("halves", NULL, (void *[]){&low, &high});
}
static void shared_memory(void) { launch("shared_memory", NULL, (void *[]){&buffer}); }
static void backwards(void) { launch("backwards", NULL, (void *[]){&(CUdeviceptr){buffer + BYTES}}); }
static void adds(void) { launch("adds", NULL, (void *[]){&buffer}); }
static void exchanges(void) { launch("exchanges", NULL, (void *[]){&buffer}); }
static void calls(void) { launch("calls", NULL, (void *[]){&buffer}); }
static void loops(void) { launch("loops", NULL, (void *[]){&buffer}); }
static void difference(void) { launch("difference", NULL, (void *[]){&other, &buffer}); }
static void as_float(void) { launch("as_float", NULL, (void *[]){&buffer}); }
static void extra(void)
{
    CUfunction f;
    size_t size_bytes = sizeof buffer;
    void *list[] = {CU_LAUNCH_PARAM_BUFFER_POINTER, &buffer, CU_LAUNCH_PARAM_BUFFER_SIZE, &size_bytes, CU_LAUNCH_PARAM_END};
    CU(cuModuleGetFunction(&f, module, "writes"));
    CU(cuLaunchKernel(f, 1, 1, 1, 1, 1, 1, 0, stream, NULL, list));
}
static void extended(void)
{
    CUfunction f;
    CUlaunchConfig config = {1, 1, 1, 1, 1, 1, 0, stream, NULL, 0};
    CU(cuModuleGetFunction(&f, module, "writes"));
    CU(cuLaunchKernelEx(&config, f, (void *[]){&buffer}, NULL));
}
static void cooperative(void)
{
    CUfunction f;
    CU(cuModuleGetFunction(&f, module, "writes"));
    CU(cuLaunchCooperativeKernel(f, 1, 1, 1, 1, 1, 1, 0, stream, (void *[]){&buffer}));
}
static void fill8(void) { CU(cuMemsetD8(buffer + 5, 1, 1)); }
static void fill16(void) { CU(cuMemsetD16Async(buffer + 6, 2, 1, stream)); }
static void fill32(void) { CU(cuMemsetD32(buffer + BYTES - 4, 3, 1)); }
static void fill_rows(void) { CU(cuMemsetD2D8Async(buffer + 100, 4096, 4, 3, 5, stream)); }
static void fill_rows16(void) { CU(cuMemsetD2D16(buffer + 200, 512, 5, 3, 5)); }
static void fill_rows32(void) { CU(cuMemsetD2D32(buffer + 400, 512, 6, 3, 5)); }
static void stream_value(void) { CU(cuStreamWriteValue32(stream, buffer + 64, 77, 0)); }
static void copied(void) { CU(cuMemcpyDtoD(buffer + 1000, other, 100)); }
static void copied_from_itself(void) { CU(cuMemcpyDtoDAsync(buffer, buffer + 8192, 4096, stream)); }
static void uploaded(void) { CU(cuMemcpyHtoD(buffer + 2000, "something else", 14)); }
static void uploaded_later(void)
{
    CU(cuMemcpyHtoDAsync(buffer + 3000, "something other", 15, stream));
    CU(cuStreamSynchronize(stream));
}
static void rows(void)
{
    CUDA_MEMCPY2D c = {.srcMemoryType = CU_MEMORYTYPE_DEVICE, .srcDevice = other, .srcPitch = 256, .dstMemoryType = CU_MEMORYTYPE_DEVICE,
                       .dstDevice = buffer + 5000, .dstPitch = 512, .WidthInBytes = 10, .Height = 4};
    CU(cuMemcpy2D(&c));
}
static void peer(void)
{
    CUcontext now;
    CU(cuCtxGetCurrent(&now));
    CU(cuMemcpyPeer(buffer + 6000, now, other, now, 10));
}
static void beside(void) { CU(cuMemsetD8(neighbour, 9, BYTES)); } // another allocation
static void freed(void) // and used again: what was there is nobody's business
{
    CU(cuMemFree(buffer));
    CU(cuMemAlloc(&buffer, BYTES));
}

static const struct way {
    const char *name;
    void (*write)(void);
    bool proven; // nothing is written, and that can be seen
} ways[] = {
    {"nothing", nothing, true},           {"a kernel that reads it", reads, true},
    {"a kernel that writes another", second, true},
    {"another is filled", beside, true},  {"a kernel", kernel, false},
    {"a kernel in another stream", other_stream, false},
    {"the first of two", either_first, false},
    {"the second of two", either_second, false},
    {"a pointer in device memory", through, false},
    {"a pointer in a variable", variable, false},
    {"a pointer in a structure", structure, false},
    {"a pointer in halves", halves, false},
    {"a pointer through shared memory", shared_memory, false},
    {"a pointer to the end", backwards, false},
    {"a reduction", adds, false},         {"an exchange", exchanges, false},
    {"device functions", calls, false},   {"a loop", loops, false},
    {"a difference of pointers", difference, false},
    {"a pointer as a float", as_float, false},
    {"parameters in a buffer", extra, false},
    {"an extended launch", extended, false},
    {"a cooperative launch", cooperative, false},
    {"a byte is filled", fill8, false},   {"two bytes are filled", fill16, false},
    {"the last word is filled", fill32, false},
    {"rows are filled", fill_rows, false}, {"rows of two bytes are filled", fill_rows16, false},
    {"rows of words are filled", fill_rows32, false},
    {"a stream writes a value", stream_value, false},
    {"a copy", copied, false},            {"a copy from itself", copied_from_itself, false},
    {"an upload", uploaded, false},       {"an asynchronous upload", uploaded_later, false},
    {"a copy of rows", rows, false},      {"a copy between contexts", peer, false},
    {"it is freed and used again", freed, false},
};

static uint8_t *pages(void)
{
    void *p = mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED)
        exit(2);
    return p;
}

static void judge(const struct way *way, const char *which, uint32_t seed)
{
    CU(cuMemcpyDtoH(seen, buffer, BYTES));
    bool right = e2e_is_pattern(seen, BYTES, seed);
    printf("%s, %s: %s\n", way->name, which, right ? "as it went up" : "WRONG");
    EXPECT(right);
}

// Down, written, up; written again, up again from the same bytes; and with a page changed in between.
static void go(const struct way *way, uint32_t seed, CUstream where)
{
    uint8_t *host = pages(); // of its own each time: memory that is read after each copy is not kept at the server any more
    e2e_pattern(host, BYTES, seed);
    CU(cuMemcpyHtoD(buffer, host, BYTES));
    CU(cuMemcpyDtoHAsync(host, buffer, BYTES, where));
    CU(cuStreamSynchronize(where));
    for (int round = 0; round < 3; round++) {
        way->write();
        CU(cuMemcpyHtoDAsync(buffer, host, BYTES, where));
        CU(cuStreamSynchronize(where));
        if (round == 1) {
            judge(way, "twice", seed);
            CU(cuMemcpyDtoHAsync(host, buffer, BYTES, where));
            CU(cuStreamSynchronize(where));
        }
    }
    judge(way, "and again", seed);
    EXPECT(e2e_is_pattern(host, BYTES, seed));
    way->write();
    e2e_pattern(host, BYTES, seed + 1000); // all of it is new
    CU(cuMemcpyHtoDAsync(buffer, host, BYTES, where));
    CU(cuStreamSynchronize(where));
    judge(way, "and changed", seed + 1000);
    munmap(host, BYTES);
}

int main(int argc, char **argv)
{
    const char *only = argc > 1 ? argv[1] : NULL; // "proven" or "written"
    e2e_open(0);
    CU(cuModuleLoadData(&module, kernels));
    CU(cuStreamCreate(&stream, CU_STREAM_DEFAULT));
    CU(cuStreamCreate(&independent, CU_STREAM_NON_BLOCKING));
    CU(cuMemAlloc(&buffer, BYTES));
    CU(cuMemAlloc(&neighbour, BYTES));
    CU(cuMemAlloc(&other, BYTES));
    CU(cuMemAlloc(&cell, 64));
    CU(cuMemsetD32(other, 0x01010101, WORDS));
    seen = pages();
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++)
        if (!only || ways[i].proven == !strcmp(only, "proven")) {
            go(&ways[i], (uint32_t)i, NULL);
            go(&ways[i], (uint32_t)i + 100, stream);
        }
    return e2e_finish();
}
