// SPDX-License-Identifier: Apache-2.0
// Error cases: what can be called before cuInit, names of errors, entry points by name, devices.
#include "tests/errors/table.h"

static void before(struct table *t)
{
    struct fixture *f = &t->f;
    section(t, "Before cuInit", BEFORE_INIT, ALONE);
    CASE("flags are 0", CUDA_ERROR_INVALID_VALUE, AT_CALL, DOCUMENTED, "cuInit", cuInit(1));
    CASE("counting devices", CUDA_ERROR_NOT_INITIALIZED, AT_CALL, DOCUMENTED, "cuInit", cuDeviceGetCount(&f->out.number));
    CASE("a device", CUDA_ERROR_NOT_INITIALIZED, AT_CALL, DOCUMENTED, "cuInit", cuDeviceGet(&f->out.device, 0));
    CASE("an attribute", CUDA_ERROR_NOT_INITIALIZED, AT_CALL, DOCUMENTED, "cuInit",
         cuDeviceGetAttribute(&f->out.number, CU_DEVICE_ATTRIBUTE_WARP_SIZE, 0));
    CASE("a context", CUDA_ERROR_NOT_INITIALIZED, AT_CALL, DOCUMENTED, "cuInit", cuCtxCreate(&f->out.context, NULL, 0, 0));
    CASE("the current context", CUDA_ERROR_NOT_INITIALIZED, AT_CALL, REPORTED, "lupine#435, driver 590.48",
         cuCtxGetCurrent(&f->out.context));
    CASE("no context to set", CUDA_ERROR_NOT_INITIALIZED, AT_CALL, DOCUMENTED, "cuInit", cuCtxSetCurrent(NULL));
    CASE("a primary context", CUDA_ERROR_NOT_INITIALIZED, AT_CALL, DOCUMENTED, "cuInit", cuDevicePrimaryCtxRetain(&f->out.context, 0));
    CASE("memory", CUDA_ERROR_NOT_INITIALIZED, AT_CALL, DOCUMENTED, "cuInit", cuMemAlloc(&f->out.address, 100));
    CASE("wrong arguments do not come first", CUDA_ERROR_NOT_INITIALIZED, AT_CALL, ASSUMED, "", cuMemAlloc(NULL, 0));
    CASE("pinned memory", CUDA_ERROR_NOT_INITIALIZED, AT_CALL, DOCUMENTED, "cuInit", cuMemAllocHost(&f->out.pointer, 100));
    CASE("a stream", CUDA_ERROR_NOT_INITIALIZED, AT_CALL, DOCUMENTED, "cuInit", cuStreamCreate(&f->out.stream, 0));
    CASE("a module", CUDA_ERROR_NOT_INITIALIZED, AT_CALL, DOCUMENTED, "cuInit", cuModuleLoadData(&f->out.module, ""));
    CASE("a library", CUDA_ERROR_NOT_INITIALIZED, AT_CALL, DOCUMENTED, "cuInit",
         cuLibraryLoadData(&f->out.lib, "", NULL, NULL, 0, NULL, NULL, 0));
    CASE("the profiler", CUDA_ERROR_NOT_INITIALIZED, AT_CALL, REPORTED, "lupine#435, driver 590.48", cuProfilerStart());
    section(t, "Before cuInit, and no error", BEFORE_INIT, ALONE | WRITES);
    CASE("the driver's version", CUDA_SUCCESS, AT_CALL, DOCUMENTED, "cuDriverGetVersion", cuDriverGetVersion(&f->out.number));
    CASE("the name of an error", CUDA_SUCCESS, AT_CALL, DOCUMENTED, "cuGetErrorName: no such return",
         cuGetErrorName(CUDA_ERROR_INVALID_VALUE, &f->out.text));
    CASE("an entry point", CUDA_SUCCESS, AT_CALL, DOCUMENTED, "cuGetProcAddress: no such return",
         cuGetProcAddress("cuMemAlloc", &f->out.pointer, 12000, 0, NULL));
}

static void names(struct table *t)
{
    struct fixture *f = &t->f;
    section(t, "Names of errors", NO_CONTEXT, WRITES);
    CASE("the name of an unknown code", CUDA_ERROR_INVALID_VALUE, AT_CALL, DOCUMENTED, "cuGetErrorName",
         cuGetErrorName((CUresult)9876, &f->out.text));
    CASE("and the text is NULL", CUDA_SUCCESS, AT_CALL, DOCUMENTED, "cuGetErrorName",
         (cuGetErrorName((CUresult)9876, &f->out.text), f->out.text ? CUDA_ERROR_UNKNOWN : CUDA_SUCCESS));
    CASE("the text of an unknown code", CUDA_ERROR_INVALID_VALUE, AT_CALL, DOCUMENTED, "cuGetErrorString",
         cuGetErrorString((CUresult)-1, &f->out.text));
    CASE("and the text is NULL (string)", CUDA_SUCCESS, AT_CALL, DOCUMENTED, "cuGetErrorString",
         (cuGetErrorString((CUresult)-1, &f->out.text), f->out.text ? CUDA_ERROR_UNKNOWN : CUDA_SUCCESS));
    CASE("nowhere to put the name", CUDA_ERROR_INVALID_VALUE, AT_CALL, DOCUMENTED, "cuGetErrorName: returns",
         cuGetErrorName(CUDA_SUCCESS, NULL));
    CASE("nowhere to put the text", CUDA_ERROR_INVALID_VALUE, AT_CALL, DOCUMENTED, "cuGetErrorString: returns",
         cuGetErrorString(CUDA_SUCCESS, NULL));
    CASE("nowhere to put the version", CUDA_ERROR_INVALID_VALUE, AT_CALL, DOCUMENTED, "cuDriverGetVersion", cuDriverGetVersion(NULL));
}

