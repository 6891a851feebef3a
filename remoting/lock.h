// SPDX-License-Identifier: Apache-2.0
// The session's locks: held for some dozen instructions each, never over a system call that may block, and taken by every launch.
//
// Taking is one exchange and letting go a plain store. Such a store does not wait for a thread that is just going to sleep, so a sleeper
// may be missed; it therefore never sleeps for longer than GN_LOCK_NAP_NS. Threads meet here rarely and briefly: nearly all spinning ends
// within the first rounds, and sleeping is for the case that the holder has lost its core.
#ifndef GN_REMOTING_LOCK_H
#define GN_REMOTING_LOCK_H

#include "remoting/futex.h"

enum {
    GN_LOCK_SPINS = 50,      // about the time for which the lock is held
    GN_LOCK_NAP_NS = 200000, // how late a sleeper can be that was missed
};

struct gn_lock {
    _Atomic uint32_t taken, sleepers;
};

static inline void gn_pause(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

static __attribute__((noinline, unused)) void gn_lock_wait(struct gn_lock *lock)
{
    for (int i = 0; i < GN_LOCK_SPINS; i++) {
        gn_pause();
        if (!atomic_load_explicit(&lock->taken, memory_order_relaxed) &&
            !atomic_exchange_explicit(&lock->taken, 1, memory_order_acquire))
            return;
    }
    atomic_fetch_add(&lock->sleepers, 1);
    while (atomic_exchange_explicit(&lock->taken, 1, memory_order_acquire))
        gn_futex_wait(&lock->taken, 1, GN_LOCK_NAP_NS);
    atomic_fetch_sub(&lock->sleepers, 1);
}

static inline void gn_lock_take(struct gn_lock *lock)
{
    // Acquire: pairs with the release in gn_lock_give.
    if (__builtin_expect(atomic_exchange_explicit(&lock->taken, 1, memory_order_acquire), 0))
        gn_lock_wait(lock);
}

static inline void gn_lock_give(struct gn_lock *lock)
{
    atomic_store_explicit(&lock->taken, 0, memory_order_release);
    if (__builtin_expect(atomic_load_explicit(&lock->sleepers, memory_order_relaxed), 0))
        gn_futex_wake(&lock->taken, 1);
}

#endif
