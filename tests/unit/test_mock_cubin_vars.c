// SPDX-License-Identifier: Apache-2.0
// Are a cubin's variables told right, and is no byte outside it read whatever it says?
// Method: a small ELF file made here; then every cut of it, and every single byte changed.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tests/mock/mock_cubin_vars.h"

enum { NAMES = 1, TEXTS, SYMBOLS, CONSTANTS, INITIAL, ZEROS, CODE, SECTIONS };

static const char names[] = "\0.shstrtab\0.strtab\0.symtab\0.nv.constant3\0.nv.global.init\0.nv.global\0.text.k";
static const char texts[] = "\0table\0start\0room\0k\0other";
static const uint8_t constants[12] = {1, 2, 3}, initial[8] = {9, 8, 7, 6};

static void put(uint8_t *at, uint64_t value, int bytes)
{
    for (int i = 0; i < bytes; i++)
        at[i] = (uint8_t)(value >> 8 * i);
}

static uint32_t offset_of(const char *table, size_t bytes, const char *name)
{
    for (size_t i = 0; i < bytes; i += strlen(table + i) + 1)
        if (!strcmp(table + i, name))
            return (uint32_t)i;
    fail_msg("no '%s'", name);
    return 0;
}

static void put_symbol(uint8_t *at, const char *name, unsigned type, unsigned section, uint64_t value, uint64_t size)
{
    put(at, offset_of(texts, sizeof texts, name), 4);
    at[4] = (uint8_t)type;
    put(at + 6, section, 2);
    put(at + 8, value, 8);
    put(at + 16, size, 8);
}

static size_t make(uint8_t *file)
{
    const struct {
        const char *name;
        uint32_t type, link;
        const void *data;
        size_t bytes;
    } sections[SECTIONS] = {
        [NAMES] = {".shstrtab", 3, 0, names, sizeof names},
        [TEXTS] = {".strtab", 3, 0, texts, sizeof texts},
        [SYMBOLS] = {".symtab", 2, TEXTS, NULL, 6 * 24},
        [CONSTANTS] = {".nv.constant3", 1, 0, constants, sizeof constants},
        [INITIAL] = {".nv.global.init", 1, 0, initial, sizeof initial},
        [ZEROS] = {".nv.global", 8, 0, NULL, 100},
        [CODE] = {".text.k", 1, 0, constants, 8},
    };
    size_t headers = 64, at = headers + SECTIONS * 64;
    memset(file, 0, 2048);
    put(file, 0x464c457f, 4);
    put(file + 40, headers, 8);
    put(file + 58, 64, 2);
    put(file + 60, SECTIONS, 2);
    put(file + 62, NAMES, 2);
    for (int i = NAMES; i < SECTIONS; i++) {
        uint8_t *h = file + headers + (size_t)i * 64;
        put(h, offset_of(names, sizeof names, sections[i].name), 4);
        put(h + 4, sections[i].type, 4);
        put(h + 24, at, 8);
        put(h + 32, sections[i].bytes, 8);
        put(h + 40, sections[i].link, 4);
        if (sections[i].data)
            memcpy(file + at, sections[i].data, sections[i].bytes);
        if (i == SYMBOLS) {
            put_symbol(file + at + 24, "table", 1, CONSTANTS, 0, 12);
            put_symbol(file + at + 48, "start", 1, INITIAL, 4, 4);
            put_symbol(file + at + 72, "room", 1, ZEROS, 20, 80);
            put_symbol(file + at + 96, "k", 2, CODE, 0, 8);
            put_symbol(file + at + 120, "other", 1, CODE, 0, 8); // data, but no variable
        }
        at += sections[i].type == 8 ? 0 : sections[i].bytes;
    }
    return at;
}

static void variables_are_found(void **state)
{
    static uint8_t file[2048];
    struct mock_cubin_var *vars;
    size_t count, size = make(file);
    (void)state;
    assert_int_equal(mock_cubin_vars(file, size, &vars, &count), 0);
    assert_int_equal(count, 3);
    assert_string_equal(vars[0].name, "table");
    assert_true(vars[0].is_constant);
    assert_int_equal(vars[0].size_bytes, 12);
    assert_memory_equal(vars[0].initial, constants, 12);
    assert_string_equal(vars[1].name, "start");
    assert_false(vars[1].is_constant);
    assert_memory_equal(vars[1].initial, initial + 4, 4);
    assert_string_equal(vars[2].name, "room");
    assert_int_equal(vars[2].size_bytes, 80);
    assert_null(vars[2].initial);
    free(vars);
}

static void lies_are_refused(void **state)
{
    static uint8_t file[2048];
    struct mock_cubin_var *vars;
    size_t count, size = make(file);
    (void)state;
    for (uint8_t *at = file; at + 24 <= file + size; at++)
        if (at[4] == 1 && at[6] == INITIAL && at[8] == 4 && at[16] == 4) {
            put(at + 8, 5, 8); // it ends one byte behind its section
            assert_int_equal(mock_cubin_vars(file, size, &vars, &count), -EINVAL);
            put(at + 8, UINT64_MAX, 8);
            assert_int_equal(mock_cubin_vars(file, size, &vars, &count), -EINVAL);
            assert_null(vars);
            assert_int_equal(count, 0);
            return;
        }
    fail();
}

// Each in a block of its own size, so that a sanitizer sees the first byte beyond.
static void look(const uint8_t *file, size_t size)
{
    struct mock_cubin_var *vars;
    size_t count;
    uint8_t *exact = malloc(size ? size : 1);
    memcpy(exact, file, size);
    if (!mock_cubin_vars(exact, size, &vars, &count)) {
        for (size_t i = 0; i < count; i++) {
            volatile uint8_t seen = 0;
            for (uint64_t k = 0; vars[i].initial && k < vars[i].size_bytes; k++)
                seen = (uint8_t)(seen + vars[i].initial[k]);
            assert_true(strlen(vars[i].name) < size);
        }
        free(vars);
    }
    free(exact);
}

static void nothing_outside_is_read(void **state)
{
    static uint8_t file[2048];
    size_t size = make(file);
    (void)state;
    for (size_t cut = 0; cut < size; cut++)
        look(file, cut);
    for (size_t i = 0; i < size; i++)
        for (unsigned change = 1; change < 256; change = change * 2 + 1) {
            file[i] ^= (uint8_t)change;
            look(file, size);
            file[i] ^= (uint8_t)change;
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(variables_are_found),
        cmocka_unit_test(lies_are_refused),
        cmocka_unit_test(nothing_outside_is_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
