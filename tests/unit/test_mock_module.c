// SPDX-License-Identifier: Apache-2.0
// Do modules, libraries and launches of the mock answer as a driver's: functions, variables, parameters, attributes, occupancy; what is
// refused at the load and at the launch; what a fault does to its context; injected faults?
#include "test_mock.h"

#include <fcntl.h>
#include <sys/stat.h>

static struct fixture f;

static void function_body(void)
{
    f = set_up();
    CUfunction fn, all[10];
    CUmodule m;
    CUdeviceptr global;
    size_t bytes, offset, size;
    unsigned count;
    const char *name;
    int value;
    double pi;
    OK(cuModuleGetFunctionCount(&count, f.module));
    EXPECT(count, 7);
    OK(cuModuleEnumerateFunctions(all, 10, f.module));
    OK(cuModuleGetFunction(&fn, f.module, "add"));
    TRUE(fn == f.add);
    OK(cuFuncGetName(&name, fn));
    EXPECT(strcmp(name, "add"), 0);
    OK(cuFuncGetModule(&m, fn));
    TRUE(m == f.module);
    OK(cuFuncGetParamInfo(fn, 1, &offset, &size));
    EXPECT(offset, 8);
    EXPECT(size, 4);
    EXPECT(cuFuncGetParamInfo(fn, 2, &offset, &size), CUDA_ERROR_INVALID_VALUE);
    EXPECT(cuModuleGetFunction(&fn, f.module, "nothing"), CUDA_ERROR_NOT_FOUND);
    EXPECT(cuModuleGetFunction(&fn, (CUmodule)f.add, "add"), CUDA_ERROR_INVALID_HANDLE);
    EXPECT(cuModuleGetFunction(NULL, f.module, "add"), CUDA_ERROR_INVALID_VALUE);
    OK(cuModuleGetGlobal_v2(&global, &bytes, f.module, "counter"));
    EXPECT(bytes, 4);
    EXPECT(word_at(global), 5);
    OK(cuLaunchKernel(f.count, 3, 1, 1, 2, 1, 1, 0, NULL, NULL, NULL));
    EXPECT(word_at(global), 11);
    OK(cuModuleGetGlobal_v2(&global, NULL, f.module, "pi"));
    OK(cuMemcpyDtoH_v2(&pi, global, sizeof pi));
    TRUE(pi > 3.14159 && pi < 3.1416);
    EXPECT(cuModuleGetGlobal_v2(&global, &bytes, f.module, "nothing"), CUDA_ERROR_NOT_FOUND);
    EXPECT(cuMemFree_v2(global), CUDA_ERROR_INVALID_VALUE); // a variable is not the program's to free
    OK(cuFuncGetAttribute(&value, CU_FUNC_ATTRIBUTE_MAX_THREADS_PER_BLOCK, f.add));
    EXPECT(value, 1024);
    OK(cuFuncGetAttribute(&value, CU_FUNC_ATTRIBUTE_PTX_VERSION, f.add));
    EXPECT(value, 75);
    OK(cuFuncGetAttribute(&value, CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES, f.add));
    EXPECT(value, 48 << 10);
    EXPECT(cuFuncSetAttribute(f.add, CU_FUNC_ATTRIBUTE_NUM_REGS, 10), CUDA_ERROR_INVALID_VALUE);
    EXPECT(cuFuncSetAttribute(f.add, CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES, 1 << 20),
           CUDA_ERROR_INVALID_VALUE);
    EXPECT(cuFuncGetAttribute(&value, (CUfunction_attribute)99, f.add), CUDA_ERROR_INVALID_VALUE);
    EXPECT(cuFuncGetAttribute(&value, CU_FUNC_ATTRIBUTE_NUM_REGS, NULL), CUDA_ERROR_INVALID_HANDLE);
    OK(cuModuleUnload(f.module));
    EXPECT(cuModuleUnload(f.module), CUDA_ERROR_INVALID_HANDLE);
    EXPECT(add(&f, f.word, 1, NULL), CUDA_ERROR_INVALID_HANDLE);
    EXPECT(cuMemcpyDtoH_v2(&pi, global, 8), CUDA_ERROR_INVALID_VALUE); // its variables are gone
}

static void modules_tell(void **unused)
{
    (void)unused;
    in_child("", function_body);
}