// CUDA_SUCCESS when the call says so, finds nothing and says why.
static CUresult not_there(struct fixture *f, const char *name, int version, CUdriverProcAddressQueryResult why)
{
    CUdriverProcAddressQueryResult status = CU_GET_PROC_ADDRESS_SUCCESS;
    CUresult r = cuGetProcAddress(name, &f->out.pointer, version, 0, &status);
    return r ? r : f->out.pointer || status != why ? CUDA_ERROR_UNKNOWN : CUDA_SUCCESS;
}

static void entry_points(struct table *t)
{
    struct fixture *f = &t->f;
    section(t, "Entry points by name", NO_CONTEXT, WRITES);
    CASE("an unknown name: nothing, and a status", CUDA_SUCCESS, AT_CALL, DOCUMENTED, "cuGetProcAddress; lupine#442: NOT_FOUND",
         not_there(f, "cuNoSuchCall", 12000, CU_GET_PROC_ADDRESS_SYMBOL_NOT_FOUND));
    CASE("an empty name: nothing, and a status", CUDA_SUCCESS, AT_CALL, DOCUMENTED, "cuGetProcAddress",
         not_there(f, "", 12000, CU_GET_PROC_ADDRESS_SYMBOL_NOT_FOUND));
    CASE("a call newer than the version asked for", CUDA_SUCCESS, AT_CALL, DOCUMENTED, "cuGetProcAddress",
         not_there(f, "cuLaunchKernelEx", 11000, CU_GET_PROC_ADDRESS_VERSION_NOT_SUFFICIENT));
    CASE("no name", CUDA_ERROR_INVALID_VALUE, AT_CALL, DOCUMENTED, "cuGetProcAddress: returns",
         cuGetProcAddress(NULL, &f->out.pointer, 12000, 0, NULL));
    CASE("nowhere to put it", CUDA_ERROR_INVALID_VALUE, AT_CALL, DOCUMENTED, "cuGetProcAddress: returns",
         cuGetProcAddress("cuInit", NULL, 12000, 0, NULL));
    CASE("unknown flags", CUDA_ERROR_INVALID_VALUE, AT_CALL, DOCUMENTED, "cuGetProcAddress: returns",
         cuGetProcAddress("cuInit", &f->out.pointer, 12000, 0x100, NULL));
    CASE("both kinds of default streams", CUDA_ERROR_INVALID_VALUE, AT_CALL, ASSUMED, "",
         cuGetProcAddress("cuMemcpy", &f->out.pointer, 12000, 3, NULL));
    CASE("a version above the driver's", CUDA_ERROR_INVALID_VALUE, AT_CALL, DOCUMENTED, "cuGetProcAddress",
         cuGetProcAddress("cuInit", &f->out.pointer, 99000, 0, NULL));
}

