// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <cstdint>
#include <thread>
#include <vector>

namespace tutti::cpu {

/// Cores this process may use: the affinity mask, cut by the CPU quota of its control group.
int usable_cores();

/// Threads that share the tasks of one caller at a time. The caller takes part; a worker that
/// wakes late is not waited for, only tasks already taken are. Workers look out for work for some
/// microseconds after a call, then sleep.
class Pool {
 public:
  /// Starts threads - 1 workers. Throws invalid_argument unless threads >= 1.
  explicit Pool(int threads);
  ~Pool();
  Pool(const Pool&) = delete;
  Pool& operator=(const Pool&) = delete;

  int threads() const { return static_cast<int>(workers_.size()) + 1; }

  /// Calls body(int64_t task, int thread) once for every task in [0, tasks), in any order; no two
  /// running tasks have the same thread, which is in [0, threads()). Returns when all are done.
  /// A call from inside a body, or while another thread is inside parallel, runs its tasks here,
  /// in order, as thread 0. Allocates nothing; body must not throw.
  template <class F>
  void parallel(int64_t tasks, const F& body) {
    if (tasks <= 1 || workers_.empty()) {
      for (int64_t task = 0; task < tasks; ++task) body(task, 0);
      return;
    }
    run({[](const void* f, int64_t begin, int64_t end, int thread) noexcept {
           for (int64_t task = begin; task < end; ++task) (*static_cast<const F*>(f))(task, thread);
         },
         &body, tasks});
  }

 private:
  struct Job {
    void (*call)(const void* body, int64_t begin, int64_t end, int thread) noexcept = nullptr;
    const void* body = nullptr;
    int64_t tasks = 0;
    int64_t chunk = 1;    // tasks taken at a time
    uint32_t chunks = 0;  // ceil(tasks / chunk)
  };

  void run(Job job);
  void work(int thread);
  uint32_t drain(int thread);
  void sleep();
  void wait_for_done(uint32_t chunks);

  // Number of the job << 32 | chunks nobody has taken. A successful exchange takes a chunk of
  // exactly that job, whose caller then waits for it: late workers cannot touch a newer job.
  alignas(64) std::atomic<uint64_t> open_{0};
  alignas(64) std::atomic<uint32_t> done_{0};  // chunks finished
  std::atomic<bool> caller_sleeps_{false};
  alignas(64) Job job_;
  std::atomic<bool> taken_{false};
  std::atomic<bool> stop_{false};
  std::atomic<uint32_t> sleepers_{0};
  std::atomic<uint32_t> alarm_{0};  // what sleepers wait on
  std::vector<std::thread> workers_;
};

}  // namespace tutti::cpu
