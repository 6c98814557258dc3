// SPDX-License-Identifier: Apache-2.0
#include "device/cpu/pool.h"

#include <sched.h>

#include <algorithm>
#include <chrono>
#include <fstream>
#include <string>

#include "core/error.h"

namespace tutti::cpu {

namespace {

using Clock = std::chrono::steady_clock;

constexpr auto kSpin = std::chrono::microseconds(20);    // busy
constexpr auto kYield = std::chrono::microseconds(200);  // offering the core to others
constexpr int64_t kChunksPerThread = 32;

thread_local bool inside_body = false;

void pause() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

/// Polls `ready` for kSpin busily, then until kYield giving way to other threads.
template <class F>
bool spin_until(const F& ready) {
  const auto start = Clock::now();
  for (;;) {
    for (int i = 0; i < 16; ++i) {
      if (ready()) return true;
      pause();
    }
    const auto waited = Clock::now() - start;
    if (waited > kYield) return false;
    if (waited > kSpin) std::this_thread::yield();
  }
}

/// The quota of the control group in cores, or `cores` where there is none.
int quota_of_group(int cores) {
  std::ifstream self("/proc/self/cgroup");
  std::string line;
  std::string path;
  while (std::getline(self, line)) {
    if (line.rfind("0::", 0) == 0) path = line.substr(3);
  }
  if (path == "/") path.clear();
  for (;;) {
    std::ifstream file("/sys/fs/cgroup" + path + "/cpu.max");
    std::string quota;
    int64_t period = 0;
    if (file >> quota >> period && quota != "max" && period > 0) {
      const int64_t whole = (std::stoll(quota) + period - 1) / period;
      cores = static_cast<int>(std::clamp<int64_t>(whole, 1, cores));
    }
    if (path.empty()) return cores;
    path.erase(path.rfind('/'));
  }
}

}  // namespace

int usable_cores() {
  cpu_set_t set;
  int cores = static_cast<int>(std::thread::hardware_concurrency());
  if (sched_getaffinity(0, sizeof set, &set) == 0) cores = CPU_COUNT(&set);
  return quota_of_group(std::max(cores, 1));
}

Pool::Pool(int threads) {
  require_argument(threads >= 1, "a pool of ", threads, " threads: at least 1 is wanted");
  workers_.reserve(static_cast<size_t>(threads) - 1);
  for (int i = 1; i < threads; ++i) workers_.emplace_back([this, i] { work(i); });
}

Pool::~Pool() {
  stop_.store(true);
  alarm_.fetch_add(1);
  alarm_.notify_all();
  for (std::thread& worker : workers_) worker.join();
}

void Pool::run(Job job) {
  if (inside_body || taken_.exchange(true, std::memory_order_acquire)) {
    job.call(job.body, 0, job.tasks, 0);
    return;
  }
  job.chunk = std::max<int64_t>(1, job.tasks / (threads() * kChunksPerThread));
  job.chunks = static_cast<uint32_t>((job.tasks + job.chunk - 1) / job.chunk);
  job_ = job;
  done_.store(0, std::memory_order_relaxed);
  const uint64_t number = (open_.load(std::memory_order_relaxed) >> 32) + 1;
  open_.store(number << 32 | job.chunks);
  const uint32_t sleepers = sleepers_.load();
  if (sleepers > 0) {
    alarm_.fetch_add(1);
    if (job.chunks > sleepers) {
      alarm_.notify_all();
    } else {
      for (uint32_t i = 1; i < job.chunks; ++i) alarm_.notify_one();
    }
  }
  const uint32_t mine = drain(0);
  if (mine < job.chunks) {
    done_.fetch_add(mine, std::memory_order_relaxed);
    wait_for_done(job.chunks);
  }
  taken_.store(false, std::memory_order_release);
}

uint32_t Pool::drain(int thread) {
  uint32_t count = 0;
  uint64_t open = open_.load(std::memory_order_acquire);
  while (static_cast<uint32_t>(open) != 0) {
    if (!open_.compare_exchange_weak(open, open - 1, std::memory_order_acq_rel,
                                     std::memory_order_acquire)) {
      continue;
    }
    const int64_t begin = (job_.chunks - static_cast<uint32_t>(open)) * job_.chunk;
    inside_body = true;
    job_.call(job_.body, begin, std::min(begin + job_.chunk, job_.tasks), thread);
    inside_body = false;
    ++count;
    open = open_.load(std::memory_order_acquire);
  }
  return count;
}

void Pool::wait_for_done(uint32_t chunks) {
  const auto all_done = [&] { return done_.load(std::memory_order_acquire) == chunks; };
  if (spin_until(all_done)) return;
  // An idle core may take over a worker that waits for a busy one; a spinning caller's never does.
  caller_sleeps_.store(true);
  for (uint32_t done = done_.load(); done != chunks; done = done_.load()) done_.wait(done);
  caller_sleeps_.store(false);
}

void Pool::work(int thread) {
  const auto called = [this] {
    return static_cast<uint32_t>(open_.load(std::memory_order_relaxed)) != 0 ||
           stop_.load(std::memory_order_relaxed);
  };
  while (!stop_.load(std::memory_order_relaxed)) {
    if (!spin_until(called)) sleep();
    const uint32_t count = drain(thread);
    if (count == 0) continue;
    done_.fetch_add(count);
    if (caller_sleeps_.load()) done_.notify_all();
  }
}

void Pool::sleep() {
  sleepers_.fetch_add(1);
  const uint32_t alarm = alarm_.load();
  if (static_cast<uint32_t>(open_.load()) == 0 && !stop_.load()) alarm_.wait(alarm);
  sleepers_.fetch_sub(1);
}

}  // namespace tutti::cpu
