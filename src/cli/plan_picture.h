// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "cli/svg.h"
#include "tutti/tutti.h"

namespace tutti::cli {

/// What ranks compute and send in a run, in its order: products and attention as wide as their
/// arithmetic, collectives as their bytes, as if a byte took as long as 20 FLOP.
Lanes picture_of(const std::vector<PlanInfo>& ranks, const std::string& title);

}  // namespace tutti::cli
