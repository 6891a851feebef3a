// SPDX-License-Identifier: Apache-2.0
// The table behind cuGetProcAddress: every name with each of its versions. Written by apigen, searched by the shim and the mock alike.
#ifndef GN_REMOTING_PROC_H
#define GN_REMOTING_PROC_H

struct gn_proc {
    const char *name;         // without _v2
    int since, variant_since; // versions as the program asks for them: 11020 is CUDA 11.2; variant_since 0: no variant
    void *legacy, *per_thread;
};

extern const struct gn_proc gn_procs[]; // by name, then by version
extern const unsigned gn_proc_count;

// The newest version of `name` that is no newer than `version`; flags as cuGetProcAddress takes them (CU_GET_PROC_ADDRESS_*). Returns its
// address, or NULL and whether an asked-for name exists at all in *known (then it is only too new).
void *gn_proc_find(const char *name, int version, unsigned long long flags, int *known);

#endif
