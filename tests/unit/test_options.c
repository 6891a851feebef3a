// SPDX-License-Identifier: Apache-2.0
// Question: do the client's options take what they should, refuse the rest with a useful sentence, and
// override one another in the documented order? Method: values through gn_options_set, files written here, an
// environment of our own; configs/client.toml with its comments removed.
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "interpose/options.h"
#include "interpose/options_file.h"

static char why[GN_WHY_BYTES];

static const char *environment[16][2];

static char *get(const char *name)
{
    for (int i = 0; environment[i][0]; i++)
        if (!strcmp(environment[i][0], name))
            return (char *)(uintptr_t)environment[i][1];
    return NULL;
}

static struct gn_options defaults(void)
{
    struct gn_options o;
    memset(environment, 0, sizeof environment);
    assert_int_equal(gn_options_read(&o, NULL, get, why), 0);
    return o;
}

static int set(const char *name, const char *value)
{
    struct gn_options o = defaults();
    *why = 0;
    return gn_options_set(&o, name, value, why);
}

static void the_defaults(void **state)
{
    (void)state;
    struct gn_options o = defaults();
    assert_string_equal(o.server, "");
    assert_false(o.local);
    assert_int_equal(o.optimisations, GN_OPT_ALL);
    assert_int_equal(o.log_level, GN_LOG_WARN);
    assert_string_equal(o.log_path, "");
    assert_int_equal(o.ring_bytes, 1 << 20);
    assert_int_equal(o.connect_timeout_ms, 10000);
}

static void good_values(void **state)
{
    (void)state;
    struct gn_options o = defaults();
    assert_int_equal(gn_options_set(&o, "server", "unix:/run/genie", why), 0);
    assert_string_equal(o.server, "unix:/run/genie");
    assert_int_equal(gn_options_set(&o, "mode", "local", why), 0);
    assert_true(o.local);
    assert_int_equal(gn_options_set(&o, "mode", "remote", why), 0);
    assert_false(o.local);
    assert_int_equal(gn_options_set(&o, "driver", "/opt/libcuda.so.1", why), 0);
    assert_int_equal(gn_options_set(&o, "driver", "", why), 0);
    assert_int_equal(gn_options_set(&o, "ring", "64K", why), 0);
    assert_int_equal(o.ring_bytes, 65536);
    assert_int_equal(gn_options_set(&o, "ring", "256MiB", why), 0);
    assert_int_equal(gn_options_set(&o, "ring", "131072", why), 0);
    assert_int_equal(o.ring_bytes, 131072);
    assert_int_equal(gn_options_set(&o, "lanes", "8", why), 0);
    assert_int_equal(o.connections, 8);
    assert_int_equal(gn_options_set(&o, "lanes", "auto", why), 0);
    assert_int_equal(o.connections, 0);
    assert_int_equal(gn_options_set(&o, "timeout", "1500ms", why), 0);
    assert_int_equal(o.connect_timeout_ms, 1500);
    assert_int_equal(gn_options_set(&o, "timeout", "0.5", why), 0);
    assert_int_equal(o.connect_timeout_ms, 500);
    assert_int_equal(gn_options_set(&o, "log", "debug:/tmp/x:y", why), 0);
    assert_int_equal(o.log_level, GN_LOG_DEBUG);
    assert_string_equal(o.log_path, "/tmp/x:y");
    assert_int_equal(gn_options_set(&o, "log", "off", why), 0);
    assert_int_equal(o.log_level, GN_LOG_OFF);
    assert_string_equal(o.log_path, "");
}

