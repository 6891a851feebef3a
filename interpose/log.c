// SPDX-License-Identifier: Apache-2.0
// The shim's log.
#include "interpose/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { LINE_BYTES = 1024 }; // a longer message is cut, so that a line is one write

static const char *const names[] = {
    [GN_LOG_OFF] = "off", [GN_LOG_WARN] = "warn", [GN_LOG_INFO] = "info", [GN_LOG_DEBUG] = "debug"};
enum { LEVELS = sizeof names / sizeof *names };

static _Atomic int log_level = GN_LOG_WARN;
static _Atomic int log_fd = STDERR_FILENO;

int gn_log_parse(const char *text, enum gn_log_level *level, const char **path)
{
    size_t n = strcspn(text, ":");
    if (text[n] == ':' && !text[n + 1])
        return -EINVAL;
    for (int i = 0; i < LEVELS; i++)
        if (strlen(names[i]) == n && !strncmp(names[i], text, n)) {
            *level = (enum gn_log_level)i;
            *path = text[n] ? text + n + 1 : NULL;
            return 0;
        }
    return -EINVAL;
}

int gn_log_start(enum gn_log_level level, const char *path)
{
    atomic_store(&log_level, level);
    if (!path || level == GN_LOG_OFF)
        return 0;
    int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
    if (fd < 0)
        return -errno;
    atomic_store(&log_fd, fd);
    return 0;
}

void gn_log(enum gn_log_level level, const char *format, ...)
{
    if ((int)level > atomic_load_explicit(&log_level, memory_order_relaxed))
        return;
    int saved_errno = errno;
    char line[LINE_BYTES];
    int n = snprintf(line, sizeof line, "genie: %s: ", names[level]);
    va_list args;
    va_start(args, format);
    int more = vsnprintf(line + n, sizeof line - (size_t)n, format, args);
    va_end(args);
    size_t size = more < 0 ? (size_t)n : (size_t)n + (size_t)more;
    if (size > sizeof line - 2)
        size = sizeof line - 2;
    for (size_t i = 0; i < size; i++) // one message is one line, whatever a server put into it
        if ((unsigned char)line[i] < ' ')
            line[i] = ' ';
    line[size++] = '\n';
    ssize_t written = write(atomic_load_explicit(&log_fd, memory_order_relaxed), line, size);
    (void)written; // where would one complain?
    errno = saved_errno;
}
