// SPDX-License-Identifier: Apache-2.0
// Question: does cuGetProcAddress find the right symbol for every name, version and stream flag, and refuse
// the rest as a driver does? Method: the look-ups that a real CUDA runtime makes, recorded once; own cases;
// the order of the generated table.
#include <dlfcn.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "include/cuda_prototypes.h"
#include "interpose/proc.h"
#include "remoting/proc.h"

#define RECORDED "../shared/data/cudart/proc_address_13_0.txt"

static void *symbol(const char *name)
{
    void *address = dlsym(RTLD_DEFAULT, name);
    if (!address)
        fail_msg("there is no symbol %s", name);
    return address;
}

static void what_the_runtime_looks_up(void **state)
{
    (void)state;
    FILE *f = fopen(RECORDED, "r");
    if (!f) {
        print_message("%s is not here\n", RECORDED);
        skip();
    }
    char line[512];
    unsigned lines = 0, refused = 0;
    while (fgets(line, sizeof line, f)) {
        char name[256] = "", want[256];
        const char *rest = line + strcspn(line, " ");
        int version;
        unsigned long long flags;
        void *found = line;
        CUdriverProcAddressQueryResult status = (CUdriverProcAddressQueryResult)99;
        memcpy(name, line, (size_t)(rest - line));
        assert_int_equal(sscanf(rest, " ver %d flags %llu -> %255s", &version, &flags, want), 3);
        lines++;
        assert_int_equal(cuGetProcAddress_v2(name, &found, version, flags, &status), CUDA_SUCCESS);
        assert_int_equal(status == CU_GET_PROC_ADDRESS_SUCCESS, found != NULL);
        if (!strcmp(want, "-"))
            refused += !found;
        else if (found != symbol(want))
            fail_msg("%s for version %d with flags %llu is not %s", name, version, flags, want);
        void *again = line; // as the runtime does it: nobody asks for the status
        assert_int_equal(cuGetProcAddress_v2(name, &again, version, flags, NULL), CUDA_SUCCESS);
        assert_ptr_equal(again, found);
    }
    fclose(f);
    assert_int_equal(lines, 440);
    print_message("%u of %u look-ups are refused, as they may be\n", refused, lines);
}

static void own_cases(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        int version;
        cuuint64_t flags;
        const char *want;
        CUdriverProcAddressQueryResult status;
    } cases[] = {
        {"cuMemAlloc", 13000, 0, "cuMemAlloc_v2", CU_GET_PROC_ADDRESS_SUCCESS},
        {"cuMemAlloc", 2000, 0, "cuMemAlloc", CU_GET_PROC_ADDRESS_SUCCESS},
        {"cuMemAlloc", 3010, 0, "cuMemAlloc", CU_GET_PROC_ADDRESS_SUCCESS},
        {"cuMemAlloc", 3020, 0, "cuMemAlloc_v2", CU_GET_PROC_ADDRESS_SUCCESS},
        {"cuMemAlloc", 1000, 0, NULL, CU_GET_PROC_ADDRESS_VERSION_NOT_SUFFICIENT},
        {"cuMemAlloc", 0, 0, NULL, CU_GET_PROC_ADDRESS_VERSION_NOT_SUFFICIENT},
        {"cuDeviceGetUuid", 9020, 0, "cuDeviceGetUuid", CU_GET_PROC_ADDRESS_SUCCESS},
        {"cuDeviceGetUuid", 11040, 0, "cuDeviceGetUuid_v2", CU_GET_PROC_ADDRESS_SUCCESS},
        {"cuCtxCreate", 13000, 0, "cuCtxCreate_v4", CU_GET_PROC_ADDRESS_SUCCESS},
        {"cuCtxCreate", 11040, 0, "cuCtxCreate_v3", CU_GET_PROC_ADDRESS_SUCCESS},
        {"cuMemcpyHtoD", 13000, CU_GET_PROC_ADDRESS_PER_THREAD_DEFAULT_STREAM, "cuMemcpyHtoD_v2_ptds",
         CU_GET_PROC_ADDRESS_SUCCESS},
        {"cuMemcpyHtoD", 13000, CU_GET_PROC_ADDRESS_LEGACY_STREAM, "cuMemcpyHtoD_v2",
         CU_GET_PROC_ADDRESS_SUCCESS},
        {"cuMemcpyHtoD", 4000, CU_GET_PROC_ADDRESS_PER_THREAD_DEFAULT_STREAM, "cuMemcpyHtoD_v2",
         CU_GET_PROC_ADDRESS_SUCCESS},
        {"cuLaunchKernel", 7000, CU_GET_PROC_ADDRESS_PER_THREAD_DEFAULT_STREAM, "cuLaunchKernel_ptsz",
         CU_GET_PROC_ADDRESS_SUCCESS},
        {"cuMemFree", 13000, CU_GET_PROC_ADDRESS_PER_THREAD_DEFAULT_STREAM, "cuMemFree_v2",
         CU_GET_PROC_ADDRESS_SUCCESS},
        {"cuInit", 2000, 0, "cuInit", CU_GET_PROC_ADDRESS_SUCCESS},
        {"cuInit", 13000, 0, "cuInit", CU_GET_PROC_ADDRESS_SUCCESS},
        {"cuGetProcAddress", 12000, 0, "cuGetProcAddress_v2", CU_GET_PROC_ADDRESS_SUCCESS},
        {"cuGetProcAddress", 11030, 0, "cuGetProcAddress", CU_GET_PROC_ADDRESS_SUCCESS},
        {"", 0, 0, NULL, CU_GET_PROC_ADDRESS_SYMBOL_NOT_FOUND},
        {"cuMemAlloc_v2", 13000, 0, NULL,
         CU_GET_PROC_ADDRESS_SYMBOL_NOT_FOUND}, // names come without their version
        {"cuLaunchKernel_ptsz", 13000, 0, NULL, CU_GET_PROC_ADDRESS_SYMBOL_NOT_FOUND},
        {"cuNoSuchThing", 13000, 0, NULL, CU_GET_PROC_ADDRESS_SYMBOL_NOT_FOUND},
        {"cuini", 13000, 0, NULL, CU_GET_PROC_ADDRESS_SYMBOL_NOT_FOUND},
        {"zzz", 13000, 0, NULL, CU_GET_PROC_ADDRESS_SYMBOL_NOT_FOUND},
        {"aaa", 13000, 0, NULL, CU_GET_PROC_ADDRESS_SYMBOL_NOT_FOUND},
        {"malloc", 13000, 0, NULL, CU_GET_PROC_ADDRESS_SYMBOL_NOT_FOUND},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        void *found = &found, *first = &found;
        CUdriverProcAddressQueryResult status = (CUdriverProcAddressQueryResult)99;
        assert_int_equal(
            cuGetProcAddress_v2(cases[i].name, &found, cases[i].version, cases[i].flags, &status),
            CUDA_SUCCESS);
        if (found != (cases[i].want ? symbol(cases[i].want) : NULL) || status != cases[i].status)
            fail_msg("%s for version %d: status %d", cases[i].name, cases[i].version, (int)status);
        CUresult r = cuGetProcAddress(cases[i].name, &first, cases[i].version, cases[i].flags);
        assert_int_equal(r, cases[i].want ? CUDA_SUCCESS : CUDA_ERROR_NOT_FOUND);
        assert_ptr_equal(first, found);
    }
}

