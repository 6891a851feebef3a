// SPDX-License-Identifier: Apache-2.0
// Does the mock driver sit well in a process: fork, exit with work queued, dlclose, a dying thread, many threads at once, device printf,
// the log of calls and the report of leaks?
#include "test_mock.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <sys/mman.h>

#include "tests/mock/mock_stamp.h"

static struct fixture f;

// Runs the body in a child with stdout or stderr going to a file, and returns its text.
static char *output_of(const char *options, int fd, void (*body)(void))
{
    static char text[65536];
    char path[] = "/tmp/mock_output_XXXXXX";
    int file = mkstemp(path), saved = dup(fd);
    assert_true(file >= 0 && saved >= 0);
    fflush(NULL);
    dup2(file, fd);
    in_child(options, body);
    fflush(NULL);
    dup2(saved, fd);
    close(saved);
    ssize_t n = pread(file, text, sizeof text - 1, 0);
    assert_true(n >= 0);
    text[n] = '\0';
    close(file);
    unlink(path);
    return text;
}

#ifdef __SANITIZE_ADDRESS__
// In a child of fork the stacks of the other threads are lost, and what only they pointed to would be called a leak.
static int is_forked;
int __lsan_is_turned_off(void) __attribute__((visibility("default"))); // the sanitizer library looks for it
int __lsan_is_turned_off(void) { return is_forked; }
#define FORKED() (is_forked = 1)
#else
#define FORKED() ((void)0)
#endif

static void fork_body(void)
{
    f = set_up();
    OK(hold(&f, f.word + 256, f.word + 512, NULL)); // busy threads, taken locks: the child must not care
    for (int i = 0; i < 20; i++) {
        pid_t pid = fork();
        if (!pid) {
            FORKED();
            CUdeviceptr p;
            const char *text;
            int version;
            int bad = cuInit(0) != CUDA_ERROR_NOT_INITIALIZED || cuMemAlloc_v2(&p, 4) != CUDA_ERROR_NOT_INITIALIZED ||
                      cuCtxSynchronize() != CUDA_ERROR_NOT_INITIALIZED ||
                      cuCtxDestroy_v2(f.context) != CUDA_ERROR_NOT_INITIALIZED ||
                      cuGetErrorString(CUDA_ERROR_NOT_INITIALIZED, &text) != CUDA_SUCCESS ||
                      cuDriverGetVersion(&version) != CUDA_SUCCESS;
            exit(bad); // with the exit handlers
        }
        int status;
        EXPECT(waitpid(pid, &status, 0), pid);
        EXPECT(status, 0);
    }
    EXPECT(cuStreamQuery(NULL), CUDA_ERROR_NOT_READY); // the parent goes on
    OK(cuMemsetD8_v2(f.word + 1024, 1, 4));
}

static void fork_leaves_no_driver(void **unused)
{
    (void)unused;
    in_child("", fork_body);
    in_child("leaks=1", fork_body);
}

static void call_at_exit(void)
{
    CUdeviceptr p;
    if (cuMemAlloc_v2(&p, 4) != CUDA_SUCCESS || cuMemsetD8_v2(p, 0, 4) != CUDA_SUCCESS)
        _exit(3);
}

static void exit_body(void)
{
    f = set_up();
    atexit(call_at_exit);
    CUstream s;
    OK(cuStreamCreate(&s, CU_STREAM_NON_BLOCKING));
    OK(hold(&f, f.word + 256, f.word + 512, s)); // runs on while the process ends
    for (int i = 0; i < 100; i++)
        OK(add(&f, f.word, 1, s));
}

static void unfinished_work_does_not_hold_the_exit(void **unused)
{
    (void)unused;
    uint64_t from = now_ns();
    in_child("", exit_body);
    assert_true(now_ns() - from < UINT64_C(20000000000));
}

static void dlclose_body(void)
{
    char path[4096];
    Dl_info info;
    TRUE(dladdr((void *)(uintptr_t)cuInit, &info));
    snprintf(path, sizeof path, "%s", info.dli_fname);
    void *library = dlopen(path, RTLD_NOW);
    TRUE(library != NULL);
    CUresult (*init)(unsigned) = (CUresult(*)(unsigned))(uintptr_t)dlsym(library, "cuInit");
    TRUE(init != NULL);
    OK(init(0));
    f = set_up();
    OK(hold(&f, f.word + 256, f.word + 512, NULL));
    EXPECT(dlclose(library), 0);
    usleep(20000);
}

static void dlclose_is_harmless(void **unused)
{
    (void)unused;
    in_child("", dlclose_body);
}

