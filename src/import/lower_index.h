// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

#include "import/arithmetic.h"

namespace tutti::pt2 {

/// The argument `indices` of aten.index and index_put.
struct Indices {
  std::vector<int64_t> axes;
  std::vector<ValueId> values;
  ValueId mask = kNone;  ///< a boolean index instead, over the first axes
};
Indices indices_of(Lowering& l, const Args& a);

/// x, a scalar as one element.
ValueId at_least_1d(Lowering& l, ValueId x);

}  // namespace tutti::pt2
