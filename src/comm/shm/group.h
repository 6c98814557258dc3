// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "comm/blame.h"
#include "comm/shm/segment.h"
#include "tutti/error.h"

namespace tutti::comm {

/// A rank's place in a group: what a rendezvous gives.
struct Membership {
  std::string name;
  std::shared_ptr<Segment> segment;
  std::shared_ptr<Segment> outermost;  ///< whose failure block counts; segment itself when first
  int rank = 0;
  std::vector<int> outer_ranks;  ///< of each rank, in the outermost group: the numbers people see
  std::vector<Fd> processes;     ///< of each rank, to see its death; empty among threads
};

/// Ranks that go through steps together: waits that end, failures that all see.
class Group : public View {
 public:
  explicit Group(Membership membership);
  ~Group() override;
  Group(const Group&) = delete;
  Group& operator=(const Group&) = delete;

  int rank() const override { return m_.rank; }
  int size() const override { return m_.segment->layout().size; }
  const std::string& group_name() const override { return m_.name; }
  bool is_outermost() const override { return m_.segment == m_.outermost; }
  int outer_rank(int r) const override { return m_.outer_ranks[static_cast<size_t>(r)]; }
  const Activity& activity(int r) const override { return m_.segment->rank(r); }
  const Activity& outer_activity(int outer) const override { return m_.outermost->rank(outer); }
  Fate fate(int r) const override;

  Segment& segment() { return *m_.segment; }
  RankBlock& block(int r) { return m_.segment->rank(r); }
  RankBlock& mine() { return block(m_.rank); }
  const Membership& membership() const { return m_; }
  bool is_threads() const { return m_.processes.empty(); }
  double deadline_s() const { return static_cast<double>(deadline_ns_) * 1e-9; }
  void set_deadline(double seconds) { deadline_ns_ = static_cast<int64_t>(seconds * 1e9); }

  /// Steps behind this rank: counts phases of data movement as well.
  uint64_t steps() const { return steps_; }
  /// Comes to the next step and waits until all have; `record` is what this rank runs.
  void step(const Record& record);

  /// Throws the group's failure, if there is one; returns when there is none.
  void check() {
    if (failure().state.load(std::memory_order_acquire) != FailureBlock::kNone) [[unlikely]]
      throw_failure();
  }
  /// Fails the group, unless it has failed already.
  void set_failure(Errc code, const std::string& text) noexcept;
  [[noreturn]] void fail(Errc code, const std::string& text);

  /// Marks the time in which this rank reads and writes peers' buffers. A rank that leaves by a
  /// failure waits until nobody is in such a time.
  void begin_access();
  void end_access() { mine().accessing.store(0, std::memory_order_release); }

  /// Sleeps on this rank's bell unless it moved since `seen`.
  void wait_for_bell(uint32_t seen);
  void ring(int r);
  /// Throws when `r`, which `record` needs, is dead or has left, or when `late`.
  /// Shows that this rank was alive at `now`, here and in the outermost group.
  void show_alive(int64_t now);
  /// Shows that this rank is alive and waits for rank `r`, or for nobody when r < 0.
  void show_waiting(int r);
  bool is_gone(int r) { return block(r).left.load() != 0 || is_dead(r); }
  void check_peer(int r, const Record& record, bool late);
  bool is_late(int64_t since_ns) const { return now_ns() - since_ns > deadline_ns_; }
  /// Whether spinning may help: each rank can have a core.
  bool may_spin() const { return may_spin_; }

 private:
  FailureBlock& failure() { return m_.outermost->failure(); }
  [[noreturn]] void throw_failure();
  void wait_for(int r, uint32_t step, int64_t since_ns, const Record& record);
  void check_missing(uint32_t step, bool late, const Record& record);
  bool is_dead(int r) const;
  bool is_stopped(int r) const;
  /// Fails for the ranks whose bits are set: they are late, or else dead or gone.
  [[noreturn]] void fail_for(uint64_t ranks, bool late, const Record& record);
  RankBlock& outer_block(int r) { return m_.outermost->rank(outer_rank(r)); }

  Membership m_;
  uint64_t steps_ = 0;
  std::atomic<int64_t> deadline_ns_ = 30'000'000'000;
  bool may_spin_ = false;
};

}  // namespace tutti::comm
