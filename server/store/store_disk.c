// SPDX-License-Identifier: Apache-2.0
// Files of the content store: their names, reading and writing one, cleaning up.
#include "server/store/store_disk.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "remoting/digest.h"

#define HALF_DONE ".new-" // what the name of a file begins with until it is whole
enum { FILES_MAX = 16 << 20 }; // looked at while cleaning: 64 GiB of the smallest

void gn_disk_name(const struct gn_content *content, char name[GN_DISK_NAME_BYTES])
{
    snprintf(name, GN_DISK_NAME_BYTES, "%016llx%016llx-%u", (unsigned long long)content->high, (unsigned long long)content->low,
             (unsigned)content->size_bytes);
}

static bool parse_digits(const char **at, uint64_t *value)
{
    *value = 0;
    for (int i = 0; i < 16; i++, (*at)++) {
        char c = **at;
        if (!(c >= '0' && c <= '9') && !(c >= 'a' && c <= 'f'))
            return false;
        *value = *value << 4 | (uint64_t)(c <= '9' ? c - '0' : c - 'a' + 10);
    }
    return true;
}

bool gn_disk_parse(const char *name, struct gn_content *content)
{
    char again[GN_DISK_NAME_BYTES];
    const char *at = name;
    if (!parse_digits(&at, &content->high) || !parse_digits(&at, &content->low) || *at++ != '-')
        return false;
    content->size_bytes = strtoul(at, NULL, 10);
    if (!content->size_bytes || content->size_bytes > GN_CONTENT_BYTES_MAX)
        return false;
    gn_disk_name(content, again); // one name each: no leading zeros, nothing behind it
    return !strcmp(name, again);
}

// The folder of a file, and with a file name the file itself.
static int path_of(char path[GN_DISK_PATH_BYTES], const char *directory, const char *tenant, const struct gn_content *content, const char *prefix,
                   const char *suffix)
{
    char name[GN_DISK_NAME_BYTES];
    gn_disk_name(content, name);
    int n = snprintf(path, GN_DISK_PATH_BYTES, "%s/%s/%.2s%s%s%s%s", directory, tenant, name, prefix ? "/" : "", prefix ? prefix : "", prefix ? name : "",
                     suffix ? suffix : "");
    return n >= GN_DISK_PATH_BYTES ? -ENAMETOOLONG : 0;
}

static int read_all(int fd, uint8_t *to, uint64_t size_bytes)
{
    uint64_t at = 0;
    while (at < size_bytes) {
        ssize_t n = read(fd, to + at, size_bytes - at);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n ? -errno : -EBADMSG;
        at += (uint64_t)n;
    }
    return 0;
}

int gn_disk_load(const char *directory, const char *tenant, const struct gn_content *content, void *room)
{
    char path[GN_DISK_PATH_BYTES];
    struct stat about;
    int error = path_of(path, directory, tenant, content, "", NULL);
    int fd = error ? -1 : open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return error ? error : errno == ELOOP ? -ENOENT : -errno;
    if (fstat(fd, &about))
        error = -errno;
    else if (!S_ISREG(about.st_mode) || (uint64_t)about.st_size != content->size_bytes)
        error = -EBADMSG;
    else
        error = read_all(fd, room, content->size_bytes);
    if (!error) {
        struct gn_content there = gn_content_of(room, content->size_bytes);
        error = gn_content_same(&there, content) ? 0 : -EBADMSG;
    }
    if (!error)
        futimens(fd, NULL);
    close(fd);
    if (error == -EBADMSG)
        unlink(path);
    return error;
}

static int write_all(int fd, const uint8_t *data, uint64_t size_bytes)
{
    for (uint64_t at = 0; at < size_bytes;) {
        ssize_t n = write(fd, data + at, size_bytes - at);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n ? -errno : -ENOSPC;
        at += (uint64_t)n;
    }
    return fsync(fd) ? -errno : 0;
}

// The folders above a file. Nobody but the server's user has any business there.
static int make_folders(const char *directory, const char *tenant, const struct gn_content *content)
{
    char path[GN_DISK_PATH_BYTES];
    int n = snprintf(path, sizeof path, "%s/%s", directory, tenant);
    if (n >= (int)sizeof path)
        return -ENAMETOOLONG;
    if (mkdir(path, 0700) && errno != EEXIST)
        return -errno;
    int error = path_of(path, directory, tenant, content, NULL, NULL);
    return error ? error : mkdir(path, 0700) && errno != EEXIST ? -errno : 0;
}

