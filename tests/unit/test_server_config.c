// SPDX-License-Identifier: Apache-2.0
// Question: does server.toml mean what configs/server.toml says, and is everything else refused with its
// place? Method: texts through the parser; the commented file in the tree against the defaults and against
// the table of keys.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "server/config.h"

static char why[4096 + 512];

static int parse(struct gn_server_config *config, const char *text)
{
    gn_server_config_defaults(config);
    why[0] = 0;
    return gn_server_config_parse(config, "server.toml", text, strlen(text), why, sizeof why);
}

static void the_table_is_sound(void **state)
{
    (void)state;
    assert_null(gn_config_check_schema(&gn_server_schema));
    for (uint32_t i = 0; i < gn_server_schema.count; i++)
        assert_non_null(gn_server_schema.keys[i].doc);
}

static void every_key_is_taken(void **state)
{
    struct gn_server_config c;
    (void)state;
    if (parse(&c, "[server]\nlisten = [\"127.0.0.1:0\", \"[::1]:1\", \"unix:/a b\"]\ndriver = "
                  "\"/x/libcuda.so\"\nlog = \"debug\"\n"
                  "log_file = \"/l\"\ncontrol = \"/c\"\ntoken_file = \"/t\"\ninsecure = true\nio_uring = "
                  "false\nshutdown_s = 3\n"
                  "spare_workers = 0\n[limits]\nsessions = 7\nsessions_per_peer = 2\nmemory = "
                  "\"3GiB\"\nimages = \"2M\"\nwindow = \"1MiB\"\n"
                  "chunk = 65536\nhandles = 100\nhello_s = 9\n"))
        fail_msg("%s", why);
    assert_int_equal(c.listen_count, 3);
    assert_string_equal(c.listen[0], "127.0.0.1:0");
    assert_string_equal(c.listen[2], "unix:/a b");
    assert_string_equal(c.driver, "/x/libcuda.so");
    assert_int_equal(c.log, GN_LOG_DEBUG);
    assert_string_equal(c.log_file, "/l");
    assert_string_equal(c.control, "/c");
    assert_false(c.control_by_default);
    assert_string_equal(c.token_file, "/t");
    assert_true(c.insecure);
    assert_false(c.io_uring);
    assert_int_equal(c.shutdown_s, 3);
    assert_int_equal(c.spare_workers, 0);
    assert_int_equal(c.sessions, 7);
    assert_int_equal(c.sessions_per_peer, 2);
    assert_int_equal(c.limits.memory_bytes, 3ull << 30);
    assert_int_equal(c.limits.image_bytes, 2 << 20);
    assert_int_equal(c.limits.window_bytes, 1 << 20);
    assert_int_equal(c.limits.chunk_bytes, 65536);
    assert_int_equal(c.limits.handles, 100);
    assert_int_equal(c.hello_s, 9);
    assert_int_equal(parse(&c, "[server]\ncontrol = \"\"\n"), 0);
    assert_string_equal(c.control, "");
}

static void what_is_wrong_is_said_with_its_place(void **state)
{
    static const struct {
        const char *text, *place, *words;
    } bad[] = {
        {"[server]\nlisen = [\"x\"]\n", "server.toml:2:1: ", "\"listen\""},
        {"[limits]\n  sesions = 4\n", "server.toml:2:3: ", "\"sessions\""},
        {"[sever]\nlisten = []\n", "server.toml:1:", "server"},
        {"listen = [\"x\"]\n", "server.toml:1:1: ", ""},
        {"[server]\nlisten = \"127.0.0.1:1\"\n", "server.toml:2:", ""},
        {"[server]\nlisten = []\n", "server.toml:2:", "1 to 16"},
        {"[server]\nlisten = [1]\n", "server.toml:2:", ""},
        {"[server]\nlog = \"loud\"\n", "server.toml:2:", ""},
        {"[server]\nlog = 3\n", "server.toml:2:", ""},
        {"[server]\nshutdown_s = -1\n", "server.toml:2:", ""},
        {"[server]\ninsecure = \"yes\"\n", "server.toml:2:", ""},
        {"[server]\nspare_workers = 65\n", "server.toml:2:", ""},
        {"[limits]\nsessions = 0\n", "server.toml:2:", ""},
        {"[limits]\nsessions = 5000\n", "server.toml:2:", ""},
        {"[limits]\nmemory = \"1 lot\"\n", "server.toml:2:", ""},
        {"[limits]\nmemory = -5\n", "server.toml:2:", ""},
        {"[limits]\nchunk = \"2MiB\"\n", "server.toml:2:", ""},
        {"[limits]\nchunk = 1\n", "server.toml:2:", ""},
        {"[limits]\nhello_s = 0\n", "server.toml:2:", ""},
        {"[limits]\nhandles = 99999999\n", "server.toml:2:", ""},
        {"[limits]\nsessions = 1\nsessions = 2\n", "server.toml:3:", ""},
        {"[server\n", "server.toml:1:", ""},
        {"[server]\nshared_memory = 1000\n", "server.toml: ", "power of two"},
        {"[server]\nshared_memory = \"3MiB\"\n", "server.toml: ", "power of two"},
        {"[server]\nshared_memory = \"32MiB\"\n", "server.toml:2:", ""},
        {"[limits]\nchunk = 65537\n", "server.toml: ", "multiple"},
        {"[limits]\nwindow = \"64KiB\"\nchunk = \"128KiB\"\n", "server.toml: ", "at least limits.chunk"},
    };
    struct gn_server_config c;
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        if (!parse(&c, bad[i].text))
            fail_msg("taken: %s", bad[i].text);
        if (strncmp(why, bad[i].place, strlen(bad[i].place)) || !strstr(why, bad[i].words))
            fail_msg("'%s' is not at %s with '%s'", why, bad[i].place, bad[i].words);
    }
}

