// SPDX-License-Identifier: Apache-2.0
// Runs a program where the kernel refuses userfaultfd, by system call and by device, as the seccomp profiles of containers do:
// deny_faults PROGRAM [ARGUMENT...].
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <linux/userfaultfd.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_userfaultfd, 3, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_ioctl, 0, 3),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[1])),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (0xAA << 8), 0, 1), // USERFAULTFD_IOC_NEW on the device
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog filter = {.len = sizeof code / sizeof *code, .filter = code};
    if (argc < 2)
        return 2;
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter)) {
        fprintf(stderr, "deny_faults: %s\n", strerror(errno));
        return 77;
    }
    if (syscall(SYS_userfaultfd, 0) != -1 || errno != EPERM) {
        fprintf(stderr, "deny_faults: userfaultfd is not refused\n");
        return 77;
    }
    execv(argv[1], argv + 1);
    fprintf(stderr, "deny_faults: %s: %s\n", argv[1], strerror(errno));
    return 126;
}