static void devices(struct table *t)
{
    struct fixture *f = &t->f;
    section(t, "Devices", NO_CONTEXT, 0);
    CASE("ordinal -1", CUDA_ERROR_INVALID_DEVICE, AT_CALL, DOCUMENTED, "cuDeviceGet: returns", cuDeviceGet(&f->out.device, -1));
    CASE("an ordinal beyond the last", CUDA_ERROR_INVALID_DEVICE, AT_CALL, DOCUMENTED, "cuDeviceGet: returns",
         cuDeviceGet(&f->out.device, 1000));
    CASE("nowhere to put the device", CUDA_ERROR_INVALID_VALUE, AT_CALL, DOCUMENTED, "cuDeviceGet: returns", cuDeviceGet(NULL, 0));
    CASE("nowhere to put the count", CUDA_ERROR_INVALID_VALUE, AT_CALL, DOCUMENTED, "cuDeviceGetCount: returns", cuDeviceGetCount(NULL));
    CASE("attribute 0", CUDA_ERROR_INVALID_VALUE, AT_CALL, DOCUMENTED, "cuDeviceGetAttribute: returns",
         cuDeviceGetAttribute(&f->out.number, (CUdevice_attribute)0, f->device));
    CASE("an attribute beyond the last", CUDA_ERROR_INVALID_VALUE, AT_CALL, DOCUMENTED, "cuDeviceGetAttribute: returns",
         cuDeviceGetAttribute(&f->out.number, (CUdevice_attribute)100000, f->device));
    CASE("a negative attribute", CUDA_ERROR_INVALID_VALUE, AT_CALL, DOCUMENTED, "cuDeviceGetAttribute: returns",
         cuDeviceGetAttribute(&f->out.number, (CUdevice_attribute)-5, f->device));
    CASE("an attribute of no device", CUDA_ERROR_INVALID_DEVICE, AT_CALL, REPORTED, "lupine#438, driver 590.48",
         cuDeviceGetAttribute(&f->out.number, CU_DEVICE_ATTRIBUTE_WARP_SIZE, 99));
    CASE("nowhere to put the attribute", CUDA_ERROR_INVALID_VALUE, AT_CALL, DOCUMENTED, "cuDeviceGetAttribute: returns",
         cuDeviceGetAttribute(NULL, CU_DEVICE_ATTRIBUTE_WARP_SIZE, f->device));
    CASE("the name of no device", CUDA_ERROR_INVALID_DEVICE, AT_CALL, REPORTED, "lupine#438, driver 590.48",
         cuDeviceGetName(f->out.name, sizeof f->out.name, 99));
    CASE("nowhere to put the name", CUDA_ERROR_INVALID_VALUE, AT_CALL, DOCUMENTED, "cuDeviceGetName: returns",
         cuDeviceGetName(NULL, 10, f->device));
    CASE("the memory of no device", CUDA_ERROR_INVALID_DEVICE, AT_CALL, DOCUMENTED, "cuDeviceTotalMem: returns",
         cuDeviceTotalMem(&f->out.size, 99));
    CASE("nowhere to put the memory", CUDA_ERROR_INVALID_VALUE, AT_CALL, DOCUMENTED, "cuDeviceTotalMem: returns",
         cuDeviceTotalMem(NULL, f->device));
    CASE("the UUID of no device", CUDA_ERROR_INVALID_DEVICE, AT_CALL, DOCUMENTED, "cuDeviceGetUuid: returns",
         cuDeviceGetUuid((CUuuid *)f->out.name, -3));
    CASE("nowhere to put the UUID", CUDA_ERROR_INVALID_VALUE, AT_CALL, DOCUMENTED, "cuDeviceGetUuid: returns",
         cuDeviceGetUuid(NULL, f->device));
    CASE("a PCI bus id that is no such", CUDA_ERROR_INVALID_VALUE, AT_CALL, DOCUMENTED, "cuDeviceGetByPCIBusId: returns",
         cuDeviceGetByPCIBusId(&f->out.device, "not a bus id"));
    CASE("a PCI bus id of no device", CUDA_ERROR_INVALID_DEVICE, AT_CALL, DOCUMENTED, "cuDeviceGetByPCIBusId: returns",
         cuDeviceGetByPCIBusId(&f->out.device, "7fff:1f:1f.0"));
    CASE("nowhere to put the PCI bus id", CUDA_ERROR_INVALID_VALUE, AT_CALL, DOCUMENTED, "cuDeviceGetPCIBusId: returns",
         cuDeviceGetPCIBusId(NULL, 13, f->device));
    CASE("the PCI bus id of no device", CUDA_ERROR_INVALID_DEVICE, AT_CALL, DOCUMENTED, "cuDeviceGetPCIBusId: returns",
         cuDeviceGetPCIBusId(f->out.name, 13, 99));
    CASE("peer access to no device", CUDA_ERROR_INVALID_DEVICE, AT_CALL, DOCUMENTED, "cuDeviceCanAccessPeer: returns",
         cuDeviceCanAccessPeer(&f->out.number, f->device, 99));
    CASE("a peer attribute of a device and itself", CUDA_ERROR_INVALID_DEVICE, AT_CALL, DOCUMENTED, "cuDeviceGetP2PAttribute",
         cuDeviceGetP2PAttribute(&f->out.number, CU_DEVICE_P2P_ATTRIBUTE_ACCESS_SUPPORTED, f->device, f->device));
    CASE("the devices come before the attribute", CUDA_ERROR_INVALID_DEVICE, AT_CALL, REPORTED, "lupine#445, driver 590.48",
         cuDeviceGetP2PAttribute(&f->out.number, (CUdevice_P2PAttribute)9999, f->device, f->device));
    CASE("nowhere to put the peer attribute", CUDA_ERROR_INVALID_VALUE, AT_CALL, DOCUMENTED, "cuDeviceGetP2PAttribute: returns",
         cuDeviceGetP2PAttribute(NULL, CU_DEVICE_P2P_ATTRIBUTE_ACCESS_SUPPORTED, f->device, 1000));
}

void cases_init(struct table *t)
{
    before(t);
    names(t);
    entry_points(t);
    devices(t);
}
