// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "ir/graph.h"
#include "shard/mesh.h"
#include "shard/planner.h"

namespace tutti::shard {

/// How a network is spread over ranks.
///
/// The names of axes say what they split: tp heads and hidden dimensions, cp the sequence, dp the
/// batch. Other axes are left to the network's own collectives.
struct Strategy {
  Mesh mesh;
  /// How attention meets keys of other ranks along cp: "gather_kv", "ulysses", "ring", or two with
  /// their sizes, "ulysses:2,ring:2".
  std::string context = "ulysses";
};

/// A strategy whose axes are single ways: cp as "cp.ulysses" and "cp.ring" where it is two.
struct Ways {
  Mesh mesh;
  std::vector<Context> context;  ///< by axis
};

/// Throws invalid_argument for words that are not known, and sizes that do not multiply to cp's.
Ways ways_of(const Strategy& strategy);

/// The tables that a strategy asks for, and the placements that it gets.
struct Sharding {
  Desires desires;
  Placements placements;
};

/// Writes out operators that are asked for parts of what they take together; values keep their
/// numbers. True where there were any: desires have to be found anew.
bool decompose_asked(Function& f, const Desires& desires);

/// Of a function whose extents are all numbers; decompose_asked changes it. State is where `states`
/// says, as the functions that share it have to; without any, where it ought to be.
Sharding sharding_of(Function& f, const Ways& ways, const States& states = {});
/// The placements of it.
Placements shard(Function& f, const Ways& ways, const States& states = {});

/// The axes of a strategy along which nothing is split: their ranks all do the same.
AxisSet idle_axes(const Function& f, const Mesh& mesh, const Placements& placements);

}  // namespace tutti::shard