static void library_body(void)
{
    f = set_up();
    CUlibrary lib, same;
    CUkernel kernel, all[8];
    CUfunction fn;
    CUmodule m;
    CUcontext second;
    CUdeviceptr global, global2, word2;
    unsigned count, v = 3;
    size_t bytes;
    int value;
    CUlibraryOption option = CU_LIBRARY_BINARY_IS_PRESERVED;
    OK(cuLibraryLoadData(&lib, kernels, NULL, NULL, 0, &option, NULL, 1));
    OK(cuLibraryGetKernelCount(&count, lib));
    EXPECT(count, 7);
    OK(cuLibraryEnumerateKernels(all, 8, lib));
    OK(cuLibraryGetKernel(&kernel, lib, "add"));
    EXPECT(cuLibraryGetKernel(&kernel, lib, "nothing"), CUDA_ERROR_NOT_FOUND);
    OK(cuKernelGetLibrary(&same, kernel));
    TRUE(same == lib);
    OK(cuLaunchKernel((CUfunction)kernel, 1, 1, 1, 1, 1, 1, 0, NULL, (void *[]){&f.word, &v}, NULL));
    EXPECT(word_at(f.word), 3);
    OK(cuKernelGetFunction(&fn, kernel));
    OK(cuLaunchKernel(fn, 1, 1, 1, 1, 1, 1, 0, NULL, (void *[]){&f.word, &v}, NULL));
    EXPECT(word_at(f.word), 6);
    OK(cuKernelSetAttribute(CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES, 60000, kernel, 0));
    OK(cuFuncGetAttribute(&value, CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES, fn));
    EXPECT(value, 60000);
    OK(cuKernelGetAttribute(&value, CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES, kernel, 1));
    EXPECT(value, 48 << 10);
    EXPECT(cuKernelGetAttribute(&value, CU_FUNC_ATTRIBUTE_NUM_REGS, kernel, 2), CUDA_ERROR_INVALID_DEVICE);
    // The same kernel in another context: its own variables.
    OK(cuLibraryGetGlobal(&global, &bytes, lib, "counter"));
    OK(cuCtxCreate_v2(&second, 0, 1));
    OK(cuLibraryGetGlobal(&global2, &bytes, lib, "counter"));
    TRUE(global != global2);
    OK(cuMemAlloc_v2(&word2, 4));
    OK(cuMemsetD32_v2(word2, 0, 1));
    OK(cuLaunchKernel((CUfunction)kernel, 1, 1, 1, 1, 1, 1, 0, NULL, (void *[]){&word2, &v}, NULL));
    EXPECT(word_at(word2), 3);
    EXPECT(cuLaunchKernel(fn, 1, 1, 1, 1, 1, 1, 0, NULL, (void *[]){&word2, &v}, NULL), CUDA_ERROR_INVALID_HANDLE);
    OK(cuLibraryGetModule(&m, lib));
    EXPECT(cuModuleUnload(m), CUDA_ERROR_INVALID_HANDLE);
    OK(cuCtxDestroy_v2(second));
    OK(cuLibraryUnload(lib));
    EXPECT(cuLibraryUnload(lib), CUDA_ERROR_INVALID_HANDLE);
    EXPECT(cuKernelGetFunction(&fn, kernel), CUDA_ERROR_INVALID_HANDLE);
    EXPECT(cuLaunchKernel((CUfunction)kernel, 1, 1, 1, 1, 1, 1, 0, NULL, (void *[]){&f.word, &v}, NULL),
           CUDA_ERROR_INVALID_HANDLE);
}

static void libraries_live_in_contexts(void **unused)
{
    (void)unused;
    in_child("devices=2", library_body);
}

