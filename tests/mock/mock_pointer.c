// SPDX-License-Identifier: Apache-2.0
// Pointer attributes.
#include <stdbool.h>
#include <string.h>

#include "api_mock.h"
#include "tests/mock/mock_arena.h"
#include "tests/mock/mock_space.h"
#include "tests/mock/mock_state.h"

// What an address in mapped memory says otherwise: the range is the reservation's.
static bool answer_mapped(void *data, CUpointer_attribute attribute, CUdeviceptr ptr)
{
    struct mock_mapping_info m;
    const struct mock_context *c = mock_context_current();
    if (mock_space_look(ptr, &m))
        return false;
    switch (attribute) {
    case CU_POINTER_ATTRIBUTE_BUFFER_ID:
    case CU_POINTER_ATTRIBUTE_MEMORY_BLOCK_ID: *(unsigned long long *)data = m.serial; return true;
    case CU_POINTER_ATTRIBUTE_RANGE_START_ADDR: *(uint64_t *)data = m.reservation_start; return true;
    case CU_POINTER_ATTRIBUTE_RANGE_SIZE: *(size_t *)data = m.reservation_bytes; return true;
    case CU_POINTER_ATTRIBUTE_MAPPING_BASE_ADDR: *(uint64_t *)data = m.start; return true;
    case CU_POINTER_ATTRIBUTE_MAPPING_SIZE: *(size_t *)data = m.size_bytes; return true;
    case CU_POINTER_ATTRIBUTE_ACCESS_FLAGS:
        *(CUmemAccess_flags *)data = (CUmemAccess_flags)m.access[c ? c->device : m.physical->device];
        return true;
    default: return false;
    }
}

// Writes the answer for an address of which `info` tells (NULL: an address that CUDA does not know).
static CUresult answer(void *data, CUpointer_attribute attribute, CUdeviceptr ptr, const struct mock_memory_info *info)
{
    bool device = info->device >= 0;
    if (info->flags & MOCK_MAPPED && answer_mapped(data, attribute, ptr))
        return CUDA_SUCCESS;
    switch (attribute) {
    case CU_POINTER_ATTRIBUTE_CONTEXT: memcpy(data, &info->owner, sizeof info->owner); break;
    case CU_POINTER_ATTRIBUTE_MEMORY_TYPE:
        *(CUmemorytype *)data = device ? CU_MEMORYTYPE_DEVICE : CU_MEMORYTYPE_HOST;
        break;
    case CU_POINTER_ATTRIBUTE_DEVICE_POINTER: *(CUdeviceptr *)data = ptr; break;
    case CU_POINTER_ATTRIBUTE_HOST_POINTER:
        if (device)
            return CUDA_ERROR_INVALID_VALUE;
        *(uint64_t *)data = ptr;
        break;
    case CU_POINTER_ATTRIBUTE_SYNC_MEMOPS: *(unsigned *)data = info->sync_memops; break;
    case CU_POINTER_ATTRIBUTE_BUFFER_ID:
    case CU_POINTER_ATTRIBUTE_MEMORY_BLOCK_ID: *(unsigned long long *)data = info->serial; break;
    case CU_POINTER_ATTRIBUTE_IS_MANAGED: *(unsigned *)data = 0; break; // four bytes: the runtime reads as many
    case CU_POINTER_ATTRIBUTE_IS_LEGACY_CUDA_IPC_CAPABLE:
    case CU_POINTER_ATTRIBUTE_IS_GPU_DIRECT_RDMA_CAPABLE:
    case CU_POINTER_ATTRIBUTE_IS_HW_DECOMPRESS_CAPABLE: *(bool *)data = false; break;
    case CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL: {
        const struct mock_context *c = mock_context_get((CUcontext)(uintptr_t)info->owner);
        *(int *)data = device ? info->device : c ? (int)c->device : 0;
        break;
    }
    case CU_POINTER_ATTRIBUTE_RANGE_START_ADDR:
    case CU_POINTER_ATTRIBUTE_MAPPING_BASE_ADDR: *(uint64_t *)data = info->start; break;
    case CU_POINTER_ATTRIBUTE_RANGE_SIZE:
    case CU_POINTER_ATTRIBUTE_MAPPING_SIZE: *(size_t *)data = info->size_bytes; break;
    case CU_POINTER_ATTRIBUTE_MAPPED: *(bool *)data = true; break;
    case CU_POINTER_ATTRIBUTE_ALLOWED_HANDLE_TYPES: *(unsigned long long *)data = 0; break;
    case CU_POINTER_ATTRIBUTE_ACCESS_FLAGS: *(CUmemAccess_flags *)data = CU_MEM_ACCESS_FLAGS_PROT_READWRITE; break;
    case CU_POINTER_ATTRIBUTE_MEMPOOL_HANDLE: *(CUmemoryPool *)data = NULL; break;
    case CU_POINTER_ATTRIBUTE_P2P_TOKENS: return CUDA_ERROR_NOT_SUPPORTED;
    default: return CUDA_ERROR_INVALID_VALUE;
    }
    return CUDA_SUCCESS;
}

