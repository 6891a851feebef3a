// SPDX-License-Identifier: Apache-2.0
// Does the content store give back what it was given, to its tenant only, within its memory, and whatever its processes die of? Method: real
// stores, other processes by fork, and a random walk against what must always hold.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "remoting/digest.h"
#include "server/log.h"
#include "server/store/store_parts.h"

enum { MEMORY = 1 << 20, SIZE = 64 << 10 }; // room for 16 of them

static const struct gn_tenant us = {1, 2}, them = {1, 3};
static struct gn_store_fds fds;
static struct gn_store *store;
static uint8_t data[GN_CONTENT_BYTES_MAX], room[GN_CONTENT_BYTES_MAX];

static int begin(void **state)
{
    (void)state;
    gn_log_setup(GN_LOG_OFF, 0);
    return gn_store_make(&fds, MEMORY) || gn_store_open(&store, &fds);
}

static int end(void **state)
{
    (void)state;
    gn_store_close(store);
    return 0;
}

static struct gn_content fill(uint64_t seed, size_t size)
{
    for (size_t i = 0; i + 8 <= size; i += 8) {
        uint64_t value = (seed + i) * 0x9e3779b97f4a7c15;
        memcpy(data + i, &value, 8);
    }
    memset(data + size / 8 * 8, (int)seed, size % 8);
    return gn_content_of(data, size);
}

static int put(struct gn_tenant tenant, uint64_t seed, size_t size)
{
    struct gn_content content = fill(seed, size);
    int slot = gn_store_begin(store, tenant, &content);
    if (slot < 0)
        return slot;
    assert_int_equal(gn_store_write(store, slot, data, size), 0);
    slot = gn_store_finish(store, slot, true);
    assert_true(slot >= 0);
    gn_store_let_go(store, slot);
    return 0;
}

static bool has(struct gn_tenant tenant, uint64_t seed, size_t size)
{
    struct gn_content content = fill(seed, size);
    int slot = gn_store_find(store, tenant, &content);
    if (slot < 0)
        return false;
    assert_true(gn_store_check(store, slot, &content, room));
    assert_memory_equal(room, data, size);
    gn_store_let_go(store, slot);
    return true;
}

static uint64_t pages(void) { return gn_store_counts(store)->pages; }
static uint64_t chunks(void) { return gn_store_counts(store)->chunks; }

// Chains, order of use, free slots and sums all tell the same story.
static void assert_sound(void)
{
    struct store_index *x = store->index;
    uint64_t ready = 0, free_count = 0, listed = 0, chained = 0, sum = 0, states[3] = {0};
    for (uint32_t i = 0; i < x->slot_count; i++) {
        states[x->slots[i].state]++;
        sum += x->slots[i].pages;
        if (x->slots[i].state == STORE_FREE)
            assert_int_equal(x->slots[i].pages, 0);
    }
    for (uint32_t at = x->newest; at != STORE_NONE; at = x->slots[at].older, ready++)
        if (x->slots[at].older != STORE_NONE)
            assert_true(x->slots[x->slots[at].older].newer == at && x->slots[x->slots[at].older].used_at < x->slots[at].used_at);
    for (uint32_t at = x->oldest; at != STORE_NONE; at = x->slots[at].newer)
        listed++;
    for (uint32_t at = x->free; at != STORE_NONE; at = x->slots[at].chained, free_count++)
        assert_int_equal(x->slots[at].state, STORE_FREE);
    for (uint32_t i = 0; i < x->bucket_count; i++)
        for (uint32_t at = store->buckets[i]; at != STORE_NONE; at = x->slots[at].chained, chained++)
            assert_ptr_equal(store_bucket(store, x->slots[at].tenant, &x->slots[at].content), &store->buckets[i]);
    assert_true(ready == states[STORE_READY] && listed == ready && chained == ready && ready == chunks());
    assert_int_equal(free_count, states[STORE_FREE]);
    assert_int_equal(sum, pages());
    assert_true(pages() <= x->pages_max);
    struct stat about;
    assert_int_equal(fstat(fds.data, &about), 0);
    assert_true((uint64_t)about.st_blocks * 512 <= MEMORY); // the memory that the bytes really take
}

