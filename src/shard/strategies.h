// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "shard/shard.h"

namespace tutti::shard {

/// A strategy, and its name whatever the sizes: "tp", "cp:ring", "cp:ulysses+ring", "dp+tp".
struct NamedStrategy {
  std::string name;
  Strategy strategy;
};

/// All ways to deal out so many ranks to the axes dp, tp and cp; "one rank" for 1.
std::vector<NamedStrategy> strategies(int ranks);

}  // namespace tutti::shard
