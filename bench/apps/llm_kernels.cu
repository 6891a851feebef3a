// SPDX-License-Identifier: Apache-2.0
// The device side of llm_decode: every kernel of a GPT-2-shaped forward pass, in float32.
//
// Every sum is taken in one fixed order and no kernel uses an atomic, so a run gives the same bits each time
// on the same device. Matrices are row-major. A weight matrix is [outputs][inputs]: the row that makes one
// output is contiguous. "Row" of an activation is one token of one sequence; a prompt of `tokens` tokens has
// row = sequence * tokens + index. A key or value cache of one layer is [sequence][position][width]. `width`
// is a multiple of 64 (llm_model.h), so float4 accesses are aligned and need no tail.

enum {
    WARP = 32,
    HEAD = 64,          // floats in a head; llm_model.h allows no other
    SKINNY_ROWS = 8,    // rows that one warp of matmul_skinny makes at a time
    SKINNY_WARPS = 4,   // outputs of a block of matmul_skinny
    TILE = 64,          // rows and outputs of a block of matmul_tiled
    TILE_DEPTH = 16,    // inputs that are in shared memory at a time
    TILE_THREADS = 128, // each makes 8 rows by 4 outputs
    QUERIES_MAX = 16,   // warps of a block of attention_prefill, a query each
    DECODE_THREADS = 256,
    ROW_THREADS = 128,
    ARGMAX_THREADS = 1024,
};

#define SCORE_SCALE 0.125f // 1 / sqrt(HEAD)
#define EVERY_LANE  0xffffffffu
#define LOWEST      (-__int_as_float(0x7f800000)) // minus infinity

__device__ __forceinline__ float warp_sum(float value)
{
    for (int step = WARP / 2; step > 0; step /= 2)
        value += __shfl_xor_sync(EVERY_LANE, value, step);
    return value;
}

__device__ __forceinline__ float warp_max(float value)
{
    for (int step = WARP / 2; step > 0; step /= 2)
        value = fmaxf(value, __shfl_xor_sync(EVERY_LANE, value, step));
    return value;
}

// The sum over the block, for every thread of it. `shared` holds a float a warp and may be used again at
// once.
template <int THREADS> __device__ __forceinline__ float block_sum(float value, float *shared)
{
    value = warp_sum(value);
    if (threadIdx.x % WARP == 0)
        shared[threadIdx.x / WARP] = value;
    __syncthreads();
    value = shared[0];
    for (int i = 1; i < THREADS / WARP; i++)
        value += shared[i];
    __syncthreads();
    return value;
}

template <int THREADS> __device__ __forceinline__ float block_max(float value, float *shared)
{
    value = warp_max(value);
    if (threadIdx.x % WARP == 0)
        shared[threadIdx.x / WARP] = value;
    __syncthreads();
    value = shared[0];
    for (int i = 1; i < THREADS / WARP; i++)
        value = fmaxf(value, shared[i]);
    __syncthreads();
    return value;
}

__device__ __forceinline__ float dot4(float4 a, float4 b, float sum)
{
    sum = fmaf(a.x, b.x, sum);
    sum = fmaf(a.y, b.y, sum);
    sum = fmaf(a.z, b.z, sum);
    return fmaf(a.w, b.w, sum);
}

// GPT-2's tanh form of GELU. (1 + tanh u) / 2 = 1 / (1 + exp(-2u)), which needs no tanh and is right at both
// ends: exp overflows to infinity, and x / infinity is 0.
__device__ __forceinline__ float gelu(float x)
{
    float twice_u = 1.5957691216f * (x + 0.044715f * x * x * x); // 2 sqrt(2/pi)
    return x / (1.0f + expf(-twice_u));
}

// out[row] = token embedding + position embedding. A block makes a row.
extern "C" __global__ void __launch_bounds__(ROW_THREADS)
    embed_tokens(float *__restrict__ out, const int *__restrict__ tokens,
                 const float *__restrict__ token_table, const float *__restrict__ position_table,
                 unsigned width, unsigned tokens_per_sequence, unsigned first_position)
{
    size_t row = blockIdx.x;
    size_t position = first_position + blockIdx.x % tokens_per_sequence;
    const float4 *token = (const float4 *)(token_table + (size_t)tokens[row] * width);
    const float4 *place = (const float4 *)(position_table + position * width);
    float4 *to = (float4 *)(out + row * width);
    for (unsigned i = threadIdx.x; i < width / 4; i += ROW_THREADS) {
        float4 a = token[i], b = place[i];
        to[i] = make_float4(a.x + b.x, a.y + b.y, a.z + b.z, a.w + b.w);
    }
}