static void bad_arguments(void **state)
{
    (void)state;
    void *found = &found;
    assert_int_equal(cuGetProcAddress_v2(NULL, &found, 13000, 0, NULL), CUDA_ERROR_INVALID_VALUE);
    assert_int_equal(cuGetProcAddress_v2("cuInit", NULL, 13000, 0, NULL), CUDA_ERROR_INVALID_VALUE);
    assert_int_equal(cuGetProcAddress_v2("cuInit", &found, -1, 0, NULL), CUDA_ERROR_INVALID_VALUE);
    assert_int_equal(cuGetProcAddress_v2("cuInit", &found, 99990, 0, NULL), CUDA_ERROR_INVALID_VALUE);
    assert_int_equal(cuGetProcAddress_v2("cuInit", &found, 13000, 4, NULL), CUDA_ERROR_INVALID_VALUE);
    assert_int_equal(cuGetProcAddress("cuInit", NULL, 13000, 0), CUDA_ERROR_INVALID_VALUE);
    assert_ptr_equal(found, &found);
    // The runtime asks for nothing, with its own version, to see whether its way of asking is understood.
    assert_int_equal(cuGetProcAddress_v2("", &found, 99990, 0, NULL), CUDA_SUCCESS);
    assert_null(found);
}

static void the_table_is_in_order(void **state)
{
    (void)state;
    assert_in_range(gn_proc_count, 400, 637);
    for (unsigned i = 0; i < gn_proc_count; i++) {
        const struct gn_proc *p = &gn_procs[i];
        assert_non_null(p->legacy);
        assert_int_equal(p->per_thread != NULL, p->variant_since != 0);
        int order = i ? strcmp(gn_procs[i - 1].name, p->name) : -1;
        if (order > 0 || (order == 0 && gn_procs[i - 1].since >= p->since))
            fail_msg("%s for version %d is out of order", p->name, p->since);
        int known;
        assert_ptr_equal(gn_proc_find(p->name, p->since, 0, &known), p->legacy);
        assert_true(known);
        gn_proc_find(p->name, p->since - 1, 0, &known);
        assert_true(known);
    }
}

// The same before cuInit, by a program that has nothing of CUDA yet; errno is the program's.
static void nothing_else_is_touched(void **state)
{
    (void)state;
    void *found;
    errno = 4711;
    assert_int_equal(cuGetProcAddress_v2("cuInit", &found, 13000, 0, NULL), CUDA_SUCCESS);
    assert_int_equal(cuGetProcAddress_v2("cuNone", &found, 13000, 0, NULL), CUDA_SUCCESS);
    assert_int_equal(errno, 4711);
    int count = 5;
    assert_int_equal(cuDeviceGetCount(&count), CUDA_ERROR_NOT_INITIALIZED);
    assert_int_equal(count, 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_the_runtime_looks_up),
        cmocka_unit_test(own_cases),
        cmocka_unit_test(bad_arguments),
        cmocka_unit_test(the_table_is_in_order),
        cmocka_unit_test(nothing_else_is_touched),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
