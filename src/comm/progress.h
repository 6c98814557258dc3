// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <condition_variable>
#include <exception>
#include <mutex>
#include <thread>

#include "comm/transport.h"

namespace tutti::comm {

/// A collective with all that a transport needs, kept until it is done.
struct Job {
  Collective what;
  uint64_t number = 0;
  uint64_t label_hash = 0;
  const void* in = nullptr;
  void* out = nullptr;
};

/// Moves a send or recv to its end.
void run_pair(Transport& transport, Pair& pair, uint64_t label_hash);

/// The send or recv that a job describes.
Pair pair_of(const Job& job);

/// A thread that runs jobs in order, for one communicator.
class Progress {
 public:
  static constexpr uint64_t kSlots = 64;

  explicit Progress(Transport& transport);
  /// Ends after the job at hand; the transport must have failed when there are more.
  ~Progress();

  /// Queues a job and returns its id; waits while kSlots are not done.
  uint64_t add(const Job& job);
  /// Returns when the job is done; throws what ended it.
  void wait(uint64_t id);
  /// Jobs that are not done.
  uint64_t outstanding();

 private:
  struct Slot {
    Job job;
    char label[Entry::kLabelBytes];
    Pair pair;
    bool done = true;
    bool failed = false;
  };

  void work();
  bool next(uint64_t& id, bool pairs_only);
  void run_pairs(uint64_t first);
  void finish(uint64_t id);
  void fail_all();
  Slot& slot(uint64_t id) { return slots_[id % kSlots]; }

  Transport& transport_;
  std::mutex mutex_;
  std::condition_variable added_, finished_;
  std::array<Slot, kSlots> slots_;
  uint64_t begun_ = 0, added_count_ = 0, done_count_ = 0;
  bool stop_ = false;
  std::exception_ptr failure_;
  std::thread thread_;
};

}  // namespace tutti::comm
