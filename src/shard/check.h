// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "shard/planner.h"

namespace tutti::shard {

/// Proves from factors and placements, not from how they were found, that ranks compute what one
/// rank does: each element of each value is on some rank, each term of a sum and each key of a
/// softmax is counted once, addends are added once, and partial sums pass through views, sums of
/// partial sums and products with what all of these ranks have only.
///
/// Throws internal with operator, value, rank, found and wanted.
void check_placements(const Function& f, const Mesh& mesh, const Placements& placements);

}  // namespace tutti::shard
