// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <mutex>

#include "comm/activity.h"
#include "comm/tcp/frame.h"

namespace tutti::comm {

/// What the ranks of one group do, as this process knows it: its own activity, which it tells the
/// others, and copies of theirs. Ranks are those of the outermost group.
class Board {
 public:
  Board(uint64_t id, int rank, int outer_size);

  uint64_t id() const { return id_; }
  Activity& mine() { return ranks_[static_cast<size_t>(rank_)]; }
  Activity& of(int outer) { return ranks_[static_cast<size_t>(outer)]; }

  /// Another rank has begun this, as its data says; sooner than its next beat.
  void heard(int outer, const uint64_t* record, int64_t now);

  /// Appends what is new since the last turn(), or, `whole`, all that is there.
  void write_mine(FrameWriter& frame, bool whole) const;
  /// What is new from now on.
  void turn();
  /// Takes over what write_mine of rank `outer` wrote, without its leading id.
  void read_from(int outer, FrameReader& frame, int64_t clock_shift_ns);

 private:
  uint64_t id_;
  int rank_;
  std::unique_ptr<Activity[]> ranks_;
  std::mutex mutex_;  // of those who write what others do
  uint64_t new_collectives_ = 1, new_pairs_ = 1;  // numbers from which on others must be told
};

}  // namespace tutti::comm
