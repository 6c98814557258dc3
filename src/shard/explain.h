// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "shard/planner.h"

namespace tutti::shard {

/// How a value came to its placement, for people: for each dimension that is split its table, then
/// the operators through which the table came, up to what asked for it; then sums, and tables that
/// were asked for and given up.
std::vector<std::string> explain(const Function& f, const Mesh& mesh, const Desires& desires,
                                 const Placements& placements, ValueId value);

}  // namespace tutti::shard
