// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "ir/graph.h"
#include "shard/table.h"

namespace tutti::shard {

/// What a rank holds of an operand, by dimension.
struct Held {
  Dims extents;  ///< of the whole
  std::vector<Ranges> ranges;

  bool all(int dim) const { return ranges[static_cast<size_t>(dim)] == Ranges{{0, extents[dim]}}; }
};

/// Adds an operator as one rank runs it on its part `x` of operand 0; gives its results.
///
/// Indexing gives zeros for what other ranks hold, a mean its addend of the mean of all, a maximum
/// of nothing what no maximum is below: so the ranks' results add up, or are reduced to the result.
std::vector<ValueId> add_on_part(Function& local, const Op& op, const Held& x,
                                 const std::vector<ValueId>& in, const std::string& name,
                                 const std::string& scope);

}  // namespace tutti::shard