static void image_body(void)
{
    f = set_up();
    CUmodule m;
    char log[200] = "x";
    CUjit_option options[] = {CU_JIT_ERROR_LOG_BUFFER, CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES};
    void *values[] = {log, (void *)sizeof log};
    static const struct {
        const char *image;
        CUresult code;
    } cases[] = {
        {"no image at all", CUDA_ERROR_INVALID_IMAGE},
        {"", CUDA_ERROR_INVALID_IMAGE},
        {"\x7f" "ELF\x02\x01\x01", CUDA_ERROR_INVALID_IMAGE},
        {".version 99.0\n.target sm_75\n.address_size 64\n", CUDA_ERROR_UNSUPPORTED_PTX_VERSION},
        {".version 7.5\n.target sm_100\n.address_size 64\n.visible .entry k() { ret; }\n", CUDA_ERROR_INVALID_PTX},
        {".version 7.5\n.target sm_75\n.address_size 64\n.visible .entry k() { nonsense.u32 %r1; ret; }\n",
         CUDA_ERROR_INVALID_PTX},
        {".version 7.5\n.target sm_75\n.address_size 64\n.visible .entry k() { ret;\n", CUDA_ERROR_INVALID_PTX},
        {".version 7.5\n.target sm_75\n.address_size 64\n.extern .global .u32 missing;\n"
         ".visible .entry k() { .reg .b32 %r<2>; ld.global.u32 %r1, [missing]; ret; }\n", CUDA_ERROR_INVALID_PTX},
    };
    char padded[4096]; // headers may be read, so the images of this table get room behind them
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        memset(padded, 0, sizeof padded);
        snprintf(padded, sizeof padded, "%s", cases[i].image);
        EXPECT(cuModuleLoadData(&m, padded), cases[i].code);
    }
    EXPECT(cuModuleLoadDataEx(&m, cases[5].image, 2, options, values), CUDA_ERROR_INVALID_PTX);
    TRUE(strstr(log, "nonsense") && strstr(log, "line 4"));
    EXPECT((uintptr_t)values[1], strlen(log) + 1);
    values[1] = (void *)(uintptr_t)10;
    EXPECT(cuModuleLoadDataEx(&m, cases[5].image, 2, options, values), CUDA_ERROR_INVALID_PTX);
    EXPECT(strlen(log), 9);
    EXPECT(cuModuleLoadData(&m, NULL), CUDA_ERROR_INVALID_VALUE);
    EXPECT(cuModuleLoadData(NULL, kernels), CUDA_ERROR_INVALID_VALUE);
    EXPECT(cuModuleLoad(&m, "/nonexistent/file"), CUDA_ERROR_FILE_NOT_FOUND);
    EXPECT(cuModuleLoadDataEx(&m, kernels, 1, NULL, NULL), CUDA_ERROR_INVALID_VALUE);
    char path[] = "/tmp/mock_module_XXXXXX";
    int fd = mkstemp(path);
    TRUE(fd >= 0 && write(fd, kernels, sizeof kernels - 1) == (ssize_t)sizeof kernels - 1); // no NUL at its end
    OK(cuModuleLoad(&m, path));
    OK(cuModuleUnload(m));
    TRUE(!ftruncate(fd, 0));
    EXPECT(cuModuleLoad(&m, path), CUDA_ERROR_INVALID_IMAGE);
    close(fd);
    unlink(path);
    OK(cuCtxSynchronize()); // none of that hurt the context
}

static void bad_images_are_refused(void **unused)
{
    (void)unused;
    in_child("", image_body);
}

static CUresult shape(CUfunction fn, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by, unsigned bz,
                      unsigned shared)
{
    CUdeviceptr p = f.word;
    unsigned v = 0;
    return cuLaunchKernel(fn, gx, gy, gz, bx, by, bz, shared, NULL, (void *[]){&p, &v}, NULL);
}

