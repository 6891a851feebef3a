// SPDX-License-Identifier: Apache-2.0
// When copies to the host and back from the same pinned buffer are queued one behind the other, with no
// synchronisation between, does each see what the one before it moved? A value goes device -> buffer -> other
// device memory, many times.
#include "compat.cuh"

__global__ void add(unsigned *data, int n, unsigned by)
{
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n)
        data[i] += by + (unsigned)i;
}

static void chain(const char *name, unsigned *buffer, int n, int rounds)
{
    cudaStream_t stream;
    const size_t size = n * sizeof(unsigned);
    unsigned *a = device_alloc<unsigned>(n), *b = device_alloc<unsigned>(n);
    std::vector<unsigned> want(n);

    CHECK(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking));
    for (int i = 0; i < n; i++)
        want[i] = buffer[i] = (unsigned)i * 3u;
    CHECK(cudaMemcpyAsync(a, buffer, size, cudaMemcpyHostToDevice, stream));
    for (int r = 0; r < rounds; r++) {
        add<<<(n + 255) / 256, 256, 0, stream>>>(a, n, (unsigned)r);
        CHECK(cudaMemcpyAsync(buffer, a, size, cudaMemcpyDeviceToHost, stream));
        CHECK(cudaMemsetAsync(a, 0xff, size, stream)); // what is lost here is only in the buffer
        CHECK(cudaMemcpyAsync(b, buffer, size, cudaMemcpyHostToDevice, stream));
        add<<<(n + 255) / 256, 256, 0, stream>>>(b, n, 1000u);
        // Half of the buffer from b, the other half stays from a.
        CHECK(cudaMemcpyAsync(buffer + n / 2, b + n / 2, size / 2, cudaMemcpyDeviceToHost, stream));
        CHECK(cudaMemcpyAsync(a, buffer, size, cudaMemcpyHostToDevice, stream));
        for (int i = 0; i < n; i++) {
            want[i] += (unsigned)r + (unsigned)i;
            if (i >= n / 2)
                want[i] += 1000u + (unsigned)i;
        }
    }
    std::vector<unsigned> got(n);
    CHECK(cudaMemcpyAsync(got.data(), a, size, cudaMemcpyDeviceToHost, stream));
    CHECK(cudaStreamSynchronize(stream));
    expect_equal(name, got, want);
    expect_equal((std::string(name) + ", the buffer").c_str(), std::vector<unsigned>(buffer, buffer + n),
                 want);
    printf("%s %016llx\n", name, (unsigned long long)digest(got));
    CHECK(cudaStreamDestroy(stream));
    CHECK(cudaFree(a));
    CHECK(cudaFree(b));
}

int main()
{
    const int large = 300000, small = 100;
    unsigned *pinned = nullptr;
    CHECK(cudaMallocHost(&pinned, large * sizeof(unsigned)));
    chain("pinned, small", pinned, small, 50);
    chain("pinned, large", pinned, large, 6);

    std::vector<unsigned> memory(large);
    CHECK(cudaHostRegister(memory.data(), large * sizeof(unsigned), cudaHostRegisterDefault));
    chain("registered", memory.data(), large, 4);
    CHECK(cudaHostUnregister(memory.data()));
    chain("pageable", memory.data(), large / 10, 4);
    CHECK(cudaFreeHost(pinned));
    return finish("pinned_chain");
}