static void bad_values(void **state)
{
    (void)state;
    static const char *const bad[][2] = {
        {"mode", "remotely"},
        {"profile", "small"},
        {"profile", ""},
        {"mode", ""},
        {"driver", "libcuda.so.1"},
        {"driver", "./libcuda.so.1"},
        {"ring", "63K"},
        {"ring", "100000"},
        {"ring", "32768"},
        {"ring", "512M"},
        {"ring", "1X"},
        {"ring", ""},
        {"ring", "-65536"},
        {"ring", "64 KB"},
        {"lanes", "0"},
        {"lanes", "9"},
        {"lanes", "-1"},
        {"lanes", "4x"},
        {"timeout", "0"},
        {"timeout", "0.1ms"},
        {"timeout", "2h"},
        {"timeout", "-1"},
        {"timeout", "soon"},
        {"timeout", "nan"},
        {"timeout", "inf"},
        {"log", "loud"},
        {"log", ""},
        {"log", "warn:"},
        {"log", "warning"},
        {"log", ":/tmp/x"},
        {"opt", "-pots"},
        {"opt", "-"},
        {"opt", "-post,,"},
        {"opt", "--post"},
        {"opt", "-post -uring"},
        {"server", NULL},
        {"token", NULL},
        {"trace", NULL},
    };
    char longest[2 * PATH_MAX];
    memset(longest, 'x', sizeof longest - 1);
    longest[sizeof longest - 1] = 0;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        if (set(bad[i][0], bad[i][1] ? bad[i][1] : longest) != -EINVAL)
            fail_msg("%s took '%s'", bad[i][0], bad[i][1]);
        assert_memory_equal(why, bad[i][0], strlen(bad[i][0])); // says which
        assert_true(strlen(why) > strlen(bad[i][0]) + 10);      // and what would be right
    }
}

static void unknown_names_are_listed(void **state)
{
    (void)state;
    assert_int_equal(set("colour", "red"), -EINVAL);
    assert_non_null(strstr(why, "'colour'"));
    assert_non_null(strstr(why, "timeout"));
    assert_int_equal(set("opt", "-post,-warp"), -EINVAL);
    assert_non_null(strstr(why, "'-warp'"));
    assert_non_null(strstr(why, "uring"));
    char longest[5000];
    memset(longest, 'a', sizeof longest - 1);
    longest[sizeof longest - 1] = 0;
    assert_int_equal(set(longest, ""), -EINVAL);
    assert_int_equal(set("opt", longest), -EINVAL);
}

static void optimisations_on_and_off(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        unsigned on;
    } cases[] = {
        {"", GN_OPT_ALL},
        {"all", GN_OPT_ALL},
        {"-all", 0},
        {"-post", GN_OPT_ALL & ~GN_OPT_POST},
        {"-post,-uring", GN_OPT_ALL & ~GN_OPT_POST & ~GN_OPT_URING},
        {"-shm", GN_OPT_ALL & ~GN_OPT_SHM},
        {"-all,post", GN_OPT_POST},
        {"-uring,uring", GN_OPT_ALL},
        {"post,-all", 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct gn_options o = defaults();
        assert_int_equal(gn_options_set(&o, "opt", cases[i].text, why), 0);
        assert_int_equal(o.optimisations, cases[i].on);
    }
}

// What the profile gives, and what was asked for beside it, in whichever order.
static void the_embedded_profile(void **state)
{
    (void)state;
    const unsigned small = GN_OPT_ALL & ~GN_OPT_NOT_EMBEDDED;
    struct gn_options o = defaults();
    assert_false(o.embedded);
    assert_int_equal(o.receive_bytes, 64 << 10);
    assert_int_equal(gn_options_set(&o, "profile", "embedded", why), 0);
    assert_true(o.embedded);
    assert_int_equal(o.ring_bytes, 64 << 10);
    assert_int_equal(o.receive_bytes, 16 << 10);
    assert_int_equal(o.optimisations, small);
    assert_false(o.optimisations & GN_OPT_THREADS);
    assert_int_equal(gn_options_set(&o, "opt", "-post,shm", why), 0);
    assert_int_equal(o.optimisations, (small & ~GN_OPT_POST) | GN_OPT_SHM);
    assert_int_equal(gn_options_set(&o, "opt", "all", why), 0);
    assert_int_equal(o.optimisations, GN_OPT_ALL);
    assert_int_equal(gn_options_set(&o, "opt", "", why), 0);
    assert_int_equal(o.optimisations, small);
    assert_int_equal(gn_options_set(&o, "ring", "128K", why), 0);
    assert_int_equal(gn_options_set(&o, "profile", "embedded", why), 0);
    assert_int_equal(o.ring_bytes, 128 << 10);
    assert_int_equal(gn_options_set(&o, "profile", "default", why), 0);
    assert_int_equal(o.optimisations, GN_OPT_ALL);
    assert_int_equal(o.ring_bytes, 128 << 10);
    assert_int_equal(o.receive_bytes, 64 << 10);
    o = defaults();
    assert_int_equal(gn_options_set(&o, "ring", "256K", why), 0);
    assert_int_equal(gn_options_set(&o, "opt", "-uring", why), 0);
    assert_int_equal(gn_options_set(&o, "profile", "embedded", why), 0);
    assert_int_equal(o.ring_bytes, 256 << 10);
    assert_int_equal(o.optimisations, small & ~GN_OPT_URING);
}

