// SPDX-License-Identifier: Apache-2.0
// A whole small application: breadth-first search with a frontier queue filled by atomics, a round trip to
// the host for each level, and a sparse matrix-vector product over the same graph, one warp a row.
#include "compat.cuh"
#include <queue>

__global__ void expand(const int *rows, const int *columns, int *depth, const int *frontier, int size,
                       int *next, int *next_size, int level)
{
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= size)
        return;
    int node = frontier[i];
    for (int e = rows[node]; e < rows[node + 1]; e++)
        if (atomicCAS(&depth[columns[e]], -1, level) == -1)
            next[atomicAdd(next_size, 1)] = columns[e];
}

__global__ void multiply(const int *rows, const int *columns, const double *values, const double *x,
                         double *y, int n)
{
    int row = (blockIdx.x * blockDim.x + threadIdx.x) / 32, lane = threadIdx.x % 32;
    if (row >= n)
        return;
    double sum = 0;
    for (int e = rows[row] + lane; e < rows[row + 1]; e += 32)
        sum += values[e] * x[columns[e]];
    for (int step = 16; step > 0; step /= 2)
        sum += __shfl_down_sync(0xffffffffu, sum, step);
    if (lane == 0)
        y[row] = sum;
}

int main()
{
    const int n = 1500;
    std::vector<int> rows(n + 1), columns, depth(n, -1);
    std::vector<double> values, x(n), y(n, 0.0);
    Random random(55);
    for (int i = 0; i < n; i++) {
        rows[i] = (int)columns.size();
        int degree = (int)random.below(i % 100 == 0 ? 150 : 5);
        for (int e = 0; e < degree; e++) {
            columns.push_back((int)random.below(n));
            values.push_back((double)random.below(100) - 50);
        }
        x[i] = (double)random.below(64);
    }
    rows[n] = (int)columns.size();

    depth[0] = 0;
    std::queue<int> queue({0});
    for (; !queue.empty(); queue.pop())
        for (int e = rows[queue.front()]; e < rows[queue.front() + 1]; e++)
            if (depth[columns[e]] < 0) {
                depth[columns[e]] = depth[queue.front()] + 1;
                queue.push(columns[e]);
            }
    for (int i = 0; i < n; i++)
        for (int e = rows[i]; e < rows[i + 1]; e++)
            y[i] += values[e] * x[columns[e]]; // whole numbers: every order is exact

    std::vector<int> start(n, -1);
    start[0] = 0;
    int *drows = to_device(rows), *dcolumns = to_device(columns), *ddepth = to_device(start), size = 1,
        levels = 0;
    int *frontier = to_device(std::vector<int>(n, 0)), *next = device_alloc<int>(n),
        *next_size = device_alloc<int>(1);
    while (size > 0) {
        CHECK(cudaMemset(next_size, 0, sizeof(int)));
        expand<<<(size + 127) / 128, 128>>>(drows, dcolumns, ddepth, frontier, size, next, next_size,
                                            ++levels);
        CHECK(cudaMemcpy(&size, next_size, sizeof(int), cudaMemcpyDeviceToHost));
        std::swap(frontier, next);
    }
    std::vector<int> got = to_host(ddepth, n);
    expect_equal("depths", got, depth);
    double *dy = device_alloc<double>(n);
    multiply<<<(n * 32 + 255) / 256, 256>>>(drows, dcolumns, to_device(values), to_device(x), dy, n);
    CHECK(cudaGetLastError());
    expect_equal("product", to_host(dy, n), y);
    printf("%d levels, depths %016llx\n", levels, (unsigned long long)digest(got));
    return finish("app_graph_search");
}
