// SPDX-License-Identifier: Apache-2.0
// Finding the sidecar: the file that GENIE_HINTS names, or the first of a folder whose [app] is this program.
//
// Nothing here can fail the program: whatever is wrong is said in one line, and there are no hints.
#include <dirent.h>
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "interpose/hints/hints_rules.h"
#include "interpose/log.h"
#include "interpose/options.h"

enum {
    FOLDER_FILES_MAX = 256, // of sidecars in one folder
    ARGV_BYTES_MAX = 16 << 10, // of the program's arguments: what is behind cannot be matched
    BUILD_ID_BYTES_MAX = 64,
};

static const char *variable(const char *name) { return getenv(name); }

// --- this program

static void read_arguments(char argv[ARGV_BYTES_MAX])
{
    int fd = open("/proc/self/cmdline", O_RDONLY | O_CLOEXEC);
    ssize_t bytes = fd < 0 ? 0 : read(fd, argv, ARGV_BYTES_MAX - 1);
    if (fd >= 0)
        close(fd);
    argv[bytes > 0 ? bytes : 0] = 0;
    size_t first = strlen(argv) + 1; // the program's own name
    if (bytes <= 0 || first >= (size_t)bytes) {
        argv[0] = 0;
        return;
    }
    memmove(argv, argv + first, (size_t)bytes - first + 1);
    for (size_t i = 0; i + 1 < (size_t)bytes - first; i++)
        if (!argv[i])
            argv[i] = ' ';
}

struct build_id {
    char digits[2 * BUILD_ID_BYTES_MAX + 1];
};

static void read_note(struct build_id *id, const uint8_t *at, size_t bytes)
{
    while (bytes >= sizeof(ElfW(Nhdr))) {
        ElfW(Nhdr) note;
        memcpy(&note, at, sizeof note);
        uint64_t name = ((uint64_t)note.n_namesz + 3) & ~3ull, body = ((uint64_t)note.n_descsz + 3) & ~3ull;
        if (sizeof note + name + body > bytes)
            return;
        const uint8_t *content = at + sizeof note + name;
        if (note.n_type == NT_GNU_BUILD_ID && note.n_namesz == 4 && !memcmp(at + sizeof note, "GNU", 4) && note.n_descsz <= BUILD_ID_BYTES_MAX) {
            for (uint32_t i = 0; i < note.n_descsz; i++)
                snprintf(id->digits + 2 * i, 3, "%02x", content[i]);
            return;
        }
        at += sizeof note + name + body;
        bytes -= sizeof note + name + body;
    }
}

static int first_object(struct dl_phdr_info *info, size_t size, void *id)
{
    (void)size;
    for (int i = 0; i < info->dlpi_phnum; i++)
        if (info->dlpi_phdr[i].p_type == PT_NOTE)
            read_note(id, (const uint8_t *)(info->dlpi_addr + info->dlpi_phdr[i].p_vaddr), info->dlpi_phdr[i].p_memsz);
    return 1; // the program comes first, and it alone matters
}

// --- reading

// 0 and the text, which the caller frees, or -errno. What the file gains meanwhile is left out.
static int read_all(const char *path, char **text, size_t *text_bytes)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); // a pipe that nobody writes to is no sidecar
    struct stat st;
    size_t at = 0;
    ssize_t n = 1;
    if (fd < 0)
        return -errno;
    int error = fstat(fd, &st) ? -errno : !S_ISREG(st.st_mode) ? -EINVAL : st.st_size > GN_HINTS_FILE_BYTES_MAX ? -EFBIG : 0;
    size_t most_bytes = error ? 0 : (size_t)st.st_size;
    *text = error ? NULL : malloc(most_bytes + 1);
    if (!error && !*text)
        error = -ENOMEM;
    while (!error && n && at < most_bytes) {
        n = read(fd, *text + at, most_bytes - at);
        if (n < 0 && errno != EINTR)
            error = -errno;
        at += n > 0 ? (size_t)n : 0;
    }
    close(fd);
    *text_bytes = at;
    return error;
}

// 0 and the sidecar, which the caller frees, or -EINVAL with the reason.
static int read_sidecar(const char *path, struct gn_hints **hints, char *why, size_t why_bytes)
{
    struct gn_config_error wrong = {""};
    size_t bytes = 0;
    void *arena = NULL;
    char *text = NULL;
    *hints = malloc(sizeof **hints);
    int error = *hints ? read_all(path, &text, &bytes) : -ENOMEM;
    if (!error) {
        arena = malloc(GN_TOML_ARENA_BYTES(bytes));
        error = arena ? gn_hints_read(*hints, path, text, bytes, arena, GN_TOML_ARENA_BYTES(bytes), &wrong, NULL) : -ENOMEM;
    }
    free(arena);
    free(text);
    if (!error)
        return 0;
    free(*hints);
    *hints = NULL;
    if (*wrong.text)
        snprintf(why, why_bytes, "%s", wrong.text);
    else
        snprintf(why, why_bytes, "%.400s: %s", path, strerror(-error));
    return -EINVAL;
}

