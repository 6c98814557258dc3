// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "runtime/manifest.h"

namespace tutti::runtime {

/// What follows from the manifests of all ranks, and is the same on each.
struct Agreement {
  std::vector<Manifest> manifests;  ///< by rank; the counts of their calls are final
  /// [rank][list of its manifest]: the ranks of the group, in order; empty where it takes no part.
  std::vector<std::vector<std::vector<int>>> members;
  /// [rank][plan][call]: the label that all ranks of a call use, that of its first rank.
  std::vector<std::vector<std::vector<std::string>>> labels;
};

/// Binds names to ranks and goes through every plan as the ranks would.
///
/// Throws invalid_argument: for a name that is not bound or bound to ranks that cannot be its
/// group; for ranks that differ in the number of plans, or in a collective, both sides shown; for
/// an order in which ranks would wait for each other for ever.
Agreement agree(std::vector<Manifest> manifests);

/// "ranks 0, 1"
std::string ranks_text(const std::vector<int>& ranks);

}  // namespace tutti::runtime
