// SPDX-License-Identifier: Apache-2.0
// Question: does no worker stay without a client, no client without a worker, and does the server end as it
// should? Method: server_front.h.
#include "tests/unit/server_front.h"

// --- sessions

static void serves_a_client(void **state)
{
    struct front f;
    (void)state;
    start(&f, "");
    int fd = client(&f, "echo");
    json_t *root = status_of(&f), *s = json_array_get(json_object_get(root, "sessions"), 0);
    assert_int_equal(json_integer_value(json_object_get(s, "session")), 1);
    assert_string_equal(json_string_value(json_object_get(s, "program")), "echo");
    assert_int_equal(json_integer_value(json_object_get(s, "program_pid")), 42);
    assert_int_equal(json_integer_value(json_object_get(s, "commands")), 7);
    assert_int_equal(strncmp(json_string_value(json_object_get(s, "peer")), "uid ", 4), 0);
    json_decref(root);
    assert_works(&f); // a second one beside it
    close(fd);
    assert_true(no_sessions_within(&f, 3000));
    assert_true(logged(&f, "session 1 ended: over"));
    stop(&f);
}

static void works_without_spares_and_with_many(void **state)
{
    static const char *const settings[] = {"spare_workers = 0\n", "spare_workers = 4\n"};
    (void)state;
    for (int k = 0; k < 2; k++) {
        struct front f;
        int fds[12];
        start(&f, settings[k]);
        for (int i = 0; i < 12; i++)
            fds[i] = client(&f, "echo");
        assert_int_equal(sessions_of(&f), 12);
        for (int i = 0; i < 12; i++)
            close(fds[i]);
        assert_true(no_sessions_within(&f, 3000));
        stop(&f);
    }
}

static void a_dead_spare_is_replaced(void **state)
{
    struct front f;
    (void)state;
    start(&f, "");
    usleep(100000);
    char command[64];
    snprintf(command, sizeof command, "/proc/%d/task/%d/children", f.pid, f.pid);
    FILE *list = fopen(command, "r");
    int spare = 0;
    if (!list || fscanf(list, "%d", &spare) != 1)
        skip();
    fclose(list);
    kill(spare, SIGKILL);
    assert_works(&f);
    stop(&f);
}

static void a_program_name_may_be_any_bytes(void **state)
{
    struct front f;
    (void)state;
    start(&f, "");
    int fd = client(&f, "a\"b\\c\n\xff\x01");
    json_decref(status_of(&f)); // it is JSON all the same
    assert_false(logged(&f, "c\n\xff"));
    close(fd);
    stop(&f);
}

static void a_worker_holds_no_other_descriptors(void **state)
{
    struct front f;
    char list[64] = "";
    (void)state;
    start(&f, "");
    int other = client(&f, "echo"), fd = client(&f, "descriptors");
    assert_int_equal(write(fd, "!", 1), 1);
    size_t got = take(fd, list, sizeof "0 1 2 3 4 5 6 " - 1, 2000);
    list[got] = 0;
    assert_string_equal(list, "0 1 2 3 4 5 6 "); // nothing, log, log, the front door, the content store twice, the client
    assert_int_equal(take(fd, list, 1, 2000), 1);
    assert_int_equal(list[0], '!'); // and that was all of the list
    close(fd);
    close(other);
    stop(&f);
}

static void a_hanging_worker_is_killed(void **state)
{
    struct front f;
    (void)state;
    start(&f, "");
    int fd = client(&f, "hang");
    pid_t worker = worker_of(&f);
    assert_true(worker > 1);
    close(fd);
    assert_false(gone_within(worker, 1000)); // it has some time to end by itself
    assert_true(gone_within(worker, 1000));
    assert_true(no_sessions_within(&f, 1000));
    assert_true(logged(&f, "session 1 ended: killed"));
    assert_works(&f);
    stop(&f);
}

static void a_crashed_worker_is_told_to_its_client(void **state)
{
    struct front f;
    (void)state;
    start(&f, "");
    assert_closed(client(&f, "crash"), 2000);
    assert_closed(client(&f, "protocol"), 2000);
    assert_works(&f);
    assert_true(logged(&f, "session 1 ended: the worker died of signal 9"));
    assert_true(logged(&f, "session 2 ended: the client broke the protocol"));
    stop(&f);
}

static void workers_die_with_the_front_door(void **state)
{
    struct front f;
    (void)state;
    start(&f, "");
    int fd = client(&f, "hang");
    pid_t worker = worker_of(&f);
    kill(f.pid, SIGKILL);
    assert_true(WIFSIGNALED(wait_for(&f)));
    assert_true(gone_within(worker, 2000));
    assert_closed(fd, 2000);
    clean(&f);
}

// --- the end

static void ends_when_the_last_session_does(void **state)
{
    struct front f;
    char word[4];
    (void)state;
    start(&f, "");
    int fd = client(&f, "echo");
    kill(f.pid, SIGTERM);
    usleep(200000);
    assert_int_equal(write(fd, "ping", 4), 4); // it goes on
    assert_int_equal(take(fd, word, 4, 1000), 4);
    assert_int_equal(waitpid(f.pid, NULL, WNOHANG), 0);
    char why[256];
    assert_true(gn_link_connect(f.address, 500, why, sizeof why) < 0); // but nobody comes in
    close(fd);
    assert_int_equal(wait_for(&f), 0);
    struct stat st;
    assert_int_equal(stat(f.control, &st), -1);
    clean(&f);
}

static void a_second_signal_ends_at_once(void **state)
{
    struct front f;
    (void)state;
    start(&f, "");
    int fd = client(&f, "hang");
    pid_t worker = worker_of(&f);
    kill(f.pid, SIGTERM);
    usleep(100000);
    assert_int_equal(waitpid(f.pid, NULL, WNOHANG), 0);
    kill(f.pid, SIGINT);
    assert_int_equal(wait_for(&f), 0);
    assert_true(gone_within(worker, 100));
    assert_closed(fd, 500);
    clean(&f);
}

static void sessions_get_their_time_and_no_more(void **state)
{
    struct front f;
    (void)state;
    start(&f, "");
    int fd = client(&f, "hang");
    int64_t before = gn_now_ms();
    kill(f.pid, SIGTERM);
    assert_int_equal(wait_for(&f), 0);
    int64_t took = gn_now_ms() - before;
    assert_in_range(took, 1800, 4000); // shutdown_s = 2
    assert_closed(fd, 500);
    clean(&f);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(serves_a_client),
    cmocka_unit_test(works_without_spares_and_with_many),
    cmocka_unit_test(a_dead_spare_is_replaced),
    cmocka_unit_test(a_program_name_may_be_any_bytes),
    cmocka_unit_test(a_worker_holds_no_other_descriptors),
    cmocka_unit_test(a_hanging_worker_is_killed),
    cmocka_unit_test(a_crashed_worker_is_told_to_its_client),
    cmocka_unit_test(workers_die_with_the_front_door),
    cmocka_unit_test(ends_when_the_last_session_does),
    cmocka_unit_test(a_second_signal_ends_at_once),
    cmocka_unit_test(sessions_get_their_time_and_no_more),
};

FRONT_MAIN(tests)
