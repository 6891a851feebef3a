// SPDX-License-Identifier: Apache-2.0
// What an address is: the attributes of pointers, answered from the maps of device and host memory.
#include <assert.h>
#include <string.h>

#include "api_calls.h"
#include "interpose/memory/memory_map.h"
#include "interpose/shim.h"

enum { ATTRIBUTES = CU_POINTER_ATTRIBUTE_IS_HW_DECOMPRESS_CAPABLE + 1 };

union value {
    int number; // booleans, too
    unsigned type;
    uint64_t wide; // addresses, sizes, ids, handles
};

// Bytes that each attribute has in the program's memory. Booleans take four: the CUDA runtime reads so much.
// 0: not answered.
static const uint8_t attribute_bytes[ATTRIBUTES] = {
    [CU_POINTER_ATTRIBUTE_CONTEXT] = 8,
    [CU_POINTER_ATTRIBUTE_MEMORY_TYPE] = 4,
    [CU_POINTER_ATTRIBUTE_DEVICE_POINTER] = 8,
    [CU_POINTER_ATTRIBUTE_HOST_POINTER] = 8,
    [CU_POINTER_ATTRIBUTE_P2P_TOKENS] = 0, // of a driver interface that is no more
    [CU_POINTER_ATTRIBUTE_SYNC_MEMOPS] = 4,
    [CU_POINTER_ATTRIBUTE_BUFFER_ID] = 8,
    [CU_POINTER_ATTRIBUTE_IS_MANAGED] = 4,
    [CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL] = 4,
    [CU_POINTER_ATTRIBUTE_IS_LEGACY_CUDA_IPC_CAPABLE] = 4,
    [CU_POINTER_ATTRIBUTE_RANGE_START_ADDR] = 8,
    [CU_POINTER_ATTRIBUTE_RANGE_SIZE] = 8,
    [CU_POINTER_ATTRIBUTE_MAPPED] = 4,
    [CU_POINTER_ATTRIBUTE_ALLOWED_HANDLE_TYPES] = 8,
    [CU_POINTER_ATTRIBUTE_IS_GPU_DIRECT_RDMA_CAPABLE] = 4,
    [CU_POINTER_ATTRIBUTE_ACCESS_FLAGS] = 4,
    [CU_POINTER_ATTRIBUTE_MEMPOOL_HANDLE] = 8,
    [CU_POINTER_ATTRIBUTE_MAPPING_SIZE] = 8,
    [CU_POINTER_ATTRIBUTE_MAPPING_BASE_ADDR] = 8,
    [CU_POINTER_ATTRIBUTE_MEMORY_BLOCK_ID] = 8,
    [CU_POINTER_ATTRIBUTE_IS_HW_DECOMPRESS_CAPABLE] = 4,
};

static size_t bytes_of(CUpointer_attribute attribute)
{
    return (unsigned)attribute < ATTRIBUTES ? attribute_bytes[attribute] : 0;
}

// The value for an address in `m`. CUDA_ERROR_INVALID_VALUE, and 0, where this memory has none.
static CUresult value_of(const struct gn_call *c, const struct gn_memory *m, uint64_t address,
                         CUpointer_attribute attribute, union value *v)
{
    struct gn_region whole = m->region;
    if (m->kind == GN_MEMORY_MAPPED) // the range is the reservation, the mapping what is mapped in it
        gn_memory_kept_off(m->region.start, m->region.size_bytes, &whole);
    bool host = gn_memory_is_host(m);
    v->wide = 0; // what follows and is not named is: no IPC, no pools, no managed memory, no peers on the bus
    switch (attribute) {
    case CU_POINTER_ATTRIBUTE_CONTEXT: v->wide = m->context; break;
    case CU_POINTER_ATTRIBUTE_MEMORY_TYPE: v->type = host ? CU_MEMORYTYPE_HOST : CU_MEMORYTYPE_DEVICE; break;
    case CU_POINTER_ATTRIBUTE_DEVICE_POINTER: // one address space: the same for both
        v->wide = address;
        break;
    case CU_POINTER_ATTRIBUTE_HOST_POINTER:
        v->wide = host ? address : 0;
        return host ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
    case CU_POINTER_ATTRIBUTE_SYNC_MEMOPS: v->number = m->sync_memops; break;
    case CU_POINTER_ATTRIBUTE_BUFFER_ID:
    case CU_POINTER_ATTRIBUTE_MEMORY_BLOCK_ID: v->wide = m->buffer_id; break;
    case CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL: v->number = m->device; break;
    case CU_POINTER_ATTRIBUTE_RANGE_START_ADDR: v->wide = whole.start; break;
    case CU_POINTER_ATTRIBUTE_RANGE_SIZE: v->wide = whole.size_bytes; break;
    case CU_POINTER_ATTRIBUTE_MAPPING_BASE_ADDR: v->wide = m->region.start; break;
    case CU_POINTER_ATTRIBUTE_MAPPING_SIZE: v->wide = m->region.size_bytes; break;
    case CU_POINTER_ATTRIBUTE_MAPPED: v->number = 1; break;
    case CU_POINTER_ATTRIBUTE_ACCESS_FLAGS: v->number = (int)gn_memory_access(m, c->context ? c->context->device : m->device); break;
    default: break;
    }
    return CUDA_SUCCESS;
}

static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the first bytes of a value are its low ones");

CUresult gn_cuPointerGetAttribute(struct gn_call *c, void *data, CUpointer_attribute attribute,
                                  CUdeviceptr ptr)
{
    struct gn_memory m;
    union value v;
    size_t size_bytes = bytes_of(attribute);
    if (!data || !size_bytes || !gn_memory_look(ptr, &m))
        return CUDA_ERROR_INVALID_VALUE;
    CUresult r = value_of(c, &m, ptr, attribute, &v);
    if (!r)
        memcpy(data, &v, size_bytes);
    return r;
}

CUresult gn_cuPointerGetAttributes(struct gn_call *c, unsigned int numAttributes,
                                   CUpointer_attribute *attributes, void **data, CUdeviceptr ptr)
{
    struct gn_memory m;
    if (!numAttributes || !attributes || !data)
        return CUDA_ERROR_INVALID_VALUE;
    for (unsigned i = 0; i < numAttributes; i++)
        if (!data[i] || !bytes_of(attributes[i]))
            return CUDA_ERROR_INVALID_VALUE;
    bool known = gn_memory_look(ptr, &m);
    for (unsigned i = 0; i < numAttributes; i++) {
        union value v = {.wide = 0};
        if (known)
            value_of(c, &m, ptr, attributes[i], &v); // none: 0, and not an error in this call
        else if (attributes[i] == CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL)
            v.number = CU_DEVICE_INVALID;
        memcpy(data[i], &v, bytes_of(attributes[i]));
    }
    return CUDA_SUCCESS;
}

// Copies to and from the range as if synchronous. It may be set; copies in Genie's order already show what it
// promises to a program that reads device memory through CUDA, and no other reader (a network card) reaches
// it.
CUresult gn_cuPointerSetAttribute(struct gn_call *c, const void *value, CUpointer_attribute attribute,
                                  CUdeviceptr ptr)
{
    (void)c;
    if (!value || attribute != CU_POINTER_ATTRIBUTE_SYNC_MEMOPS)
        return CUDA_ERROR_INVALID_VALUE;
    unsigned on;
    memcpy(&on, value, sizeof on);
    return gn_memory_set_sync(ptr, on != 0) ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}
