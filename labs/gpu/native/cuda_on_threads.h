// CUDA's keywords for a C++20 compiler: a block at a time, an operating system's thread for each of its threads.
// Slow, and real: barriers, atomics and shuffles do what CUDA says, so a generated kernel can be run and checked
// where there is no GPU.
#pragma once
#include <atomic>
#include <barrier>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <memory>
#include <thread>
#include <vector>

#define __global__
#define __shared__ static  // one block runs at a time, so its variables may outlive it

struct Place { unsigned x, y, z; };
static thread_local Place threadIdx, blockIdx;
static Place blockDim, gridDim;

struct Warp {
    explicit Warp(int lanes) : barrier(lanes) {}
    std::barrier<> barrier;
    uint64_t slots[32] = {};
};
static std::unique_ptr<std::barrier<>> block_barrier;
static std::vector<std::unique_ptr<Warp>> warps;
static thread_local Warp* my_warp;
static thread_local int my_lane;

inline void __syncthreads() { block_barrier->arrive_and_wait(); }
inline void __syncwarp() { my_warp->barrier.arrive_and_wait(); }
inline void __threadfence() { std::atomic_thread_fence(std::memory_order_seq_cst); }

template <class T> T from_lane(T value, int lane) {
    std::memcpy(&my_warp->slots[my_lane], &value, sizeof(T));
    my_warp->barrier.arrive_and_wait();
    T found;
    std::memcpy(&found, &my_warp->slots[lane >= 0 && lane < 32 ? lane : my_lane], sizeof(T));
    my_warp->barrier.arrive_and_wait();
    return found;
}
template <class T> T __shfl_sync(unsigned, T value, int lane) { return from_lane(value, lane & 31); }
template <class T> T __shfl_up_sync(unsigned, T value, int by) { return from_lane(value, my_lane - by); }
template <class T> T __shfl_down_sync(unsigned, T value, int by) { return from_lane(value, my_lane + by); }
template <class T> T __shfl_xor_sync(unsigned, T value, int by) { return from_lane(value, my_lane ^ by); }
inline unsigned __ballot_sync(unsigned, int vote) {
    unsigned bits = 0;
    for (int lane = 0; lane < 32; ++lane) bits |= unsigned(from_lane(vote != 0, lane)) << lane;
    return bits;
}
inline int __any_sync(unsigned mask, int vote) { return __ballot_sync(mask, vote) != 0; }
inline int __all_sync(unsigned mask, int vote) { return __ballot_sync(mask, vote) == 0xffffffffu; }
inline int __popc(unsigned bits) { return __builtin_popcount(bits); }

template <class T> T atomicAdd(T* target, T value) { return std::atomic_ref<T>(*target).fetch_add(value); }
template <class T, class V> T atomicAdd(T* target, V value) { return atomicAdd(target, T(value)); }
inline int atomicMax(int* target, int value) {
    std::atomic_ref<int> shared(*target);
    int old = shared.load();
    while (old < value && !shared.compare_exchange_weak(old, value)) {}
    return old;
}
inline int min(int a, int b) { return a < b ? a : b; }
inline int max(int a, int b) { return a > b ? a : b; }
inline float min(float a, float b) { return fminf(a, b); }
inline float max(float a, float b) { return fmaxf(a, b); }
inline double min(double a, double b) { return fmin(a, b); }
inline double max(double a, double b) { return fmax(a, b); }
using std::abs;

template <class Kernel> void launch(Kernel kernel, int grid, int x, int y, int z) {
    gridDim = {unsigned(grid), 1, 1};
    blockDim = {unsigned(x), unsigned(y), unsigned(z)};
    const int count = x * y * z;
    for (int block = 0; block < grid; ++block) {
        block_barrier = std::make_unique<std::barrier<>>(count);
        warps.clear();
        for (int first = 0; first < count; first += 32)
            warps.push_back(std::make_unique<Warp>(count - first < 32 ? count - first : 32));
        std::vector<std::thread> threads;
        for (int number = 0; number < count; ++number)
            threads.emplace_back([=] {
                threadIdx = {unsigned(number % x), unsigned(number / x % y), unsigned(number / (x * y))};
                blockIdx = {unsigned(block), 0, 0};
                my_warp = warps[number / 32].get();
                my_lane = number % 32;
                kernel();
                my_warp->barrier.arrive_and_drop();
                block_barrier->arrive_and_drop();
            });
        for (std::thread& thread : threads) thread.join();
    }
}