static void long_texts_are_refused(void **state)
{
    struct gn_server_config c;
    char *text = malloc(20000);
    (void)state;
    int n = sprintf(text, "[server]\nlisten = [\"");
    memset(text + n, 'a', 300);
    strcpy(text + n + 300, "\"]\n");
    assert_true(parse(&c, text) < 0);
    n = sprintf(text, "[server]\ndriver = \"");
    memset(text + n, 'a', 5000);
    strcpy(text + n + 5000, "\"\n");
    assert_true(parse(&c, text) < 0);
    n = sprintf(text, "[server]\nlisten = [");
    for (int i = 0; i < 17; i++)
        n += sprintf(text + n, "\"127.0.0.1:%d\", ", i);
    strcpy(text + n, "]\n");
    assert_true(parse(&c, text) < 0);
    free(text);
}

// The file in the tree names every key, and with its default.
static void the_commented_file_is_true(void **state)
{
    struct gn_server_config c, defaults;
    static char text[65536];
    const char *path = getenv("GENIE_SERVER_TOML") ? getenv("GENIE_SERVER_TOML") : "configs/server.toml";
    FILE *f = fopen(path, "r");
    (void)state;
    if (!f) {
        print_message("%s is not here\n", path);
        skip();
        return;
    }
    text[fread(text, 1, sizeof text - 1, f)] = 0;
    fclose(f);
    memset(&c, 0, sizeof c);
    memset(&defaults, 0, sizeof defaults);
    gn_server_config_defaults(&defaults);
    if (parse(&c, text))
        fail_msg("%s", why);
    assert_memory_equal(&c, &defaults, sizeof c);
    for (uint32_t i = 0; i < gn_server_schema.count; i++) {
        char line[64], comment[72];
        snprintf(line, sizeof line, "\n%s = ", gn_server_schema.keys[i].key);
        snprintf(comment, sizeof comment, "\n# %s = ", gn_server_schema.keys[i].key);
        if (!strstr(text, line) && !strstr(text, comment))
            fail_msg("%s does not describe %s", path, gn_server_schema.keys[i].key);
    }
}

static int finish_with_token(const char *token, size_t bytes, struct gn_server_config *c)
{
    char path[] = "/tmp/genie-token-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, token, bytes), bytes);
    close(fd);
    gn_log_setup(GN_LOG_OFF, 0);
    gn_server_config_defaults(c);
    snprintf(c->token_file, sizeof c->token_file, "%s", path);
    int error = gn_server_config_finish(c, why, sizeof why);
    unlink(path);
    return error;
}

static void tokens_are_one_line(void **state)
{
    struct gn_server_config c;
    char large[GN_TOKEN_BYTES];
    (void)state;
    assert_int_equal(finish_with_token("secret\n", 7, &c), 0);
    assert_string_equal(c.token, "secret");
    assert_int_equal(finish_with_token("se cret\r\n", 9, &c), 0);
    assert_string_equal(c.token, "se cret");
    assert_true(finish_with_token("", 0, &c) < 0);
    assert_true(finish_with_token("\n", 1, &c) < 0);
    assert_true(finish_with_token("a\0b", 3, &c) < 0);
    memset(large, 'a', sizeof large);
    assert_true(finish_with_token(large, sizeof large, &c) < 0);
    assert_int_equal(finish_with_token(large, sizeof large - 1, &c), 0);
    snprintf(c.token_file, sizeof c.token_file, "/nonexistent/token");
    assert_true(gn_server_config_finish(&c, why, sizeof why) < 0);
    assert_string_equal(c.token, "");
}

static void files_that_are_not_there_are_said(void **state)
{
    struct gn_server_config c;
    (void)state;
    gn_server_config_defaults(&c);
    assert_true(gn_server_config_read(&c, "/nonexistent/server.toml", why, sizeof why) < 0);
    assert_non_null(strstr(why, "/nonexistent/server.toml: "));
    assert_true(gn_server_config_read(&c, "/dev/zero", why, sizeof why) < 0); // ends at a limit
}

static void the_control_socket_has_a_default(void **state)
{
    char path[128];
    (void)state;
    setenv("XDG_RUNTIME_DIR", "/run/user/1", 1);
    gn_control_default_path(path, sizeof path);
    assert_string_equal(path, "/run/user/1/genie/control.sock");
    gn_control_default_path(path, 10);
    assert_string_equal(path, "");
    setenv("XDG_RUNTIME_DIR", "relative", 1);
    gn_control_default_path(path, sizeof path);
    assert_string_equal(path, "");
    unsetenv("XDG_RUNTIME_DIR");
    gn_control_default_path(path, sizeof path);
    assert_string_equal(path, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_table_is_sound),
        cmocka_unit_test(every_key_is_taken),
        cmocka_unit_test(what_is_wrong_is_said_with_its_place),
        cmocka_unit_test(long_texts_are_refused),
        cmocka_unit_test(the_commented_file_is_true),
        cmocka_unit_test(tokens_are_one_line),
        cmocka_unit_test(files_that_are_not_there_are_said),
        cmocka_unit_test(the_control_socket_has_a_default),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