static const char printing[] =
    ".version 7.5\n.target sm_75\n.address_size 64\n"
    ".extern .func (.param .b32 result) vprintf (.param .b64 format, .param .b64 arguments);\n"
    ".global .align 1 .b8 text[9] = {108, 105, 110, 101, 32, 37, 117, 10, 0};\n" // "line %u\n"
    ".visible .entry print(.param .u32 n)\n"
    "{\n"
    " .local .align 8 .b8 frame[8]; .reg .b64 %rd<4>; .reg .b32 %r<3>;\n"
    " ld.param.u32 %r1, [n]; mov.u64 %rd1, frame; st.local.u32 [%rd1], %r1; cvta.local.u64 %rd2, %rd1;\n"
    " mov.u64 %rd3, text; cvta.global.u64 %rd3, %rd3;\n"
    " { .param .b64 a; .param .b64 b; .param .b32 c;\n"
    " st.param.b64 [a], %rd3; st.param.b64 [b], %rd2; call.uni (c), vprintf, (a, b); ld.param.b32 %r2, [c]; }\n"
    " ret;\n"
    "}\n";

static void print_body(void)
{
    CUfunction print;
    CUmodule m;
    f = set_up();
    OK(cuModuleLoadData(&m, printing));
    OK(cuModuleGetFunction(&print, m, "print"));
    for (unsigned i = 0; i < 3; i++)
        OK(cuLaunchKernel(print, 1, 1, 1, 1, 1, 1, 0, NULL, (void *[]){&i}, NULL));
    OK(cuCtxSynchronize()); // written here, after what the kernels' order says and before what follows
    printf("host\n");
    unsigned last = 3;
    OK(cuLaunchKernel(print, 1, 1, 1, 1, 1, 1, 0, NULL, (void *[]){&last}, NULL));
    OK(cuCtxDestroy_v2(f.context));
}

static void device_printf_keeps_order(void **unused)
{
    (void)unused;
    assert_string_equal(output_of("", STDOUT_FILENO, print_body), "line 0\nline 1\nline 2\nhost\nline 3\n");
}

enum { THREADS = 64, ROUNDS = 50 };

static void *hammer(void *at)
{
    CUstream s;
    CUevent e;
    CUdeviceptr mine;
    unsigned back = 0;
    long index = (long)at;
    OK(cuCtxSetCurrent(f.context));
    OK(cuStreamCreate(&s, index % 2 ? CU_STREAM_NON_BLOCKING : CU_STREAM_DEFAULT));
    OK(cuEventCreate(&e, 0));
    for (int i = 0; i < ROUNDS; i++) {
        OK(cuMemAlloc_v2(&mine, 256));
        OK(cuMemsetD32Async(mine, 0, 4, s));
        OK(add(&f, mine, (unsigned)index + 1, s));
        OK(add(&f, f.word, 1, s));
        OK(cuEventRecord(e, s));
        OK(cuMemcpyDtoHAsync_v2(&back, mine, 4, s));
        EXPECT(back, index + 1);
        OK(cuEventSynchronize(e));
        OK(cuMemFree_v2(mine));
    }
    OK(cuStreamDestroy_v2(s));
    OK(cuEventDestroy_v2(e));
    return NULL;
}

static void threads_body(void)
{
    static pthread_t threads[THREADS];
    f = set_up();
    for (long i = 0; i < THREADS; i++)
        EXPECT(pthread_create(&threads[i], NULL, hammer, (void *)i), 0);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    EXPECT(word_at(f.word), THREADS * ROUNDS);
}

static void many_threads_are_fine(void **unused)
{
    (void)unused;
    in_child("threads=1", threads_body);
}

static void leak_body(void)
{
    CUstream s;
    CUdeviceptr p;
    f = set_up();
    OK(cuStreamCreate(&s, 0));
    OK(cuMemAlloc_v2(&p, 1000));
}

static void tidy_body(void)
{
    f = set_up();
    OK(cuCtxDestroy_v2(f.context));
}

static void leaks_are_reported(void **unused)
{
    (void)unused;
    assert_non_null(strstr(output_of("leaks=1", STDERR_FILENO, leak_body),
                           "2 allocations (5096 bytes), 1 contexts, 1 modules, 0 libraries, 1 streams, 0 events"));
    assert_non_null(strstr(output_of("leaks=1", STDERR_FILENO, tidy_body),
                           "0 allocations (0 bytes), 0 contexts, 0 modules, 0 libraries, 0 streams, 0 events"));
    assert_string_equal(output_of("", STDERR_FILENO, leak_body), "");
}

