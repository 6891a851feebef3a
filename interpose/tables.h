// SPDX-License-Identifier: Apache-2.0
// The private tables that the CUDA runtime and NVIDIA's libraries ask for with cuGetExportTable. Shared by
// the shim and the mock driver: what they need of their driver comes in as functions. Needs md2.c and nothing
// else of the project.
#ifndef GN_INTERPOSE_TABLES_H
#define GN_INTERPOSE_TABLES_H

#include "remoting/cuda_types.h"

struct gn_table_driver {
    CUresult (*primary_context)(CUcontext *context,
                                CUdevice device); // the handle that Retain would return, without retaining
    CUresult (*current_context)(CUcontext *context);
    CUresult (*context_device)(CUcontext context, CUdevice *device);
    CUresult (*context_id)(CUcontext context, unsigned long long *id);
    CUresult (*module_load)(CUmodule *module, const void *image); // a wrapper, a fatbin, an ELF or PTX
    CUresult (*module_functions)(CUmodule module, CUfunction *functions,
                                 unsigned *count); // functions NULL: only the count
    CUresult (*driver_version)(int *version);
    CUresult (*device_count)(int *count);
    CUresult (*device_uuid)(CUuuid *uuid, CUdevice device);
    CUresult (*device_attribute)(int *value, CUdevice_attribute attribute, CUdevice device);
    void (*refused)(int slot); // may be NULL: somebody called a slot that has no answer (it returns
                               // CUDA_ERROR_NOT_SUPPORTED)
};

// Call once before any table is asked for. `driver` must live as long as the process.
void gn_tables_use(const struct gn_table_driver *driver);

// cuGetExportTable: CUDA_SUCCESS and the table, or CUDA_ERROR_INVALID_VALUE for one that is not provided.
CUresult gn_tables_find(const void **table, const CUuuid *id);

// Runs the destructors of the context-local storage of `context` (when it is destroyed or reset) and forgets
// its values.
void gn_tables_context_gone(CUcontext context);

// In a forked child: the lock may have been held by a thread that is not there.
void gn_tables_forked(void);

#endif