// A block makes a row. The rows read are `in_stride` floats apart: after a prefill only the last token of
// each sequence goes on.
extern "C" __global__ void __launch_bounds__(ROW_THREADS)
    layernorm_rows(float *__restrict__ out, const float *__restrict__ in, const float *__restrict__ gain,
                   const float *__restrict__ bias, unsigned width, unsigned in_stride)
{
    __shared__ float shared[ROW_THREADS / WARP];
    const float4 *from = (const float4 *)(in + (size_t)blockIdx.x * in_stride);
    float4 *to = (float4 *)(out + (size_t)blockIdx.x * width);
    float sum = 0.0f;
    for (unsigned i = threadIdx.x; i < width / 4; i += ROW_THREADS) {
        float4 x = from[i];
        sum += (x.x + x.y) + (x.z + x.w);
    }
    float mean = block_sum<ROW_THREADS>(sum, shared) / (float)width;
    float squares = 0.0f;
    for (unsigned i = threadIdx.x; i < width / 4; i += ROW_THREADS) {
        float4 x = from[i];
        x = make_float4(x.x - mean, x.y - mean, x.z - mean, x.w - mean);
        squares = dot4(x, x, squares);
    }
    float variance = block_sum<ROW_THREADS>(squares, shared) / (float)width;
    float scale = 1.0f / sqrtf(variance + 1e-5f);
    for (unsigned i = threadIdx.x; i < width / 4; i += ROW_THREADS) {
        float4 x = from[i], g = ((const float4 *)gain)[i], b = ((const float4 *)bias)[i];
        to[i] = make_float4((x.x - mean) * scale * g.x + b.x, (x.y - mean) * scale * g.y + b.y,
                            (x.z - mean) * scale * g.z + b.z, (x.w - mean) * scale * g.w + b.w);
    }
}

// One warp: the products of one weight row with ROWS rows of `in`, each sum in every lane. A row past the end
// repeats the last one, so the loop needs no test.
template <int ROWS>
__device__ __forceinline__ float skinny_dots(const float *weight_row, const float *in, unsigned first_row,
                                             unsigned rows, unsigned inputs, unsigned lane)
{
    const float4 *w = (const float4 *)weight_row;
    const float4 *x[ROWS];
    float sum[ROWS];
#pragma unroll
    for (int r = 0; r < ROWS; r++) {
        x[r] = (const float4 *)(in + (size_t)min(first_row + r, rows - 1) * inputs);
        sum[r] = 0.0f;
    }
#pragma unroll 4
    for (unsigned i = lane; i < inputs / 4; i += WARP) {
        float4 weight = w[i];
#pragma unroll
        for (int r = 0; r < ROWS; r++)
            sum[r] = dot4(weight, x[r][i], sum[r]);
    }
    float mine = 0.0f; // lane r keeps row r
#pragma unroll
    for (int r = 0; r < ROWS; r++) {
        float total = warp_sum(sum[r]);
        mine = lane == r ? total : mine;
    }
    return mine;
}

// The rows of one block of a skinny product: lane r returns row first_row + r of this warp's output.
__device__ __forceinline__ float skinny_block(const float *weight_row, const float *in, unsigned first_row,
                                              unsigned rows, unsigned inputs, unsigned lane)
{
    unsigned left = rows - first_row;
    if (left == 1)
        return skinny_dots<1>(weight_row, in, first_row, rows, inputs, lane);
    if (left <= SKINNY_ROWS / 2)
        return skinny_dots<SKINNY_ROWS / 2>(weight_row, in, first_row, rows, inputs, lane);
    return skinny_dots<SKINNY_ROWS>(weight_row, in, first_row, rows, inputs, lane);
}

