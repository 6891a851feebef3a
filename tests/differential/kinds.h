// SPDX-License-Identifier: Apache-2.0
// The kinds of operations, one row each: what is called, with which arguments, and what the call does to them.
#ifndef GN_DIFFERENTIAL_KINDS_H
#define GN_DIFFERENTIAL_KINDS_H

#include <stdint.h>

// Arguments are written as letters; a comma stands between them.
//   d device address   h host address   x either   s stream   e event   c context   m module   f function
//   D H S E C M F      the same, made by the call in that slot ('G': the address of a module's global variable)
//   b bytes, k elements of `unit` bytes that the addresses before it reach   p w r pitch, width and rows of a box
//   n u a number   v a value to be written   t the name of a kernel   o the number of a host function
//   i j z q            results: an int, an unsigned, a size_t, a 64-bit number
//   a g l              results: a device address (told as an offset), a context (told as its slot), a float (told as its sign)
// In front of an address: '>' it is written, '<' it is read, neither: it is only named.
//
// LANE: what the work goes to. '-' nothing, 'L' the legacy stream, 'T' the thread's default stream, 's' the stream that is given.
// WAIT: 'a' returns before the work is done, 'w' after it; pageable memory makes any copy to it wait.
// UNIT: bytes of an element.
#define KIND_TABLE(X)                                                                                                  \
    /* group  name                        arguments            lane wait unit weight */                               \
    X(MEMORY, cuMemAlloc_v2, "D,n", '-', 'a', 1, 10)                                                                   \
    X(MEMORY, cuMemAllocPitch_v2, "D,z,n,n,n", '-', 'a', 1, 2)                                                         \
    X(MEMORY, cuMemFree_v2, "d", '-', 'a', 1, 6)                                                                       \
    X(MEMORY, cuMemAllocHost_v2, "H,n", '-', 'a', 1, 4)                                                                \
    X(MEMORY, cuMemHostAlloc, "H,n,u", '-', 'a', 1, 3)                                                                 \
    X(MEMORY, cuMemFreeHost, "h", '-', 'a', 1, 2)                                                                      \
    X(MEMORY, cuMemHostRegister_v2, "h,n,u", '-', 'a', 1, 2)                                                           \
    X(MEMORY, cuMemHostUnregister, "h", '-', 'a', 1, 2)                                                                \
    X(ASK, cuMemGetInfo_v2, "z,z", '-', 'a', 1, 2)                                                                     \
    X(ASK, cuMemGetAddressRange_v2, "a,z,d", '-', 'a', 1, 3)                                                           \
    X(ASK, cuMemHostGetFlags, "j,h", '-', 'a', 1, 2)                                                                   \
    X(ASK, cuPointerGetAttribute, "q,n,x", '-', 'a', 1, 3)                                                             \
    X(SET, cuMemsetD8_v2, ">d,v,b", 'L', 'a', 1, 4)                                                                    \
    X(SET, cuMemsetD16_v2, ">d,v,k", 'L', 'a', 2, 2)                                                                   \
    X(SET, cuMemsetD32_v2, ">d,v,k", 'L', 'a', 4, 3)                                                                   \
    X(SET, cuMemsetD8Async, ">d,v,b,s", 's', 'a', 1, 4)                                                                \
    X(SET, cuMemsetD16Async, ">d,v,k,s", 's', 'a', 2, 2)                                                               \
    X(SET, cuMemsetD32Async, ">d,v,k,s", 's', 'a', 4, 4)                                                               \
    X(SET, cuMemsetD2D8_v2, ">d,p,v,w,r", 'L', 'a', 1, 1)                                                              \
    X(SET, cuMemsetD2D16_v2, ">d,p,v,w,r", 'L', 'a', 2, 1)                                                             \
    X(SET, cuMemsetD2D32_v2, ">d,p,v,w,r", 'L', 'a', 4, 1)                                                             \
    X(SET, cuMemsetD2D8Async, ">d,p,v,w,r,s", 's', 'a', 1, 1)                                                          \
    X(SET, cuMemsetD2D16Async, ">d,p,v,w,r,s", 's', 'a', 2, 1)                                                         \
    X(SET, cuMemsetD2D32Async, ">d,p,v,w,r,s", 's', 'a', 4, 1)                                                         \
    X(SET, cuMemsetD32_v2_ptds, ">d,v,k", 'T', 'a', 4, 2)                                                              \
    X(SET, cuStreamWriteValue32_v2, "s,>d,v,u", 's', 'a', 4, 2)                                                        \
    X(COPY, cuMemcpyHtoD_v2, ">d,<h,b", 'L', 'w', 1, 8)                                                                \
    X(COPY, cuMemcpyDtoH_v2, ">h,<d,b", 'L', 'w', 1, 8)                                                                \
    X(COPY, cuMemcpyDtoD_v2, ">d,<d,b", 'L', 'a', 1, 4)                                                                \
    X(COPY, cuMemcpyHtoDAsync_v2, ">d,<h,b,s", 's', 'a', 1, 12)                                                        \
    X(COPY, cuMemcpyDtoHAsync_v2, ">h,<d,b,s", 's', 'a', 1, 12)                                                        \
    X(COPY, cuMemcpyDtoDAsync_v2, ">d,<d,b,s", 's', 'a', 1, 6)                                                         \
    X(COPY, cuMemcpy, ">x,<x,b", 'L', 'w', 1, 3)                                                                       \
    X(COPY, cuMemcpyAsync, ">x,<x,b,s", 's', 'a', 1, 3)                                                                \
    X(COPY, cuMemcpy2D_v2, ">x,p,<x,p,w,r", 'L', 'w', 1, 3)                                                            \
    X(COPY, cuMemcpy2DAsync_v2, ">x,p,<x,p,w,r,s", 's', 'a', 1, 3)                                                     \
    X(COPY, cuMemcpyHtoD_v2_ptds, ">d,<h,b", 'T', 'w', 1, 2)                                                           \
    X(COPY, cuMemcpyDtoH_v2_ptds, ">h,<d,b", 'T', 'w', 1, 2)                                                           \
    X(COPY, cuMemcpyPeerAsync, ">d,c,<d,c,b,s", 's', 'a', 1, 2)                                                        \
    X(LAUNCH, cuLaunchKernel, "f,s,u,u,d,d,n,v", 's', 'a', 4, 24)                                                      \
    X(STREAM, cuStreamCreate, "S,u", '-', 'a', 1, 4)                                                                   \
    X(STREAM, cuStreamCreateWithPriority, "S,u,n", '-', 'a', 1, 2)                                                     \
    X(STREAM, cuStreamDestroy_v2, "s", '-', 'a', 1, 2)                                                                 \
    X(STREAM, cuStreamSynchronize, "s", '-', 'w', 1, 6)                                                                \
    X(STREAM, cuStreamQuery, "s", '-', 'a', 1, 4)                                                                      \
    X(STREAM, cuStreamWaitEvent, "s,e,u", 's', 'a', 1, 4)                                                              \
    X(STREAM, cuStreamGetFlags, "s,j", '-', 'a', 1, 1)                                                                 \
    X(STREAM, cuStreamGetPriority, "s,i", '-', 'a', 1, 1)                                                              \
    X(STREAM, cuStreamGetCtx, "s,g", '-', 'a', 1, 1)                                                                   \
    X(STREAM, cuStreamGetDevice, "s,i", '-', 'a', 1, 1)                                                                \
    X(EVENT, cuEventCreate, "E,u", '-', 'a', 1, 4)                                                                     \
    X(EVENT, cuEventDestroy_v2, "e", '-', 'a', 1, 2)                                                                   \
    X(EVENT, cuEventRecord, "e,s", 's', 'a', 1, 6)                                                                     \
    X(EVENT, cuEventRecordWithFlags, "e,s,u", 's', 'a', 1, 2)                                                          \
    X(EVENT, cuEventQuery, "e", '-', 'a', 1, 4)                                                                        \
    X(EVENT, cuEventSynchronize, "e", '-', 'w', 1, 4)                                                                  \
    X(EVENT, cuEventElapsedTime, "l,e,e", '-', 'a', 1, 1)                                                              \
    X(HOST, cuLaunchHostFunc, "s,o,h,n,v", 's', 'a', 1, 5)                                                             \
    X(HOST, cuStreamAddCallback, "s,o,h,n,v", 's', 'a', 1, 3)                                                          \
    X(HOST, host_order, "s", '-', 'a', 1, 3)                                                                           \
    X(HOST, host_gate_close, "s", 's', 'a', 1, 6)                                                                      \
    X(HOST, host_gate_open, "", '-', 'a', 1, 0)                                                                        \
    X(BUFFER, host_write, ">h,b,v", '-', 'a', 1, 12)                                                                   \
    X(BUFFER, host_check, "<h,b", '-', 'a', 1, 8)                                                                      \
    X(CONTEXT, cuCtxSynchronize, "", '-', 'w', 1, 3)                                                                   \
    X(CONTEXT, cuCtxCreate_v2, "C,u,n", '-', 'a', 1, 2)                                                                \
    X(CONTEXT, cuCtxDestroy_v2, "c", '-', 'a', 1, 1)                                                                   \
    X(CONTEXT, cuCtxPushCurrent_v2, "c", '-', 'a', 1, 2)                                                               \
    X(CONTEXT, cuCtxPopCurrent_v2, "g", '-', 'a', 1, 2)                                                                \
    X(CONTEXT, cuCtxSetCurrent, "c", '-', 'a', 1, 2)                                                                   \
    X(CONTEXT, cuCtxGetCurrent, "g", '-', 'a', 1, 2)                                                                   \
    X(CONTEXT, cuCtxGetDevice, "i", '-', 'a', 1, 1)                                                                    \
    X(CONTEXT, cuCtxGetFlags, "j", '-', 'a', 1, 1)                                                                     \
    X(CONTEXT, cuCtxGetStreamPriorityRange, "i,i", '-', 'a', 1, 1)                                                     \
    X(CONTEXT, cuCtxGetApiVersion, "c,j", '-', 'a', 1, 1)                                                              \
    X(CONTEXT, cuCtxGetCacheConfig, "i", '-', 'a', 1, 1)                                                               \
    X(CONTEXT, cuCtxSetCacheConfig, "n", '-', 'a', 1, 1)                                                               \
    X(CONTEXT, cuCtxGetLimit, "z,n", '-', 'a', 1, 1)                                                                   \
    X(CONTEXT, cuCtxSetLimit, "n,n", '-', 'a', 1, 1)                                                                   \
    X(CONTEXT, cuDevicePrimaryCtxRetain, "C,n", '-', 'a', 1, 2)                                                        \
    X(CONTEXT, cuDevicePrimaryCtxRelease_v2, "n", '-', 'a', 1, 1)                                                      \
    X(CONTEXT, cuDevicePrimaryCtxGetState, "n,j,i", '-', 'a', 1, 1)                                                    \
    X(MODULE, cuModuleLoadData, "M", '-', 'a', 1, 2)                                                                   \
    X(MODULE, cuModuleUnload, "m", '-', 'a', 1, 1)                                                                     \
    X(MODULE, cuModuleGetFunction, "F,m,t", '-', 'a', 1, 3)                                                            \
    X(MODULE, cuModuleGetGlobal_v2, "G,z,m", '-', 'a', 1, 1)                                                           \
    X(MODULE, cuModuleGetFunctionCount, "j,m", '-', 'a', 1, 1)                                                         \
    X(ASK, cuFuncGetAttribute, "i,n,f", '-', 'a', 1, 2)                                                                \
    X(ASK, cuFuncGetParamInfo, "f,n,z,z", '-', 'a', 1, 1)                                                              \
    X(ASK, cuOccupancyAvailableDynamicSMemPerBlock, "z,f,n,n", '-', 'a', 1, 1)                                         \
    X(ASK, cuOccupancyMaxPotentialBlockSize, "i,i,f,n,n,n", '-', 'a', 1, 1)                                            \
    X(ASK, cuFuncSetAttribute, "f,n,n", '-', 'a', 1, 1)                                                                \
    X(ASK, cuOccupancyMaxActiveBlocksPerMultiprocessor, "i,f,n,n", '-', 'a', 1, 2)                                     \
    X(ASK, cuOccupancyMaxActiveBlocksPerMultiprocessorWithFlags, "i,f,n,n,u", '-', 'a', 1, 1)                          \
    X(ASK, cuDeviceGetAttribute, "i,n,n", '-', 'a', 1, 2)                                                              \
    X(ASK, cuDeviceTotalMem_v2, "z,n", '-', 'a', 1, 1)                                                                 \
    X(ASK, cuDeviceGetCount, "i", '-', 'a', 1, 1)

enum group {
    G_MEMORY, G_ASK, G_SET, G_COPY, G_LAUNCH, G_STREAM, G_EVENT, G_HOST,
    G_BUFFER, G_CONTEXT, G_MODULE, G_MISUSE, G_FAULT, G_PARALLEL, G_LARGE, GROUPS
};

#define KIND_NAME(group, name, args, lane, wait, unit, weight) K_##name,
enum { KIND_TABLE(KIND_NAME) KINDS };
#undef KIND_NAME

struct kind {
    const char *name;
    uint8_t group, unit, weight, count;
    char lane, wait;
    char types[9];   // a letter an argument
    char effects[9]; // '>', '<' or ' ' for each
};
extern struct kind kinds[KINDS];
extern const char *const group_names[GROUPS];

void kinds_open(void); // before anything else: splits the argument strings

#endif
