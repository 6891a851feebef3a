// SPDX-License-Identifier: Apache-2.0
// Error cases: streams, events, stream memory operations, host functions, stream capture.
#include "tests/errors/table.h"

static void nothing_to_do(void *data) { (void)data; }

static void called_back(CUstream stream, CUresult status, void *data)
{
    (void)stream;
    (void)status;
    (void)data;
}

static void streams(struct table *t)
{
    struct fixture *f = &t->f;
    section(t, "Streams", A_CONTEXT, 0);
    CASE("nowhere to put it", CUDA_ERROR_INVALID_VALUE, AT_CALL, DOCUMENTED, "cuStreamCreate: returns", cuStreamCreate(NULL, 0));
    CASE("unknown flags", CUDA_ERROR_INVALID_VALUE, AT_CALL, DOCUMENTED, "cuStreamCreate: returns", cuStreamCreate(&f->out.stream, 0x40));
    CASE("unknown flags, with a priority", CUDA_ERROR_INVALID_VALUE, AT_CALL, DOCUMENTED, "cuStreamCreateWithPriority: returns",
         cuStreamCreateWithPriority(&f->out.stream, 0x40, 0));
    CASE("destroying the default one", CUDA_ERROR_INVALID_HANDLE, AT_CALL, DOCUMENTED, "cuStreamDestroy: returns", cuStreamDestroy(NULL));
    CASE("destroying the legacy one", CUDA_ERROR_INVALID_HANDLE, AT_CALL, DOCUMENTED, "cuStreamDestroy: returns",
         cuStreamDestroy(CU_STREAM_LEGACY));
    CASE("destroying the per-thread one", CUDA_ERROR_INVALID_HANDLE, AT_CALL, DOCUMENTED, "cuStreamDestroy: returns",
         cuStreamDestroy(CU_STREAM_PER_THREAD));
    CASE("nowhere to put the flags", CUDA_ERROR_INVALID_VALUE, AT_CALL, DOCUMENTED, "cuStreamGetFlags: returns",
         cuStreamGetFlags(f->stream, NULL));
    CASE("nowhere to put the priority", CUDA_ERROR_INVALID_VALUE, AT_CALL, DOCUMENTED, "cuStreamGetPriority: returns",
         cuStreamGetPriority(f->stream, NULL));
    CASE("nowhere to put the context", CUDA_ERROR_INVALID_VALUE, AT_CALL, DOCUMENTED, "cuStreamGetCtx: returns",
         cuStreamGetCtx(f->stream, NULL));
    CASE("nowhere to put the id", CUDA_ERROR_INVALID_VALUE, AT_CALL, DOCUMENTED, "cuStreamGetId: returns", cuStreamGetId(f->stream, NULL));
    CASE("an unknown attribute", CUDA_ERROR_INVALID_VALUE, AT_CALL, DOCUMENTED, "cuStreamGetAttribute: returns",
         cuStreamGetAttribute(f->stream, (CUstreamAttrID)999, (CUstreamAttrValue *)f->out.name));
    CASE("nowhere to put the attribute", CUDA_ERROR_INVALID_VALUE, AT_CALL, DOCUMENTED, "cuStreamGetAttribute: returns",
         cuStreamGetAttribute(f->stream, CU_LAUNCH_ATTRIBUTE_PRIORITY, NULL));
    CASE("no attribute to set", CUDA_ERROR_INVALID_VALUE, AT_CALL, DOCUMENTED, "cuStreamSetAttribute: returns",
         cuStreamSetAttribute(f->stream, CU_LAUNCH_ATTRIBUTE_PRIORITY, NULL));
    CASE("waiting for no event", CUDA_ERROR_INVALID_HANDLE, AT_CALL, DOCUMENTED, "cuStreamWaitEvent: returns",
         cuStreamWaitEvent(f->stream, NULL, 0));
    CASE("waiting with unknown flags", CUDA_ERROR_INVALID_VALUE, AT_CALL, DOCUMENTED, "cuStreamWaitEvent: returns",
         cuStreamWaitEvent(f->stream, f->event, 0x40));
    CASE("no host function", CUDA_ERROR_INVALID_VALUE, AT_CALL, DOCUMENTED, "cuLaunchHostFunc: returns",
         cuLaunchHostFunc(f->stream, NULL, NULL));
    CASE("no callback", CUDA_ERROR_INVALID_VALUE, AT_CALL, ASSUMED, "", cuStreamAddCallback(f->stream, NULL, NULL, 0));
    CASE("a callback with flags", CUDA_ERROR_INVALID_VALUE, AT_CALL, ASSUMED, "",
         cuStreamAddCallback(f->stream, called_back, NULL, 1));
    CASE("an odd address to write to", CUDA_ERROR_INVALID_VALUE, AT_CALL, ASSUMED, "", cuStreamWriteValue32(f->stream, f->memory + 2, 1, 0));
    CASE("address 0 to write to", CUDA_ERROR_INVALID_VALUE, AT_CALL, REPORTED, "hip-tests, on NVIDIA", cuStreamWriteValue32(f->stream, 0, 1, 0));
    CASE("64 bits to address 0", CUDA_ERROR_INVALID_VALUE, AT_CALL, REPORTED, "hip-tests, on NVIDIA", cuStreamWriteValue64(f->stream, 0, 1, 0));
    CASE("waiting for a value at address 0", CUDA_ERROR_INVALID_VALUE, AT_CALL, REPORTED, "hip-tests, on NVIDIA",
         cuStreamWaitValue32(f->stream, 0, 0, CU_STREAM_WAIT_VALUE_GEQ));
    CASE("unknown flags for a write", CUDA_ERROR_INVALID_VALUE, AT_CALL, DOCUMENTED, "cuStreamWriteValue32: returns",
         cuStreamWriteValue32(f->stream, f->memory, 1, 0x80));
    CASE("unknown flags for a wait", CUDA_ERROR_INVALID_VALUE, AT_CALL, REPORTED, "hip-tests, on NVIDIA",
         cuStreamWaitValue32(f->stream, f->memory, 0, 0x80));
    CASE("nowhere to put whether it captures", CUDA_ERROR_INVALID_VALUE, AT_CALL, DOCUMENTED, "cuStreamIsCapturing: returns",
         cuStreamIsCapturing(f->stream, NULL));
    CASE("an unknown capture mode", CUDA_ERROR_INVALID_VALUE, AT_CALL, DOCUMENTED, "cuThreadExchangeStreamCaptureMode: returns",
         cuThreadExchangeStreamCaptureMode(&(CUstreamCaptureMode){(CUstreamCaptureMode)7}));
    CASE("no capture mode", CUDA_ERROR_INVALID_VALUE, AT_CALL, DOCUMENTED, "cuThreadExchangeStreamCaptureMode: returns",
         cuThreadExchangeStreamCaptureMode(NULL));
    CASE("waiting for an event never recorded", CUDA_SUCCESS, AT_CALL, DOCUMENTED, "cuStreamWaitEvent",
         cuStreamWaitEvent(f->stream, f->unrecorded, 0));
    CASE("waiting for another context's event", CUDA_SUCCESS, AT_CALL, DOCUMENTED, "cuStreamWaitEvent",
         cuStreamWaitEvent(f->stream, f->their_event, 0));
    CASE("asking another context's stream", CUDA_SUCCESS, AT_CALL, ASSUMED, "", cuStreamQuery(f->their_stream));
    CASE("waiting for another context's stream", CUDA_SUCCESS, AT_CALL, DOCUMENTED, "cuStreamSynchronize: no such return",
         cuStreamSynchronize(f->their_stream));
}

