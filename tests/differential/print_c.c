// SPDX-License-Identifier: Apache-2.0
// A program as C, for any driver: gcc program.c -lcuda -pthread.
#include <string.h>

#include "tests/differential/program.h"

static void print_address(const struct arg *a, FILE *f)
{
    bool host = a->slot != NONE && a->slot >= 64;
    fprintf(f, host ? "(CUdeviceptr)h[%u]" : "d[%u]", a->slot % 64u);
    if (a->n)
        fprintf(f, " + %lld", (long long)a->n);
}

static void print_arg(const struct arg *a, char type, unsigned unit, unsigned out, FILE *f)
{
    static const char arrays[] = "semcf", makers[] = "DHSEMCF";
    static const char *const targets[] = {"d", "h", "s", "e", "m", "c", "f"};
    static const char *const results[] = {"i", "j", "z", "q", "a", "g", "l"};
    const char *at;
    if ((at = strchr(makers, type)) || type == 'G')
        fprintf(f, "%s&%s[%u]", type == 'H' ? "(void **)" : "", at ? targets[at - makers] : "d", a->slot);
    else if ((at = strchr("ijzqagl", type)))
        fprintf(f, "&%s[%u]", results[at - "ijzqagl"], out);
    else if (type == 'v')
        fprintf(f, "%llu", (unsigned long long)a->n & (unit < 4 ? (1u << 8 * unit) - 1 : UINT32_MAX));
    else if (a->slot == NONE)
        fprintf(f, strchr("hsemcf", type) ? "(void *)%lld" : "%lld", (long long)a->n);
    else if (type == 'd' || type == 'x')
        print_address(a, f);
    else if (type == 'h')
        fprintf(f, "h[%u] + %lld", a->slot, (long long)a->n);
    else if (strchr(arrays, type))
        fprintf(f, "%c[%u]", type, a->slot);
}

static void print_2d(const struct op *op, FILE *f)
{
    const struct arg *a = op->args;
    fprintf(f, "%s(&(CUDA_MEMCPY2D){", kinds[op->kind].name);
    for (unsigned i = 0; i < 2; i++) {
        bool host = a[2 * i].slot != NONE && a[2 * i].slot >= 64;
        const char *side = i ? "src" : "dst";
        fprintf(f, ".%sMemoryType = %s, .%s%s = ", side, host ? "CU_MEMORYTYPE_HOST" : "CU_MEMORYTYPE_DEVICE", side,
                host ? "Host" : "Device");
        if (host)
            fprintf(f, "h[%u] + %lld", a[2 * i].slot % 64u, (long long)a[2 * i].n);
        else
            print_arg(&a[2 * i], 'd', 1, 0, f);
        fprintf(f, ", .%sPitch = %lld, ", side, (long long)a[2 * i + 1].n);
    }
    fprintf(f, ".WidthInBytes = %lld, .Height = %lld}", (long long)a[4].n, (long long)a[5].n);
    if (op->kind == K_cuMemcpy2DAsync_v2) {
        fputs(", ", f);
        print_arg(&a[6], 's', 1, 0, f);
    }
    fputc(')', f);
}

static void print_launch(const struct op *op, FILE *f)
{
    const struct arg *a = op->args;
    fputs("launch(", f);
    for (unsigned i = 0; i < 8; i++) {
        fputs(i ? ", " : "", f);
        print_arg(&a[i], i == 0 ? 'f' : i == 1 ? 's' : i == 4 || i == 5 ? 'd' : 'n', 1, 0, f);
    }
    fprintf(f, ", kernels[%u])", a[0].slot == NONE ? 0u : a[0].slot);
}