static void gives_back_what_it_was_given(void **state)
{
    (void)state;
    assert_false(has(us, 1, SIZE));
    assert_int_equal(put(us, 1, SIZE), 0);
    assert_int_equal(put(us, 2, 4097), 0);
    assert_true(has(us, 1, SIZE) && has(us, 2, 4097));
    assert_false(has(us, 1, SIZE - 8));
    assert_int_equal(put(us, 1, SIZE), -EEXIST);
    assert_int_equal(pages(), SIZE / 4096 + 2);
    assert_sound();
}

static void knows_tenants_apart(void **state)
{
    (void)state;
    assert_int_equal(put(us, 1, SIZE), 0);
    assert_false(has(them, 1, SIZE));
    assert_int_equal(put(them, 1, SIZE), 0); // each pays for its own
    assert_int_equal(chunks(), 2);
    assert_true(has(them, 1, SIZE));
}

static void evicts_what_was_used_least_recently(void **state)
{
    (void)state;
    for (uint64_t i = 0; i < 16; i++)
        assert_int_equal(put(us, i, SIZE), 0);
    assert_int_equal(pages(), MEMORY / 4096);
    assert_true(has(us, 0, SIZE));
    assert_int_equal(put(us, 16, SIZE), 0);
    assert_true(has(us, 0, SIZE) && has(us, 16, SIZE));
    assert_false(has(us, 1, SIZE));
    assert_int_equal(put(us, 17, 4 * SIZE), 0); // several go for one
    assert_int_equal(put(us, 18, 4096), 0);     // and one for a smaller one
    assert_sound();
    assert_int_equal(put(us, 19, MEMORY), 0);
    assert_int_equal(chunks(), 1);
    assert_sound();
}

static void never_evicts_what_is_held(void **state)
{
    (void)state;
    struct gn_content content = fill(7, SIZE);
    assert_int_equal(put(us, 7, SIZE), 0);
    int slot = gn_store_find(store, us, &content);
    for (uint64_t i = 100; i < 140; i++)
        assert_int_equal(put(us, i, SIZE), 0);
    content = fill(7, SIZE);
    assert_true(gn_store_check(store, slot, &content, room));
    assert_int_equal(put(us, 200, MEMORY), -ENOSPC);
    assert_true(gn_store_counts(store)->refused > 0);
    assert_sound();
    gn_store_let_go(store, slot);
    assert_int_equal(put(us, 200, MEMORY), 0);
    assert_false(has(us, 7, SIZE));
}

static void finds_no_room_when_all_is_held(void **state)
{
    (void)state;
    int held[16];
    for (uint64_t i = 0; i < 16; i++) {
        assert_int_equal(put(us, i, SIZE), 0);
        struct gn_content content = fill(i, SIZE);
        held[i] = gn_store_find(store, us, &content);
    }
    assert_int_equal(put(us, 16, 4096), -ENOSPC);
    for (int i = 0; i < 16; i++)
        assert_true(has(us, (uint64_t)i, SIZE));
    for (int i = 0; i < 16; i++)
        gn_store_let_go(store, held[i]);
    assert_int_equal(put(us, 16, 4096), 0);
    assert_sound();
}

static void drops_what_was_altered(void **state)
{
    (void)state;
    assert_int_equal(put(us, 1, SIZE), 0);
    struct gn_content content = fill(1, SIZE);
    int slot = gn_store_find(store, us, &content);
    assert_int_equal(pwrite(fds.data, "x", 1, (off_t)slot * STORE_SLOT_BYTES + 100), 1);
    assert_false(gn_store_check(store, slot, &content, room));
    gn_store_let_go(store, slot);
    assert_false(has(us, 1, SIZE));
    assert_int_equal(gn_store_counts(store)->spoilt, 1);
    assert_int_equal(put(us, 1, SIZE), 0); // and takes it anew
    assert_true(has(us, 1, SIZE));
}

