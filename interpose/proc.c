// SPDX-License-Identifier: Apache-2.0
// Symbols, versions, names of errors, private tables, loading mode, profiler: what a program asks of a driver
// before anything else.
#include "remoting/proc.h"

#include "api_calls.h"
#include "include/cuda_prototypes.h"
#include "interpose/init.h"
#include "interpose/local.h"
#include "interpose/log.h"
#include "interpose/proc.h"
#include "interpose/shim.h"
#include "interpose/tables.h"
#include "remoting/errors.h"

CUresult gn_proc_address(const char *symbol, void **pfn, int version, cuuint64_t flags,
                         CUdriverProcAddressQueryResult *status)
{
    const cuuint64_t streams =
        CU_GET_PROC_ADDRESS_LEGACY_STREAM | CU_GET_PROC_ADDRESS_PER_THREAD_DEFAULT_STREAM;
    if (!symbol || !pfn || version < 0 || (flags & ~streams) || (flags & streams) == streams)
        return CUDA_ERROR_INVALID_VALUE;
    // The empty name is how the runtime asks whether its way of asking is understood, with its own version.
    if (*symbol && version > gn_version())
        return CUDA_ERROR_INVALID_VALUE;
    int known = 0;
    *pfn = gn_proc_find(symbol, version, flags, &known);
    CUdriverProcAddressQueryResult found = *pfn    ? CU_GET_PROC_ADDRESS_SUCCESS
                                           : known ? CU_GET_PROC_ADDRESS_VERSION_NOT_SUFFICIENT
                                                   : CU_GET_PROC_ADDRESS_SYMBOL_NOT_FOUND;
    if (found && *symbol)
        gn_log(GN_LOG_DEBUG, "cuGetProcAddress: %s for version %d: %s", symbol, version,
               known ? "too new" : "unknown");
    if (status)
        *status = found;
    return CUDA_SUCCESS;
}

// The first form has no status to tell in, so the code tells.
CUresult gn_proc_address_v1(const char *symbol, void **pfn, int version, cuuint64_t flags)
{
    CUresult r = gn_proc_address(symbol, pfn, version, flags, NULL);
    return r || *pfn ? r : CUDA_ERROR_NOT_FOUND;
}

// With a local driver it is that driver who knows what there is; the program gets the shim's entry point to
// it.
static CUresult local_address(const char *symbol, void **pfn, int version, cuuint64_t flags,
                              CUdriverProcAddressQueryResult *status)
{
    CUresult (*ask)(const char *, void **, int, cuuint64_t, CUdriverProcAddressQueryResult *) =
        gn_local_function(GN_SYMBOL_cuGetProcAddress_v2);
    CUresult (*ask_v1)(const char *, void **, int, cuuint64_t) =
        gn_local_function(GN_SYMBOL_cuGetProcAddress);
    if (!ask && !ask_v1)
        return gn_proc_address(symbol, pfn, version, flags, status);
    CUresult r = ask ? ask(symbol, pfn, version, flags, status) : ask_v1(symbol, pfn, version, flags);
    void *ours = NULL;
    if (!r && *pfn && !gn_proc_address(symbol, &ours, version, flags, NULL) && ours)
        *pfn = ours;
    else if (!r && *pfn)
        gn_log(GN_LOG_DEBUG, "cuGetProcAddress: %s for version %d is the local driver's own", symbol,
               version);
    return r;
}

CUresult gn_cuGetProcAddress(struct gn_call *c, const char *symbol, void **pfn, int version, cuuint64_t flags)
{
    (void)c;
    if (!gn_local_wanted() || gn_local_open())
        return gn_proc_address_v1(symbol, pfn, version, flags);
    CUresult r = local_address(symbol, pfn, version, flags, NULL);
    return r || *pfn ? r : CUDA_ERROR_NOT_FOUND;
}

CUresult gn_cuGetProcAddress_v2(struct gn_call *c, const char *symbol, void **pfn, int version,
                                cuuint64_t flags, CUdriverProcAddressQueryResult *status)
{
    (void)c;
    return gn_local_wanted() && !gn_local_open() ? local_address(symbol, pfn, version, flags, status)
                                                 : gn_proc_address(symbol, pfn, version, flags, status);
}

