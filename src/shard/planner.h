// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "shard/desires.h"

namespace tutti::shard {

/// How attention meets keys that other ranks hold, along one axis of the mesh.
enum class Context : uint8_t { gather_kv, ulysses, ring };

/// Where each operand of a node has to be, and where its results are.
struct NodePlacement {
  std::vector<Placement> in;
  std::vector<Placement> out;
  /// Axes over which results of parts are reduced within the node: a product before its addend, a
  /// maximum in its own way. Out has them no more.
  AxisSet reduced_within = 0;
  /// Of attention: axes along which keys and values go around, so that each rank meets those that
  /// the others have.
  AxisSet travels = 0;
  /// Where results go at once, after the node.
  std::vector<Placement> settled;
};

/// The placement of everything in a function: what all ranks agree on.
struct Placements {
  std::vector<NodePlacement> nodes;
  std::vector<Placement> values;  ///< by value: where its producer's settled result is
  States states;                  ///< where state is before and after a run
};

/// Decides placements node by node, with the tables that are desired; context by axis. `shared`
/// are the axes whose ranks share work that nothing else splits; state is where `states` says.
Placements place_values(const Function& f, const Mesh& mesh, const Desires& desires,
                        const std::vector<Context>& context, AxisSet shared, States states = {});

}  // namespace tutti::shard
