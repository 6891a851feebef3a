// SPDX-License-Identifier: Apache-2.0
// Where programs, libraries and the driver are, and which optimisations the shim has.
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bench/lane.h"

enum { ASK_MS = 20000, LOG_SHOWN_BYTES = 1500 };

// The shim refuses an optimisation that it does not know with the list of those that it knows: that list is
// asked for, so no copy of it can grow old here.
static bool ask_opts(struct gn_place *p)
{
    static const char before[] = "there are";
    char preload[600], program[600], text[4096] = "", log[160];
    struct gn_child c = {.talk = -1};
    snprintf(program, sizeof program, "%s/genie-micro", p->programs);
    snprintf(preload, sizeof preload, "LD_PRELOAD=%s/libgenie_shim.so", p->libraries);
    snprintf(log, sizeof log, "%s/ask", p->scratch);
    const char *args[] = {program, "@FD", "4096", NULL};
    const char *env[] = {preload, "GENIE_OPT=?", "GENIE_SERVER=127.0.0.1:1", "GENIE_LOG=warn", NULL};
    if (gn_child_start(&c, GN_CHILD_TALKS, args, env, log))
        return false;
    gn_child_wait(&c, ASK_MS);
    int fd = open(log, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? 0 : read(fd, text, sizeof text - 1);
    if (fd >= 0)
        close(fd);
    text[n > 0 ? n : 0] = 0;
    unlink(log);
    char *list = strstr(text, before), *state = NULL;
    if (!list)
        return false;
    list += sizeof before - 1;
    list[strcspn(list, "\n")] = 0;
    for (char *word = strtok_r(list, " ,.", &state); word && p->opt_count < GN_OPT_NAMES_MAX;
         word = strtok_r(NULL, " ,.", &state))
        if (strcmp(word, "all"))
            snprintf(p->opts[p->opt_count++], sizeof *p->opts, "%.31s", word);
    return p->opt_count > 0;
}

static bool find(char *out, size_t room, const char *folder, const char *below, const char *file)
{
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s%s/%s", folder, below, file);
    if (access(path, R_OK) || snprintf(out, room, "%s%s", folder, below) >= (int)room)
        return false;
    return true;
}

static bool find_driver(struct gn_place *p, const char *driver)
{
    char path[PATH_MAX], link[128];
    if (driver)
        snprintf(path, sizeof path, "%s", driver);
    else
        snprintf(path, sizeof path, "%s/libgenie_mock.so", p->libraries);
    char *real = realpath(path, NULL);
    if (!real || snprintf(p->driver, sizeof p->driver, "%s", real) >= (int)sizeof p->driver) {
        fprintf(stderr, "genie-bench: there is no driver %s\n", path);
        free(real);
        return false;
    }
    free(real);
    const char *file = strrchr(p->driver, '/') + 1;
    p->mock = !strcmp(file, "libgenie_mock.so");
    // Local runs find it by its name, whatever the file is called.
    snprintf(link, sizeof link, "%s/libcuda.so.1", p->scratch);
    if (symlink(p->driver, link)) {
        fprintf(stderr, "genie-bench: %s: %s\n", link, strerror(errno));
        return false;
    }
    return true;
}

bool gn_place_open(struct gn_place *p, const char *driver)
{
    char self[PATH_MAX];
    ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
    self[n > 0 ? n : 0] = 0;
    char *slash = strrchr(self, '/');
    if (slash)
        *slash = 0;
    const char *temporary = getenv("TMPDIR");
    if (snprintf(p->scratch, sizeof p->scratch, "%s/genie-XXXXXX", temporary ? temporary : "/tmp") >=
            (int)sizeof p->scratch ||
        !mkdtemp(p->scratch)) {
        fprintf(stderr, "genie-bench: no folder for what is temporary\n");
        *p->scratch = 0;
        return false;
    }
    snprintf(p->log, sizeof p->log, "%s/log", p->scratch);
    if (!find(p->programs, sizeof p->programs, self, "", "genie-srv") ||
        !find(p->programs, sizeof p->programs, self, "", "genie-micro") ||
        (!find(p->libraries, sizeof p->libraries, self, "", "libgenie_shim.so") &&
         !find(p->libraries, sizeof p->libraries, self, "/../lib", "libgenie_shim.so"))) {
        fprintf(stderr, "genie-bench: genie-srv, genie-micro and libgenie_shim.so are not beside it in %s\n",
                self);
        return false;
    }
    if (!find(p->hints, sizeof p->hints, self, "/../configs", "hints.d") &&
        !find(p->hints, sizeof p->hints, self, "/../share/genie", "hints.d"))
        *p->hints = 0;
    else
        snprintf(p->hints + strlen(p->hints), sizeof p->hints - strlen(p->hints), "/hints.d");
    if (!find_driver(p, driver))
        return false;
    if (ask_opts(p))
        return true;
    fprintf(stderr, "genie-bench: the shim does not tell its optimisations\n");
    return false;
}

void gn_place_close(struct gn_place *p)
{
    static const char *const files[] = {"log", "ask", "libcuda.so.1", "stamps", "stats"};
    char path[160];
    for (size_t i = 0; *p->scratch && i < sizeof files / sizeof *files; i++) {
        snprintf(path, sizeof path, "%s/%s", p->scratch, files[i]);
        unlink(path);
    }
    for (unsigned i = 0; *p->scratch && i < p->next; i++) {
        snprintf(path, sizeof path, "%s/%u", p->scratch, i);
        unlink(path);
        snprintf(path, sizeof path, "%s/stamps%u", p->scratch, i);
        unlink(path);
    }
    if (*p->scratch)
        rmdir(p->scratch);
    *p->scratch = 0;
}

void gn_place_show_log(const struct gn_place *p)
{
    char text[LOG_SHOWN_BYTES + 1];
    FILE *f = fopen(p->log, "re");
    if (!f)
        return;
    fseek(f, 0, SEEK_END);
    long size = ftell(f);
    fseek(f, size > LOG_SHOWN_BYTES ? size - LOG_SHOWN_BYTES : 0, SEEK_SET);
    size_t n = fread(text, 1, LOG_SHOWN_BYTES, f);
    text[n] = 0;
    fclose(f);
    if (n)
        fprintf(stderr, "--- the last of what programs said:\n%s---\n", text);
}
