// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "shard/planner.h"

namespace tutti::shard {

/// Attention's whole operands.
struct AttentionOperands {
  const Dims &q, &k;
  const std::string& name;  ///< of k
};

/// Proves that on every rank each key that a query sees is met once, of those that the rank has and
/// those that come around, and that heads find those of their keys.
///
/// Throws internal with rank, queries and the key that is met twice or not at all.
void check_keys(const Node& node, const NodePlacement& p, const Mesh& mesh,
                const AttentionOperands& whole);

}  // namespace tutti::shard