static void an_upload_given_up_leaves_nothing(void **state)
{
    (void)state;
    struct gn_content content = fill(1, SIZE);
    int slot = gn_store_begin(store, us, &content);
    assert_false(has(us, 1, SIZE));
    assert_int_equal(gn_store_finish(store, slot, false), -ENOENT);
    assert_int_equal(pages(), 0);
    assert_sound();
}

static void two_fill_the_same(void **state)
{
    (void)state;
    struct gn_content content = fill(1, SIZE);
    int a = gn_store_begin(store, us, &content), b = gn_store_begin(store, us, &content);
    assert_true(a >= 0 && b >= 0 && a != b);
    assert_int_equal(gn_store_write(store, a, data, SIZE) | gn_store_write(store, b, data, SIZE), 0);
    assert_int_equal(gn_store_finish(store, a, true), a);
    assert_int_equal(gn_store_finish(store, b, true), a);
    gn_store_let_go(store, a);
    gn_store_let_go(store, a);
    assert_int_equal(chunks(), 1);
    assert_sound();
}

static void refuses_impossible_sizes(void **state)
{
    (void)state;
    assert_int_equal(gn_store_begin(store, us, &(struct gn_content){1, 2, 0}), -EINVAL);
    assert_int_equal(gn_store_begin(store, us, &(struct gn_content){1, 2, GN_CONTENT_BYTES_MAX + 1}), -EINVAL);
    assert_int_equal(gn_store_find(store, us, &(struct gn_content){1, 2, 0}), -ENOENT);
}

// --- other processes

// Runs it in a process of its own, which has opened the store for itself; it must say when it is ready, and is killed then.
static void in_a_process_that_is_killed(void (*act)(struct gn_store *its), void (*meanwhile)(void))
{
    int pair[2];
    char byte;
    assert_int_equal(pipe(pair), 0);
    pid_t pid = fork();
    if (!pid) {
        struct gn_store *its;
        if (gn_store_open(&its, &fds))
            _exit(1);
        act(its);
        if (write(pair[1], "!", 1) != 1)
            _exit(2);
        for (;;)
            pause();
    }
    close(pair[1]);
    assert_int_equal(read(pair[0], &byte, 1), 1);
    close(pair[0]);
    if (meanwhile)
        meanwhile();
    kill(pid, SIGKILL);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
}

static void hold_seven(struct gn_store *its)
{
    struct gn_content content = fill(7, SIZE);
    if (gn_store_find(its, us, &content) < 0)
        _exit(3);
}

static void fill_everything(void)
{
    for (uint64_t i = 100; i < 140; i++)
        assert_int_equal(put(us, i, SIZE), 0);
    assert_true(has(us, 7, SIZE));
}

static void what_a_process_holds_goes_when_it_dies(void **state)
{
    (void)state;
    assert_int_equal(put(us, 7, SIZE), 0);
    in_a_process_that_is_killed(hold_seven, fill_everything);
    for (uint64_t i = 100; i < 140; i++)
        assert_int_equal(put(us, 100 + i, SIZE), 0);
    assert_false(has(us, 7, SIZE));
    assert_sound();
}

static void begin_seven(struct gn_store *its)
{
    struct gn_content content = fill(7, MEMORY / 2);
    int slot = gn_store_begin(its, us, &content);
    if (slot < 0 || gn_store_write(its, slot, data, MEMORY / 4))
        _exit(3);
}

static void not_there_yet(void)
{
    assert_false(has(us, 7, MEMORY / 2));
    assert_int_equal(put(us, 8, MEMORY), -ENOSPC);
    if (store_lock(store)) {
        store_scavenge(store); // it is being filled: nothing to take
        store_unlock(store);
    }
    assert_int_equal(pages(), MEMORY / 2 / 4096);
}