// out = in * weight^T + bias, then GELU if asked, then + residual if there is one (it may be `out` itself).
// For few rows, where the time goes into reading the weights: a warp reads the weight row of one output once
// for SKINNY_ROWS rows. Grid: outputs / SKINNY_WARPS, rows / SKINNY_ROWS, both rounded up.
extern "C" __global__ void __launch_bounds__(SKINNY_WARPS *WARP)
    matmul_skinny(float *out, const float *__restrict__ in, const float *__restrict__ weight,
                  const float *__restrict__ bias, const float *residual, unsigned rows, unsigned outputs,
                  unsigned inputs, unsigned with_gelu)
{
    unsigned lane = threadIdx.x % WARP;
    unsigned output = blockIdx.x * SKINNY_WARPS + threadIdx.x / WARP;
    unsigned row = blockIdx.y * SKINNY_ROWS + lane;
    if (output >= outputs)
        return;
    float value =
        skinny_block(weight + (size_t)output * inputs, in, blockIdx.y * SKINNY_ROWS, rows, inputs, lane);
    if (lane >= SKINNY_ROWS || row >= rows)
        return;
    value += bias[output];
    if (with_gelu)
        value = gelu(value);
    size_t at = (size_t)row * outputs + output;
    if (residual)
        value += residual[at];
    out[at] = value;
}

// logits = hidden * token_table^T. Grid as in matmul_skinny.
extern "C" __global__ void __launch_bounds__(SKINNY_WARPS *WARP)
    lm_head(const float *__restrict__ hidden, float *__restrict__ logits,
            const float *__restrict__ token_table, unsigned rows, unsigned vocab, unsigned width)
{
    unsigned lane = threadIdx.x % WARP;
    unsigned word = blockIdx.x * SKINNY_WARPS + threadIdx.x / WARP;
    unsigned row = blockIdx.y * SKINNY_ROWS + lane;
    if (word >= vocab)
        return;
    float value =
        skinny_block(token_table + (size_t)word * width, hidden, blockIdx.y * SKINNY_ROWS, rows, width, lane);
    if (lane < SKINNY_ROWS && row < rows)
        logits[(size_t)row * vocab + word] = value;
}

// What one thread of matmul_tiled carries from global to shared memory: float4 number `index` of a tile of
// TILE rows by TILE_DEPTH inputs. Rows past the end read as zero.
__device__ __forceinline__ float4 tile_load(const float *matrix, unsigned first_row, unsigned rows,
                                            unsigned inputs, unsigned depth, unsigned index)
{
    unsigned row = first_row + index / (TILE_DEPTH / 4);
    if (row >= rows)
        return make_float4(0.0f, 0.0f, 0.0f, 0.0f);
    return *(const float4 *)(matrix + (size_t)row * inputs + depth + index % (TILE_DEPTH / 4) * 4);
}

// Turned, so that the threads then read neighbouring rows of one input. The padding keeps float4 alignment
// and spreads the banks.
__device__ __forceinline__ void tile_store(float (*tile)[TILE + 4], unsigned index, float4 value)
{
    unsigned row = index / (TILE_DEPTH / 4), depth = index % (TILE_DEPTH / 4) * 4;
    tile[depth][row] = value.x;
    tile[depth + 1][row] = value.y;
    tile[depth + 2][row] = value.z;
    tile[depth + 3][row] = value.w;
}

__device__ __forceinline__ void fma_row(float *sum, float a, float4 b)
{
    sum[0] = fmaf(a, b.x, sum[0]);
    sum[1] = fmaf(a, b.y, sum[1]);
    sum[2] = fmaf(a, b.z, sum[2]);
    sum[3] = fmaf(a, b.w, sum[3]);
}

