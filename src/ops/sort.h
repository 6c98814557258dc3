// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "ir/op.h"

namespace tutti {

/// The k largest or smallest elements along an axis in order, and their indices (i64).
///
/// NaN counts as largest. k is the axis's extent for a full sort; equal elements keep their order.
struct TopK {
  int64_t axis = 0;
  Dim k = 1;
  bool largest = true;

  static constexpr auto kName = "top_k";
  static constexpr auto kDoc = "the k largest or smallest elements and their indices";
  static constexpr auto fields() {
    return std::tuple{field("axis", &TopK::axis, "the axis sorted"),
                      field("k", &TopK::k, "how many"),
                      field("largest", &TopK::largest, "descending order")};
  }
  std::vector<TensorType> infer(Types in) const;
  size_t workspace(Types in) const;
  void cpu(const KernelArgs& args) const;
};

}  // namespace tutti
