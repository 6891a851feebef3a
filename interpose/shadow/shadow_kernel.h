// SPDX-License-Identifier: Apache-2.0
// What tracked ranges ask of the kernel: userfaultfd, PAGEMAP_SCAN, PROCMAP_QUERY, madvise; each as one function, without locks or memory.
//
// What was found on Linux 6.18, and is relied on:
// - With UFFD_FEATURE_WP_ASYNC a write to a protected page clears its mark and goes on, also where the kernel writes; nobody is asked. A huge page
//   has one mark, and is split when it is written to. PAGEMAP_SCAN with PM_SCAN_CHECK_WPASYNC refuses (EPERM) as soon as one mapping of the range
//   is not registered so: memory that was unmapped and mapped anew is always noticed. A hole is not: reading it is the program's own fault.
// - A page that is not there counts as written for PM_SCAN_WP_MATCHING and would be marked; asking for written pages that are present or
//   swapped leaves it alone: of 500 MB without a page the scan takes about 10 us; of 4 KiB pages 1.4 to 6 ms; of huge pages 10 us.
// - Marks and missing pages move along with mremap (EVENT_REMAP for the new place, then EVENT_UNMAP for the old). MADV_DONTNEED and MADV_FREE raise
//   EVENT_REMOVE before they act, in the process that registered too, and wait until it has been read (not: acted upon): whoever calls them must
//   not be the thread that reads. While one is unread UFFDIO_COPY says EAGAIN.
// - UFFDIO_REGISTER takes shared memory and holes, so the mappings are looked at first; locked memory it takes too, but MADV_DONTNEED does not.
//   Memory of another userfaultfd is EBUSY.
// - MADV_POPULATE_READ faults pages in without touching them: a poisoned page is an error (EHWPOISON), no SIGBUS.
// - UFFDIO_UNREGISTER wakes who waits; a page that is missing then reads as zeros.
#ifndef GN_INTERPOSE_SHADOW_KERNEL_H
#define GN_INTERPOSE_SHADOW_KERNEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// 0 or -errno, with `why` a static string.
int gn_shadow_kernel_open(const char **why);
void gn_shadow_kernel_close(void); // in a forked child
bool gn_shadow_sees_forks(void);   // a child that is forked without libc's fork is told of

int gn_shadow_register(uint64_t start, uint64_t size_bytes);
int gn_shadow_unregister(uint64_t start, uint64_t size_bytes);
int gn_shadow_discard(uint64_t start, uint64_t size_bytes);  // by another thread than the one that reads events
int gn_shadow_populate(uint64_t start, uint64_t size_bytes); // 0, or -errno when a page cannot be had

// What may be tracked: private anonymous memory that can be read and written, without holes. *why: what it is else.
int gn_shadow_trackable(uint64_t start, uint64_t size_bytes, const char **why);

// The mapping at `address`: its end, and what of its kind tells it from others. 0, or -errno: none, or not private anonymous memory.
int gn_shadow_mapping(uint64_t address, uint64_t *end, unsigned *kind);

struct gn_written { // a run of pages
    uint64_t start, end;
};
// Pages in [*start, end) that are here and written since they were last protected, at most `room` runs; protects them again. *start: where to
// go on. The number of runs, or -errno: -EPERM: it is not, or not all, what was registered.
int gn_shadow_written(uint64_t *start, uint64_t end, struct gn_written *runs, unsigned room);

// --- the thread that reads events
enum gn_shadow_event_kind { GN_EVENT_FAULT, GN_EVENT_REMOVE, GN_EVENT_UNMAP, GN_EVENT_REMAP, GN_EVENT_FORK, GN_EVENT_OTHER };
struct gn_shadow_event {
    enum gn_shadow_event_kind kind;
    uint64_t start, end; // of a fault the page's; of a remap the place it was moved from
    uint64_t to;         // of a remap
    int fd;              // of a fork: the child's userfaultfd
};
int gn_shadow_next_event(struct gn_shadow_event *event); // 1: there is one; 0: none now; -errno. Faults come first
int gn_shadow_wait_event(void);                          // sleeps until there is one. 0 or -errno
// `fd` -1: this process's. 0 or -errno: -EEXIST: a page is there already; -EAGAIN: events must be read first; *done_bytes in any case.
int gn_shadow_copy(int fd, uint64_t to, const void *from, uint64_t size_bytes, uint64_t *done_bytes);
int gn_shadow_zero(uint64_t page);
int gn_shadow_poison(uint64_t start, uint64_t size_bytes);
int gn_shadow_wake(uint64_t start, uint64_t size_bytes); // who waits there tries again

#endif
