// SPDX-License-Identifier: Apache-2.0
// A whole small application of the kind that Genie is for: one decoder layer's attention over a growing
// key-value cache kept on the device, layer norm, soft-max and a feed-forward step in half storage and float
// arithmetic, 24 tokens, one small copy to the host a token, against the CPU in double.
#include "half_bits.cuh"
#include <cuda_fp16.h>

constexpr int heads = 4, size = 16, width = heads * size, tokens = 24;

__global__ void norm(const float *in, float *out)
{
    __shared__ float sums[2];
    float v = in[threadIdx.x], sum = v, squares = v * v;
    if (threadIdx.x < 2)
        sums[threadIdx.x] = 0;
    __syncthreads();
    for (int step = 16; step > 0; step /= 2) {
        sum += __shfl_xor_sync(0xffffffffu, sum, step);
        squares += __shfl_xor_sync(0xffffffffu, squares, step);
    }
    if (threadIdx.x % 32 == 0) {
        atomicAdd(&sums[0], sum); // two warps: the order of one addition to zero does not matter
        atomicAdd(&sums[1], squares);
    }
    __syncthreads();
    float mean = sums[0] / width;
    out[threadIdx.x] = (v - mean) * rsqrtf(sums[1] / width - mean * mean + 1e-5f);
}

__global__ void project(const __half *weights, const float *in, float *out, bool relu)
{
    float sum = 0;
    for (int k = 0; k < width; k++)
        sum += __half2float(weights[threadIdx.x * width + k]) * in[k];
    out[threadIdx.x] = relu ? fmaxf(sum, 0) : sum;
}

__global__ void attend(const float *q, const float *k, const float *v, int count, float *out)
{
    extern __shared__ float scores[];
    int head = blockIdx.x, lane = threadIdx.x;
    float highest = -INFINITY, total = 0, sum = 0;
    for (int t = lane; t < count; t += 32) {
        float dot = 0;
        for (int i = 0; i < size; i++)
            dot += q[head * size + i] * k[t * width + head * size + i];
        scores[t] = dot * 0.25f;
        highest = fmaxf(highest, scores[t]);
    }
    for (int step = 16; step > 0; step /= 2)
        highest = fmaxf(highest, __shfl_xor_sync(0xffffffffu, highest, step));
    for (int t = lane; t < count; t += 32)
        total += scores[t] = __expf(scores[t] - highest);
    for (int step = 16; step > 0; step /= 2)
        total += __shfl_xor_sync(0xffffffffu, total, step);
    __syncwarp();
    if (lane < size) {
        for (int t = 0; t < count; t++)
            sum += scores[t] * v[t * width + head * size + lane];
        out[head * size + lane] = sum / total;
    }
}

__global__ void add(float *to, const float *what)
{
    to[threadIdx.x] += what[threadIdx.x];
}

typedef std::vector<double> Vector;

static Vector apply(const std::vector<uint16_t> &weights, const Vector &in)
{
    Vector out(width, 0.0);
    for (int i = 0; i < width; i++)
        for (int k = 0; k < width; k++)
            out[i] += value_of(half_format, weights[i * width + k]) * in[k];
    return out;
}

static Vector normalised(const Vector &in)
{
    double sum = 0, squares = 0;
    for (double v : in) {
        sum += v;
        squares += v * v;
    }
    Vector out;
    for (double v : in)
        out.push_back((v - sum / width) / std::sqrt(squares / width - sum / width * sum / width + 1e-5));
    return out;
}

static Vector attended(const Vector &q, const std::vector<Vector> &k, const std::vector<Vector> &v)
{
    Vector out(width, 0.0);
    for (int h = 0; h < heads; h++) {
        Vector p(k.size(), 0.0);
        double total = 0;
        for (size_t t = 0; t < k.size(); t++) {
            for (int i = h * size; i < (h + 1) * size; i++)
                p[t] += q[i] * k[t][i] * 0.25;
            total += p[t] = std::exp(p[t]);
        }
        for (size_t t = 0; t < k.size(); t++)
            for (int i = h * size; i < (h + 1) * size; i++)
                out[i] += p[t] / total * v[t][i];
    }
    return out;
}

int main()
{
    Random random(12);
    std::vector<uint16_t> weights[5];
    __half *w[5];
    for (int m = 0; m < 5; m++) {
        for (int i = 0; i < width * width; i++)
            weights[m].push_back(bits_of(half_format, random.uniform(-0.2f, 0.2f)));
        w[m] = (__half *)to_device(weights[m]);
    }
    std::vector<float> first(width);
    for (float &x : first)
        x = random.uniform(-1, 1);
    float *x = to_device(first), *n = device_alloc<float>(width), *q = device_alloc<float>(width),
          *t = device_alloc<float>(width);
    float *k_cache = device_alloc<float>(tokens * width), *v_cache = device_alloc<float>(tokens * width);
    Vector want(first.begin(), first.end());
    std::vector<Vector> keys, values;
    double worst = 0;
    for (int token = 0; token < tokens; token++) {
        norm<<<1, width>>>(x, n);
        project<<<1, width>>>(w[0], n, q, false);
        project<<<1, width>>>(w[1], n, k_cache + token * width, false);
        project<<<1, width>>>(w[2], n, v_cache + token * width, false);
        attend<<<heads, 32, tokens * sizeof(float)>>>(q, k_cache, v_cache, token + 1, t);
        add<<<1, width>>>(x, t);
        norm<<<1, width>>>(x, n);
        project<<<1, width>>>(w[3], n, t, true);
        project<<<1, width>>>(w[4], t, n, false);
        add<<<1, width>>>(x, n);
        std::vector<float> got = to_host(x, width);

        Vector normal = normalised(want), hidden;
        keys.push_back(apply(weights[1], normal));
        values.push_back(apply(weights[2], normal));
        Vector seen = attended(apply(weights[0], normal), keys, values);
        for (int i = 0; i < width; i++)
            want[i] += seen[i];
        hidden = apply(weights[3], normalised(want));
        for (double &h : hidden)
            h = h > 0 ? h : 0;
        hidden = apply(weights[4], hidden);
        for (int i = 0; i < width; i++) {
            want[i] += hidden[i];
            worst = std::max(worst, std::fabs(want[i] - got[i]) / (1 + std::fabs(want[i])));
        }
    }
    if (!(worst < 2e-3))
        printf("worst relative difference %g\n", worst);
    EXPECT(worst < 2e-3);
    printf("%d tokens\n", tokens);
    return finish("app_attention");
}
