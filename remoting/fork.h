// SPDX-License-Identifier: Apache-2.0
// Descriptors that come and go while other threads of the program may fork: with this held nobody forks, so a child finds each of them where the
// session's structures say that it is. The fork handlers of whoever hosts sessions hold it across the fork.
#ifndef GN_REMOTING_FORK_H
#define GN_REMOTING_FORK_H

// Held for a system call that makes or closes a descriptor and for the store that tells of it; never over one that blocks.
void gn_fork_hold(void);
void gn_fork_let(void); // also after the fork, in the parent and in the child

#endif
