// SPDX-License-Identifier: Apache-2.0
// The content store on disk: one file a content, DIRECTORY/TENANT/XX/DIGEST-SIZE, whose bytes are the content and nothing else. A file that is not
// what its name says is worth nothing, and is removed when that is noticed; so no crash of anything can do harm.
#ifndef GN_SERVER_STORE_DISK_H
#define GN_SERVER_STORE_DISK_H

#include <stddef.h>

#include "server/store/store.h"

enum {
    GN_DISK_PATH_BYTES = 4096,
    GN_DISK_NAME_BYTES = 48, // 32 digits, '-', up to 7 digits, NUL
};

// The file's name, and the two digits of its folder.
void gn_disk_name(const struct gn_content *content, char name[GN_DISK_NAME_BYTES]);
// The content that a file of that name would have. False: no name of ours.
bool gn_disk_parse(const char *name, struct gn_content *content);

// Reads the content into `room` (GN_CONTENT_BYTES_MAX), and notes that it was used. 0; -ENOENT; -EBADMSG: it was not what it should be, and is
// removed; -errno.
int gn_disk_load(const char *directory, const char *tenant, const struct gn_content *content, void *room);
// Writes it: whole, or not at all, also when the power goes. 0, or -errno. *fresh: it was not there before.
int gn_disk_save(const char *directory, const char *tenant, const struct gn_content *content, const void *data, bool *fresh);
// What has been saved under this tenant's two digits is there after a power cut too.
void gn_disk_sync(const char *directory, const char *tenant, const struct gn_content *content);
void gn_disk_touch(const char *directory, const char *tenant, const struct gn_content *content); // used just now

struct gn_disk_sum {
    uint64_t files, bytes;
};
// Removes what writers have left half done and, when there are more than `most_bytes`, the files used least recently, down to nine tenths of
// that. What is there then.
int gn_disk_clean(const char *directory, uint64_t most_bytes, bool leftovers, struct gn_disk_sum *sum);

#endif