static void half_an_upload_goes_with_its_process(void **state)
{
    (void)state;
    in_a_process_that_is_killed(begin_seven, not_there_yet);
    assert_int_equal(put(us, 8, MEMORY), -ENOSPC); // which looks for what the dead have left
    assert_int_equal(put(us, 8, MEMORY), 0);
    assert_sound();
}

static void die_over_the_index(struct gn_store *its)
{
    struct store_index *x = its->index;
    if (!store_lock(its))
        _exit(3);
    // In the midst of several changes: a slot taken out of nothing yet, an order of use cut in two, a free list that leads nowhere.
    x->slots[x->newest].state = STORE_FREE;
    x->oldest = x->newest;
    x->free = STORE_NONE;
    its->buckets[0] = x->slot_count / 2;
    atomic_store(&x->counts.pages, 12345);
}

static void the_index_survives_its_owner(void **state)
{
    (void)state;
    for (uint64_t i = 0; i < 10; i++)
        assert_int_equal(put(us, i, SIZE), 0);
    struct gn_content content = fill(4, SIZE);
    int held = gn_store_find(store, us, &content);
    in_a_process_that_is_killed(die_over_the_index, NULL);
    assert_true(has(us, 0, SIZE));
    assert_sound();
    assert_int_equal(chunks(), 9);
    assert_false(has(us, 4, SIZE)); // the newest: taken out
    for (uint64_t i = 0; i < 10; i++)
        assert_true(i == 4 || has(us, i, SIZE));
    gn_store_let_go(store, held);
    for (uint64_t i = 50; i < 80; i++)
        assert_int_equal(put(us, i, SIZE), 0);
    assert_sound();
}

static void nonsense_in_a_slot_is_freed(void **state)
{
    (void)state;
    for (uint64_t i = 0; i < 4; i++)
        assert_int_equal(put(us, i, SIZE), 0);
    assert_true(store_lock(store));
    store->index->slots[0].state = 77;
    store->index->slots[1].content.size_bytes = 1ull << 40;
    store->index->slots[2].pages = 0;
    store_rebuild(store);
    store_unlock(store);
    assert_int_equal(chunks(), 1);
    assert_sound();
}

static void a_random_walk_stays_sound(void **state)
{
    (void)state;
    static const size_t sizes[] = {4096, 4097, 20000, SIZE, 3 * SIZE, MEMORY / 2};
    int held[8] = {-1, -1, -1, -1, -1, -1, -1, -1};
    uint64_t random = 42;
    for (int i = 0; i < 3000; i++) {
        random = random * 6364136223846793005 + 1442695040888963407;
        uint64_t seed = random >> 33 & 63, what = random >> 40 & 7, which = random >> 50 & 7;
        size_t size = sizes[seed % (sizeof sizes / sizeof *sizes)];
        if (what < 4) {
            int r = put(what & 1 ? us : them, seed, size);
            assert_true(r == 0 || r == -EEXIST || r == -ENOSPC);
        } else if (what < 6) {
            has(what & 1 ? us : them, seed, size);
        } else if (held[which] >= 0) {
            gn_store_let_go(store, held[which]);
            held[which] = -1;
        } else {
            struct gn_content content = fill(seed, size);
            held[which] = gn_store_find(store, us, &content);
        }
        if (i % 50 == 0)
            assert_sound();
        if (i % 500 == 499 && store_lock(store)) {
            store_rebuild(store);
            store_unlock(store);
            assert_sound();
        }
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)
    const struct CMUnitTest tests[] = {
        TEST(gives_back_what_it_was_given), TEST(knows_tenants_apart), TEST(evicts_what_was_used_least_recently), TEST(never_evicts_what_is_held),
        TEST(finds_no_room_when_all_is_held), TEST(drops_what_was_altered), TEST(an_upload_given_up_leaves_nothing), TEST(two_fill_the_same),
        TEST(refuses_impossible_sizes), TEST(what_a_process_holds_goes_when_it_dies), TEST(half_an_upload_goes_with_its_process),
        TEST(the_index_survives_its_owner), TEST(nonsense_in_a_slot_is_freed), TEST(a_random_walk_stays_sound),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
