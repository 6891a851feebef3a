// SPDX-License-Identifier: Apache-2.0
// Forwarding of device printf.
#include "server/worker/print.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdio_ext.h>
#include <sys/mman.h>
#include <unistd.h>

#include "server/worker/output.h"

enum { PIECE_BYTES = 16 << 10, PUNCH_BYTES = 1 << 20 };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; // guards what follows, so that text stays in order
static off_t forwarded, punched;

int gn_print_open(void)
{
    int fd = memfd_create("genie-stdout", MFD_CLOEXEC);
    if (fd < 0)
        return -errno;
    fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_APPEND);
    int error = dup2(fd, STDOUT_FILENO) < 0 ? -errno : 0;
    close(fd);
    return error;
}

void gn_print_forward(struct gn_worker *w)
{
    char text[PIECE_BYTES];
    if (__fpending(stdout))
        fflush(stdout);
    // Each write leaves the file's offset behind what it has appended. This is asked before every reply, and fstat takes nearly twice as long.
    if (lseek(STDOUT_FILENO, 0, SEEK_CUR) == __atomic_load_n(&forwarded, __ATOMIC_RELAXED))
        return;
    pthread_mutex_lock(&lock);
    for (ssize_t n; (n = pread(STDOUT_FILENO, text, sizeof text, forwarded)) > 0;) {
        struct gn_message m = {.kind = GN_MESSAGE_PRINT, .size_bytes = (uint32_t)n};
        gn_output_push(w->output, &m, text);
        __atomic_store_n(&forwarded, forwarded + n, __ATOMIC_RELAXED);
    }
    // The file only grows; what was forwarded gives its memory back.
    if (forwarded - punched >= PUNCH_BYTES) {
        off_t until = forwarded & ~(off_t)4095;
        fallocate(STDOUT_FILENO, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, punched, until - punched);
        punched = until;
    }
    pthread_mutex_unlock(&lock);
}