static void dead_streams(struct table *t)
{
    struct fixture *f = &t->f;
    section(t, "Destroyed streams, and what is no stream", A_CONTEXT, UNDEFINED);
    CASE("waiting", CUDA_ERROR_INVALID_HANDLE, AT_CALL, DOCUMENTED, "cuStreamSynchronize: returns", cuStreamSynchronize(f->dead_stream));
    CASE("asking", CUDA_ERROR_INVALID_HANDLE, AT_CALL, DOCUMENTED, "cuStreamQuery: returns", cuStreamQuery(f->dead_stream));
    CASE("destroying again", CUDA_ERROR_INVALID_HANDLE, AT_CALL, DOCUMENTED, "cuStreamDestroy: returns", cuStreamDestroy(f->dead_stream));
    CASE("launching", CUDA_ERROR_INVALID_HANDLE, AT_CALL, DOCUMENTED, "cuLaunchKernel: returns", launch(f, f->nothing, f->dead_stream));
    CASE("copying to the device", CUDA_ERROR_INVALID_HANDLE, AT_CALL, DOCUMENTED, "cuMemcpyHtoDAsync: returns",
         cuMemcpyHtoDAsync(f->memory, f->host, 16, f->dead_stream));
    CASE("copying to the host", CUDA_ERROR_INVALID_HANDLE, AT_CALL, DOCUMENTED, "cuMemcpyDtoHAsync: returns",
         cuMemcpyDtoHAsync(f->host, f->memory, 16, f->dead_stream));
    CASE("copying on the device", CUDA_ERROR_INVALID_HANDLE, AT_CALL, DOCUMENTED, "cuMemcpyDtoDAsync: returns",
         cuMemcpyDtoDAsync(f->memory, f->memory + 64, 16, f->dead_stream));
    CASE("filling", CUDA_ERROR_INVALID_HANDLE, AT_CALL, DOCUMENTED, "cuMemsetD8Async: returns",
         cuMemsetD8Async(f->memory, 1, 16, f->dead_stream));
    CASE("recording", CUDA_ERROR_INVALID_HANDLE, AT_CALL, DOCUMENTED, "cuEventRecord: returns", cuEventRecord(f->event, f->dead_stream));
    CASE("waiting for an event", CUDA_ERROR_INVALID_HANDLE, AT_CALL, DOCUMENTED, "cuStreamWaitEvent: returns",
         cuStreamWaitEvent(f->dead_stream, f->event, 0));
    CASE("a host function", CUDA_ERROR_INVALID_HANDLE, AT_CALL, DOCUMENTED, "cuLaunchHostFunc: returns",
         cuLaunchHostFunc(f->dead_stream, nothing_to_do, NULL));
    CASE("its flags", CUDA_ERROR_INVALID_HANDLE, AT_CALL, DOCUMENTED, "cuStreamGetFlags: returns",
         cuStreamGetFlags(f->dead_stream, &f->out.word));
    CASE("its priority", CUDA_ERROR_INVALID_HANDLE, AT_CALL, DOCUMENTED, "cuStreamGetPriority: returns",
         cuStreamGetPriority(f->dead_stream, &f->out.number));
    CASE("its context", CUDA_ERROR_INVALID_HANDLE, AT_CALL, DOCUMENTED, "cuStreamGetCtx: returns",
         cuStreamGetCtx(f->dead_stream, &f->out.context));
    CASE("its id", CUDA_ERROR_INVALID_HANDLE, AT_CALL, DOCUMENTED, "cuStreamGetId: returns", cuStreamGetId(f->dead_stream, &f->out.wide));
    CASE("writing a value", CUDA_ERROR_INVALID_HANDLE, AT_CALL, DOCUMENTED, "cuStreamWriteValue32: returns",
         cuStreamWriteValue32(f->dead_stream, f->memory, 1, 0));
    CASE("whether it captures", CUDA_ERROR_INVALID_HANDLE, AT_CALL, ASSUMED, "lupine#441: driver 590.48 crashes",
         cuStreamIsCapturing(f->dead_stream, (CUstreamCaptureStatus *)&f->out.number));
    CASE("an event for a stream", CUDA_ERROR_INVALID_HANDLE, AT_CALL, ASSUMED, "", cuStreamSynchronize((CUstream)f->event));
    CASE("a context for a stream", CUDA_ERROR_INVALID_HANDLE, AT_CALL, ASSUMED, "", cuStreamQuery((CUstream)f->context));
    CASE("a number for a stream", CUDA_ERROR_INVALID_HANDLE, AT_CALL, ASSUMED, "lupine#441: driver 590.48 crashes",
         cuStreamSynchronize((CUstream)0x1234));
}