static void launch_body(void)
{
    f = set_up();
    CUfunction bounded;
    CUdeviceptr p = f.word;
    unsigned v = 1;
    OK(cuModuleGetFunction(&bounded, f.module, "bounded"));
    EXPECT(shape(f.add, 0, 1, 1, 1, 1, 1, 0), CUDA_ERROR_INVALID_VALUE);
    EXPECT(shape(f.add, 1, 1, 1, 1, 0, 1, 0), CUDA_ERROR_INVALID_VALUE);
    EXPECT(shape(f.add, 1, 65536, 1, 1, 1, 1, 0), CUDA_ERROR_INVALID_VALUE);
    EXPECT(shape(f.add, 1, 1, 65536, 1, 1, 1, 0), CUDA_ERROR_INVALID_VALUE);
    EXPECT(shape(f.add, 0x80000000u, 1, 1, 1, 1, 1, 0), CUDA_ERROR_INVALID_VALUE);
    EXPECT(shape(f.add, 1, 1, 1, 1025, 1, 1, 0), CUDA_ERROR_INVALID_VALUE);
    EXPECT(shape(f.add, 1, 1, 1, 33, 32, 1, 0), CUDA_ERROR_INVALID_VALUE);
    EXPECT(shape(f.add, 1, 1, 1, 1, 1, 65, 0), CUDA_ERROR_INVALID_VALUE);
    EXPECT(shape(bounded, 1, 1, 1, 65, 1, 1, 0), CUDA_ERROR_INVALID_VALUE);
    EXPECT(shape(f.add, 1, 1, 1, 1, 1, 1, (48 << 10) + 1), CUDA_ERROR_INVALID_VALUE);
    OK(shape(bounded, 1, 1, 1, 64, 1, 1, 48 << 10));
    OK(cuFuncSetAttribute(f.add, CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES, 90000));
    OK(shape(f.add, 1, 1, 1, 1, 1, 1, 90000));
    EXPECT(shape(f.add, 1, 1, 1, 1, 1, 1, 90001), CUDA_ERROR_INVALID_VALUE);
    EXPECT(cuLaunchKernel(f.add, 1, 1, 1, 1, 1, 1, 0, NULL, NULL, NULL), CUDA_ERROR_INVALID_VALUE);
    EXPECT(cuLaunchKernel(f.add, 1, 1, 1, 1, 1, 1, 0, NULL, (void *[]){&p, NULL}, NULL), CUDA_ERROR_INVALID_VALUE);
    EXPECT(cuLaunchKernel(NULL, 1, 1, 1, 1, 1, 1, 0, NULL, NULL, NULL), CUDA_ERROR_INVALID_HANDLE);
    EXPECT(cuLaunchKernel((CUfunction)f.module, 1, 1, 1, 1, 1, 1, 0, NULL, NULL, NULL), CUDA_ERROR_INVALID_HANDLE);
    EXPECT(cuLaunchKernel(f.add, 1, 1, 1, 1, 1, 1, 0, (CUstream)0x99, (void *[]){&p, &v}, NULL),
           CUDA_ERROR_INVALID_HANDLE);
    // Parameters in one buffer, which may be changed as soon as the call returns.
    struct {
        CUdeviceptr p;
        unsigned v;
    } block = {f.word, 7};
    size_t size = 12, small = 8;
    void *extra[] = {CU_LAUNCH_PARAM_BUFFER_POINTER, &block, CU_LAUNCH_PARAM_BUFFER_SIZE, &size, CU_LAUNCH_PARAM_END};
    OK(cuLaunchKernel(f.add, 1, 1, 1, 1, 1, 1, 0, NULL, NULL, extra));
    block.v = 1000;
    EXPECT(word_at(f.word), 7);
    EXPECT(cuLaunchKernel(f.add, 1, 1, 1, 1, 1, 1, 0, NULL, (void *[]){&p, &v}, extra), CUDA_ERROR_INVALID_VALUE);
    extra[3] = &small;
    EXPECT(cuLaunchKernel(f.add, 1, 1, 1, 1, 1, 1, 0, NULL, NULL, extra), CUDA_ERROR_INVALID_VALUE);
    // A cooperative launch must be resident as a whole.
    int blocks;
    OK(cuOccupancyMaxActiveBlocksPerMultiprocessor(&blocks, f.count, 512, 0));
    EXPECT(blocks, 4);
    EXPECT(cuLaunchCooperativeKernel(f.count, 2 * 4 + 1, 1, 1, 512, 1, 1, 0, NULL, NULL),
           CUDA_ERROR_COOPERATIVE_LAUNCH_TOO_LARGE);
    OK(cuLaunchCooperativeKernel(f.count, 2 * 4, 1, 1, 512, 1, 1, 0, NULL, NULL));
    // Attributes.
    CUlaunchAttribute attribute = {.id = CU_LAUNCH_ATTRIBUTE_CLUSTER_DIMENSION};
    CUlaunchConfig config = {.gridDimX = 6, .gridDimY = 1, .gridDimZ = 1, .blockDimX = 1, .blockDimY = 1,
                             .blockDimZ = 1, .attrs = &attribute, .numAttrs = 1};
    attribute.value.clusterDim.x = 2;
    attribute.value.clusterDim.y = attribute.value.clusterDim.z = 1;
    OK(cuLaunchKernelEx(&config, f.count, NULL, NULL));
    attribute.value.clusterDim.x = 4; // does not divide the grid
    EXPECT(cuLaunchKernelEx(&config, f.count, NULL, NULL), CUDA_ERROR_INVALID_CLUSTER_SIZE);
    config.gridDimX = 32;
    attribute.value.clusterDim.x = 32;
    EXPECT(cuLaunchKernelEx(&config, f.count, NULL, NULL), CUDA_ERROR_INVALID_CLUSTER_SIZE);
    attribute.id = (CUlaunchAttributeID)77;
    EXPECT(cuLaunchKernelEx(&config, f.count, NULL, NULL), CUDA_ERROR_INVALID_VALUE);
    attribute.id = CU_LAUNCH_ATTRIBUTE_PRIORITY;
    OK(cuLaunchKernelEx(&config, f.count, NULL, NULL));
    EXPECT(cuLaunchKernelEx(NULL, f.count, NULL, NULL), CUDA_ERROR_INVALID_VALUE);
    OK(cuCtxSynchronize());
}

