// SPDX-License-Identifier: Apache-2.0
// Does cudaPointerGetAttributes tell device, pinned, registered and ordinary memory apart, also for pointers
// into the middle and after a free?
#include "compat.cuh"

static cudaPointerAttributes ask(const void *p)
{
    cudaPointerAttributes a = {};
    CHECK(cudaPointerGetAttributes(&a, p));
    return a;
}

__device__ int global_cell[10];

int main()
{
    const size_t size = 1 << 20;
    char *device = device_alloc<char>(size), *pinned = nullptr, *mapped = nullptr;
    CHECK(cudaMallocHost(&pinned, size));
    CHECK(cudaHostAlloc(&mapped, size, cudaHostAllocMapped | cudaHostAllocPortable));
    std::vector<char> ordinary(size);

    for (size_t at : {(size_t)0, (size_t)1, size / 2, size - 1}) {
        cudaPointerAttributes a = ask(device + at);
        EXPECT(a.type == cudaMemoryTypeDevice && a.device == 0 && a.devicePointer == device + at &&
               a.hostPointer == nullptr);
        a = ask(pinned + at);
        EXPECT(a.type == cudaMemoryTypeHost && a.hostPointer == pinned + at && a.devicePointer != nullptr);
        a = ask(mapped + at);
        EXPECT(a.type == cudaMemoryTypeHost && a.hostPointer == mapped + at);
    }
    EXPECT(ask(ordinary.data()).type == cudaMemoryTypeUnregistered);
    EXPECT(ask(&device).type == cudaMemoryTypeUnregistered);

    void *symbol = nullptr;
    CHECK(cudaGetSymbolAddress(&symbol, global_cell));
    EXPECT(ask(symbol).type == cudaMemoryTypeDevice);
    EXPECT(ask((char *)symbol + 39).type == cudaMemoryTypeDevice);

    // Registered memory is host memory until it is unregistered.
    CHECK(cudaHostRegister(ordinary.data(), size, cudaHostRegisterDefault));
    EXPECT(ask(ordinary.data() + 5).type == cudaMemoryTypeHost);
    unsigned flags = 99;
    CHECK(cudaHostGetFlags(&flags, mapped));
    EXPECT((flags & cudaHostAllocMapped) && (flags & cudaHostAllocPortable));
    CHECK(cudaHostUnregister(ordinary.data()));
    EXPECT(ask(ordinary.data() + 5).type == cudaMemoryTypeUnregistered);

    CHECK(cudaFree(device));
    CHECK(cudaFreeHost(pinned));
    EXPECT(ask(device).type != cudaMemoryTypeDevice);
    EXPECT(ask(pinned).type == cudaMemoryTypeUnregistered);
    CHECK(cudaFreeHost(mapped));
    printf("device, pinned, mapped, registered, ordinary\n");
    return finish("pointer_attributes");
}
