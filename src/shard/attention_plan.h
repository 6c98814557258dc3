// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "core/band.h"
#include "shard/planner.h"

namespace tutti::shard {

/// The keys, of `count`, that some of these queries see, each once and in order.
Ranges seen(const Band& band, const Ranges& queries, int64_t count);

/// Where attention's operands have to be and where its result is, when they are at `in` and the
/// axes of the mesh meet keys that other ranks hold in the way of `context`.
NodePlacement place_attention(const Node& node, const std::vector<Placement>& in, const Mesh& mesh,
                              const Desires& desires, const std::vector<Context>& context);

}  // namespace tutti::shard
