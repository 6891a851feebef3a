// SPDX-License-Identifier: Apache-2.0
// What a stream does besides kernels and copies: the program's functions, and waiting for and writing memory values.
#include <stdlib.h>

#include "api_mock.h"
#include "tests/mock/mock_arena.h"
#include "tests/mock/mock_stream.h"
#include "tests/mock/mock_turn.h"

// --- the program's functions in a stream

struct host_op {
    struct mock_op op;
    CUhostFn function;
    CUstreamCallback callback;
    CUstream stream;
    void *data;
    struct mock_context *context;
};

static CUresult run_function(struct mock_op *op)
{
    struct host_op *h = (struct host_op *)op;
    h->function(h->data);
    return CUDA_SUCCESS;
}

static CUresult run_callback(struct mock_op *op)
{
    struct host_op *h = (struct host_op *)op;
    mock_lock();
    CUresult status = h->context->error;
    mock_unlock();
    h->callback(h->stream, status, h->data);
    return CUDA_SUCCESS;
}

static CUresult submit_host(CUstream hStream, struct host_op init)
{
    struct mock_stream *s;
    CUresult r = mock_stream_resolve(hStream, &s);
    if (r != CUDA_SUCCESS)
        return r;
    struct host_op *h = malloc(sizeof *h);
    if (!h)
        return CUDA_ERROR_OUT_OF_MEMORY;
    *h = init;
    h->op.lane = MOCK_LANE_HOST;
    h->op.release = mock_op_free;
    h->op.duration_ns = -1;
    h->stream = hStream;
    h->context = s->context; // the stream keeps it
    return mock_submit(s, &h->op, NULL);
}

CUresult mock_cuLaunchHostFunc(CUstream hStream, CUhostFn fn, void *userData)
{
    if (!fn)
        return CUDA_ERROR_INVALID_VALUE;
    return submit_host(hStream, (struct host_op){.op.run = run_function, .function = fn, .data = userData});
}

CUresult mock_cuStreamAddCallback(CUstream hStream, CUstreamCallback callback, void *userData, unsigned int flags)
{
    if (!callback || flags)
        return CUDA_ERROR_INVALID_VALUE;
    // Unlike a host function, a callback is told of an error, so it is called in a lost context too.
    return submit_host(hStream, (struct host_op){.op.run = run_callback, .op.runs_on_error = true,
                                                 .callback = callback, .data = userData});
}

// --- memory values

struct value_op {
    struct mock_op op;
    uint64_t address, value;
    unsigned size_bytes, flags;
};

static bool value_is_there(const struct value_op *v)
{
    struct mock_memory_info info;
    return !mock_memory_check(v->address, v->size_bytes, &info);
}

static CUresult run_write(struct mock_op *op)
{
    struct value_op *v = (struct value_op *)op;
    if (!value_is_there(v))
        return CUDA_ERROR_ILLEGAL_ADDRESS;
    if (v->size_bytes == 4)
        __atomic_store_n((uint32_t *)(uintptr_t)v->address, (uint32_t)v->value, __ATOMIC_RELEASE);
    else
        __atomic_store_n((uint64_t *)(uintptr_t)v->address, v->value, __ATOMIC_RELEASE);
    return CUDA_SUCCESS;
}

static CUresult run_wait(struct mock_op *op)
{
    struct value_op *v = (struct value_op *)op;
    uint64_t now, mask = v->size_bytes == 4 ? UINT32_MAX : UINT64_MAX;
    bool is_met;
    if (!value_is_there(v))
        return CUDA_ERROR_ILLEGAL_ADDRESS;
    if (v->size_bytes == 4)
        now = __atomic_load_n((uint32_t *)(uintptr_t)v->address, __ATOMIC_ACQUIRE);
    else
        now = __atomic_load_n((uint64_t *)(uintptr_t)v->address, __ATOMIC_ACQUIRE);
    switch (v->flags & ~(unsigned)CU_STREAM_WAIT_VALUE_FLUSH) {
    case CU_STREAM_WAIT_VALUE_GEQ: // cyclic: the sign of the difference
        is_met = v->size_bytes == 4 ? (int32_t)((uint32_t)now - (uint32_t)v->value) >= 0
                                    : (int64_t)(now - v->value) >= 0;
        break;
    case CU_STREAM_WAIT_VALUE_EQ: is_met = now == v->value; break;
    case CU_STREAM_WAIT_VALUE_AND: is_met = (now & v->value) != 0; break;
    default: is_met = (~(now | v->value) & mask) != 0; break;
    }
    return is_met ? CUDA_SUCCESS : CUDA_ERROR_NOT_READY;
}

static CUresult submit_value(CUstream stream, struct value_op init)
{
    struct mock_stream *s;
    CUresult r = mock_stream_resolve(stream, &s);
    if (r == CUDA_SUCCESS)
        r = s->context->error;
    if (r != CUDA_SUCCESS)
        return r;
    if (init.address % init.size_bytes || !value_is_there(&init))
        return CUDA_ERROR_INVALID_VALUE;
    struct mock_turn turn;
    if (mock_turn_take(s, NULL, &turn) && init.op.run(&init.op) == CUDA_SUCCESS) { // written, or there already
        mock_turn_end(&turn, 0);
        return CUDA_SUCCESS;
    }
    struct value_op *v = malloc(sizeof *v);
    if (!v)
        return CUDA_ERROR_OUT_OF_MEMORY;
    *v = init;
    v->op.release = mock_op_free;
    v->op.duration_ns = -1;
    return mock_submit(s, &v->op, NULL);
}

static CUresult wait_value(CUstream stream, CUdeviceptr addr, uint64_t value, unsigned flags, unsigned size_bytes)
{
    if ((flags & ~(unsigned)CU_STREAM_WAIT_VALUE_FLUSH) > CU_STREAM_WAIT_VALUE_NOR ||
        flags & CU_STREAM_WAIT_VALUE_FLUSH) // flushing remote writes is an attribute that the device does not have
        return CUDA_ERROR_INVALID_VALUE;
    return submit_value(stream, (struct value_op){.op.lane = MOCK_LANE_POLL, .op.run = run_wait, .address = addr,
                                                  .value = value, .size_bytes = size_bytes, .flags = flags});
}

static CUresult write_value(CUstream stream, CUdeviceptr addr, uint64_t value, unsigned flags, unsigned size_bytes)
{
    if (flags & ~(unsigned)CU_STREAM_WRITE_VALUE_NO_MEMORY_BARRIER)
        return CUDA_ERROR_INVALID_VALUE;
    return submit_value(stream, (struct value_op){.op.lane = MOCK_LANE_WORK, .op.is_light = true,
                                                  .op.run = run_write, .address = addr, .value = value,
                                                  .size_bytes = size_bytes});
}

CUresult mock_cuStreamWaitValue32_v2(CUstream stream, CUdeviceptr addr, cuuint32_t value, unsigned int flags)
{
    return wait_value(stream, addr, value, flags, 4);
}

CUresult mock_cuStreamWaitValue64_v2(CUstream stream, CUdeviceptr addr, cuuint64_t value, unsigned int flags)
{
    return wait_value(stream, addr, value, flags, 8);
}

CUresult mock_cuStreamWriteValue32_v2(CUstream stream, CUdeviceptr addr, cuuint32_t value, unsigned int flags)
{
    return write_value(stream, addr, value, flags, 4);
}

CUresult mock_cuStreamWriteValue64_v2(CUstream stream, CUdeviceptr addr, cuuint64_t value, unsigned int flags)
{
    return write_value(stream, addr, value, flags, 8);
}