static void events(struct table *t)
{
    struct fixture *f = &t->f;
    section(t, "Events", A_CONTEXT, 0);
    CASE("nowhere to put it", CUDA_ERROR_INVALID_VALUE, AT_CALL, DOCUMENTED, "cuEventCreate: returns", cuEventCreate(NULL, 0));
    CASE("unknown flags", CUDA_ERROR_INVALID_VALUE, AT_CALL, DOCUMENTED, "cuEventCreate: returns", cuEventCreate(&f->out.event, 0x100));
    CASE("between processes, with timing", CUDA_ERROR_INVALID_VALUE, AT_CALL, REPORTED, "hip-tests, on NVIDIA",
         cuEventCreate(&f->out.event, CU_EVENT_INTERPROCESS));
    CASE("recording none", CUDA_ERROR_INVALID_HANDLE, AT_CALL, DOCUMENTED, "cuEventRecord: returns", cuEventRecord(NULL, f->stream));
    CASE("recording in another context's stream", CUDA_ERROR_INVALID_HANDLE, AT_CALL, DOCUMENTED, "cuEventRecord",
         cuEventRecord(f->event, f->their_stream));
    CASE("recording another context's", CUDA_ERROR_INVALID_HANDLE, AT_CALL, DOCUMENTED, "cuEventRecord",
         cuEventRecord(f->their_event, f->stream));
    CASE("recording with unknown flags", CUDA_ERROR_INVALID_VALUE, AT_CALL, DOCUMENTED, "cuEventRecordWithFlags: returns",
         cuEventRecordWithFlags(f->event, f->stream, 0x40));
    CASE("destroying none", CUDA_ERROR_INVALID_HANDLE, AT_CALL, REPORTED, "hip-tests, on NVIDIA", cuEventDestroy(NULL));
    CASE("waiting for none", CUDA_ERROR_INVALID_HANDLE, AT_CALL, DOCUMENTED, "cuEventSynchronize: returns", cuEventSynchronize(NULL));
    CASE("asking none", CUDA_ERROR_INVALID_HANDLE, AT_CALL, DOCUMENTED, "cuEventQuery: returns", cuEventQuery(NULL));
    CASE("the time of one without timing", CUDA_ERROR_INVALID_HANDLE, AT_CALL, DOCUMENTED, "cuEventElapsedTime",
         cuEventElapsedTime(&f->out.ms, f->event, f->untimed));
    CASE("from one without timing", CUDA_ERROR_INVALID_HANDLE, AT_CALL, DOCUMENTED, "cuEventElapsedTime",
         cuEventElapsedTime(&f->out.ms, f->untimed, f->event));
    CASE("the time of one never recorded", CUDA_ERROR_INVALID_HANDLE, AT_CALL, DOCUMENTED, "cuEventElapsedTime",
         cuEventElapsedTime(&f->out.ms, f->event, f->unrecorded));
    CASE("from none", CUDA_ERROR_INVALID_HANDLE, AT_CALL, DOCUMENTED, "cuEventElapsedTime: returns",
         cuEventElapsedTime(&f->out.ms, NULL, f->event));
    CASE("between contexts", CUDA_ERROR_INVALID_HANDLE, AT_CALL, DOCUMENTED, "cuEventElapsedTime: returns",
         cuEventElapsedTime(&f->out.ms, f->event, f->their_event));
    CASE("nowhere to put the time", CUDA_ERROR_INVALID_VALUE, AT_CALL, DOCUMENTED, "cuEventElapsedTime: returns",
         cuEventElapsedTime(NULL, f->event, f->event));
    CASE("asking one never recorded", CUDA_SUCCESS, AT_CALL, DOCUMENTED, "cuEventQuery", cuEventQuery(f->unrecorded));
    CASE("waiting for one never recorded", CUDA_SUCCESS, AT_CALL, DOCUMENTED, "cuEventSynchronize", cuEventSynchronize(f->unrecorded));
    CASE("asking another context's", CUDA_SUCCESS, AT_CALL, ASSUMED, "", cuEventQuery(f->their_event));
    section(t, "Destroyed events, and what is no event", A_CONTEXT, UNDEFINED);
    CASE("recording", CUDA_ERROR_INVALID_HANDLE, AT_CALL, DOCUMENTED, "cuEventRecord: returns", cuEventRecord(f->dead_event, f->stream));
    CASE("waiting", CUDA_ERROR_INVALID_HANDLE, AT_CALL, DOCUMENTED, "cuEventSynchronize: returns", cuEventSynchronize(f->dead_event));
    CASE("asking", CUDA_ERROR_INVALID_HANDLE, AT_CALL, DOCUMENTED, "cuEventQuery: returns", cuEventQuery(f->dead_event));
    CASE("destroying again", CUDA_ERROR_INVALID_HANDLE, AT_CALL, DOCUMENTED, "cuEventDestroy: returns", cuEventDestroy(f->dead_event));
    CASE("a stream that waits", CUDA_ERROR_INVALID_HANDLE, AT_CALL, DOCUMENTED, "cuStreamWaitEvent: returns",
         cuStreamWaitEvent(f->stream, f->dead_event, 0));
    CASE("the time", CUDA_ERROR_INVALID_HANDLE, AT_CALL, DOCUMENTED, "cuEventElapsedTime: returns",
         cuEventElapsedTime(&f->out.ms, f->event, f->dead_event));
    CASE("a stream for an event", CUDA_ERROR_INVALID_HANDLE, AT_CALL, ASSUMED, "", cuEventQuery((CUevent)f->stream));
    CASE("a number for an event", CUDA_ERROR_INVALID_HANDLE, AT_CALL, ASSUMED, "", cuEventRecord((CUevent)0x1234, f->stream));
}

