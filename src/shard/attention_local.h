// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "ir/graph.h"
#include "shard/planner.h"

namespace tutti::shard {

/// Attention, and what one rank has of it.
struct AttentionPart {
  const Node& node;
  Dims q, k;  ///< shapes of the whole operands
  const NodePlacement& placement;
  std::vector<ValueId> in;  ///< this rank's parts of the operands
  std::string name;         ///< of its result
};

/// Adds what one rank runs for it to the rank's function; gives this rank's part of the result.
ValueId localize_attention(Function& local, const Mesh& mesh, int rank, AttentionPart part);

}  // namespace tutti::shard
