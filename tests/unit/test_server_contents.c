// SPDX-License-Identifier: Apache-2.0
// Are a session's promises kept, bounded and forgotten as the wire says, and do uploads get into the store under the digest that the server takes,
// without their staging slot being used again too early? Method: the handlers of the commands over a store of their own and a driver of stubs.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "remoting/digest.h"
#include "remoting/link/link_memory.h"
#include "server/kept/kept.h"
#include "server/log.h"
#include "server/run/run.h"
#include "server/store/contents.h"
#include "server/worker/commands.h"
#include "server/worker/gate.h"
#include "server/worker/output.h"
#include "server/worker/staging.h"
#include "server/worker/wait.h"
#include "tests/fuzz/fake_driver.h"

enum { CHUNK = 64 << 10, WINDOW = 4 * CHUNK, PROMISED = 4 * CHUNK };
#define CONTEXT 0x101000000ull
#define LEGACY  1

static struct gn_worker w;
static struct gn_status status;
static struct gn_link *mine, *its;
static uint64_t address;
static char folder[64];
static uint8_t data[CHUNK];

static struct gn_request request;
#define RUN(name, ...)                                                                                                                    \
    (request = (struct gn_request){.op = GN_OP_##name},                                                                                 \
     gn_run_##name(&w, &request, &(struct gn_args_##name){__VA_ARGS__}, (void *)(union result){0}.bytes))
union result {
    uint64_t align;
    uint8_t bytes[256];
};

static bool keeps_content;

static int begin_with(const char *directory)
{
    struct gn_store_fds fds;
    struct gn_contents_start start = {.on = true, .promised_bytes = keeps_content ? 2 * PROMISED : PROMISED, .tenant = "uid-7"};
    union result o;
    snprintf(start.directory, sizeof start.directory, "%s", directory);
    memset(&w, 0, sizeof w);
    gn_log_setup(GN_LOG_OFF, 0);
    w.status = &status;
    w.limits = (struct gn_limits){.memory_bytes = 1 << 20, .image_bytes = 1 << 20, .window_bytes = WINDOW, .chunk_bytes = CHUNK, .handles = 2048,
                                  .kept_percent = 25, .kept_host_bytes = 1 << 20, .kept_content = keeps_content};
    memset(&status, 0, sizeof status);
    fake_driver(&w.driver);
    if (gn_link_memory_pair(&mine, &its, NULL) || gn_output_open(&w.output, &w, its, true) || gn_staging_open(&w.staging, &w) ||
        gn_waiters_open(&w.waiters, &w) || gn_gates_open(&w.gates, &w) || gn_commands_open(&w.commands, &w, its, 64 << 10) ||
        gn_store_make(&fds, 1 << 20) || gn_kepts_open(&w.kepts, &w) || gn_contents_open(&w.contents, &w, &start, &fds))
        return -1;
    request = (struct gn_request){0};
    int error = gn_run_primary_retain(&w, &request, &(struct gn_args_primary_retain){.context = CONTEXT}, (void *)o.bytes);
    error = error ? error : (int)gn_run_scope(&w, &request, &(struct gn_args_scope){.context = CONTEXT}, NULL);
    gn_use_context(&w, w.scope ? w.scope->context : NULL);
    error = error ? error : (int)gn_run_memory_alloc(&w, &request, &(struct gn_args_memory_alloc){.size_bytes = 512 << 10}, (void *)o.bytes);
    memcpy(&address, &((struct gn_out_memory_alloc *)o.bytes)->address, sizeof address);
    return error;
}

static int begin(void **state)
{
    (void)state;
    return begin_with("");
}

static int begin_keeping(void **state)
{
    keeps_content = true;
    int error = begin(state);
    keeps_content = false;
    return error;
}

static int begin_on_disk(void **state)
{
    (void)state;
    strcpy(folder, "/tmp/genie-contents-XXXXXX");
    return mkdtemp(folder) ? begin_with(folder) : -1;
}

static int end(void **state)
{
    (void)state;
    gn_gates_stop(&w);
    gn_staging_stop(w.staging);
    gn_contents_finish(w.contents, 5000);
    gn_contents_close(w.contents);
    gn_waiters_close(w.waiters);
    gn_kepts_abandon(w.kepts);
    fake_finish();
    gn_output_close(w.output);
    gn_commands_close(w.commands);
    gn_gates_close(w.gates);
    gn_staging_close(w.staging);
    gn_run_close(&w);
    gn_kepts_close(&w);
    fake_reset();
    its->ops->close(its);
    mine->ops->close(mine);
    gn_link_free(its);
    gn_link_free(mine);
    if (folder[0]) {
        char command[128];
        snprintf(command, sizeof command, "rm -rf %s", folder);
        folder[0] = 0;
        return system(command);
    }
    return 0;
}

static struct gn_content fill(uint8_t seed)
{
    for (size_t i = 0; i < CHUNK; i++)
        data[i] = (uint8_t)(seed + i * 7 + (i >> 8));
    return gn_content_of(data, CHUNK);
}

struct answer {
    CUresult r;
    uint32_t state;
    uint8_t known[GN_OFFER_MAX / 8];
};

static struct answer offer(const struct gn_content *contents, uint32_t count, uint32_t flags)
{
    struct gn_out_content_offer o = {0};
    struct answer answer = {0};
    request = (struct gn_request){.op = GN_OP_content_offer};
    answer.r = gn_run_content_offer(
        &w, &request, &(struct gn_args_content_offer){.flags = flags, .contents = contents, .contents_bytes = count * (uint32_t)sizeof *contents}, &o);
    answer.state = o.state;
    if (!answer.r)
        memcpy(answer.known, o.known, o.known_bytes);
    return answer;
}

static bool known(const struct gn_content *content)
{
    struct answer a = offer(content, 1, 0);
    assert_int_equal(a.r, 0);
    assert_null(request.error);
    return a.known[0] & 1;
}

// As a write of the client's whose digest is `hint`.
static CUresult upload(const struct gn_content *hint)
{
    int slot = gn_staging_take(w.staging, GN_SLOT_LARGE);
    assert_true(slot >= 0);
    struct gn_payload payload = {.data = gn_staging_data(w.staging, slot), .size_bytes = CHUNK, .slot = slot};
    memcpy(payload.data, data, CHUNK);
    struct gn_args_write_stored a = {.stream = LEGACY, .address = address, .low = hint->low, .high = hint->high};
    request = (struct gn_request){.op = GN_OP_write_stored, .payload = &payload};
    CUresult r = gn_run_write_stored(&w, &request, &a, NULL);
    if (!payload.taken)
        gn_staging_release(w.staging, slot);
    return r;
}

static CUresult write_content(const struct gn_content *c)
{
    CUresult r = RUN(write_content, .stream = LEGACY, .address = address, .low = c->low, .high = c->high, .size_bytes = c->size_bytes);
    fake_progress();
    return r;
}

static void what_is_uploaded_is_known_at_once(void **state)
{
    (void)state;
    struct gn_content content = fill(1);
    assert_false(known(&content));
    assert_int_equal(upload(&content), 0);
    assert_true(known(&content)); // it waits for the thread that files it
    assert_int_equal(write_content(&content), 0);
    assert_null(request.error);
}

static void a_wrong_digest_spoils_nothing(void **state)
{
    (void)state;
    struct gn_content right = fill(1), wrong = {1, 2, CHUNK};
    known(&wrong);
    assert_int_equal(upload(&wrong), 0);
    assert_false(known(&wrong));
    assert_true(known(&right));
}

static void what_is_not_promised_ends_the_session(void **state)
{
    (void)state;
    struct gn_content content = fill(1);
    assert_int_not_equal(write_content(&content), 0);
    assert_non_null(request.error);
    known(&content);
    upload(&content); // it is there, but nobody has asked
    gn_contents_finish(w.contents, 5000);
    assert_int_not_equal(write_content(&content), 0);
    assert_non_null(request.error);
    assert_int_not_equal(RUN(image_content, .total_bytes = CHUNK, .low = content.low, .high = content.high, .size_bytes = CHUNK, .upload = 1), 0);
    assert_non_null(request.error);
}

static void promises_are_bounded_and_forgotten(void **state)
{
    (void)state;
    struct gn_content contents[6];
    for (uint8_t i = 0; i < 6; i++) {
        contents[i] = fill(i);
        known(&contents[i]);
        while (upload(&contents[i]))
            fail();
        fake_progress();
        gn_staging_reap(w.staging, true);
        struct answer wait = offer(&contents[i], 1, GN_OFFER_FORGET);
        assert_int_equal(wait.known[0], 1);
    }
    struct answer a = offer(contents, 6, GN_OFFER_FORGET);
    assert_int_equal(a.known[0], 0x0f);
    assert_int_equal(a.state, GN_OFFER_ON | GN_OFFER_FULL);
    assert_int_equal(write_content(&contents[3]), 0);
    assert_null(request.error);
    a = offer(contents + 4, 2, GN_OFFER_FORGET);
    assert_int_equal(a.known[0], 3);
    assert_int_equal(a.state, GN_OFFER_ON);
    write_content(&contents[3]);
    assert_non_null(request.error);
    assert_int_equal(write_content(&contents[5]), 0);
}

static void what_followed_is_promised_too(void **state)
{
    (void)state;
    struct gn_content contents[4];
    for (uint8_t i = 0; i < 4; i++) {
        contents[i] = fill(i % 3); // the last is the first again
        known(&contents[i]);
        upload(&contents[i]);
        fake_progress();
        gn_staging_reap(w.staging, true);
        known(&contents[i]);
    }
    offer(NULL, 0, GN_OFFER_FORGET);
    struct gn_out_content_offer o = {0};
    request = (struct gn_request){.op = GN_OP_content_offer};
    assert_int_equal(gn_run_content_offer(&w, &request, &(struct gn_args_content_offer){.contents = contents, .contents_bytes = sizeof *contents}, &o), 0);
    assert_int_equal(o.state, GN_OFFER_ON);
    assert_int_equal(o.more_bytes, 2 * sizeof *contents); // and round again
    assert_memory_equal(o.more, &contents[1], 2 * sizeof *contents);
    for (int i = 1; i < 3; i++)
        assert_int_equal(write_content(&contents[i]), 0);
    assert_null(request.error);
    struct gn_content others[3] = {fill(40), fill(41), fill(42)};
    for (int i = 0; i < 3; i++) {
        fill((uint8_t)(40 + i));
        upload(&others[i]);
        fake_progress();
        gn_staging_reap(w.staging, true);
    }
    struct answer a = offer(others, 3, 0); // one more fits beside the three
    assert_int_equal(a.known[0], 1);
    assert_int_equal(a.state, GN_OFFER_ON | GN_OFFER_FULL);
}

static void malformed_offers_end_the_session(void **state)
{
    (void)state;
    static struct gn_content many[GN_OFFER_MAX + 1];
    for (int i = 0; i <= GN_OFFER_MAX; i++)
        many[i] = (struct gn_content){(uint64_t)i, 1, 4096};
    assert_int_equal(offer(many, GN_OFFER_MAX, 0).r, 0);
    assert_null(request.error);
    assert_int_equal(offer(NULL, 0, 0).r, 0);
    assert_null(request.error);
    const struct gn_content sizes[] = {{1, 2, 0}, {1, 2, CHUNK + 1}, {1, 2, UINT64_MAX}};
    for (int i = 0; i < 3; i++) {
        offer(&sizes[i], 1, 0);
        assert_non_null(request.error);
    }
    offer(many, GN_OFFER_MAX + 1, 0);
    assert_non_null(request.error);
    offer(many, 1, 2);
    assert_non_null(request.error);
    RUN(content_offer, .contents = many, .contents_bytes = sizeof *many - 1);
    assert_non_null(request.error);
}

static void without_a_store_nothing_is_known(void **state)
{
    (void)state;
    struct gn_contents *there = w.contents;
    struct gn_content content = fill(1);
    w.contents = NULL;
    assert_int_equal(offer(&content, 1, 0).state, 0);
    assert_int_equal(upload(&content), 0);
    assert_false(known(&content));
    write_content(&content);
    assert_non_null(request.error);
    w.contents = there;
}

static void slots_stay_until_both_are_through(void **state)
{
    (void)state;
    struct gn_content content = fill(1);
    int taken = 0, slots[WINDOW / CHUNK];
    known(&content);
    assert_int_equal(upload(&content), 0); // filed or not: the device has not read it
    while (taken < WINDOW / CHUNK && (slots[taken] = gn_staging_take(w.staging, GN_SLOT_LARGE)) >= 0)
        taken++;
    assert_int_equal(taken, WINDOW / CHUNK - 1);
    gn_contents_finish(w.contents, 5000);
    assert_int_equal(gn_staging_take(w.staging, GN_SLOT_LARGE), -1);
    fake_progress();
    int slot = gn_staging_take(w.staging, GN_SLOT_LARGE);
    assert_true(slot >= 0);
    gn_staging_hold(w.staging, slot); // the other way round
    gn_staging_release(w.staging, slot);
    assert_int_equal(gn_staging_take(w.staging, GN_SLOT_LARGE), -1);
    assert_true(gn_staging_let_go(w.staging, slot));
    assert_int_equal(gn_staging_take(w.staging, GN_SLOT_LARGE), slot);
    gn_staging_release(w.staging, slot);
    while (taken)
        gn_staging_release(w.staging, slots[--taken]);
}

static void more_writes_by_name_than_slots(void **state)
{
    (void)state;
    struct gn_content content = fill(1);
    known(&content);
    upload(&content);
    assert_true(known(&content));
    for (int i = 0; i < 3 * GN_CONTENT_SLOTS; i++)
        assert_int_equal(write_content(&content), 0);
}

static void an_image_by_name(void **state)
{
    (void)state;
    static const char head[] = ".version 7.5\n.target sm_75\n.address_size 64\n//";
    struct gn_content content;
    struct gn_taken {
        const void *image, *data;
        size_t size_bytes;
    };
    memset(data, '/', sizeof data);
    memcpy(data, head, sizeof head - 1);
    content = gn_content_of(data, CHUNK);
    known(&content);
    upload(&content);
    assert_true(known(&content));
    assert_int_equal(RUN(image_content, .total_bytes = 2 * CHUNK, .low = content.low, .high = content.high, .size_bytes = CHUNK, .upload = 3), 0);
    assert_int_equal(
        RUN(image_content, .total_bytes = 2 * CHUNK, .offset_bytes = CHUNK, .low = content.low, .high = content.high, .size_bytes = CHUNK, .upload = 3), 0);
    assert_null(request.error);
    RUN(image_content, .total_bytes = 2 * CHUNK, .offset_bytes = 2 * CHUNK, .low = content.low, .high = content.high, .size_bytes = CHUNK, .upload = 3);
    assert_non_null(request.error);
}

// --- on the device

#define OTHER_STREAM 0x106000001ull
static struct gn_content stored(uint8_t seed)
{
    struct gn_content content = fill(seed);
    known(&content);
    upload(&content);
    fake_progress();
    assert_true(known(&content));
    return content;
}
static uint64_t copied(void) { return status.resident_copied_bytes / CHUNK; }

// The first write by name may be the only one; the second leaves the content there; from then on nothing comes from the host.
static void what_is_written_again_stays_there(void **state)
{
    (void)state;
    struct gn_content content = stored(1);
    assert_int_equal(write_content(&content), 0);
    assert_int_equal(status.kept_device_bytes, 0);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(write_content(&content), 0);
        assert_int_equal(status.kept_device_bytes, CHUNK);
        assert_int_equal(copied(), i + 1);
    }
    offer(NULL, 0, GN_OFFER_FORGET); // what is not promised is not written, wherever it is
    assert_int_not_equal(write_content(&content), 0);
    assert_non_null(request.error);
}

static void switched_off_nothing_stays(void **state)
{
    (void)state;
    struct gn_content content = stored(1);
    for (int i = 0; i < 4; i++)
        assert_int_equal(write_content(&content), 0);
    assert_int_equal(status.kept_device_bytes + status.resident_copied_bytes, 0);
}

// More in turn than fits: what is there stays there, until it has not been used for long.
static void what_does_not_fit_does_not_push_out_the_rest(void **state)
{
    enum { FIT = 4, ALL = 6, ROUNDS = 5 }; // a quarter of the device
    (void)state;
    struct gn_content contents[ALL];
    for (uint8_t i = 0; i < ALL; i++)
        contents[i] = stored(i);
    for (int round = 0; round < ROUNDS; round++)
        for (int i = 0; i < ALL; i++)
            assert_int_equal(write_content(&contents[i]), 0);
    assert_int_equal(status.kept_device_bytes, FIT * CHUNK);
    assert_int_equal(copied(), (ROUNDS - 1) * FIT);
    for (int i = 0; i < 8 * FIT; i++)
        assert_int_equal(write_content(&contents[ALL - 1]), 0);
    assert_int_equal(status.kept_device_bytes, FIT * CHUNK);
    assert_true(copied() > (ROUNDS - 1) * FIT + 2 * FIT);
    for (int i = 0; i < FIT; i++) // nothing was freed for it, which would have waited for the device: one place has changed hands
        assert_int_equal(write_content(&contents[i]), 0);
    assert_int_equal(status.kept_device_bytes, FIT * CHUNK);
}

// Whoever else needs the memory has it: the program's allocations, and what is kept for its host memory.
static void it_makes_way(void **state)
{
    (void)state;
    struct gn_content contents[4];
    for (uint8_t i = 0; i < 4; i++) {
        contents[i] = stored(i);
        assert_int_equal(write_content(&contents[i]), 0);
        assert_int_equal(write_content(&contents[i]), 0);
    }
    fake_finish();
    assert_int_equal(status.kept_device_bytes, 4 * CHUNK);
    struct gn_out_kept_open o = {0};
    request = (struct gn_request){.op = GN_OP_kept_open};
    assert_int_equal(gn_run_kept_open(&w, &request, &(struct gn_args_kept_open){.kept = 1ull << 32 | (uint64_t)GN_KIND_KEPT << 24 | 5, .size_bytes = 2 * CHUNK}, &o), 0);
    assert_int_equal(o.place, GN_KEPT_ON_DEVICE);
    assert_int_equal(status.kept_device_bytes, 4 * CHUNK);
    // Freeing waits for the device: not while that waits for the client, or may.
    atomic_fetch_add(&w.busy_gates, 1);
    assert_false(gn_kepts_make_room(&w, 0, CHUNK));
    atomic_fetch_sub(&w.busy_gates, 1);
    w.waits_for_values = true;
    assert_false(gn_kepts_make_room(&w, 0, CHUNK));
    w.waits_for_values = false;
    assert_int_equal(status.kept_device_bytes, 4 * CHUNK);
    assert_true(gn_kepts_make_room(&w, 0, CHUNK));
    assert_int_equal(status.kept_device_bytes, 3 * CHUNK);
    assert_int_equal(status.kept_moved_bytes, 0);
    assert_int_equal(write_content(&contents[0]), 0);
}

// A stream never waits for another one, which may be waiting for the client.
static void a_stream_does_not_wait_for_another(void **state)
{
    (void)state;
    struct gn_content content = stored(1);
    assert_int_equal(RUN(stream_create, .stream = OTHER_STREAM, .flags = CU_STREAM_NON_BLOCKING), 0);
    assert_int_equal(write_content(&content), 0);
    for (int i = 0; i < 2; i++) // not run yet: nothing makes streams go on
        assert_int_equal(RUN(write_content, .stream = LEGACY, .address = address, .low = content.low, .high = content.high, .size_bytes = CHUNK), 0);
    assert_int_equal(copied(), 2);
    assert_int_equal(RUN(write_content, .stream = OTHER_STREAM, .address = address + CHUNK, .low = content.low, .high = content.high, .size_bytes = CHUNK), 0);
    assert_int_equal(copied(), 2);
    fake_progress();
    assert_int_equal(RUN(write_content, .stream = OTHER_STREAM, .address = address + CHUNK, .low = content.low, .high = content.high, .size_bytes = CHUNK), 0);
    assert_int_equal(copied(), 3);
    assert_int_equal(status.kept_device_bytes, CHUNK);
}

static void with_its_context_it_is_gone(void **state)
{
    (void)state;
    struct gn_content content = stored(1);
    for (int i = 0; i < 2; i++)
        assert_int_equal(write_content(&content), 0);
    assert_int_equal(status.kept_device_bytes, CHUNK);
    gn_kepts_context_gone(&w, w.scope->context);
    assert_int_equal(status.kept_device_bytes, 0);
    assert_int_equal(write_content(&content), 0);
    assert_int_equal(status.kept_device_bytes, CHUNK);
}

// --- on disk

static void write_file(const struct gn_content *content, size_t size)
{
    char path[256], name[GN_DISK_NAME_BYTES];
    gn_disk_name(content, name);
    snprintf(path, sizeof path, "%s/uid-7", folder);
    mkdir(path, 0700);
    snprintf(path, sizeof path, "%s/uid-7/%.2s", folder, name);
    mkdir(path, 0700);
    snprintf(path, sizeof path, "%s/uid-7/%.2s/%s", folder, name, name);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    assert_int_equal(fwrite(data, 1, size, f), size);
    fclose(f);
}

static void a_file_is_promised_when_it_is_right(void **state)
{
    (void)state;
    struct gn_content content = fill(1);
    write_file(&content, CHUNK);
    assert_true(known(&content));
    assert_int_equal(write_content(&content), 0);
    content = fill(2);
    write_file(&content, CHUNK - 1); // torn
    assert_false(known(&content));
    data[5]++;
    write_file(&content, CHUNK); // altered
    assert_false(known(&content));
    data[5]--;
    assert_int_equal(upload(&content), 0);
    assert_true(known(&content));
}

static void names_of_files(void **state)
{
    (void)state;
    struct gn_content content = {0x0123456789abcdef, 0xfedcba9876543210, 4096}, back;
    char name[GN_DISK_NAME_BYTES];
    gn_disk_name(&content, name);
    assert_string_equal(name, "fedcba98765432100123456789abcdef-4096");
    assert_true(gn_disk_parse(name, &back) && gn_content_same(&content, &back));
    static const char *const bad[] = {"", "x", "fedcba98765432100123456789abcdef", "fedcba98765432100123456789abcdef-", "fedcba98765432100123456789abcdef-0",
                                      "fedcba98765432100123456789abcdef-04096", "fedcba98765432100123456789abcdef-4096x",
                                      "fedcba98765432100123456789abcdef-1048577", "fedcba98765432100123456789abcdef--1",
                                      "FEDCBA98765432100123456789abcdef-4096", ".new-fedcba98765432100123456789abcdef-4096.1"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_false(gn_disk_parse(bad[i], &back));
}

static void cleaning_takes_the_oldest(void **state)
{
    (void)state;
    struct gn_disk_sum sum;
    bool fresh;
    for (uint8_t i = 0; i < 10; i++) {
        struct gn_content content = fill(i);
        assert_int_equal(gn_disk_save(folder, "uid-7", &content, data, &fresh), 0);
        assert_true(fresh);
        usleep(10000);
    }
    struct gn_content first = fill(0), second = fill(1);
    assert_int_equal(gn_disk_save(folder, "uid-7", &first, data, &fresh), 0);
    assert_false(fresh);
    gn_disk_touch(folder, "uid-7", &first);
    assert_int_equal(gn_disk_clean(folder, 8 * CHUNK, true, &sum), 0);
    assert_int_equal(sum.files, 7); // nine tenths of it, in whole files
    assert_int_equal(sum.bytes, 7 * CHUNK);
    assert_int_equal(gn_disk_load(folder, "uid-7", &first, data), 0);
    assert_int_not_equal(gn_disk_load(folder, "uid-7", &second, data), 0);
    assert_int_not_equal(gn_disk_load(folder, "uid-8", &first, data), 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)
#define KEEPS(name) cmocka_unit_test_setup_teardown(name, begin_keeping, end)
#define DISK(name) cmocka_unit_test_setup_teardown(name, begin_on_disk, end)
    const struct CMUnitTest tests[] = {
        TEST(what_is_uploaded_is_known_at_once), TEST(a_wrong_digest_spoils_nothing), TEST(what_is_not_promised_ends_the_session),
        TEST(promises_are_bounded_and_forgotten), TEST(what_followed_is_promised_too), TEST(malformed_offers_end_the_session), TEST(without_a_store_nothing_is_known),
        KEEPS(what_is_written_again_stays_there), TEST(switched_off_nothing_stays), KEEPS(what_does_not_fit_does_not_push_out_the_rest),
        KEEPS(it_makes_way), KEEPS(a_stream_does_not_wait_for_another), KEEPS(with_its_context_it_is_gone),
        TEST(slots_stay_until_both_are_through), TEST(more_writes_by_name_than_slots), TEST(an_image_by_name),
        DISK(a_file_is_promised_when_it_is_right), DISK(names_of_files), DISK(cleaning_takes_the_oldest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
