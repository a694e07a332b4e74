// Threads that work through a step together, phase by phase, and sleep between steps.
#pragma once

#include <immintrin.h>

#include <algorithm>
#include <atomic>
#include <functional>
#include <thread>
#include <vector>

class Pool {
public:
    explicit Pool(int threads) : threads_(threads) {
        for (int i = 1; i < threads; ++i) workers_.emplace_back([this] { work(); });
    }

    ~Pool() {
        task_ = nullptr;
        wake();
        for (std::thread& worker : workers_) worker.join();
    }

    int threads() const { return threads_; }

    // Every thread, the caller too, runs `task`; returns when all have.
    void run(const std::function<void()>& task) {
        task_ = &task;
        if (threads_ > 1) wake();
        task();
        barrier();
    }

    // Within a task: `each(i)` for 0 <= i < count, once, by whichever thread is free; then all go on together.
    // Handing items out as threads come keeps a thread that lost its core from holding up the rest for long.
    template <typename Each>
    void phase(int count, int grain, Each each) {
        for (int first; (first = next_.fetch_add(grain, std::memory_order_relaxed)) < count;)
            for (int i = first; i < std::min(first + grain, count); ++i) each(i);
        barrier();
    }

    // Items handed out at a time: a dozen helpings for each thread.
    int grain(int count) const { return std::max(1, count / (12 * threads_)); }

private:
    // A few microseconds: longer than the threads of a phase usually differ. Whoever waits longer has lost its
    // peer to another program, and sleeps.
    static constexpr int SPINS = 400;

    void barrier() {
        int now = turn_.load(std::memory_order_relaxed);
        if (arrived_.fetch_add(1, std::memory_order_acq_rel) + 1 == threads_) {
            arrived_.store(0, std::memory_order_relaxed);
            next_.store(0, std::memory_order_relaxed);
            turn_.store(now + 1, std::memory_order_release);
            if (threads_ > 1) turn_.notify_all();
            return;
        }
        for (int i = 0; i < SPINS; ++i) {
            if (turn_.load(std::memory_order_acquire) != now) return;
            _mm_pause();
        }
        turn_.wait(now, std::memory_order_acquire);
    }

    void wake() {
        step_.fetch_add(1, std::memory_order_release);
        step_.notify_all();
    }

    void work() {
        for (int seen = 0;; ++seen) {
            step_.wait(seen, std::memory_order_acquire);
            if (!task_) return;
            (*task_)();
            barrier();
        }
    }

    int threads_;
    std::vector<std::thread> workers_;
    const std::function<void()>* task_ = nullptr;
    std::atomic<int> step_{0}, turn_{0}, arrived_{0}, next_{0};
};
