// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "ops/attention.h"
#include "shard/planner.h"
#include "shard/reshard.h"

namespace tutti::shard {

/// Attention whose keys and values travel around a ring of ranks, as one rank runs it.
struct RingAttention {
  Attention op;
  AxisSet axes = 0;           ///< along which keys are split
  Table keys;                 ///< who has which
  std::optional<Table> rows;  ///< which queries each rank has
  ValueId q, k, v;            ///< of this rank
  ValueId mask = kNone;       ///< of its queries and all keys
  std::string scope;
};

/// Adds it to the function: block i + 1 is on its way while block i is attended to, and what no
/// rank behind needs is left out; results are merged in f32 (f64 for f64) by the logarithms of
/// their sums. Gives what this rank's queries get.
ValueId add_ring(Function& local, const Mesh& mesh, int rank, const RingAttention& ring);

}  // namespace tutti::shard