static void launches_are_checked(void **unused)
{
    (void)unused;
    in_child("sms=2", launch_body);
}

static void occupancy_body(void)
{
    f = set_up();
    int blocks, grid, size;
    size_t bytes;
    OK(cuOccupancyMaxActiveBlocksPerMultiprocessor(&blocks, f.count, 1024, 0));
    EXPECT(blocks, 2);
    OK(cuOccupancyMaxActiveBlocksPerMultiprocessor(&blocks, f.count, 32, 0));
    EXPECT(blocks, 32); // the limit on blocks
    OK(cuOccupancyMaxActiveBlocksPerMultiprocessor(&blocks, f.count, 32, 100 << 10));
    EXPECT(blocks, 2); // shared memory: 228 KiB an SM
    OK(cuOccupancyMaxActiveBlocksPerMultiprocessor(&blocks, f.count, 1025, 0));
    EXPECT(blocks, 0);
    EXPECT(cuOccupancyMaxActiveBlocksPerMultiprocessor(&blocks, f.count, 0, 0), CUDA_ERROR_INVALID_VALUE);
    OK(cuOccupancyMaxPotentialBlockSize(&grid, &size, f.count, NULL, 0, 0));
    EXPECT(size, 1024);
    EXPECT(grid, 2 * 16);
    OK(cuOccupancyMaxPotentialBlockSize(&grid, &size, f.count, NULL, 0, 100));
    TRUE(size <= 100 && size > 0);
    OK(cuOccupancyAvailableDynamicSMemPerBlock(&bytes, f.count, 2, 128));
    TRUE(bytes > 100 << 10 && bytes <= 114 << 10);
    OK(cuOccupancyMaxActiveBlocksPerMultiprocessor(&blocks, f.count, 128, bytes));
    EXPECT(blocks, 2); // what is said to be available really is
    EXPECT(cuOccupancyAvailableDynamicSMemPerBlock(&bytes, f.count, 100, 128), CUDA_ERROR_INVALID_VALUE);
}

static void occupancy_adds_up(void **unused)
{
    (void)unused;
    in_child("sm=90,sms=16", occupancy_body);
}

static void fault_body(void)
{
    f = set_up();
    CUdeviceptr bad = f.word + 4096;
    CUcontext second;
    CUstream s;
    CUevent e;
    unsigned v;
    OK(cuStreamCreate(&s, CU_STREAM_NON_BLOCKING));
    OK(cuEventCreate(&e, 0));
    OK(cuLaunchKernel(f.poke, 1, 1, 1, 1, 1, 1, 0, s, (void *[]){&bad}, NULL)); // the launch itself is fine
    EXPECT(cuStreamSynchronize(s), CUDA_ERROR_ILLEGAL_ADDRESS);
    // From now on everything in the context says so.
    EXPECT(cuStreamSynchronize(s), CUDA_ERROR_ILLEGAL_ADDRESS);
    EXPECT(cuCtxSynchronize(), CUDA_ERROR_ILLEGAL_ADDRESS);
    EXPECT(cuMemAlloc_v2(&bad, 4), CUDA_ERROR_ILLEGAL_ADDRESS);
    EXPECT(add(&f, f.word, 1, s), CUDA_ERROR_ILLEGAL_ADDRESS);
    EXPECT(cuMemcpyDtoH_v2(&v, f.word, 4), CUDA_ERROR_ILLEGAL_ADDRESS);
    EXPECT(cuEventRecord(e, s), CUDA_ERROR_ILLEGAL_ADDRESS);
    EXPECT(cuEventQuery(e), CUDA_ERROR_ILLEGAL_ADDRESS);
    CUcontext c;
    OK(cuCtxGetCurrent(&c)); // the books can still be read
    OK(cuCtxCreate_v2(&second, 0, 0)); // and another context works
    OK(cuMemAlloc_v2(&bad, 4));
    OK(cuMemsetD32_v2(bad, 9, 1));
    EXPECT(word_at(bad), 9);
    OK(cuCtxDestroy_v2(second));
    OK(cuCtxDestroy_v2(f.context));
    f = set_up();
    OK(cuLaunchKernel(f.stop, 1, 1, 1, 1, 1, 1, 0, NULL, NULL, NULL));
    EXPECT(cuCtxSynchronize(), CUDA_ERROR_LAUNCH_FAILED);
}