// --- files

static char path[] = "/tmp/genie-options-XXXXXX";

static int read_text(struct gn_options *o, const char *text)
{
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
    return gn_options_read(o, path, get, why);
}

static void a_file_and_the_environment(void **state)
{
    (void)state;
    struct gn_options o = defaults();
    assert_int_equal(read_text(&o, "server = \"a:1\"\ntoken = 'secret'\nopt = [\"-post\", \"-uring\"]\nring "
                                   "= \"128KiB\"\ntimeout = 2.5\n"
                                   "log = \"info\"\n"),
                     0);
    assert_string_equal(o.server, "a:1");
    assert_string_equal(o.token, "secret");
    assert_int_equal(o.optimisations, GN_OPT_ALL & ~GN_OPT_POST & ~GN_OPT_URING);
    assert_int_equal(o.ring_bytes, 128 << 10);
    assert_int_equal(o.connect_timeout_ms, 2500);
    environment[0][0] = "GENIE_SERVER";
    environment[0][1] = "b:2";
    environment[1][0] = "GENIE_OPT";
    environment[1][1] = "-threads";
    environment[2][0] = "GENIE_LOG";
    environment[2][1] = ""; // set but empty is not set
    assert_int_equal(read_text(&o, "server = \"a:1\"\nlog = \"info\"\n"), 0);
    assert_string_equal(o.server, "b:2");
    assert_int_equal(o.optimisations, GN_OPT_ALL & ~GN_OPT_THREADS);
    assert_int_equal(o.log_level, GN_LOG_INFO);
    environment[1][1] = "-thread";
    assert_int_equal(read_text(&o, ""), -EINVAL);
    assert_non_null(strstr(why, "GENIE_OPT"));
    assert_non_null(strstr(why, "threads"));
}

