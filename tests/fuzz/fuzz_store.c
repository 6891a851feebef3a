// SPDX-License-Identifier: Apache-2.0
// Fuzzes the content store: what sessions do with it in any order, slots of the index that a dying process has left as they were not meant to be,
// and names of its files. Whatever comes, the index is sound again after it was made anew, and what is found has the bytes that it was stored with.
#include <stdlib.h>
#include <string.h>

#include "remoting/digest.h"
#include "server/log.h"
#include "server/store/store_disk.h"
#include "server/store/store_parts.h"

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { MEMORY = 1 << 20, HELD = 4 };

static uint8_t bytes[GN_CONTENT_BYTES_MAX], room[GN_CONTENT_BYTES_MAX];

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc, (void)argv;
    gn_log_setup(GN_LOG_OFF, 0);
    return 0;
}

static void require(bool holds)
{
    if (!holds)
        abort();
}

static struct gn_content fill(uint8_t seed)
{
    static const uint32_t sizes[] = {1, 4096, 5000, 65536, 200000, 1 << 20};
    uint32_t size = sizes[seed % (sizeof sizes / sizeof *sizes)];
    memset(bytes, seed, size);
    return gn_content_of(bytes, size);
}

static void put(struct gn_store *s, struct gn_tenant tenant, uint8_t seed)
{
    struct gn_content content = fill(seed);
    int slot = gn_store_begin(s, tenant, &content);
    if (slot < 0)
        return;
    slot = gn_store_finish(s, slot, !gn_store_write(s, slot, bytes, content.size_bytes) && !(seed & 64));
    if (slot >= 0)
        gn_store_let_go(s, slot);
}

static void require_sound(struct gn_store *s)
{
    struct store_index *x = s->index;
    uint64_t ready = 0, listed = 0, chained = 0, free_count = 0, states[3] = {0}, pages = 0;
    for (uint32_t i = 0; i < x->slot_count; i++) {
        require(x->slots[i].state <= STORE_READY);
        states[x->slots[i].state]++;
        pages += x->slots[i].pages;
    }
    for (uint32_t at = x->newest; at != STORE_NONE && ready <= x->slot_count; at = x->slots[at].older)
        ready++;
    for (uint32_t at = x->oldest; at != STORE_NONE && listed <= x->slot_count; at = x->slots[at].newer)
        listed++;
    for (uint32_t at = x->free; at != STORE_NONE && free_count <= x->slot_count; at = x->slots[at].chained)
        free_count++;
    for (uint32_t i = 0; i < x->bucket_count; i++)
        for (uint32_t at = s->buckets[i]; at != STORE_NONE && chained <= x->slot_count; at = x->slots[at].chained)
            chained++;
    require(ready == states[STORE_READY] && listed == ready && chained == ready && ready == x->counts.chunks);
    require(free_count == states[STORE_FREE] && pages == x->counts.pages);
}

// A word of a slot is another. Then all of the index is made anew.
static void spoil(struct gn_store *s, uint8_t where, uint8_t what, uint8_t value)
{
    require(store_lock(s));
    uint8_t *slot = (uint8_t *)&s->index->slots[where % s->index->slot_count];
    slot[what % sizeof(struct store_slot)] = value;
    s->index->free = value;
    s->index->oldest = what;
    store_rebuild(s);
    store_unlock(s);
    require_sound(s);
}

static void walk(const uint8_t *data, size_t size)
{
    static const struct gn_tenant tenants[2] = {{1, 2}, {1, 3}};
    struct gn_store_fds fds;
    struct gn_store *s;
    int held[HELD] = {-1, -1, -1, -1};
    bool spoilt = false;
    require(!gn_store_make(&fds, MEMORY) && !gn_store_open(&s, &fds));
    for (size_t i = 0; i + 4 <= size; i += 4) {
        const uint8_t *at = data + i;
        struct gn_tenant tenant = tenants[at[0] >> 7];
        struct gn_content content;
        int *hold = &held[at[1] % HELD], slot;
        switch (at[0] & 7) {
        case 0 ... 2: put(s, tenant, at[1]); break;
        case 3:
            content = fill(at[1]);
            if ((slot = gn_store_find(s, tenant, &content)) < 0)
                break;
            require(gn_store_check(s, slot, &content, room) ? !memcmp(room, bytes, content.size_bytes) : spoilt);
            gn_store_let_go(s, slot);
            break;
        case 4:
            if (*hold >= 0)
                gn_store_let_go(s, *hold);
            content = fill(at[2]);
            *hold = gn_store_find(s, tenant, &content);
            break;
        case 5:
            spoil(s, at[1], at[2], at[3]);
            spoilt = true;
            break;
        default: {
            uint32_t from = at[1];
            const char *name;
            gn_store_register(s, tenant, at[2] & 1 ? "uid-1" : "open-x");
            if ((slot = gn_store_unsaved(s, &from, &content, &name)) >= 0) {
                gn_store_saved(s, slot);
                gn_store_let_go(s, slot);
            }
        }
        }
    }
    gn_store_close(s);
}

static void name(const uint8_t *data, size_t size)
{
    char text[64] = "", again[GN_DISK_NAME_BYTES];
    struct gn_content content;
    memcpy(text, data, size < sizeof text - 1 ? size : sizeof text - 1);
    if (!gn_disk_parse(text, &content))
        return;
    gn_disk_name(&content, again);
    require(!strcmp(text, again) && content.size_bytes && content.size_bytes <= GN_CONTENT_BYTES_MAX);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size && data[0] & 1)
        name(data + 1, size - 1);
    else if (size)
        walk(data + 1, size - 1 < 4096 ? size - 1 : 4096);
    return 0;
}
