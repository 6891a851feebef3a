// SPDX-License-Identifier: Apache-2.0
// The server's log.
#include "server/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { LINE_BYTES = 1024 };

const char *const gn_log_level_names[GN_LOG_LEVELS] = {"off", "error", "warn", "info", "debug"};

static enum gn_log_level most = GN_LOG_INFO; // set before the first thread starts
static uint32_t of_session;

void gn_log_setup(enum gn_log_level level, uint32_t session)
{
    most = level;
    of_session = session;
}

enum gn_log_level gn_log_level(void)
{
    return most;
}

int gn_log_to_file(const char *path)
{
    int fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0640);
    if (fd < 0)
        return -errno;
    int error = dup2(fd, STDERR_FILENO) < 0 ? -errno : 0;
    close(fd);
    return error;
}

void gn_log(enum gn_log_level level, const char *format, ...)
{
    if (level > most)
        return;
    int saved_errno = errno;
    char line[LINE_BYTES];
    struct timespec now;
    struct tm tm;
    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &tm);
    int at = (int)strftime(line, sizeof line, "%Y-%m-%dT%H:%M:%S", &tm);
    at += snprintf(line + at, sizeof line - (size_t)at, ".%03ldZ genie-srv[%d] %s: ", now.tv_nsec / 1000000,
                   getpid(), gn_log_level_names[level]);
    if (of_session)
        at += snprintf(line + at, sizeof line - (size_t)at, "session %u: ", of_session);
    int start = at;
    va_list list;
    va_start(list, format);
    int n = vsnprintf(line + at, sizeof line - 1 - (size_t)at, format, list);
    va_end(list);
    if (n > 0)
        at += n < (int)sizeof line - 2 - at ? n : (int)sizeof line - 2 - at;
    for (int i = start; i < at; i++)
        if ((unsigned char)line[i] < 0x20 || line[i] == 0x7f)
            line[i] = '?';
    line[at++] = '\n';
    for (int sent = 0; sent < at;) {
        ssize_t wrote = write(STDERR_FILENO, line + sent, (size_t)(at - sent));
        if (wrote < 0 && errno == EINTR)
            continue;
        if (wrote <= 0)
            break; // nobody to tell
        sent += (int)wrote;
    }
    errno = saved_errno;
}