void op_print_c(const struct op *op, FILE *f)
{
    const struct kind *k = &kinds[op->kind];
    const struct arg *a = op->args;
    switch (op->kind) {
    case K_cuMemcpy2D_v2:
    case K_cuMemcpy2DAsync_v2: print_2d(op, f); return;
    case K_cuLaunchKernel: print_launch(op, f); return;
    case K_cuLaunchHostFunc:
    case K_cuStreamAddCallback:
        fprintf(f, "host_function(%d, ", op->kind == K_cuStreamAddCallback);
        print_arg(&a[0], 's', 1, 0, f);
        fprintf(f, ", %u, %lld, ", op->lane, (long long)a[1].n);
        print_arg(&a[2], 'h', 1, 0, f);
        fprintf(f, ", %lld, %lld)", (long long)a[3].n, (long long)a[4].n);
        return;
    case K_host_order: fprintf(f, "host_order(%u)", op->lane); return;
    case K_cuModuleLoadData: fprintf(f, "cuModuleLoadData(&m[%u], ptx)", a[0].slot); return;
    case K_cuModuleGetFunction:
        fprintf(f, "get_function(%u, ", a[0].slot);
        print_arg(&a[1], 'm', 1, 0, f);
        fprintf(f, ", %lld)", (long long)a[2].n);
        return;
    case K_cuPointerGetAttribute:
        fprintf(f, "cuPointerGetAttribute(&q[0], (CUpointer_attribute)%lld, ", (long long)a[1].n);
        print_arg(&a[2], 'x', 1, 0, f);
        fputc(')', f);
        return;
    default: break;
    }
    fprintf(f, "%s(", k->name);
    for (unsigned i = 0, out = 0; i < k->count; i++) {
        fputs(i ? ", " : "", f);
        print_arg(&a[i], k->types[i], k->unit, out, f);
        out += strchr("ijzqagl", k->types[i]) != NULL;
    }
    fputs(op->kind == K_cuModuleGetGlobal_v2 ? ", \"counter\")" : ")", f);
}

static const char head[] =
    "#include <cuda.h>\n#include <pthread.h>\n#include <stdint.h>\n#include <stdio.h>\n#include <stdlib.h>\n"
    "#include <string.h>\n\n"
    "extern CUresult cuCtxCreate_v2(CUcontext *, unsigned, CUdevice); // newer headers declare a newer one only\n"
    "static CUdeviceptr d[32], a[4]; static unsigned char *h[16]; static CUstream s[16]; static CUevent e[16];\n"
    "static CUcontext c[8], g[4]; static CUmodule m[8]; static CUfunction f[16]; static int kernels[16], i[4];\n"
    "static unsigned j[4]; static size_t z[4]; static uint64_t q[4]; static float l[4];\n"
    "static uint64_t order[64];\n"
    "static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; static pthread_cond_t turned = PTHREAD_COND_INITIALIZER;\n"
    "static int done;\n\n"
    "static void turn(int n)\n{\n    pthread_mutex_lock(&lock);\n    while (done < n)\n"
    "        pthread_cond_wait(&turned, &lock);\n    pthread_mutex_unlock(&lock);\n}\n"
    "static void say(int n, const char *what, int code)\n{\n    pthread_mutex_lock(&lock);\n"
    "    printf(\"%d %d %s\\n\", n, code, what);\n    done++;\n    pthread_cond_broadcast(&turned);\n"
    "    pthread_mutex_unlock(&lock);\n}\n"
    "#define R(n, after, call) (turn(after), say(n, #call, (int)(call)))\n\n"
    "static uint64_t sum(const unsigned char *at, size_t n)\n{\n    uint64_t x = 1469598103934665603u;\n"
    "    while (n--)\n        x = (x ^ *at++) * 1099511628211u;\n    return x;\n}\n"
    "static int host_write(unsigned char *at, size_t n, uint64_t v)\n{\n    for (size_t k = 0; k < n; k++)\n"
    "        at[k] = (unsigned char)(v + k * 7 + (k >> 8));\n    return 0;\n}\n"
    "static int host_check(unsigned char *at, size_t n)\n{\n"
    "    printf(\"%016llx\\n\", (unsigned long long)sum(at, n));\n    return 0;\n}\n"
    "static int opened, gates;\n"
    "static void gate(void *p)\n{\n    pthread_mutex_lock(&lock);\n    while (opened < (int)(intptr_t)p)\n"
    "        pthread_cond_wait(&turned, &lock);\n    pthread_mutex_unlock(&lock);\n}\n"
    "static int host_gate_close(CUstream stream)\n{\n    gates++;\n    return cuLaunchHostFunc(stream, gate, (void *)(intptr_t)gates);\n}\n"
    "static int host_gate_open(void)\n{\n    pthread_mutex_lock(&lock);\n    opened = gates;\n"
    "    pthread_cond_broadcast(&turned);\n    pthread_mutex_unlock(&lock);\n    return 0;\n}\n"
    "static int host_order(int lane)\n{\n    printf(\"order %016llx\\n\", (unsigned long long)order[lane]);\n    return 0;\n}\n\n"
    "struct job { uint64_t id, n, v; int lane; unsigned char *at; };\n"
    "static void run_job(void *p)\n{\n    struct job *k = p;\n    if (k->at && k->n && k->v & 1)\n"
    "        host_write(k->at, k->n, k->v);\n"
    "    order[k->lane] = order[k->lane] * 31 + k->id + (k->at && !(k->v & 1) ? sum(k->at, k->n) : 0);\n}\n"
    "static void run_callback(CUstream stream, CUresult code, void *p) { (void)stream, (void)code; run_job(p); }\n"
    "static int host_function(int callback, CUstream stream, int lane, uint64_t id, void *at, uint64_t n, uint64_t v)\n{\n"
    "    struct job *k = malloc(sizeof *k);\n    *k = (struct job){id + 1, n, v, lane, at};\n"
    "    return callback ? cuStreamAddCallback(stream, run_callback, k, 0) : cuLaunchHostFunc(stream, run_job, k);\n}\n";

