// SPDX-License-Identifier: Apache-2.0
// Marks as the client's session keeps them: names that come back when they are told of, what is remembered of older ones, doubt after what could
// imply more than has been told, and a server that tells of marks that are not out.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "core/frame.h"
#include "remoting/link/link_memory.h"
#include "remoting/session/session.h"

static struct gn_session *session;
static struct gn_link *server;

static int set_up(void **state)
{
    static const struct gn_session_config config = {.ring_bytes = 64 << 10, .receive_bytes = 8 << 10};
    static const struct gn_welcome welcome = {.window_bytes = 1 << 20, .chunk_bytes = 1 << 16};
    struct gn_link *mine;
    (void)state;
    assert_int_equal(gn_link_memory_pair(&mine, &server, &(struct gn_link_faults){0}), 0);
    assert_int_equal(gn_session_open(&session, mine, &config, &welcome), 0);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    gn_session_close(session);
    server->ops->close(server);
    gn_link_free(server);
    return 0;
}

static void say(uint16_t kind, int32_t code, const void *body, size_t body_bytes)
{
    struct gn_message m = {.kind = kind, .code = code, .size_bytes = (uint32_t)body_bytes};
    struct iovec pieces[2] = {{&m, sizeof m}, {(void *)(uintptr_t)body, body_bytes}};
    ssize_t sent = server->ops->send(server, pieces, body_bytes ? 2 : 1, 1);
    assert_int_equal(sent, (ssize_t)(sizeof m + body_bytes));
}

static void tell(const uint64_t *marks, size_t count, int32_t code)
{
    say(GN_MESSAGE_MARK, code, marks, count * sizeof *marks);
    gn_session_poll(session);
}

static uint64_t open_one(void) { return gn_session_mark_open(session, gn_session_heard(session)); }

static void a_mark_is_told_of(void **state)
{
    (void)state;
    uint64_t marks[3] = {open_one(), open_one(), open_one()};
    assert_true(marks[0] && marks[1] && marks[2] && marks[0] != marks[1] && marks[1] != marks[2]);
    for (int i = 0; i < 3; i++)
        assert_int_equal(gn_session_mark_look(session, marks[i]), GN_MARK_PENDING);
    tell((uint64_t[]){marks[2], marks[0]}, 2, 0);
    assert_int_equal(gn_session_mark_look(session, marks[0]), GN_MARK_PASSED);
    assert_int_equal(gn_session_mark_look(session, marks[1]), GN_MARK_PENDING);
    assert_int_equal(gn_session_mark_look(session, marks[2]), GN_MARK_PASSED);
    assert_true(gn_session_mark_out(session, marks[1]));
    tell(&marks[1], 1, 700);
    assert_int_equal(gn_session_mark_look(session, marks[1]), GN_MARK_DOUBTFUL);
    assert_false(gn_session_mark_out(session, marks[1]));
    struct gn_session_counts counts;
    gn_session_count(session, &counts);
    assert_int_equal(counts.marks, 3);
}

static void names_that_never_were_are_doubtful(void **state)
{
    (void)state;
    const uint64_t names[] = {0, 1, 5 << 16, (uint64_t)1 << 63, 0xffff, GN_MARKS_MAX | 1 << 16};
    uint64_t mark = open_one();
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        assert_int_equal(gn_session_mark_look(session, names[i]), GN_MARK_DOUBTFUL);
    gn_session_mark_drop(session, mark + ((uint64_t)1 << 16)); // the next use of the place: not out
    assert_int_equal(gn_session_mark_look(session, mark), GN_MARK_PENDING);
    gn_session_mark_drop(session, mark);
    assert_int_equal(gn_session_mark_look(session, mark), GN_MARK_DOUBTFUL);
}

