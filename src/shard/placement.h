// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "ir/graph.h"
#include "shard/table.h"

namespace tutti::shard {

/// Where the elements of a value are: for each dimension which indices a rank holds, in which
/// order (nothing: all of them), and along which axes ranks hold addends of a sum.
struct Placement {
  std::vector<std::optional<Table>> dims;
  AxisSet partial = 0;  ///< the sum over these axes is the value

  static Placement whole(int rank) { return {std::vector<std::optional<Table>>(rank), 0}; }
  /// Axes along which ranks hold different parts.
  AxisSet split_axes() const;
  /// Everything, on all ranks, in order.
  bool is_whole() const;
  friend bool operator==(const Placement&, const Placement&) = default;
};

/// Where the state of a network is: of each resident that a run updates.
using States = std::map<ResidentId, Placement>;

/// The indices of dimension `dim`, of this extent, that a rank holds.
Ranges held(const Placement& placement, int dim, int64_t extent, int rank);

/// The shape of what a rank holds.
Dims local_shape(const Placement& placement, const Dims& shape, int rank);

/// What a rank holds of a tensor that is here whole, contiguous.
Tensor local_part(const Placement& placement, const Tensor& whole, int rank);

/// "[whole, cp 0:32 | 32:64] + tp": for people.
std::string to_string(const Placement& placement, const Mesh& mesh);

}  // namespace tutti::shard