static const char tail[] =
    "static int get_function(int slot, CUmodule module, int kernel)\n{\n"
    "    const char *name = kernel < 8 ? names[kernel] : \"missing\";\n"
    "    int r = cuModuleGetFunction(&f[slot], module, name);\n    if (!r)\n        kernels[slot] = kernel;\n    return r;\n}\n"
    "static int launch(CUfunction fn, CUstream stream, unsigned grid, unsigned block, CUdeviceptr to, CUdeviceptr from,\n"
    "                  unsigned n, unsigned v, int kernel)\n{\n"
    "    unsigned more[31];\n    void *p[32] = {&to};\n    for (unsigned k = 0; k < 31; k++)\n"
    "        more[k] = v + k * k, p[k + 1] = &more[k];\n"
    "    if (kernel == 1 || kernel == 2)\n        p[1] = &n, p[2] = &v;\n    if (kernel == 3)\n        p[1] = &from, p[2] = &n;\n"
    "    if (kernel == 4)\n        p[0] = &v;\n    if (kernel == 7)\n        p[1] = &v;\n"
    "    return cuLaunchKernel(fn, grid, 1, 1, block, 1, 1, 0, stream, kernel ? p : NULL, NULL);\n}\n\n";

static void print_text(FILE *f)
{
    fputs("static const char ptx[] =\n    \"", f);
    for (const char *p = kernels_ptx; *p; p++)
        if (*p == '\n')
            fputs(p[1] ? "\\n\"\n    \"" : "\\n", f);
        else
            fputc(*p, f);
    fputs("\";\nstatic const char *const names[] = {", f);
    for (unsigned i = 0; i < KERNELS; i++)
        fprintf(f, "%s\"%s\"", i ? ", " : "", kernel_names[i]);
    fputs("};\n", f);
}

void program_print_c(const struct program *p, FILE *f)
{
    unsigned threads = 1, section_start = 0;
    fprintf(f, "// Made by the differential tester from seed %llu.\n%s", (unsigned long long)p->seed, head);
    print_text(f);
    fputs(tail, f);
    for (unsigned i = 0; i < p->count; i++)
        if (p->ops[i].thread >= threads)
            threads = p->ops[i].thread + 1u;
    for (unsigned t = 0; t < threads; t++) {
        fprintf(f, "static void *thread%u(void *unused)\n{\n    (void)unused;\n", t);
        for (unsigned i = 0; i < p->count; i++) {
            const struct op *op = &p->ops[i];
            if (!i || !op->section || op->section != p->ops[i - 1].section)
                section_start = i;
            if (op->thread != t)
                continue;
            fprintf(f, "    R(%u, %u, ", i, section_start);
            op_print_c(op, f);
            fputs(");\n", f);
        }
        fputs("    return NULL;\n}\n", f);
    }
    fputs("int main(void)\n{\n    pthread_t id[4];\n    cuInit(0);\n    s[1] = CU_STREAM_LEGACY;\n    s[2] = CU_STREAM_PER_THREAD;\n", f);
    for (unsigned i = PAGEABLE_FIRST; i < HOSTS; i++)
        fprintf(f, "    h[%u] = calloc(1, %zu);\n", i, pageable_bytes(i));
    for (unsigned t = 0; t < threads; t++)
        fprintf(f, "    pthread_create(&id[%u], NULL, thread%u, NULL);\n", t, t);
    for (unsigned t = 0; t < threads; t++)
        fprintf(f, "    pthread_join(id[%u], NULL);\n", t);
    fputs("    return 0;\n}\n", f);
}
