// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <set>
#include <string>
#include <vector>

#include "ir/graph.h"
#include "ops/region.h"

namespace tutti {

/// True for operators that a region can compute: elementwise functions, casts, numbers, views,
/// concatenations, and reductions.
bool is_fusable(const Op& op);

/// A region that computes `outputs`, and the values it reads.
struct BuiltRegion {
  Region region;
  std::vector<ValueId> inputs;
};

/// The region for `outputs` (values of one shape) that computes the nodes in `inlined` (indices)
/// itself and reads everything else. Views and concatenations become index arithmetic: axes are
/// split where a reshape needs it, short axes unrolled or the space cut where a concatenation
/// changes its source.
///
/// When some value cannot be expressed over one index space, no region is made and `obstacle` is
/// the value that must be computed into memory first.
std::optional<BuiltRegion> build_region(const Function& f, const std::vector<ValueId>& outputs,
                                        const std::set<int32_t>& inlined, ValueId& obstacle);

}  // namespace tutti
