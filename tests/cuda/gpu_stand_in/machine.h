// What the stand-in driver is a driver of: memory, streams, events and graphs on a CPU.
//
// Streams are queues. They move only when somebody waits, one operation at a time, in an order
// drawn from a seed among all that the events allow: what is not ordered by an event happens in
// the wrong order sooner or later. Memory of the device cannot be touched from outside, begins as
// NaN, and ends at a page that nobody may touch.
#pragma once
#include <cuda.h>
#include <string.h>
#include <sys/mman.h>

#include <cstdio>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <random>
#include <set>
#include <vector>

using Action = std::function<void()>;
using Condition = std::function<bool()>;

struct Event {
    bool done = true;
    std::set<int> nodes;  // of the graph that is being captured, which it stands for
    bool captured = false;
};

struct Operation {
    Action run;
    Condition ready;
};

struct Node {
    Action run;
    std::set<int> after;
};

struct CUstream_st {
    bool waits_for_default = true;
    std::deque<Operation> queue;
    bool captured = false;
    std::set<int> last;  // nodes that its next one comes after
};
struct CUevent_st {
    std::shared_ptr<Event> event = std::make_shared<Event>();
};
struct CUgraph_st {
    std::vector<Node> nodes;
};
struct CUgraphExec_st {
    std::vector<Node> nodes;
};

namespace machine {

const size_t PAGE = 4096, ALIGNMENT = 256, TOTAL_BYTES = 1ull << 32;

inline std::mt19937 dice(1);
inline size_t draw(size_t count) { return dice() % count; }

inline CUresult refuse(CUresult code, const char* why)
{
    fprintf(stderr, "stand-in: %s\n", why);
    return code;
}

// --- memory -----------------------------------------------------------------------------------

struct Room {
    size_t size, mapped;
    char* first_page;
};
inline std::map<CUdeviceptr, Room> rooms;
inline std::map<uintptr_t, size_t> pinned;
inline size_t used = 0;

inline void protect(int how)
{
    for (auto& [address, room] : rooms) mprotect(room.first_page, room.mapped - PAGE, how);
}

// The end of what is asked for is the end of the page before the guard, but for the alignment.
inline CUdeviceptr allocate(size_t size)
{
    const size_t whole = (size + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    const size_t mapped = (whole + PAGE - 1) / PAGE * PAGE + PAGE;
    auto* page = (char*)mmap(
        nullptr, mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    memset(page, 0xff, mapped - PAGE);
    mprotect(page, mapped, PROT_NONE);
    const auto address = (CUdeviceptr)(page + mapped - PAGE - whole);
    rooms[address] = {size, mapped, page};
    used += size;
    return address;
}

inline bool release(CUdeviceptr address)
{
    auto found = rooms.find(address);
    if (found == rooms.end()) return false;
    munmap(found->second.first_page, found->second.mapped);
    used -= found->second.size;
    rooms.erase(found);
    return true;
}

inline bool is_inside(CUdeviceptr address, size_t size)
{
    auto next = rooms.upper_bound(address);
    if (next == rooms.begin()) return false;
    --next;
    return address + size <= next->first + next->second.size;
}

inline bool is_pinned(const void* place, size_t size)
{
    auto next = pinned.upper_bound((uintptr_t)place);
    if (next == pinned.begin()) return false;
    --next;
    return (uintptr_t)place + size <= next->first + next->second;
}

// --- streams ----------------------------------------------------------------------------------

inline std::set<CUstream> streams;
inline std::unique_ptr<CUgraph_st> capture;  // the graph that is being captured
inline CUstream capture_origin = nullptr;
inline bool capture_broken = false;

inline void perform(const Action& action)
{
    protect(PROT_READ | PROT_WRITE);
    action();
    protect(PROT_NONE);
}

inline bool step()
{
    std::vector<CUstream> able;
    for (auto stream : streams) {
        if (stream->queue.empty()) continue;
        auto& ready = stream->queue.front().ready;
        if (!ready || ready()) able.push_back(stream);
    }
    if (able.empty()) return false;
    auto stream = able[draw(able.size())];
    const auto operation = std::move(stream->queue.front());
    stream->queue.pop_front();
    perform(operation.run);
    return true;
}

inline CUresult until(const Condition& reached)
{
    while (!reached())
        if (!step()) return refuse(CUDA_ERROR_LAUNCH_TIMEOUT, "a stream waits for ever");
    return CUDA_SUCCESS;
}

inline CUresult drain()
{
    return until([] {
        for (auto stream : streams)
            if (!stream->queue.empty()) return false;
        return true;
    });
}

inline CUresult not_in_capture(const char* what)
{
    if (!capture) return CUDA_SUCCESS;
    capture_broken = true;
    return refuse(CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED, what);
}

inline bool is_default(CUstream stream)
{
    return !stream || stream == CU_STREAM_LEGACY || stream == CU_STREAM_PER_THREAD;
}

// The default stream waits for those that were not made to ignore it, and is done at once.
inline CUresult on_default(const Action& action)
{
    if (auto code = not_in_capture("work on the default stream during a capture")) return code;
    auto code = until([] {
        for (auto stream : streams)
            if (stream->waits_for_default && !stream->queue.empty()) return false;
        return true;
    });
    if (!code) perform(action);
    return code;
}

inline CUresult enqueue(CUstream stream, Action action, Condition ready = {})
{
    if (is_default(stream)) return on_default(action);
    if (!streams.count(stream)) return refuse(CUDA_ERROR_INVALID_HANDLE, "no such stream");
    if (stream->captured) {
        capture->nodes.push_back({std::move(action), stream->last});
        stream->last = {(int)capture->nodes.size() - 1};
        return CUDA_SUCCESS;
    }
    stream->queue.push_back({std::move(action), std::move(ready)});
    return CUDA_SUCCESS;
}

// --- graphs -----------------------------------------------------------------------------------

// All nodes, in one of the orders that they allow.
inline void run_nodes(const std::vector<Node>& nodes)
{
    std::set<int> done, left;
    for (int k = 0; k < (int)nodes.size(); ++k) left.insert(k);
    while (!left.empty()) {
        std::vector<int> able;
        for (int k : left) {
            bool free = true;
            for (int other : nodes[k].after) free = free && done.count(other);
            if (free) able.push_back(k);
        }
        const int chosen = able[draw(able.size())];
        nodes[chosen].run();
        done.insert(chosen);
        left.erase(chosen);
    }
}

inline bool all_joined(const std::set<int>& last)
{
    std::set<int> seen;
    std::vector<int> open(last.begin(), last.end());
    while (!open.empty()) {
        const int node = open.back();
        open.pop_back();
        if (!seen.insert(node).second) continue;
        for (int other : capture->nodes[node].after) open.push_back(other);
    }
    return seen.size() == capture->nodes.size();
}

}  // namespace machine
