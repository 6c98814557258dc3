// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "shard/profile.h"
#include "shard/shard.h"
#include "shard/strategies.h"

namespace tutti::shard {

/// What one rank has to do in a run.
struct Cost {
  double sums = 0;          ///< of products, convolutions and attention
  int64_t moved_bytes = 0;  ///< read and written by operators, as if results were written once
  int64_t sent_bytes = 0;   ///< to other ranks
  int64_t collectives = 0;
  int64_t weight_bytes = 0;  ///< of the parts of weights that it reads
  int64_t live_bytes = 0;    ///< of values that are needed at once, at most
  double seconds = 0;

  int64_t memory_bytes() const { return weight_bytes + live_bytes; }
};

/// The price of one rank's function; what travels while it attends costs what is left over.
Cost price(const Function& local, const Profile& profile);

/// What the slowest rank of a strategy has to do, with the memory of the one that needs most; of
/// the first rank, which has most of what is dealt out in blocks, and the last.
Cost price(const Function& f, const Strategy& strategy, const Profile& profile);

/// A strategy for a network, and what its slowest rank has to do.
struct Judged : NamedStrategy {
  Cost cost;
  bool fits = true;  ///< no rank needs more memory than the limit
};

/// All strategies of `ranks` ranks over axes dp, tp and cp, the fastest that fit first; of equal
/// ones the first in this order. memory_limit in bytes for each rank, 0: none.
std::vector<Judged> judge(const Function& f, int ranks, const Profile& profile,
                          int64_t memory_limit = 0);

}  // namespace tutti::shard