int gn_disk_save(const char *directory, const char *tenant, const struct gn_content *content, const void *data, bool *fresh)
{
    char path[GN_DISK_PATH_BYTES], half[GN_DISK_PATH_BYTES], mine[32];
    struct stat about;
    snprintf(mine, sizeof mine, ".%d", (int)getpid());
    int error = path_of(path, directory, tenant, content, "", NULL);
    error = error ? error : path_of(half, directory, tenant, content, HALF_DONE, mine);
    if (error)
        return error;
    *fresh = stat(path, &about) || (uint64_t)about.st_size != content->size_bytes;
    if (!*fresh) // what is in it is looked at when it is read
        return 0;
    if ((error = make_folders(directory, tenant, content)))
        return error;
    int fd = open(half, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return -errno;
    error = write_all(fd, data, content->size_bytes);
    if (close(fd) && !error)
        error = -errno;
    if (!error && rename(half, path))
        error = -errno;
    if (error)
        unlink(half);
    return error;
}

static void sync_folder(const char *path)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return;
    fsync(fd);
    close(fd);
}

void gn_disk_sync(const char *directory, const char *tenant, const struct gn_content *content)
{
    char path[GN_DISK_PATH_BYTES];
    if (!path_of(path, directory, tenant, content, NULL, NULL))
        sync_folder(path);
    if (snprintf(path, sizeof path, "%s/%s", directory, tenant) < (int)sizeof path)
        sync_folder(path);
    sync_folder(directory);
}

void gn_disk_touch(const char *directory, const char *tenant, const struct gn_content *content)
{
    char path[GN_DISK_PATH_BYTES];
    if (!path_of(path, directory, tenant, content, "", NULL))
        utimensat(AT_FDCWD, path, NULL, AT_SYMLINK_NOFOLLOW);
}

// --- cleaning

struct file {
    struct timespec used;
    uint64_t bytes;
    char *path;
};

struct cleaning {
    bool leftovers;
    struct file *files;
    size_t count, room;
    int error;
};

static void add_file(struct cleaning *c, const char *path, const struct stat *about)
{
    if (c->count == c->room) {
        size_t room = c->room ? 2 * c->room : 1024;
        struct file *files = room <= FILES_MAX ? realloc(c->files, room * sizeof *files) : NULL;
        if (!files) {
            c->error = -ENOMEM;
            return;
        }
        c->files = files;
        c->room = room;
    }
    char *copy = strdup(path);
    if (!copy)
        c->error = -ENOMEM;
    else
        c->files[c->count++] = (struct file){about->st_mtim, (uint64_t)about->st_size, copy};
}

// Goes down `depth` folders; only names that we give are touched.
static void walk(struct cleaning *c, const char *path, int depth)
{
    DIR *folder = opendir(path);
    if (!folder) {
        c->error = c->error ? c->error : -errno;
        return;
    }
    for (struct dirent *e; !c->error && (e = readdir(folder));) {
        char below[GN_DISK_PATH_BYTES];
        struct stat about;
        struct gn_content content;
        if (!strcmp(e->d_name, ".") || !strcmp(e->d_name, "..") || snprintf(below, sizeof below, "%s/%s", path, e->d_name) >= (int)sizeof below ||
            lstat(below, &about))
            continue;
        if (depth && S_ISDIR(about.st_mode))
            walk(c, below, depth - 1);
        else if (!depth && S_ISREG(about.st_mode) && !strncmp(e->d_name, HALF_DONE, strlen(HALF_DONE)) && c->leftovers)
            unlink(below);
        else if (!depth && S_ISREG(about.st_mode) && gn_disk_parse(e->d_name, &content))
            add_file(c, below, &about);
    }
    closedir(folder);
}

static int by_use(const void *a, const void *b)
{
    const struct file *x = a, *y = b;
    if (x->used.tv_sec != y->used.tv_sec)
        return x->used.tv_sec < y->used.tv_sec ? -1 : 1;
    return x->used.tv_nsec < y->used.tv_nsec ? -1 : x->used.tv_nsec > y->used.tv_nsec;
}

int gn_disk_clean(const char *directory, uint64_t most_bytes, bool leftovers, struct gn_disk_sum *sum)
{
    struct cleaning c = {.leftovers = leftovers};
    *sum = (struct gn_disk_sum){0};
    walk(&c, directory, 2);
    for (size_t i = 0; i < c.count; i++)
        sum->bytes += c.files[i].bytes;
    sum->files = c.count;
    if (sum->bytes > most_bytes) {
        qsort(c.files, c.count, sizeof *c.files, by_use);
        for (size_t i = 0; i < c.count && sum->bytes > most_bytes - most_bytes / 10; i++)
            if (!unlink(c.files[i].path)) {
                sum->bytes -= c.files[i].bytes;
                sum->files--;
            }
    }
    for (size_t i = 0; i < c.count; i++)
        free(c.files[i].path);
    free(c.files);
    return c.error;
}