static void bad_files(void **state)
{
    (void)state;
    static const struct {
        const char *text, *place;
    } cases[] = {
        {"sever = \"a:1\"\n", ":1:1:"},
        {"server = 3\n", ":1:10:"},
        {"\nmode = \"lokal\"\n", ":2:8:"},
        {"opt = [\"-uring\", \"-x\"]\n", ":1:7:"},
        {"opt = \"-uring\"\n", ":1:7:"},
        {"ring = 1000\n", ":1:8:"},
        {"timeout = \"1 fortnight\"\n", ":1:11:"},
        {"server = \"a", ":1:"},
        {"server = \"a:1\"\nserver = \"b:1\"\n", ":2:1:"},
        {"[client]\nserver = \"a:1\"\n", ":1:"},
        {"driver = \"libcuda\"\n", ":1:10:"},
        {"log = \"chatty\"\n", ":1:7:"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct gn_options o = defaults();
        if (read_text(&o, cases[i].text) != -EINVAL)
            fail_msg("took: %s", cases[i].text);
        if (strncmp(why, path, strlen(path)) || !strstr(why, cases[i].place))
            fail_msg("'%s' has no %s", why, cases[i].place);
    }
    struct gn_options o = defaults();
    assert_int_equal(read_text(&o, "sever = \"a:1\"\n"), -EINVAL);
    assert_non_null(strstr(why, "\"server\"")); // the nearest
    assert_int_equal(gn_options_read(&o, "/nonexistent/client.toml", get, why), -EINVAL);
    assert_non_null(strstr(why, "/nonexistent/client.toml"));
    assert_int_equal(gn_options_read(&o, "/tmp", get, why), -EINVAL); // a folder
}

static void a_file_that_is_too_large(void **state)
{
    (void)state;
    struct gn_options o = defaults();
    char *text = malloc((64 << 10) + 2);
    memset(text, '\n', (64 << 10) + 1);
    text[64 << 10] = 0;
    assert_int_equal(read_text(&o, text), 0);
    text[64 << 10] = '\n';
    text[(64 << 10) + 1] = 0;
    assert_int_equal(read_text(&o, text), -EINVAL);
    free(text);
}

static void the_schema_is_sound(void **state)
{
    (void)state;
    const char *wrong = gn_config_check_schema(&gn_options_schema);
    if (wrong)
        fail_msg("%s", wrong);
}

// The example's values, taken out of their comments, must be accepted, and name every key.
static void the_example_is_right(void **state)
{
    (void)state;
    FILE *f = fopen("configs/client.toml", "r");
    if (!f) {
        print_message("no configs/client.toml here; run from the top of the tree\n");
        skip();
    }
    char line[1024], text[8192] = "";
    unsigned keys = 0;
    while (fgets(line, sizeof line, f)) {
        if (line[0] != '#' || line[1] < 'a' || line[1] > 'z' || !strstr(line, " = "))
            continue;
        strcat(text, line + 1);
        keys++;
    }
    fclose(f);
    struct gn_options o = defaults();
    if (read_text(&o, text))
        fail_msg("%s", why);
    assert_int_equal(keys, gn_options_schema.count);
    assert_int_equal(o.ring_bytes, defaults().ring_bytes); // what it shows as defaults are the defaults
    assert_int_equal(o.connect_timeout_ms, defaults().connect_timeout_ms);
    assert_int_equal(o.log_level, defaults().log_level);
    assert_int_equal(o.optimisations, defaults().optimisations);
}

static void paths_with_the_process(void **state)
{
    (void)state;
    char out[64], want[64];
    snprintf(want, sizeof want, "/tmp/a.%d.b%d%%", getpid(), getpid());
    assert_int_equal(gn_options_path("/tmp/a.%p.b%p%", out, sizeof out), 0);
    assert_string_equal(out, want);
    assert_int_equal(gn_options_path("", out, sizeof out), 0);
    assert_string_equal(out, "");
    assert_int_equal(gn_options_path("1234", out, 4), -ENAMETOOLONG);
    assert_int_equal(gn_options_path("123", out, 4), 0);
    assert_int_equal(gn_options_path("%p%p%p%p%p%p%p%p", out, 8), -ENAMETOOLONG);
}

static void options_set_by_the_program(void **state)
{
    (void)state;
    unsetenv("GENIE_SERVER");
    setenv("GENIE_CONFIG", path, 1);
    setenv("GENIE_RING", "128K", 1);
    struct gn_options o = defaults();
    assert_int_equal(read_text(&o, "server = \"file:1\"\nring = \"256K\"\nmode = \"local\"\n"), 0);
    assert_int_equal(gn_options_override("server", "program:1", why), 0);
    assert_int_equal(gn_options_override("ring", "lots", why), -EINVAL);
    assert_int_equal(gn_options_override("rings", "64K", why), -EINVAL);
    for (int i = 0; i < 31; i++)
        assert_int_equal(gn_options_override("timeout", i % 2 ? "3" : "4", why), 0);
    assert_int_equal(gn_options_override("timeout", "5", why), -ENOSPC);
    assert_int_equal(gn_options_load(why), 0);
    assert_string_equal(gn_options.server, "program:1");
    assert_int_equal(gn_options.ring_bytes, 128 << 10);
    assert_true(gn_options.local);
    assert_int_equal(gn_options.connect_timeout_ms, 4000);
    assert_int_equal(gn_options_load(why), 0);
    assert_int_equal(gn_options_override("server", "late:1", why), -EBUSY);
    assert_string_equal(gn_options.server, "program:1");
}

int main(void)
{
    int fd = mkstemp(path);
    if (fd < 0)
        return 1;
    close(fd);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_defaults),
        cmocka_unit_test(good_values),
        cmocka_unit_test(bad_values),
        cmocka_unit_test(unknown_names_are_listed),
        cmocka_unit_test(optimisations_on_and_off), cmocka_unit_test(the_embedded_profile),
        cmocka_unit_test(a_file_and_the_environment),
        cmocka_unit_test(bad_files),
        cmocka_unit_test(a_file_that_is_too_large),
        cmocka_unit_test(the_schema_is_sound),
        cmocka_unit_test(the_example_is_right),
        cmocka_unit_test(paths_with_the_process),
        cmocka_unit_test(options_set_by_the_program),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    unlink(path);
    return failed;
}
