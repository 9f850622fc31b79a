// A libcuda.so.1 for tests: those calls of the driver that flowc makes through PyCUDA, on a CPU.
//
// What a call of NVIDIA's driver would refuse is refused here, as far as flowc could do it.
#include <cuda.h>
#include <dlfcn.h>
#include <elf.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include <string>

#include "machine.h"

using namespace machine;

#define API extern "C" __attribute__((visibility("default"))) CUresult

struct CUctx_st {
};
struct CUmod_st {
    void* library;
};
struct CUfunc_st {
    void (*launch)(const void*, unsigned, unsigned, unsigned);
};

static CUctx_st context;
static std::vector<CUcontext> current;
static unsigned seed = 1;

extern "C" __attribute__((visibility("default"))) void stand_in_seed(unsigned number)
{
    seed = number;
    dice.seed(number);
}

static int devices()
{
    const char* count = getenv("STAND_IN_DEVICES");
    return count ? atoi(count) : 1;
}

// --- device and context -----------------------------------------------------------------------

API cuInit(unsigned) { return devices() ? CUDA_SUCCESS : CUDA_ERROR_NO_DEVICE; }

API cuDriverGetVersion(int* version)
{
    *version = CUDA_VERSION;
    return CUDA_SUCCESS;
}

API cuDeviceGetCount(int* count)
{
    *count = devices();
    return CUDA_SUCCESS;
}

API cuDeviceGet(CUdevice* device, int number)
{
    *device = number;
    return number < devices() ? CUDA_SUCCESS : CUDA_ERROR_INVALID_DEVICE;
}

API cuDeviceGetAttribute(int* value, CUdevice_attribute attribute, CUdevice)
{
    *value = attribute == CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR ? 9 : 0;
    return CUDA_SUCCESS;
}

API cuDeviceComputeCapability(int* major, int* minor, CUdevice)
{
    *major = 9;
    *minor = 0;
    return CUDA_SUCCESS;
}

API cuDevicePrimaryCtxRetain(CUcontext* made, CUdevice)
{
    *made = &context;
    return CUDA_SUCCESS;
}

API cuDevicePrimaryCtxRelease_v2(CUdevice) { return CUDA_SUCCESS; }

API cuCtxDetach(CUcontext) { return CUDA_SUCCESS; }

API cuCtxPushCurrent_v2(CUcontext pushed)
{
    current.push_back(pushed);
    return CUDA_SUCCESS;
}

API cuCtxPopCurrent_v2(CUcontext* popped)
{
    if (current.empty()) return CUDA_ERROR_INVALID_CONTEXT;
    if (popped) *popped = current.back();
    current.pop_back();
    return CUDA_SUCCESS;
}

API cuCtxGetDevice(CUdevice* device)
{
    *device = 0;
    return current.empty() ? CUDA_ERROR_INVALID_CONTEXT : CUDA_SUCCESS;
}

API cuCtxGetApiVersion(CUcontext, unsigned* version)
{
    *version = CUDA_VERSION;
    return CUDA_SUCCESS;
}

API cuCtxSynchronize()
{
    if (auto code = not_in_capture("waiting for the context during a capture")) return code;
    return drain();
}

API cuGetErrorString(CUresult code, const char** text)
{
    static std::string kept;
    kept = code == CUDA_ERROR_NO_DEVICE ? "no CUDA-capable device is detected"
                                        : "error " + std::to_string(code);
    *text = kept.c_str();
    return CUDA_SUCCESS;
}

// --- memory -----------------------------------------------------------------------------------

API cuMemAlloc_v2(CUdeviceptr* made, size_t size)
{
    if (auto code = not_in_capture("allocating during a capture")) return code;
    if (current.empty()) return CUDA_ERROR_INVALID_CONTEXT;
    if (!size) return CUDA_ERROR_INVALID_VALUE;
    if (used + size > TOTAL_BYTES) return CUDA_ERROR_OUT_OF_MEMORY;
    *made = allocate(size);
    return CUDA_SUCCESS;
}

API cuMemFree_v2(CUdeviceptr address)
{
    if (auto code = drain()) return code;
    return release(address) ? CUDA_SUCCESS
                            : refuse(CUDA_ERROR_INVALID_VALUE, "freeing what was not allocated");
}

API cuMemGetInfo_v2(size_t* left, size_t* total)
{
    *total = TOTAL_BYTES;
    *left = TOTAL_BYTES - used;
    return CUDA_SUCCESS;
}

