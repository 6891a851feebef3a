// SPDX-License-Identifier: Apache-2.0
// The treap of address ranges: ordered by start, heap-ordered by a random weight, each node knowing the largest free span below it.
#include "tests/mock/mock_range.h"

#include <stddef.h>

static uint64_t largest(const struct mock_range *node) { return node ? node->largest_free : 0; }

static void sum(struct mock_range *node)
{
    uint64_t most = node->is_free ? node->span : 0;
    if (largest(node->left) > most)
        most = largest(node->left);
    if (largest(node->right) > most)
        most = largest(node->right);
    node->largest_free = most;
}

static struct mock_range *rotate_right(struct mock_range *node)
{
    struct mock_range *up = node->left;
    node->left = up->right;
    up->right = node;
    sum(node);
    sum(up);
    return up;
}

static struct mock_range *rotate_left(struct mock_range *node)
{
    struct mock_range *up = node->right;
    node->right = up->left;
    up->left = node;
    sum(node);
    sum(up);
    return up;
}

// Recursion is as deep as the tree: about 2 log2(n) with random weights.
static struct mock_range *insert(struct mock_range *node, struct mock_range *range)
{
    if (!node)
        return range;
    if (range->start < node->start) {
        node->left = insert(node->left, range);
        if (node->left->weight > node->weight)
            return rotate_right(node);
    } else {
        node->right = insert(node->right, range);
        if (node->right->weight > node->weight)
            return rotate_left(node);
    }
    sum(node);
    return node;
}

static struct mock_range *merge(struct mock_range *low, struct mock_range *high)
{
    if (!low || !high)
        return low ? low : high;
    if (low->weight > high->weight) {
        low->right = merge(low->right, high);
        sum(low);
        return low;
    }
    high->left = merge(low, high->left);
    sum(high);
    return high;
}

static struct mock_range *remove_from(struct mock_range *node, const struct mock_range *range)
{
    if (!node)
        return NULL;
    if (node == range)
        return merge(node->left, node->right);
    if (range->start < node->start)
        node->left = remove_from(node->left, range);
    else
        node->right = remove_from(node->right, range);
    sum(node);
    return node;
}

void mock_ranges_insert(struct mock_ranges *set, struct mock_range *range)
{
    uint32_t x = set->random ? set->random : 0x9e3779b9u; // xorshift32
    x ^= x << 13;
    x ^= x >> 17;
    x ^= x << 5;
    set->random = x;
    range->weight = x;
    range->left = range->right = NULL;
    sum(range);
    set->root = insert(set->root, range);
    set->count++;
}

void mock_ranges_remove(struct mock_ranges *set, struct mock_range *range)
{
    set->root = remove_from(set->root, range);
    set->count--;
}

struct mock_range *mock_ranges_find(const struct mock_ranges *set, uint64_t address)
{
    struct mock_range *node = set->root;
    while (node && (address < node->start || address - node->start >= node->span))
        node = address < node->start ? node->left : node->right;
    return node;
}

struct mock_range *mock_ranges_from(const struct mock_ranges *set, uint64_t address)
{
    struct mock_range *node = set->root, *best = NULL;
    while (node) {
        if (address < node->start || address - node->start < node->span) {
            best = node;
            node = node->left;
        } else {
            node = node->right;
        }
    }
    return best;
}

struct mock_range *mock_ranges_first_fit(const struct mock_ranges *set, uint64_t span)
{
    struct mock_range *node = set->root;
    while (node && node->largest_free >= span) {
        if (largest(node->left) >= span)
            node = node->left;
        else if (node->is_free && node->span >= span)
            return node;
        else
            node = node->right;
    }
    return NULL;
}

static void refresh(struct mock_range *node, const struct mock_range *range)
{
    if (node != range)
        refresh(range->start < node->start ? node->left : node->right, range);
    sum(node);
}

void mock_ranges_changed(struct mock_ranges *set, struct mock_range *range) { refresh(set->root, range); }
