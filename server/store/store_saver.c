// SPDX-License-Identifier: Apache-2.0
// Writing the content store to disk.
#include "server/store/store_saver.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "server/log.h"
#include "server/store/store_disk.h"
#include "server/store/store_parts.h"

enum {
    LOOK_MS = 200,           // how often it looks for what is new
    PAUSE_MS = 10000,        // after the disk has refused something
    COMPLAIN_MS = 60 * 1000, // it says so no more often than this
    BATCH = 64,              // files between two syncs of their folders
};

struct saver {
    struct gn_store *store;
    const char *directory;
    uint64_t most_bytes;
    struct gn_disk_sum sum;
    uint8_t *room;
    uint32_t seen; // of what is filed
    int64_t pause_until_ms, complained_ms;
    uint64_t touched_at; // uses of the store when files were last touched
};

static int64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void tell(struct saver *s)
{
    struct gn_store_counts *n = gn_store_counting(s->store);
    atomic_store(&n->disk_files, s->sum.files);
    atomic_store(&n->disk_bytes, s->sum.bytes);
}

static void complain(struct saver *s, int error)
{
    int64_t now = now_ms();
    s->pause_until_ms = now + PAUSE_MS;
    atomic_fetch_add(&gn_store_counting(s->store)->disk_failures, 1);
    if (s->complained_ms && now - s->complained_ms < COMPLAIN_MS)
        return;
    s->complained_ms = now;
    gn_log(GN_LOG_WARN, "the content store cannot be written to %s (%s): it goes on in memory", s->directory, strerror(-error));
}

// What is in use in memory counts as used on disk too, before it is decided what goes.
static void touch_used(struct saver *s)
{
    struct store_index *x = s->store->index;
    uint64_t uses = x->uses;
    for (uint32_t i = 0; i < x->slot_count; i++) {
        struct store_slot slot = x->slots[i]; // of another moment, perhaps: then a file is touched for nothing
        const char *tenant = slot.state == STORE_READY && slot.saved && slot.used_at > s->touched_at ? gn_store_tenant_name(s->store, slot.tenant) : NULL;
        if (tenant)
            gn_disk_touch(s->directory, tenant, &slot.content);
    }
    s->touched_at = uses;
}

static void clean(struct saver *s, bool leftovers)
{
    if (!leftovers)
        touch_used(s);
    int error = gn_disk_clean(s->directory, s->most_bytes, leftovers, &s->sum);
    if (error)
        complain(s, error);
    tell(s);
}

struct saved {
    const char *tenant;
    struct gn_content content;
};

static void sync_folders(struct saver *s, struct saved *batch, uint32_t *count)
{
    for (uint32_t i = 0; i < *count; i++) {
        bool again = false;
        for (uint32_t k = 0; k < i && !again; k++)
            again = batch[k].tenant == batch[i].tenant && batch[k].content.high >> 56 == batch[i].content.high >> 56;
        if (!again)
            gn_disk_sync(s->directory, batch[i].tenant, &batch[i].content);
    }
    *count = 0;
}

// Everything that is new. False: the disk has refused something.
static bool save_new(struct saver *s)
{
    struct saved batch[BATCH];
    uint32_t count = 0, from = 0;
    int error = 0;
    for (int slot; !error && (slot = gn_store_unsaved(s->store, &from, &batch[count].content, &batch[count].tenant)) >= 0;) {
        bool fresh = false;
        error = gn_store_read(s->store, slot, s->room, batch[count].content.size_bytes);
        error = error ? error : gn_disk_save(s->directory, batch[count].tenant, &batch[count].content, s->room, &fresh);
        if (!error)
            gn_store_saved(s->store, slot);
        gn_store_let_go(s->store, slot);
        if (fresh && !error) {
            s->sum.files++;
            s->sum.bytes += batch[count].content.size_bytes;
            count++;
        }
        if (count == BATCH || s->sum.bytes > s->most_bytes)
            sync_folders(s, batch, &count);
        if (s->sum.bytes > s->most_bytes)
            clean(s, false);
    }
    sync_folders(s, batch, &count);
    tell(s);
    if (error)
        complain(s, error);
    return !error;
}

// Only one server writes to a folder at a time: another one's half written files are no leftovers.
static int lock_directory(const struct gn_saver_start *start)
{
    char path[GN_DISK_PATH_BYTES];
    bool said = false;
    if (snprintf(path, sizeof path, "%s/.lock", start->directory) >= (int)sizeof path)
        return -ENAMETOOLONG;
    if (mkdir(start->directory, 0700) && errno != EEXIST)
        return -errno;
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0)
        return -errno;
    while (flock(fd, LOCK_EX | LOCK_NB)) {
        struct pollfd front = {.fd = start->front_fd, .events = POLLIN};
        if (!said)
            gn_log(GN_LOG_WARN, "another server writes to %s: nothing is written until it ends", start->directory);
        said = true;
        if (poll(&front, 1, LOOK_MS) > 0) {
            close(fd);
            return -EWOULDBLOCK;
        }
    }
    return fd;
}

static bool front_has_closed(int fd, int wait_ms)
{
    struct pollfd front = {.fd = fd, .events = POLLIN};
    return poll(&front, 1, wait_ms) > 0;
}

int gn_saver_main(const struct gn_saver_start *start)
{
    struct saver s = {.directory = start->directory, .most_bytes = start->most_bytes, .room = malloc(GN_CONTENT_BYTES_MAX)};
    if (!s.room || gn_store_open(&s.store, &start->fds))
        return 1;
    int lock, error = 0;
    while ((lock = lock_directory(start)) < 0) {
        if (lock == -EWOULDBLOCK)
            return 0;
        error = lock;
        complain(&s, error);
        if (front_has_closed(start->front_fd, PAUSE_MS))
            return 0;
    }
    clean(&s, true);
    for (bool ends = false; !ends;) {
        ends = front_has_closed(start->front_fd, LOOK_MS);
        uint32_t filed = gn_store_filed(s.store);
        if (!ends && (filed == s.seen || now_ms() < s.pause_until_ms))
            continue;
        if (save_new(&s))
            s.seen = filed;
    }
    close(lock);
    return 0;
}