API cuMemHostAlloc(void** made, size_t size, unsigned)
{
    if (auto code = not_in_capture("allocating during a capture")) return code;
    *made = aligned_alloc(PAGE, (size + PAGE - 1) / PAGE * PAGE);
    pinned[(uintptr_t)*made] = size;
    return CUDA_SUCCESS;
}

API cuMemFreeHost(void* place)
{
    drain();
    pinned.erase((uintptr_t)place);
    free(place);
    return CUDA_SUCCESS;
}

static CUresult outside() { return refuse(CUDA_ERROR_INVALID_VALUE, "copying outside of memory"); }

API cuMemcpyHtoDAsync_v2(CUdeviceptr target, const void* source, size_t size, CUstream stream)
{
    if (!is_inside(target, size)) return outside();
    if (is_pinned(source, size))
        return enqueue(stream, [=] { memcpy((void*)target, source, size); });
    if (auto code = not_in_capture("copying from pageable memory during a capture")) return code;
    auto staged = std::make_shared<std::vector<char>>((char*)source, (char*)source + size);
    return enqueue(stream, [=] { memcpy((void*)target, staged->data(), size); });
}

API cuMemcpyDtoHAsync_v2(void* target, CUdeviceptr source, size_t size, CUstream stream)
{
    if (!is_inside(source, size)) return outside();
    const Action copy = [=] { memcpy(target, (void*)source, size); };
    if (is_pinned(target, size)) return enqueue(stream, copy);
    if (auto code = not_in_capture("copying to pageable memory during a capture")) return code;
    if (auto code = enqueue(stream, copy)) return code;
    return until([=] { return is_default(stream) || stream->queue.empty(); });
}

API cuMemcpyDtoDAsync_v2(CUdeviceptr target, CUdeviceptr source, size_t size, CUstream stream)
{
    if (!is_inside(target, size) || !is_inside(source, size)) return outside();
    return enqueue(stream, [=] { memmove((void*)target, (void*)source, size); });
}

API cuMemsetD32Async(CUdeviceptr target, unsigned value, size_t count, CUstream stream)
{
    if (!is_inside(target, 4 * count)) return outside();
    return enqueue(stream, [=] { std::fill_n((unsigned*)target, count, value); });
}

// --- streams and events -----------------------------------------------------------------------

API cuStreamCreate(CUstream* made, unsigned flags)
{
    *made = new CUstream_st;
    (*made)->waits_for_default = !(flags & CU_STREAM_NON_BLOCKING);
    streams.insert(*made);
    return CUDA_SUCCESS;
}

API cuStreamDestroy_v2(CUstream stream)
{
    until([=] { return stream->queue.empty(); });
    streams.erase(stream);
    delete stream;
    return CUDA_SUCCESS;
}

API cuStreamSynchronize(CUstream stream)
{
    if (auto code = not_in_capture("waiting for a stream during a capture")) return code;
    if (is_default(stream)) return on_default([] {});
    return until([=] { return stream->queue.empty(); });
}

API cuEventCreate(CUevent* made, unsigned)
{
    *made = new CUevent_st;
    return CUDA_SUCCESS;
}

API cuEventDestroy_v2(CUevent event)
{
    delete event;
    return CUDA_SUCCESS;
}

API cuEventRecord(CUevent recorded, CUstream stream)
{
    auto event = recorded->event = std::make_shared<Event>();
    if (!is_default(stream) && stream->captured) {
        event->captured = true;
        event->nodes = stream->last;
        return CUDA_SUCCESS;
    }
    event->done = false;
    return enqueue(stream, [=] { event->done = true; });
}

API cuStreamWaitEvent(CUstream stream, CUevent awaited, unsigned)
{
    auto event = awaited->event;
    if (event->captured && capture) {  // the stream takes part in the capture from here on
        if (!stream->captured) {
            stream->captured = true;
            stream->last.clear();
        }
        stream->last.insert(event->nodes.begin(), event->nodes.end());
        return CUDA_SUCCESS;
    }
    if (!is_default(stream) && stream->captured) {
        capture_broken = true;
        return refuse(CUDA_ERROR_STREAM_CAPTURE_ISOLATION, "waiting for what is not captured");
    }
    return enqueue(stream, [] {}, [=] { return event->done; });
}

API cuEventSynchronize(CUevent awaited)
{
    if (auto code = not_in_capture("waiting for an event during a capture")) return code;
    auto event = awaited->event;
    return until([=] { return event->done; });
}