// --- a file, or a folder

static void take(struct gn_hints *hints, const char *path)
{
    gn_hint_rules.hints = hints;
    snprintf(gn_hint_rules.path, sizeof gn_hint_rules.path, "%s", path);
}

static void load_file(const char *path, const struct gn_hint_program *program)
{
    char why[GN_WHY_BYTES];
    struct gn_hints *hints;
    if (read_sidecar(path, &hints, why, sizeof why)) {
        gn_log(GN_LOG_WARN, "no hints: %s", why);
        snprintf(gn_hint_rules.why, sizeof gn_hint_rules.why, "%s", why);
        return;
    }
    const char *differs = gn_hints_app_differs(hints, program, true);
    if (!differs) {
        take(hints, path);
        return;
    }
    snprintf(gn_hint_rules.why, sizeof gn_hint_rules.why, "%.400s is for another program than %.100s: %s", path, program->exe, differs);
    gn_log(GN_LOG_WARN, "no hints: %s", gn_hint_rules.why);
    free(hints);
}

static int is_sidecar(const struct dirent *entry)
{
    size_t n = strlen(entry->d_name);
    return n > 5 && entry->d_name[0] != '.' && !strcmp(entry->d_name + n - 5, ".toml");
}

static int by_name(const struct dirent **a, const struct dirent **b) { return strcmp((*a)->d_name, (*b)->d_name); }

static void load_folder(const char *folder, const struct gn_hint_program *program)
{
    struct dirent **entries;
    char path[PATH_MAX], why[GN_WHY_BYTES];
    int count = scandir(folder, &entries, is_sidecar, by_name);
    for (int i = 0; i < count; i++) {
        struct gn_hints *hints = NULL;
        int n = snprintf(path, sizeof path, "%s/%s", folder, entries[i]->d_name);
        free(entries[i]);
        if (i >= FOLDER_FILES_MAX || n >= (int)sizeof path)
            continue;
        if (read_sidecar(path, &hints, why, sizeof why))
            gn_log(GN_LOG_WARN, "a sidecar is left out: %s", why);
        else if (gn_hints_app_differs(hints, program, false))
            free(hints);
        else if (!gn_hint_rules.hints)
            take(hints, path);
        else {
            gn_log(GN_LOG_WARN, "%s is for this program too; %s comes first and counts", path, gn_hint_rules.path);
            free(hints);
        }
    }
    if (count >= 0)
        free(entries);
    if (count > FOLDER_FILES_MAX)
        gn_log(GN_LOG_WARN, "%s has more than %d sidecars: those behind, by name, are left out", folder, FOLDER_FILES_MAX);
    if (!gn_hint_rules.hints)
        snprintf(gn_hint_rules.why, sizeof gn_hint_rules.why, count < 0 ? "%.400s cannot be read" : "no sidecar in %.400s is for this program",
                 folder);
}

// --- the rules, as they apply here

static void set_up(void)
{
    struct gn_hint_rules *r = &gn_hint_rules;
    for (uint32_t i = 0; i < r->hints->region_count; i++) {
        const struct gn_hint_region *region = &r->hints->regions[i];
        uint64_t bit = 1ull << i;
        if (gn_hints_env_holds(&region->match.env, variable))
            r->all |= bit;
        r->with_kernel |= region->match.kernel ? bit : 0;
        r->by_writer[region->match.writer] |= bit;
        r->any_library |= region->match.caller != NULL;
    }
    gn_hints_on = r->all;
    if (!r->all)
        snprintf(r->why, sizeof r->why, "%.400s has no [[region]] that applies in this environment", r->path);
    gn_log(GN_LOG_INFO, "hints of %s: %u rules, %d of them in this environment", r->path, r->hints->region_count, __builtin_popcountll(r->all));
    if (r->any_library)
        gn_hint_caller((char[NAME_MAX + 1]){""}, NAME_MAX + 1); // what walking the stack needs is loaded now, not in an allocation
}

static void load(void)
{
    struct stat st;
    struct build_id id = {""};
    const char *path = gn_options.hints;
    if (!*path || !gn_options_on(GN_OPT_HINTS)) {
        snprintf(gn_hint_rules.why, sizeof gn_hint_rules.why, *path ? "GENIE_OPT switches hints off" : "GENIE_HINTS names no sidecar");
        return;
    }
    char *argv = malloc(ARGV_BYTES_MAX);
    if (!argv)
        return;
    read_arguments(argv);
    dl_iterate_phdr(first_object, &id);
    const struct gn_hint_program program = {program_invocation_short_name, argv, id.digits, variable};
    if (!stat(path, &st) && S_ISDIR(st.st_mode))
        load_folder(path, &program);
    else
        load_file(path, &program);
    free(argv);
    if (gn_hint_rules.hints)
        set_up();
}

void gn_hints_load(void)
{
    int cancel;
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel); // files and folders are read
    load();
    pthread_setcancelstate(cancel, NULL);
    gn_hint_rules.explain = *gn_options.explain;
    gn_hints_on |= gn_hint_rules.explain;
}