static void faults_are_sticky(void **unused)
{
    (void)unused;
    in_child("", fault_body);
}

static void failing_body(void)
{
    CUdeviceptr p;
    f = set_up(); // has allocated once
    EXPECT(cuMemAlloc_v2(&p, 4), CUDA_ERROR_OUT_OF_MEMORY);
    OK(cuMemAlloc_v2(&p, 4));
    EXPECT(cuStreamSynchronize(NULL), CUDA_ERROR_UNKNOWN);
    OK(cuStreamSynchronize(NULL));
}

static void hanging_body(void)
{
    f = set_up();
    CUstream s;
    OK(cuStreamCreate(&s, CU_STREAM_NON_BLOCKING));
    OK(add(&f, f.word, 1, s));
    OK(add(&f, f.word, 1, s)); // never ends
    OK(add(&f, f.word, 1, s));
    usleep(20000);
    EXPECT(cuStreamQuery(s), CUDA_ERROR_NOT_READY);
    EXPECT(word_at(f.word), 1);
    uint64_t from = now_ns();
    OK(cuCtxDestroy_v2(f.context));
    TRUE(now_ns() - from < 1000000000);
}

static void endless_body(void)
{
    f = set_up();
    OK(hold(&f, f.word + 256, f.word + 512, NULL)); // nobody will write that
    uint64_t from = now_ns();
    OK(cuCtxDestroy_v2(f.context)); // gives it a while, then stops it
    TRUE(now_ns() - from < 10000000000);
}

static void *waiter(void *unused)
{
    OK(cuCtxSetCurrent(f.context));
    EXPECT(cuCtxSynchronize(), CUDA_ERROR_DEVICE_UNAVAILABLE);
    return unused;
}

static void falling_body(void)
{
    pthread_t thread;
    CUdeviceptr p;
    f = set_up();
    OK(hold(&f, f.word + 256, f.word + 512, NULL));
    pthread_create(&thread, NULL, waiter, NULL);
    usleep(50000);
    CUresult r = CUDA_SUCCESS;
    for (int i = 0; i < 100 && r == CUDA_SUCCESS; i++)
        r = cuMemAlloc_v2(&p, 4);
    EXPECT(r, CUDA_ERROR_DEVICE_UNAVAILABLE);
    EXPECT(cuMemFree_v2(p), CUDA_ERROR_DEVICE_UNAVAILABLE);
    EXPECT(cuDeviceGet((CUdevice *)&r, 0), CUDA_ERROR_DEVICE_UNAVAILABLE);
    pthread_join(thread, NULL); // who waited is told
}

static void faults_can_be_injected(void **unused)
{
    (void)unused;
    in_child("fail=cuMemAlloc_v2:2:2,fail=cuStreamSynchronize:1:999", failing_body);
    in_child("hang=2", hanging_body);
    in_child("", endless_body);
    in_child("fall_off=60", falling_body);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(modules_tell),         cmocka_unit_test(libraries_live_in_contexts),
        cmocka_unit_test(bad_images_are_refused), cmocka_unit_test(launches_are_checked),
        cmocka_unit_test(occupancy_adds_up),    cmocka_unit_test(faults_are_sticky),
        cmocka_unit_test(faults_can_be_injected),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
