// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "ir/op.h"

namespace tutti {

/// y = inputs one after the other along an axis; all of one type, equal extents elsewhere.
struct Concat {
  int64_t axis = 0;

  static constexpr auto kName = "concat";
  static constexpr auto kDoc = "inputs joined along an axis";
  static constexpr auto fields() {
    return std::tuple{field("axis", &Concat::axis, "the axis joined")};
  }
  std::vector<TensorType> infer(Types in) const;
  void cpu(const KernelArgs& args) const;
};

/// y = x with `before[i]` and `after[i]` elements added around each axis.
/// mode: constant (of `value`), reflect, replicate, circular. Negative numbers cut.
struct Pad {
  std::vector<int64_t> before;
  std::vector<int64_t> after;
  std::string mode = "constant";
  double value = 0;

  static constexpr auto kName = "pad";
  static constexpr auto kDoc = "x with a border";
  static constexpr auto fields() {
    return std::tuple{field("before", &Pad::before, "elements in front, for each axis"),
                      field("after", &Pad::after, "elements behind, for each axis"),
                      field("mode", &Pad::mode, "constant, reflect, replicate or circular"),
                      field("value", &Pad::value, "what a constant border holds")};
  }
  std::vector<TensorType> infer(Types in) const;
  void cpu(const KernelArgs& args) const;
};

}  // namespace tutti