// --- graphs -----------------------------------------------------------------------------------

API cuStreamBeginCapture_v2(CUstream stream, CUstreamCaptureMode)
{
    if (is_default(stream) || capture) return CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
    capture = std::make_unique<CUgraph_st>();
    capture_origin = stream;
    capture_broken = false;
    stream->captured = true;
    stream->last.clear();
    return CUDA_SUCCESS;
}

API cuStreamEndCapture(CUstream stream, CUgraph* made)
{
    if (!capture || capture_origin != stream) return CUDA_ERROR_STREAM_CAPTURE_UNMATCHED;
    const bool joined = all_joined(stream->last);
    for (auto one : streams) one->captured = false;
    auto graph = std::move(capture);
    *made = nullptr;
    if (capture_broken) return CUDA_ERROR_STREAM_CAPTURE_INVALIDATED;
    if (!joined) return refuse(CUDA_ERROR_STREAM_CAPTURE_UNJOINED, "a stream was not joined");
    *made = graph.release();
    return CUDA_SUCCESS;
}

API cuGraphInstantiateWithFlags(CUgraphExec* made, CUgraph graph, unsigned long long)
{
    *made = new CUgraphExec_st{graph->nodes};
    return CUDA_SUCCESS;
}

API cuGraphLaunch(CUgraphExec graph, CUstream stream)
{
    return enqueue(stream, [=] { run_nodes(graph->nodes); });
}

API cuGraphDestroy(CUgraph graph)
{
    delete graph;
    return CUDA_SUCCESS;
}

API cuGraphExecDestroy(CUgraphExec graph)
{
    if (auto code = drain()) return code;
    delete graph;
    return CUDA_SUCCESS;
}

// --- modules and launches ---------------------------------------------------------------------

static size_t size_of(const Elf64_Ehdr* head)
{
    return head->e_shoff + (size_t)head->e_shnum * head->e_shentsize;
}

API cuModuleLoadDataEx(CUmodule* made, const void* image, unsigned, CUjit_option*, void**)
{
    if (memcmp(image, ELFMAG, SELFMAG)) return CUDA_ERROR_INVALID_IMAGE;
    char path[] = P_tmpdir "/stand-in-XXXXXX";  // the loader knows a library by its path
    const int file = mkstemp(path);
    const size_t size = size_of((const Elf64_Ehdr*)image);
    if (write(file, image, size) != (ssize_t)size) return CUDA_ERROR_OUT_OF_MEMORY;
    close(file);
    void* library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    unlink(path);
    if (!library) return refuse(CUDA_ERROR_NO_BINARY_FOR_GPU, dlerror());
    *made = new CUmod_st{library};
    return CUDA_SUCCESS;
}

API cuModuleLoadData(CUmodule* made, const void* image)
{
    return cuModuleLoadDataEx(made, image, 0, nullptr, nullptr);
}

API cuModuleUnload(CUmodule module)
{
    if (auto code = drain()) return code;
    delete module;
    return CUDA_SUCCESS;
}

API cuModuleGetFunction(CUfunction* found, CUmodule module, const char* name)
{
    void* symbol = dlsym(module->library, ("stand_in_" + std::string(name)).c_str());
    if (!symbol) return CUDA_ERROR_NOT_FOUND;
    *found = new CUfunc_st{(decltype(CUfunc_st::launch))symbol};
    return CUDA_SUCCESS;
}

API cuLaunchKernel(
    CUfunction function, unsigned blocks, unsigned y, unsigned z, unsigned threads, unsigned ty,
    unsigned tz, unsigned shared, CUstream stream, void** parameters, void** extra)
{
    if (current.empty()) return CUDA_ERROR_INVALID_CONTEXT;
    if (!blocks || blocks > 0x7fffffffu || !threads || threads > 1024)
        return refuse(CUDA_ERROR_INVALID_VALUE, "no GPU launches so many blocks or threads");
    if (y * z * ty * tz != 1 || shared || parameters || extra[0] != CU_LAUNCH_PARAM_BUFFER_POINTER)
        return refuse(CUDA_ERROR_NOT_SUPPORTED, "flowc launches in one dimension, from a buffer");
    const auto* begin = (const char*)extra[1];
    auto packed = std::make_shared<std::vector<char>>(begin, begin + *(size_t*)extra[3]);
    return enqueue(stream, [=] { function->launch(packed->data(), blocks, threads, dice()); });
}