CUresult mock_cuPointerGetAttribute(void *data, CUpointer_attribute attribute, CUdeviceptr ptr)
{
    struct mock_memory_info info;
    if (!data || !ptr || mock_memory_find(ptr, &info))
        return CUDA_ERROR_INVALID_VALUE;
    return answer(data, attribute, ptr, &info);
}

// How an attribute of an unknown address is zeroed by cuPointerGetAttributes.
static size_t size_of(CUpointer_attribute attribute)
{
    switch (attribute) {
    case CU_POINTER_ATTRIBUTE_MEMORY_TYPE:
    case CU_POINTER_ATTRIBUTE_SYNC_MEMOPS:
    case CU_POINTER_ATTRIBUTE_ACCESS_FLAGS:
    case CU_POINTER_ATTRIBUTE_IS_MANAGED: return 4;
    case CU_POINTER_ATTRIBUTE_IS_LEGACY_CUDA_IPC_CAPABLE:
    case CU_POINTER_ATTRIBUTE_IS_GPU_DIRECT_RDMA_CAPABLE:
    case CU_POINTER_ATTRIBUTE_IS_HW_DECOMPRESS_CAPABLE:
    case CU_POINTER_ATTRIBUTE_MAPPED: return 1;
    default: return 8;
    }
}

CUresult mock_cuPointerGetAttributes(unsigned int numAttributes, CUpointer_attribute *attributes, void **data,
                                     CUdeviceptr ptr)
{
    struct mock_memory_info info;
    if (!numAttributes || !attributes || !data)
        return CUDA_ERROR_INVALID_VALUE;
    bool known = !mock_memory_find(ptr, &info);
    for (unsigned i = 0; i < numAttributes; i++) {
        CUpointer_attribute a = attributes[i];
        if (a < CU_POINTER_ATTRIBUTE_CONTEXT || a > CU_POINTER_ATTRIBUTE_IS_HW_DECOMPRESS_CAPABLE ||
            a == CU_POINTER_ATTRIBUTE_P2P_TOKENS || !data[i])
            return CUDA_ERROR_INVALID_VALUE;
        // An address that CUDA does not know is no error here: that is what the call is for.
        if (a == CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL && !known)
            *(int *)data[i] = CU_DEVICE_INVALID;
        else if (!known || answer(data[i], a, ptr, &info) != CUDA_SUCCESS)
            memset(data[i], 0, size_of(a));
    }
    return CUDA_SUCCESS;
}

CUresult mock_cuPointerSetAttribute(const void *value, CUpointer_attribute attribute, CUdeviceptr ptr)
{
    struct mock_memory_info info;
    if (!value || attribute != CU_POINTER_ATTRIBUTE_SYNC_MEMOPS || mock_memory_find(ptr, &info) || info.device < 0 ||
        info.flags & MOCK_MAPPED)
        return CUDA_ERROR_INVALID_VALUE;
    mock_memory_set_sync(ptr, *(const unsigned *)value != 0);
    return CUDA_SUCCESS;
}
