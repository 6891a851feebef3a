// SPDX-License-Identifier: Apache-2.0
// What needs no context: initialisation, versions, errors, looking up entry points and private tables.
#include <pthread.h>

#include "api_mock.h"
#include "include/cuda_prototypes.h"
#include "interpose/tables.h"
#include "remoting/errors.h"
#include "remoting/proc.h"
#include "tests/mock/mock_state.h"

CUresult mock_cuInit(unsigned int Flags)
{
    if (Flags)
        return CUDA_ERROR_INVALID_VALUE;
    if (!mock.options.devices)
        return CUDA_ERROR_NO_DEVICE;
    if (mock.initialised)
        return CUDA_SUCCESS;
    CUresult r = mock_devices_open();
    if (r == CUDA_SUCCESS)
        r = mock_contexts_open();
    mock.initialised = r == CUDA_SUCCESS;
    return r;
}

CUresult mock_cuDriverGetVersion(int *driverVersion)
{
    if (!driverVersion)
        return CUDA_ERROR_INVALID_VALUE;
    *driverVersion = MOCK_DRIVER_VERSION;
    return CUDA_SUCCESS;
}

CUresult mock_cuGetErrorName(CUresult error, const char **pStr)
{
    if (!pStr)
        return CUDA_ERROR_INVALID_VALUE;
    *pStr = gn_error_name(error);
    return *pStr ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

CUresult mock_cuGetErrorString(CUresult error, const char **pStr)
{
    if (!pStr)
        return CUDA_ERROR_INVALID_VALUE;
    *pStr = gn_error_string(error);
    return *pStr ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

CUresult mock_cuProfilerStart(void) { return CUDA_SUCCESS; }
CUresult mock_cuProfilerStop(void) { return CUDA_SUCCESS; }

// --- entry points

static CUresult find(const char *symbol, void **pfn, int cudaVersion, cuuint64_t flags,
                     CUdriverProcAddressQueryResult *status)
{
    const cuuint64_t stream_flags =
        CU_GET_PROC_ADDRESS_LEGACY_STREAM | CU_GET_PROC_ADDRESS_PER_THREAD_DEFAULT_STREAM;
    int known;
    if (!symbol || !pfn || flags & ~stream_flags || (flags & stream_flags) == stream_flags)
        return CUDA_ERROR_INVALID_VALUE;
    if (!*symbol) { // how the runtime asks whether its way of asking is understood
        *pfn = NULL;
        *status = CU_GET_PROC_ADDRESS_SYMBOL_NOT_FOUND;
        return CUDA_SUCCESS;
    }
    if (cudaVersion > MOCK_DRIVER_VERSION)
        return CUDA_ERROR_INVALID_VALUE;
    *pfn = gn_proc_find(symbol, cudaVersion, flags, &known);
    *status = *pfn    ? CU_GET_PROC_ADDRESS_SUCCESS
              : known ? CU_GET_PROC_ADDRESS_VERSION_NOT_SUFFICIENT
                      : CU_GET_PROC_ADDRESS_SYMBOL_NOT_FOUND;
    return CUDA_SUCCESS;
}

CUresult mock_cuGetProcAddress_v2(const char *symbol, void **pfn, int cudaVersion, cuuint64_t flags,
                                  CUdriverProcAddressQueryResult *symbolStatus)
{
    CUdriverProcAddressQueryResult status;
    CUresult r = find(symbol, pfn, cudaVersion, flags, &status);
    if (r == CUDA_SUCCESS && symbolStatus)
        *symbolStatus = status;
    return r;
}

CUresult mock_cuGetProcAddress(const char *symbol, void **pfn, int cudaVersion, cuuint64_t flags)
{
    CUdriverProcAddressQueryResult status;
    CUresult r = find(symbol, pfn, cudaVersion, flags, &status);
    return r == CUDA_SUCCESS && !*pfn && *symbol ? CUDA_ERROR_NOT_FOUND : r;
}

// --- private tables. Their functions are called by the runtime directly, so they go through the driver's own entry points where there is
// one (which check, lock and log), and lock by themselves where there is none.

static CUresult table_primary(CUcontext *context, CUdevice device)
{
    if (mock_is_child() || !mock.initialised)
        return CUDA_ERROR_NOT_INITIALIZED;
    return mock_primary_handle(context, device); // fixed since cuInit: no lock
}

static CUresult table_device(CUcontext context, CUdevice *device) { return cuCtxGetDevice_v2(device, context); }

static CUresult table_functions(CUmodule module, CUfunction *functions, unsigned *count)
{
    unsigned total;
    CUresult r = cuModuleGetFunctionCount(&total, module);
    if (r == CUDA_SUCCESS && functions)
        r = cuModuleEnumerateFunctions(functions, *count < total ? *count : total, module);
    if (r == CUDA_SUCCESS)
        *count = total;
    return r;
}

static const struct gn_table_driver table_driver = {
    .primary_context = table_primary,
    .current_context = cuCtxGetCurrent,
    .context_device = table_device,
    .context_id = cuCtxGetId,
    .module_load = cuModuleLoadData,
    .module_functions = table_functions,
    .driver_version = cuDriverGetVersion,
    .device_count = cuDeviceGetCount,
    .device_uuid = cuDeviceGetUuid_v2,
    .device_attribute = cuDeviceGetAttribute,
};

static void use_tables(void) { gn_tables_use(&table_driver); }

CUresult mock_cuGetExportTable(const void **ppExportTable, const CUuuid *pExportTableId)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    if (!ppExportTable || !pExportTableId)
        return CUDA_ERROR_INVALID_VALUE;
    struct mock_call_out saved;
    mock_call_out_begin(&saved); // it may ask the driver in turn
    pthread_once(&once, use_tables);
    CUresult r = gn_tables_find(ppExportTable, pExportTableId);
    mock_call_out_end(&saved);
    return r;
}