// The same product as matmul_skinny, for many rows: tiles in shared memory, the next one on its way while one
// is worked on. Grid: outputs / TILE, rows / TILE, both rounded up. `inputs` is a multiple of TILE_DEPTH,
// `outputs` of 4.
extern "C" __global__ void __launch_bounds__(TILE_THREADS)
    matmul_tiled(float *out, const float *__restrict__ in, const float *__restrict__ weight,
                 const float *__restrict__ bias, const float *residual, unsigned rows, unsigned outputs,
                 unsigned inputs, unsigned with_gelu)
{
    __shared__ __align__(16) float in_tile[TILE_DEPTH][TILE + 4];
    __shared__ __align__(16) float weight_tile[TILE_DEPTH][TILE + 4];
    unsigned me = threadIdx.x, other = threadIdx.x + TILE_THREADS;
    unsigned first_row = blockIdx.y * TILE, first_output = blockIdx.x * TILE;
    unsigned my_row = me / 16 * 8, my_output = me % 16 * 4;
    float sum[8][4] = {};
    float4 in_a = tile_load(in, first_row, rows, inputs, 0, me);
    float4 in_b = tile_load(in, first_row, rows, inputs, 0, other);
    float4 weight_a = tile_load(weight, first_output, outputs, inputs, 0, me);
    float4 weight_b = tile_load(weight, first_output, outputs, inputs, 0, other);

    for (unsigned depth = TILE_DEPTH;; depth += TILE_DEPTH) {
        tile_store(in_tile, me, in_a);
        tile_store(in_tile, other, in_b);
        tile_store(weight_tile, me, weight_a);
        tile_store(weight_tile, other, weight_b);
        __syncthreads();
        if (depth < inputs) {
            in_a = tile_load(in, first_row, rows, inputs, depth, me);
            in_b = tile_load(in, first_row, rows, inputs, depth, other);
            weight_a = tile_load(weight, first_output, outputs, inputs, depth, me);
            weight_b = tile_load(weight, first_output, outputs, inputs, depth, other);
        }
#pragma unroll 8
        for (int k = 0; k < TILE_DEPTH; k++) {
            float4 low = *(const float4 *)&in_tile[k][my_row],
                   high = *(const float4 *)&in_tile[k][my_row + 4];
            float4 w = *(const float4 *)&weight_tile[k][my_output];
            fma_row(sum[0], low.x, w);
            fma_row(sum[1], low.y, w);
            fma_row(sum[2], low.z, w);
            fma_row(sum[3], low.w, w);
            fma_row(sum[4], high.x, w);
            fma_row(sum[5], high.y, w);
            fma_row(sum[6], high.z, w);
            fma_row(sum[7], high.w, w);
        }
        if (depth >= inputs)
            break;
        __syncthreads();
    }

    unsigned output = first_output + my_output;
    if (output >= outputs)
        return;
    float4 b = *(const float4 *)(bias + output);
#pragma unroll
    for (int r = 0; r < 8; r++) {
        if (first_row + my_row + r >= rows)
            return;
        size_t at = (size_t)(first_row + my_row + r) * outputs + output;
        float4 value = make_float4(sum[r][0] + b.x, sum[r][1] + b.y, sum[r][2] + b.z, sum[r][3] + b.w);
        if (with_gelu)
            value = make_float4(gelu(value.x), gelu(value.y), gelu(value.z), gelu(value.w));
        if (residual) {
            float4 add = *(const float4 *)(residual + at);
            value = make_float4(value.x + add.x, value.y + add.y, value.z + add.z, value.w + add.w);
        }
        *(float4 *)(out + at) = value;
    }
}

// Puts the keys and values of new tokens into the caches of a layer. A row of qkv is query, key, value,
// `width` floats each. A block a row.
extern "C" __global__ void __launch_bounds__(ROW_THREADS)
    kv_append(float *__restrict__ k_cache, float *__restrict__ v_cache, const float *__restrict__ qkv,
              unsigned width, unsigned context, unsigned tokens_per_sequence, unsigned first_position)
{
    size_t sequence = blockIdx.x / tokens_per_sequence;
    size_t position = first_position + blockIdx.x % tokens_per_sequence;
    size_t at = (sequence * context + position) * width;
    const float4 *keys = (const float4 *)(qkv + (size_t)blockIdx.x * 3 * width + width);
    const float4 *values = keys + width / 4;
    for (unsigned i = threadIdx.x; i < width / 4; i += ROW_THREADS) {
        ((float4 *)(k_cache + at))[i] = keys[i];
        ((float4 *)(v_cache + at))[i] = values[i];
    }
}

