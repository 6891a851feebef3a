// SPDX-License-Identifier: Apache-2.0
// The trace. A line is put together in the thread's own buffer and then appended to the file's:
//     4711 cuMemAlloc_v2(dptr=>0x7f2a00000000, bytesize=1024) = CUDA_SUCCESS
// with the thread's id, each argument as name=value, and name=>value for what the call gave back.
#include "interpose/trace.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "interpose/context/context.h"
#include "interpose/stats.h"
#include "remoting/errors.h"

enum {
    LINE_BYTES = 2000, // the longest call has 14 arguments; a text argument shows TEXT_BYTES_MAX
    TEXT_BYTES_MAX = 120,
    VALUE_BYTES_MAX = 16, // of a result that is no number: a UUID
    BUFFER_BYTES = 64 << 10,
    FLUSH_S = 1, // so a trace can be watched while the program runs
};

struct gn_trace_line {
    size_t size_bytes;
    bool arguments; // there is one already
    char text[LINE_BYTES];
};

static pthread_mutex_t trace_lock = PTHREAD_MUTEX_INITIALIZER; // everything below, and writing to the file
static int trace_fd = -1;
static size_t buffered_bytes;
static time_t flushed_s;
static char *buffer;

int gn_trace_start(const char *path)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0666);
    if (fd < 0)
        return -errno;
    if (!(buffer = malloc(BUFFER_BYTES))) {
        close(fd);
        return -ENOMEM;
    }
    trace_fd = fd;
    atomic_fetch_or(&gn_watching, GN_WATCH_TRACE);
    return 0;
}

static time_t now_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC_COARSE, &t);
    return t.tv_sec;
}

// With the lock. What cannot be written is dropped: a full disk must not stop the program.
static void flush(void)
{
    for (size_t at = 0; at < buffered_bytes;) {
        ssize_t n = write(trace_fd, buffer + at, buffered_bytes - at);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            break;
        at += (size_t)n;
    }
    buffered_bytes = 0;
    flushed_s = now_s();
}

void gn_trace_flush(void)
{
    pthread_mutex_lock(&trace_lock);
    flush();
    pthread_mutex_unlock(&trace_lock);
}

void gn_trace_forked(bool goes_on)
{
    pthread_mutex_init(&trace_lock, NULL);
    buffered_bytes = 0;
    if (!goes_on)
        atomic_fetch_and(&gn_watching, ~GN_WATCH_TRACE);
}

__attribute__((format(printf, 2, 3))) static void add(struct gn_call *c, const char *format, ...)
{
    struct gn_trace_line *l = c->thread->line;
    if (!l)
        return;
    va_list args;
    va_start(args, format);
    int n = vsnprintf(l->text + l->size_bytes, sizeof l->text - l->size_bytes, format, args);
    va_end(args);
    l->size_bytes += n > 0 ? (size_t)n : 0;
    if (l->size_bytes > sizeof l->text - 1)
        l->size_bytes = sizeof l->text - 1;
}

static void add_name(struct gn_call *c, const char *name, const char *sign)
{
    struct gn_trace_line *l = c->thread->line;
    add(c, "%s%s%s", l && l->arguments ? ", " : "", name, sign);
    if (l)
        l->arguments = true;
}

void gn_trace_begin(struct gn_call *c)
{
    struct gn_thread *t = c->thread;
    if (!t->line && !(t->line = malloc(sizeof *t->line)))
        return;
    t->line->size_bytes = 0;
    t->line->arguments = false;
    add(c, "%d %s(", t->number, gn_symbol_names[c->symbol]);
}

void gn_trace_number(struct gn_call *c, const char *name, long long value)
{
    add_name(c, name, "=");
    add(c, "%lld", value);
}

void gn_trace_handle(struct gn_call *c, const char *name, uint64_t value)
{
    add_name(c, name, "=");
    add(c, "0x%llx", (unsigned long long)value);
}

void gn_trace_pointer(struct gn_call *c, const char *name, const void *value)
{
    gn_trace_handle(c, name, (uint64_t)(uintptr_t)value);
}

void gn_trace_text(struct gn_call *c, const char *name, const char *value)
{
    add_name(c, name, "=");
    if (!value) {
        add(c, "NULL");
        return;
    }
    add(c, "\"");
    size_t i = 0;
    for (; i < TEXT_BYTES_MAX && value[i]; i++) {
        unsigned char b = (unsigned char)value[i];
        add(c, b < ' ' || b == '"' || b == '\\' || b > '~' ? "\\x%02x" : "%c", b);
    }
    add(c, value[i] ? "...\"" : "\"");
}

void gn_trace_result(struct gn_call *c, CUresult r, const char *name, const void *where, size_t size_bytes)
{
    add_name(c, name, where && !r ? "=>" : "=");
    int32_t number;
    uint64_t large;
    if (!where || r) {
        add(c, "0x%llx", (unsigned long long)(uintptr_t)where);
    } else if (size_bytes == sizeof number) {
        memcpy(&number, where, sizeof number);
        add(c, "%d", number);
    } else if (size_bytes == sizeof large) {
        memcpy(&large, where, sizeof large);
        add(c, "0x%llx", (unsigned long long)large);
    } else {
        for (size_t i = 0; i < size_bytes && i < VALUE_BYTES_MAX; i++)
            add(c, "%02x", ((const unsigned char *)where)[i]);
    }
}

void gn_trace_end(struct gn_call *c, CUresult r)
{
    const char *code = gn_error_name(r);
    struct gn_trace_line *l = c->thread->line;
    if (!l)
        return;
    if (code)
        add(c, ") = %s", code);
    else
        add(c, ") = %d", (int)r);
    l->text[l->size_bytes < LINE_BYTES - 1 ? l->size_bytes++ : LINE_BYTES - 1] = '\n';
    pthread_mutex_lock(&trace_lock);
    if (buffered_bytes + l->size_bytes > BUFFER_BYTES)
        flush();
    memcpy(buffer + buffered_bytes, l->text, l->size_bytes);
    buffered_bytes += l->size_bytes;
    if (now_s() - flushed_s >= FLUSH_S)
        flush();
    pthread_mutex_unlock(&trace_lock);
}
