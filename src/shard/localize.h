// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

#include "ir/graph.h"
#include "shard/planner.h"

namespace tutti::shard {

/// What one rank runs.
struct LocalFunction {
  Function function;
  /// By value: how many rounds of collectives it waits for. Ranks agree on that, though one that
  /// has nothing of a value may not wait at all.
  std::vector<int> rounds;
};

/// The function with a rank's part of every value, and collectives where placements change. Inputs
/// and outputs are whole, on all ranks; state is where the placements say.
LocalFunction localize(const Function& f, const Mesh& mesh, const Placements& placements, int rank);

}  // namespace tutti::shard
