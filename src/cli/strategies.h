// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

namespace tutti::cli {

/// One way to spread a model over a number of ranks.
struct StrategyChoice {
  std::string name;  ///< whatever the number: "tp", "cp:ring", "tp+cp:ulysses"
  int ranks = 1;
  std::string mesh, context;  ///< options --mesh and --cp; empty where there are none
};

/// The strategies of these names, or all for "all", on so many ranks; those of two axes only where
/// the number is a product. Throws UsageError for a name that is not known.
std::vector<StrategyChoice> strategies_on(int ranks, const std::vector<std::string>& names);

}  // namespace tutti::cli