// Attention of a whole prompt over the cache, which holds its keys and values already. A warp a query, with a
// running maximum and sum, over tiles of 32 positions that the block's warps share. Grid: queries / warps of
// a block (rounded up), heads, sequences.
extern "C" __global__ void __launch_bounds__(QUERIES_MAX *WARP)
    attention_prefill(float *__restrict__ out, const float *__restrict__ qkv, unsigned first_position,
                      const float *__restrict__ k_cache, const float *__restrict__ v_cache, unsigned width,
                      unsigned context, unsigned tokens_per_sequence)
{
    __shared__ __align__(16) float k_tile[WARP][HEAD + 4];
    __shared__ __align__(16) float v_tile[WARP][HEAD];
    __shared__ __align__(16) float queries[QUERIES_MAX][HEAD];
    __shared__ __align__(16) float weights[QUERIES_MAX][WARP];
    unsigned warp = threadIdx.x / WARP, lane = threadIdx.x % WARP, warps = blockDim.x / WARP;
    unsigned first_index = blockIdx.x * warps, index = first_index + warp; // of the query in the prompt
    unsigned last_index = min(first_index + warps, tokens_per_sequence) - 1;
    unsigned position = first_position + index, last_position = first_position + last_index;
    bool is_live = index < tokens_per_sequence;
    size_t row = (size_t)blockIdx.z * tokens_per_sequence + index;
    size_t cache = (size_t)blockIdx.z * context * width + blockIdx.y * HEAD;

    if (is_live) {
        const float2 *query = (const float2 *)(qkv + row * 3 * width + blockIdx.y * HEAD);
        ((float2 *)queries[warp])[lane] = query[lane];
    }
    float best = LOWEST, sum = 0.0f;
    float2 mix = make_float2(0.0f, 0.0f); // this lane's two floats of the output, before the division

    for (unsigned base = 0; base <= last_position; base += WARP) {
        __syncthreads(); // the last tile is done with; the queries are there
        for (unsigned i = threadIdx.x; i < WARP * HEAD / 4; i += blockDim.x) {
            unsigned key = i / (HEAD / 4), part = i % (HEAD / 4) * 4;
            float4 k = make_float4(0.0f, 0.0f, 0.0f, 0.0f), v = k;
            if (base + key <= last_position) {
                size_t at = cache + (size_t)(base + key) * width + part;
                k = *(const float4 *)(k_cache + at);
                v = *(const float4 *)(v_cache + at);
            }
            *(float4 *)&k_tile[key][part] = k;
            *(float4 *)&v_tile[key][part] = v;
        }
        __syncthreads();
        if (!is_live || base > position)
            continue;

        float score = 0.0f; // of the key that is this lane's
#pragma unroll
        for (int part = 0; part < HEAD; part += 4)
            score = dot4(*(const float4 *)&k_tile[lane][part], *(const float4 *)&queries[warp][part], score);
        score = base + lane <= position ? score * SCORE_SCALE : LOWEST;
        float new_best = fmaxf(best, warp_max(score)); // finite: the tile's first key is never masked
        float weight = expf(score - new_best), shrink = expf(best - new_best);
        best = new_best;
        sum = sum * shrink + warp_sum(weight);
        mix = make_float2(mix.x * shrink, mix.y * shrink);
        weights[warp][lane] = weight;
        __syncwarp();
#pragma unroll 8
        for (int key = 0; key < WARP; key++) {
            float w = weights[warp][key];
            float2 v = ((const float2 *)v_tile[key])[lane];
            mix.x = fmaf(w, v.x, mix.x);
            mix.y = fmaf(w, v.y, mix.y);
        }
        __syncwarp();
    }
    if (is_live)
        ((float2 *)(out + row * width + blockIdx.y * HEAD))[lane] = make_float2(mix.x / sum, mix.y / sum);
}