static void faulty_body(void)
{
    f = set_up();
    CUdeviceptr bad = 16;
    OK(cuLaunchKernel(f.poke, 1, 1, 1, 1, 1, 1, 0, NULL, (void *[]){&bad}, NULL));
    EXPECT(cuCtxSynchronize(), CUDA_ERROR_ILLEGAL_ADDRESS);
}

static void faults_are_explained(void **unused)
{
    (void)unused;
    const char *text = output_of("verbose=1", STDERR_FILENO, faulty_body);
    assert_non_null(strstr(text, "poke: error 700 at line "));
    assert_non_null(strstr(text, "address 0x10, block (0,0,0), thread (0,0,0)"));
    assert_string_equal(output_of("", STDERR_FILENO, faulty_body), "");
}

static void log_body(void)
{
    f = set_up();
    OK(add(&f, f.word, 1, NULL));
    EXPECT(cuMemFree_v2(1), CUDA_ERROR_INVALID_VALUE);
}

static void calls_are_logged(void **unused)
{
    (void)unused;
    char path[] = "/tmp/mock_log_XXXXXX", options[100], text[4096];
    int fd = mkstemp(path);
    snprintf(options, sizeof options, "log=%s", path);
    in_child(options, log_body);
    ssize_t n = read(fd, text, sizeof text - 1);
    assert_true(n > 0);
    text[n] = '\0';
    close(fd);
    unlink(path);
    assert_string_equal(text, "cuInit 0\ncuDeviceGet 0\ncuCtxCreate_v2 0\ncuModuleLoadData 0\ncuModuleGetFunction 0\n"
                              "cuModuleGetFunction 0\ncuModuleGetFunction 0\ncuModuleGetFunction 0\n"
                              "cuModuleGetFunction 0\ncuModuleGetFunction 0\ncuMemAlloc_v2 0\ncuMemsetD8_v2 0\n"
                              "cuCtxSynchronize 0\ncuLaunchKernel 0\ncuMemFree_v2 1\n");
}

static void refused_body(void) { EXPECT(cuInit(0), CUDA_ERROR_INVALID_VALUE); }

static struct mock_stamps *stamps; // the test's view of the children's file

static void stamped_body(void)
{
    f = set_up();
    for (unsigned i = 0; i < 3; i++) {
        uint64_t n = atomic_load(&stamps->launches), before = now_ns();
        OK(add(&f, f.word, 1, NULL));
        EXPECT(atomic_load(&stamps->launches), n + 1);
        uint64_t at = atomic_load(&stamps->launch_ns[n % MOCK_STAMPS]);
        TRUE(at >= before && at <= now_ns());
    }
    EXPECT(cuLaunchKernel(f.add, 0, 1, 1, 1, 1, 1, 0, NULL, NULL, NULL), CUDA_ERROR_INVALID_VALUE); // no launch, no stamp
    OK(cuCtxSynchronize());
}

// Two drivers share a file; what is no such file is refused.
static void launches_are_stamped(void **unused)
{
    (void)unused;
    char path[] = "/tmp/mock_stamp_XXXXXX", options[100];
    int fd = mkstemp(path);
    snprintf(options, sizeof options, "stamp=%s", path);
    assert_int_equal(ftruncate(fd, sizeof *stamps), 0);
    stamps = mmap(NULL, sizeof *stamps, PROT_READ, MAP_SHARED, fd, 0);
    assert_true(stamps != MAP_FAILED);
    assert_non_null(strstr(output_of(options, STDERR_FILENO, refused_body), "the file is not one of stamps"));
    assert_int_equal(ftruncate(fd, 0), 0);
    for (unsigned i = 0; i < 2; i++)
        in_child(options, stamped_body);
    assert_true(stamps->magic == MOCK_STAMPS_MAGIC && stamps->capacity == MOCK_STAMPS);
    assert_int_equal(atomic_load(&stamps->launches), 6);
    munmap(stamps, sizeof *stamps);
    close(fd);
    unlink(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fork_leaves_no_driver),  cmocka_unit_test(unfinished_work_does_not_hold_the_exit),
        cmocka_unit_test(dlclose_is_harmless),    cmocka_unit_test(device_printf_keeps_order),
        cmocka_unit_test(many_threads_are_fine),  cmocka_unit_test(leaks_are_reported),
        cmocka_unit_test(faults_are_explained),   cmocka_unit_test(calls_are_logged),
        cmocka_unit_test(launches_are_stamped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
