// Runs kernels of CUDA C on a CPU: block by block, each thread of a block until it waits.
//
// Blocks, and the threads of a block, go in an order drawn from a seed. Shared memory begins as
// NaN. A barrier or a shuffle that not every thread reaches ends the process with a message.
#pragma once
#include <math.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <ucontext.h>

#include <algorithm>
#include <memory>
#include <numeric>
#include <random>
#include <tuple>
#include <utility>
#include <vector>

struct dim3 {
    unsigned x = 1, y = 1, z = 1;
};

#define __global__
#define __device__
#define __launch_bounds__(threads)
#define __shared__ static __attribute__((section("stand_in_shared")))
extern "C" char __start_stand_in_shared[] __attribute__((weak));
extern "C" char __stop_stand_in_shared[] __attribute__((weak));

namespace stand_in {

const unsigned WARP = 32;
const size_t STACK_BYTES = 64 << 10;

enum State { UNSTARTED, READY, AT_BARRIER, AT_SHUFFLE, DONE };

// The stack that a thread runs on. One that never waits leaves it to the next thread at once.
struct Fiber {
    jmp_buf here;
    std::unique_ptr<char[]> stack{new char[STACK_BYTES]};
};

struct Thread {
    State state = UNSTARTED;
    unsigned number = 0;
    int line = 0;         // where it waits
    uint64_t shown = 0;   // what it shows to the other lanes of its warp
    Fiber* fiber = nullptr;
};

struct Block {
    std::vector<Thread> threads;
    std::vector<unsigned> order;
    size_t started = 0;
};

inline Block block;
inline Thread* now;       // the thread that runs
inline dim3 grid_size, block_size, block_at;
inline jmp_buf scheduler;
inline std::vector<std::unique_ptr<Fiber>> fibers;
inline std::vector<Fiber*> idle;
inline std::mt19937 dice;
inline void (*body)();

[[noreturn]] inline void die(const char* why, unsigned thread, int line)
{
    fprintf(stderr, "stand-in: %s (block %u, thread %u, line %d)\n", why, block_at.x, thread, line);
    _Exit(134);
}

[[gnu::noinline]] inline void wait(State state, int line)
{
    now->state = state;
    now->line = line;
    if (!_setjmp(now->fiber->here)) _longjmp(scheduler, 1);
}

inline void barrier(int line) { wait(AT_BARRIER, line); }

// Every shuffle is a look at what another lane shows. After the second wait it may be forgotten.
template <class T> T look(unsigned mask, T value, unsigned lane, int line)
{
    static_assert(sizeof(T) <= sizeof(uint64_t), "at most eight bytes are shuffled");
    if (mask != 0xffffffffu) die("a shuffle of part of a warp", now->number, line);
    memcpy(&now->shown, &value, sizeof value);
    wait(AT_SHUFFLE, line);
    const unsigned source = now->number / WARP * WARP + lane % WARP;
    if (source >= block.threads.size()) die("a shuffle with a lane that is not", now->number, line);
    T found;
    memcpy(&found, &block.threads[source].shown, sizeof found);
    wait(AT_SHUFFLE, -line);
    return found;
}

// What a fiber does for ever: threads that have not begun, as long as there are some.
inline Fiber* starting;
inline void run_threads()
{
    Fiber* const own = starting;
    for (;;) {
        while (block.started < block.order.size()) {
            now = &block.threads[block.order[block.started++]];
            now->fiber = own;
            now->state = READY;
            body();
            now->state = DONE;
        }
        idle.push_back(own);
        if (!_setjmp(own->here)) _longjmp(scheduler, 1);
    }
}

inline void go_on(Fiber* fiber)
{
    if (!_setjmp(scheduler)) _longjmp(fiber->here, 1);
}

inline void start_fiber()
{
    if (!idle.empty()) {
        Fiber* const fiber = idle.back();
        idle.pop_back();
        return go_on(fiber);
    }
    fibers.emplace_back(starting = new Fiber);
    ucontext_t context;
    getcontext(&context);
    context.uc_stack.ss_sp = starting->stack.get();
    context.uc_stack.ss_size = STACK_BYTES;
    context.uc_link = nullptr;
    makecontext(&context, run_threads, 0);
    if (!_setjmp(scheduler)) setcontext(&context);
}

// Warps whose lanes all wait at one shuffle go on; whether there was one.
inline bool release_warps()
{
    bool any = false;
    auto& threads = block.threads;
    for (size_t first = 0; first < threads.size(); first += WARP) {
        const size_t end = std::min<size_t>(first + WARP, threads.size());
        size_t there = 0;
        for (size_t k = first; k < end; ++k) there += threads[k].state == AT_SHUFFLE;
        if (there < end - first) continue;
        for (size_t k = first; k < end; ++k) {
            if (threads[k].line != threads[first].line)
                die("lanes of one warp at different shuffles", k, threads[k].line);
            threads[k].state = READY;
        }
        any = true;
    }
    return any;
}

inline void release_barrier()
{
    auto& threads = block.threads;
    for (auto& thread : threads) {
        if (thread.state != AT_BARRIER)
            die("a barrier or shuffle is not reached by every thread", thread.number, thread.line);
        if (thread.line != threads[0].line)
            die("threads at different barriers", thread.number, thread.line);
    }
    for (auto& thread : threads) thread.state = READY;
}

inline bool is_done()
{
    for (auto& thread : block.threads)
        if (thread.state != DONE) return false;
    return true;
}

inline void run_block(unsigned threads)
{
    if (__start_stand_in_shared)
        memset(__start_stand_in_shared, 0xff, __stop_stand_in_shared - __start_stand_in_shared);
    block.threads.assign(threads, Thread());
    for (unsigned k = 0; k < threads; ++k) block.threads[k].number = k;
    block.order.resize(threads);
    std::iota(block.order.begin(), block.order.end(), 0);
    std::shuffle(block.order.begin(), block.order.end(), dice);
    block.started = 0;
    while (!is_done()) {
        while (block.started < threads) start_fiber();
        for (unsigned k : block.order)
            if (block.threads[k].state == READY) {
                now = &block.threads[k];
                go_on(now->fiber);
            }
        if (!is_done() && !release_warps()) release_barrier();
    }
}

template <class... A> struct Call {
    static inline void (*kernel)(A...);
    static inline std::tuple<A...> given;
    static void run() { std::apply(kernel, given); }
};

// The driver's buffer of arguments holds addresses and nothing else.
template <class... A, size_t... N>
void launch(void (*kernel)(A...), const uint64_t* packed, std::index_sequence<N...>)
{
    Call<A...>::kernel = kernel;
    Call<A...>::given = {(A)packed[N]...};
    body = Call<A...>::run;
    std::vector<unsigned> order(grid_size.x);
    std::iota(order.begin(), order.end(), 0);
    std::shuffle(order.begin(), order.end(), dice);
    for (unsigned x : order) {
        block_at.x = x;
        run_block(block_size.x);
    }
}

template <class... A>
void launch(void (*kernel)(A...), const void* packed, unsigned blocks, unsigned threads, unsigned seed)
{
    grid_size = {blocks};
    block_size = {threads};
    dice.seed(seed);
    launch(kernel, (const uint64_t*)packed, std::index_sequence_for<A...>());
}

}  // namespace stand_in

#define STAND_IN_KERNEL(name)                                                                     \
    extern "C" void stand_in_##name(                                                              \
        const void* packed, unsigned blocks, unsigned threads, unsigned seed)                     \
    {                                                                                             \
        stand_in::launch(name, packed, blocks, threads, seed);                                    \
    }

#define threadIdx (dim3{stand_in::now->number})
#define blockIdx (stand_in::block_at)
#define blockDim (stand_in::block_size)
#define gridDim (stand_in::grid_size)
#define __syncthreads() stand_in::barrier(__LINE__)
#define __syncwarp() ((void)stand_in::look(0xffffffffu, 0, 0, __LINE__))
#define __shfl_xor_sync(mask, value, other)                                                       \
    stand_in::look(mask, value, stand_in::now->number ^ (other), __LINE__)

inline float __int_as_float(unsigned bits)
{
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

inline double __longlong_as_double(unsigned long long bits)
{
    double value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

inline unsigned long long __umul64hi(unsigned long long a, unsigned long long b)
{
    return (unsigned __int128)a * b >> 64;
}