static void what_may_imply_more_leaves_doubt(void **state)
{
    (void)state;
    uint64_t heard = gn_session_heard(session), mark = open_one();
    say(GN_MESSAGE_ACK, 0, NULL, 0);
    gn_session_poll(session);
    assert_int_equal(gn_session_mark_look(session, mark), GN_MARK_PENDING);
    say(GN_MESSAGE_HOST, 0, NULL, 0); // a host function runs: its stream has come so far
    gn_session_poll(session);
    assert_true(gn_session_heard(session) > heard);
    assert_int_equal(gn_session_mark_look(session, mark), GN_MARK_DOUBTFUL);
    assert_true(gn_session_mark_out(session, mark));
    gn_session_mark_renew(session, mark, heard); // asked before it was heard: proves nothing
    assert_int_equal(gn_session_mark_look(session, mark), GN_MARK_DOUBTFUL);
    gn_session_mark_renew(session, mark, gn_session_heard(session));
    assert_int_equal(gn_session_mark_look(session, mark), GN_MARK_PENDING);
    gn_session_doubt(session);
    assert_int_equal(gn_session_mark_look(session, mark), GN_MARK_DOUBTFUL);
    tell(&mark, 1, 0); // but what is told is told
    assert_int_equal(gn_session_mark_look(session, mark), GN_MARK_PASSED);
    uint64_t late = gn_session_mark_open(session, heard); // opened with an old count
    assert_int_equal(gn_session_mark_look(session, late), GN_MARK_DOUBTFUL);
}

static void there_are_so_many(void **state)
{
    (void)state;
    static uint64_t marks[GN_MARKS_MAX];
    for (int i = 0; i < GN_MARKS_MAX; i++)
        assert_true(marks[i] = open_one());
    assert_int_equal(open_one(), 0);
    tell(marks, GN_MARKS_MAX, 0); // the largest message there is, through the smallest buffer
    assert_null(gn_session_over(session));
    for (int i = 0; i < GN_MARKS_MAX; i++)
        assert_int_equal(gn_session_mark_look(session, marks[i]), GN_MARK_PASSED);
    assert_true(open_one());
}

static void a_place_remembers_so_many_uses(void **state)
{
    (void)state;
    static uint64_t first[GN_MARKS_MAX];
    enum { USES = 66 };
    for (int use = 0; use < USES; use++) {
        static uint64_t marks[GN_MARKS_MAX];
        for (int i = 0; i < GN_MARKS_MAX; i++)
            marks[i] = open_one();
        if (!use)
            memcpy(first, marks, sizeof first);
        tell(marks, GN_MARKS_MAX, use % 2);
        // As long as a place remembers: what it was first used for has passed. Then it has to be asked for, which is never wrong.
        assert_int_equal(gn_session_mark_look(session, first[7]), use < 64 ? GN_MARK_PASSED : GN_MARK_DOUBTFUL);
        assert_int_equal(gn_session_mark_look(session, marks[7]), use % 2 ? GN_MARK_DOUBTFUL : GN_MARK_PASSED);
    }
}

static void lie(const void *body, size_t body_bytes)
{
    say(GN_MESSAGE_MARK, 0, body, body_bytes);
    gn_session_poll(session);
    assert_non_null(gn_session_over(session));
}

static void a_mark_that_is_not_out_ends_the_session(void **state)
{
    (void)state;
    uint64_t mark = open_one();
    tell(&mark, 1, 0);
    assert_null(gn_session_over(session));
    lie(&mark, sizeof mark); // twice
}
static void a_mark_before_any_ends_the_session(void **state)
{
    (void)state;
    lie((uint64_t[]){1 << 16}, 8);
}
static void a_mark_beyond_all_places_ends_the_session(void **state)
{
    (void)state;
    open_one();
    lie((uint64_t[]){0xffff | 1 << 16}, 8);
}
static void a_message_of_half_a_mark_ends_the_session(void **state)
{
    (void)state;
    uint64_t marks[2] = {open_one(), 0};
    struct gn_message m = {.kind = GN_MESSAGE_MARK, .size_bytes = 12};
    struct iovec pieces[2] = {{&m, sizeof m}, {marks, sizeof marks}};
    assert_int_equal(server->ops->send(server, pieces, 2, 1), (ssize_t)(sizeof m + sizeof marks));
    gn_session_poll(session);
    assert_non_null(gn_session_over(session));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_mark_is_told_of, set_up, tear_down),
        cmocka_unit_test_setup_teardown(names_that_never_were_are_doubtful, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_may_imply_more_leaves_doubt, set_up, tear_down),
        cmocka_unit_test_setup_teardown(there_are_so_many, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_place_remembers_so_many_uses, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_mark_that_is_not_out_ends_the_session, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_mark_before_any_ends_the_session, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_mark_beyond_all_places_ends_the_session, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_message_of_half_a_mark_ends_the_session, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
