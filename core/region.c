// SPDX-License-Identifier: Apache-2.0
// Region map.
#include "core/region.h"

#include <errno.h>

static int height(const struct gn_region *r) { return r ? r->height : 0; }
static uint64_t last(const struct gn_region *r)
{
    return r->start + (r->size_bytes - 1);
} // of its bytes: never wraps

static void measure(struct gn_region *r)
{
    int left = height(r->left), right = height(r->right);
    r->height = 1 + (left > right ? left : right);
}

static struct gn_region *rotate_right(struct gn_region *r)
{
    struct gn_region *up = r->left;
    r->left = up->right;
    up->right = r;
    measure(r);
    measure(up);
    return up;
}

static struct gn_region *rotate_left(struct gn_region *r)
{
    struct gn_region *up = r->right;
    r->right = up->left;
    up->left = r;
    measure(r);
    measure(up);
    return up;
}

// The root of the subtree after its children's heights were made to differ by one at most.
static struct gn_region *balance(struct gn_region *r)
{
    int lean = height(r->left) - height(r->right);
    if (lean > 1) {
        if (height(r->left->left) < height(r->left->right))
            r->left = rotate_left(r->left);
        return rotate_right(r);
    }
    if (lean < -1) {
        if (height(r->right->right) < height(r->right->left))
            r->right = rotate_right(r->right);
        return rotate_left(r);
    }
    measure(r);
    return r;
}

// The links from the root to where a node hangs, so that the way back needs no recursion.
struct path {
    struct gn_region **links[GN_REGION_HEIGHT_MAX + 1];
    int depth;
};

static void rebalance(struct path *path)
{
    while (path->depth--) {
        struct gn_region **link = path->links[path->depth];
        *link = balance(*link);
    }
}

int gn_region_insert(struct gn_region_map *map, struct gn_region *region)
{
    if (!region->size_bytes || region->start + (region->size_bytes - 1) < region->start)
        return -EINVAL;
    struct path path = {.depth = 0};
    struct gn_region **link = &map->root;
    while (*link) {
        path.links[path.depth++] = link;
        if (last(region) < (*link)->start)
            link = &(*link)->left;
        else if (region->start > last(*link))
            link = &(*link)->right;
        else
            return -EEXIST;
    }
    region->left = region->right = NULL;
    region->height = 1;
    *link = region;
    map->count++;
    rebalance(&path);
    return 0;
}

// Takes the leftmost node below *link out of the tree and returns it; its way is added to the path.
static struct gn_region *take_first(struct gn_region **link, struct path *path)
{
    while ((*link)->left) {
        path->links[path->depth++] = link;
        link = &(*link)->left;
    }
    struct gn_region *first = *link;
    *link = first->right;
    return first;
}

int gn_region_remove(struct gn_region_map *map, struct gn_region *region)
{
    struct path path = {.depth = 0};
    struct gn_region **link = &map->root;
    while (*link && *link != region) {
        path.links[path.depth++] = link;
        link = region->start < (*link)->start ? &(*link)->left : &(*link)->right;
    }
    if (!*link)
        return -ENOENT;
    if (region->left && region->right) {
        // The next node in order takes its place. The way to it begins with the link region->right, which is
        // next->right afterwards.
        path.links[path.depth++] = link;
        int below = path.depth;
        struct gn_region *next = take_first(&region->right, &path);
        next->left = region->left;
        next->right = region->right;
        *link = next;
        if (path.depth > below)
            path.links[below] = &next->right;
    } else {
        *link = region->left ? region->left : region->right;
    }
    map->count--;
    rebalance(&path);
    region->left = region->right = NULL;
    return 0;
}

struct gn_region *gn_region_find(const struct gn_region_map *map, uint64_t address)
{
    struct gn_region *r = map->root;
    while (r && (address < r->start || address > last(r)))
        r = address < r->start ? r->left : r->right;
    return r;
}

struct gn_region *gn_region_find_all(const struct gn_region_map *map, uint64_t address, uint64_t size_bytes)
{
    struct gn_region *r = gn_region_find(map, address);
    if (!size_bytes) {
        if (!r && address)
            r = gn_region_find(map, address - 1);
        return r;
    }
    return r && size_bytes - 1 <= last(r) - address ? r : NULL;
}

struct gn_region *gn_region_from(const struct gn_region_map *map, uint64_t address)
{
    struct gn_region *best = NULL;
    for (struct gn_region *r = map->root; r;) {
        if (address <= last(r)) {
            best = r;
            r = r->left;
        } else {
            r = r->right;
        }
    }
    return best;
}
