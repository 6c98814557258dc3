// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "ir/graph.h"
#include "shard/planner.h"

namespace tutti::shard {

/// What one rank runs: the function with its part of every value, and collectives where placements
/// change. Inputs and outputs are whole, on all ranks; state is where the placements say.
Function localize(const Function& f, const Mesh& mesh, const Placements& placements, int rank);

}  // namespace tutti::shard
