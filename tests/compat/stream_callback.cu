// SPDX-License-Identifier: Apache-2.0
// Does cudaStreamAddCallback call back once, in order, with the stream, the status and the user's pointer,
// and does synchronising the stream wait for it?
#include "compat.cuh"

struct Note {
    cudaStream_t stream;
    int id, seen;
    cudaError_t status;
};

static std::vector<int> order;
static Note notes[6];

static void CUDART_CB callback(cudaStream_t stream, cudaError_t status, void *user)
{
    Note *note = static_cast<Note *>(user);
    note->stream = stream;
    note->status = status;
    note->seen++;
    order.push_back(note->id);
}

__global__ void square(int *data)
{
    data[threadIdx.x] *= data[threadIdx.x];
}

int main()
{
    cudaStream_t stream;
    CHECK(cudaStreamCreate(&stream));
    std::vector<int> in(64);
    for (int i = 0; i < 64; i++)
        in[i] = i;
    int *data = to_device(in);
    for (int i = 0; i < 6; i++) {
        notes[i].id = i;
        notes[i].status = cudaErrorUnknown;
        if (i == 2)
            square<<<1, 64, 0, stream>>>(data);
        CHECK(cudaStreamAddCallback(stream, callback, &notes[i], 0));
    }
    CHECK(cudaStreamSynchronize(stream));

    EXPECT(order == (std::vector<int>{0, 1, 2, 3, 4, 5}));
    for (const Note &n : notes)
        EXPECT(n.seen == 1 && n.stream == stream && n.status == cudaSuccess);
    std::vector<int> got = to_host(data, 64);
    for (int i = 0; i < 64; i++)
        EXPECT(got[i] == i * i);
    EXPECT_ERROR(cudaStreamAddCallback(stream, nullptr, nullptr, 0), cudaErrorInvalidValue);
    EXPECT_ERROR(cudaStreamAddCallback(stream, callback, &notes[0], 1), cudaErrorInvalidValue);
    CHECK(cudaStreamSynchronize(stream));
    EXPECT(notes[0].seen == 1);
    printf("%zu callbacks in order\n", order.size());
    CHECK(cudaStreamDestroy(stream));
    return finish("stream_callback");
}
