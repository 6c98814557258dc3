// SPDX-License-Identifier: Apache-2.0
#include <exception>
#include <mutex>
#include <thread>
#include <vector>

#include "comm/collective.h"
#include "comm/shm/join.h"
#include "core/error.h"

namespace tutti {
namespace {

// What the group as a whole fails with is only an echo of what one rank threw.
class FirstError {
 public:
  void add(std::exception_ptr error) {
    const std::lock_guard lock(mutex_);
    if (!error_) error_ = std::move(error);
  }
  void raise() const {
    if (error_) std::rethrow_exception(error_);
  }

 private:
  std::mutex mutex_;
  std::exception_ptr error_;
};

std::string reason_of(const std::exception_ptr& error) {
  try {
    std::rethrow_exception(error);
  } catch (const std::exception& e) {
    return e.what();
  } catch (...) {
    return "something that is no std::exception";
  }
}

}  // namespace

void run_ranks(int size, const std::function<void(Communicator&)>& body,
               const JoinOptions& options) {
  require_argument(size >= 1 && size <= comm::kMostRanks, "run_ranks: ", size, " ranks; 1 to ",
                   comm::kMostRanks, " are possible");
  require_argument(options.transport == "auto" || options.transport == "shm",
                   "run_ranks: transport ", options.transport, "; threads have shm");
  const auto meeting = comm::meet_in_process();
  FirstError first;
  const auto run_rank = [&](int rank) {
    try {
      Communicator group = comm::join_group(meeting, "threads", rank, size,
                                            {options.join_deadline_s, options.deadline_s, {}, {}});
      try {
        body(group);
      } catch (...) {
        first.add(std::current_exception());
        group.abort_group(reason_of(std::current_exception()));
      }
    } catch (...) {
      first.add(std::current_exception());
    }
  };
  std::vector<std::thread> threads;
  for (int rank = 1; rank < size; ++rank) threads.emplace_back(run_rank, rank);
  run_rank(0);
  for (std::thread& thread : threads) thread.join();
  first.raise();
}

}  // namespace tutti
