// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "tutti/tutti.h"

namespace tutti::cli {

/// What a plan's rank does in a run.
struct Work {
  double flops = 0;
  uint64_t bytes_sent = 0;
};
Work work_of(const PlanInfo& plan);

/// "1.2 M", "3.4 G": a count with the letter of its thousands.
std::string count_text(double count);

/// A row for each rank: arithmetic, and its share of what one rank would compute; memory; bytes
/// sent to others in a run.
std::string ranks_table(const std::vector<PlanInfo>& plans);

/// The collectives of a plan in the order they run, or their sums by kind and ranks.
std::string collectives_table(const PlanInfo& plan, bool all);

/// A row for each value: its type, the operator that makes it, where its elements are.
std::string placements_table(const std::vector<PlacementInfo>& placements);

}  // namespace tutti::cli