static void capture(struct table *t)
{
    struct fixture *f = &t->f;
    section(t, "Stream capture: not carried by Genie, nor by the mock", A_CONTEXT, UNDEFINED);
    CASE("beginning", CUDA_ERROR_NOT_SUPPORTED, AT_CALL, ASSUMED, "a driver that has it says SUCCESS",
         cuStreamBeginCapture(f->stream, CU_STREAM_CAPTURE_MODE_GLOBAL));
    CASE("ending", CUDA_ERROR_NOT_SUPPORTED, AT_CALL, ASSUMED, "a driver that has it says ILLEGAL_STATE",
         cuStreamEndCapture(f->stream, (CUgraph *)&f->out.pointer));
    CASE("a graph", CUDA_ERROR_NOT_SUPPORTED, AT_CALL, ASSUMED, "a driver that has it says SUCCESS",
         cuGraphCreate((CUgraph *)&f->out.pointer, 0));
    CASE("a memory pool's memory", CUDA_ERROR_NOT_SUPPORTED, AT_CALL, DOCUMENTED, "MEMORY_POOLS_SUPPORTED is 0",
         cuMemAllocAsync(&f->out.address, 100, f->stream));
    CASE("managed memory", CUDA_ERROR_NOT_SUPPORTED, AT_CALL, DOCUMENTED, "cuMemAllocManaged",
         cuMemAllocManaged(&f->out.address, 100, 1));
}

void cases_stream(struct table *t)
{
    streams(t);
    dead_streams(t);
    events(t);
    capture(t);
}
