// SPDX-License-Identifier: Apache-2.0
// The lock between descriptors that come and go and forks of the program (fork.h). Not a mutex of the thread library: the child lets go what
// its parent's thread has taken.
#include "remoting/fork.h"

#include "remoting/lock.h"

static struct gn_lock guard;

void gn_fork_hold(void) { gn_lock_take(&guard); }
void gn_fork_let(void) { gn_lock_give(&guard); }