// Attention of one new token a sequence, whose key and value are in the cache already. All scores first (in
// `context` floats of dynamic shared memory), then the weighted values. Grid: 1, heads, sequences.
extern "C" __global__ void __launch_bounds__(DECODE_THREADS)
    attention_decode(float *__restrict__ out, const float *__restrict__ qkv, unsigned position,
                     const float *__restrict__ k_cache, const float *__restrict__ v_cache, unsigned width,
                     unsigned context)
{
    extern __shared__ float scores[];
    __shared__ float shared[DECODE_THREADS / WARP];
    __shared__ __align__(16) float mixes[DECODE_THREADS / 16][HEAD];
    size_t cache = (size_t)blockIdx.z * context * width + blockIdx.y * HEAD;
    const float4 *query = (const float4 *)(qkv + (size_t)blockIdx.z * 3 * width + blockIdx.y * HEAD);
    unsigned count = position + 1;

    // Eight threads share a key, 32 bytes of it each.
    unsigned part = threadIdx.x % 8;
    float4 query_low = query[part], query_high = query[part + 8];
    float best = LOWEST;
    for (unsigned base = 0; base < count; base += DECODE_THREADS / 8) {
        unsigned at = base + threadIdx.x / 8;
        float score = 0.0f;
        if (at < count) {
            const float4 *key = (const float4 *)(k_cache + cache + (size_t)at * width);
            score = dot4(query_high, key[part + 8], dot4(query_low, key[part], 0.0f));
        }
        for (int step = 4; step > 0; step /= 2)
            score += __shfl_xor_sync(EVERY_LANE, score, step);
        score *= SCORE_SCALE;
        if (at < count) {
            best = fmaxf(best, score);
            if (part == 0)
                scores[at] = score;
        }
    }
    best = block_max<DECODE_THREADS>(best, shared);

    float sum = 0.0f;
    for (unsigned at = threadIdx.x; at < count; at += DECODE_THREADS) {
        float weight = expf(scores[at] - best);
        scores[at] = weight;
        sum += weight;
    }
    sum = block_sum<DECODE_THREADS>(sum, shared);

    // Sixteen threads share a value, 16 bytes of it each.
    unsigned group = threadIdx.x / 16, quad = threadIdx.x % 16;
    float4 mix = make_float4(0.0f, 0.0f, 0.0f, 0.0f);
#pragma unroll 4
    for (unsigned at = group; at < count; at += DECODE_THREADS / 16) {
        float weight = scores[at];
        float4 value = ((const float4 *)(v_cache + cache + (size_t)at * width))[quad];
        mix.x = fmaf(weight, value.x, mix.x);
        mix.y = fmaf(weight, value.y, mix.y);
        mix.z = fmaf(weight, value.z, mix.z);
        mix.w = fmaf(weight, value.w, mix.w);
    }
    *(float4 *)&mixes[group][quad * 4] = mix;
    __syncthreads();
    if (threadIdx.x < HEAD) {
        float total = 0.0f;
        for (unsigned i = 0; i < DECODE_THREADS / 16; i++)
            total += mixes[i][threadIdx.x];
        out[(size_t)blockIdx.z * width + blockIdx.y * HEAD + threadIdx.x] = total / sum;
    }
}

__device__ __forceinline__ void keep_greater(float *best, unsigned *best_at, float other, unsigned other_at)
{
    if (other > *best || (other == *best && other_at < *best_at)) {
        *best = other;
        *best_at = other_at;
    }
}

// tokens[row] = index of the greatest logit, the lowest index among equals; not-a-number never wins. A block
// a row.
extern "C" __global__ void __launch_bounds__(ARGMAX_THREADS)
    argmax_rows(int *__restrict__ tokens, const float *__restrict__ logits, unsigned vocab)
{
    __shared__ float values[WARP];
    __shared__ unsigned places[WARP];
    const float *row = logits + (size_t)blockIdx.x * vocab;
    float best = LOWEST;
    unsigned best_at = 0;
#pragma unroll 4
    for (unsigned i = threadIdx.x; i < vocab; i += ARGMAX_THREADS) {
        float value = row[i];
        if (value > best) {
            best = value;
            best_at = i;
        }
    }
    for (int step = WARP / 2; step > 0; step /= 2) {
        float other = __shfl_xor_sync(EVERY_LANE, best, step);
        unsigned other_at = __shfl_xor_sync(EVERY_LANE, best_at, step);
        keep_greater(&best, &best_at, other, other_at);
    }
    if (threadIdx.x % WARP == 0) {
        values[threadIdx.x / WARP] = best;
        places[threadIdx.x / WARP] = best_at;
    }
    __syncthreads();
    if (threadIdx.x == 0) {
        for (int i = 1; i < ARGMAX_THREADS / WARP; i++)
            keep_greater(&best, &best_at, values[i], places[i]);
        tokens[blockIdx.x] = (int)best_at;
    }
}