CUresult gn_cuDriverGetVersion(struct gn_call *c, int *version)
{
    (void)c;
    if (!version)
        return CUDA_ERROR_INVALID_VALUE;
    *version = gn_version();
    return CUDA_SUCCESS;
}

CUresult gn_cuGetErrorName(struct gn_call *c, CUresult error, const char **text)
{
    (void)c;
    if (!text)
        return CUDA_ERROR_INVALID_VALUE;
    *text = gn_error_name(error);
    return *text ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

CUresult gn_cuGetErrorString(struct gn_call *c, CUresult error, const char **text)
{
    (void)c;
    if (!text)
        return CUDA_ERROR_INVALID_VALUE;
    *text = gn_error_string(error);
    return *text ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

CUresult gn_cuModuleGetLoadingMode(struct gn_call *c, CUmoduleLoadingMode *mode)
{
    (void)c;
    if (!mode)
        return CUDA_ERROR_INVALID_VALUE;
    // Images are kept at the server and functions are loaded there at first use.
    *mode = CU_MODULE_LAZY_LOADING;
    return CUDA_SUCCESS;
}

// A profiler watches the process in which the driver runs: there is none here to start or to stop, as on a
// machine without one.
CUresult gn_cuProfilerStart(struct gn_call *c)
{
    (void)c;
    return CUDA_SUCCESS;
}

CUresult gn_cuProfilerStop(struct gn_call *c)
{
    (void)c;
    return CUDA_SUCCESS;
}

// --- private tables: what they need of a driver is what a program would call

static CUresult table_primary_context(CUcontext *context, CUdevice device)
{
    if (atomic_load_explicit(&gn_shim.mode, memory_order_acquire) == GN_MODE_COLD)
        return CUDA_ERROR_NOT_INITIALIZED;
    if (!context)
        return CUDA_ERROR_INVALID_VALUE;
    if (!gn_device(device))
        return CUDA_ERROR_INVALID_DEVICE;
    struct gn_context *x = gn_context_primary(device);
    if (!x)
        return CUDA_ERROR_OUT_OF_MEMORY;
    gn_handle_give(context, atomic_load(&x->id));
    return CUDA_SUCCESS;
}

// Before most calls of the runtime, so it takes no detour.
static CUresult table_current_context(CUcontext *context)
{
    const struct gn_thread *t = gn_thread_self();
    gn_handle_give(context, t && t->depth ? t->stack[t->depth - 1] : 0);
    return CUDA_SUCCESS;
}

static CUresult table_module_functions(CUmodule module, CUfunction *functions, unsigned *count)
{
    return functions ? cuModuleEnumerateFunctions(functions, *count, module)
                     : cuModuleGetFunctionCount(count, module);
}

static CUresult table_driver_version(int *version)
{
    *version = gn_version();
    return CUDA_SUCCESS;
}

static CUresult table_context_device(CUcontext context, CUdevice *device)
{
    return cuCtxGetDevice_v2(device, context);
}

static void table_refused(int slot)
{
    gn_log_once(GN_LOG_WARN, "slot %d of a private table was called, which Genie does not know", slot);
}

static const struct gn_table_driver table_driver = {
    .primary_context = table_primary_context,
    .current_context = table_current_context,
    .context_device = table_context_device,
    .context_id = cuCtxGetId,
    .module_load = cuModuleLoadData,
    .module_functions = table_module_functions,
    .driver_version = table_driver_version,
    .device_count = cuDeviceGetCount,
    .device_uuid = cuDeviceGetUuid,
    .device_attribute = cuDeviceGetAttribute,
    .refused = table_refused,
};

CUresult gn_cuGetExportTable(struct gn_call *c, const void **table, const CUuuid *id)
{
    (void)c;
    gn_tables_use(&table_driver);
    CUresult r = gn_tables_find(table, id);
    if (r && table && id)
        gn_log(GN_LOG_DEBUG, "cuGetExportTable: no table %02x%02x%02x%02x...", (uint8_t)id->bytes[0],
               (uint8_t)id->bytes[1], (uint8_t)id->bytes[2], (uint8_t)id->bytes[3]);
    return r;
}
