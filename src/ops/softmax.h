// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "ir/op.h"

namespace tutti {

/// y = exp(x - max) / sum(exp(x - max)) along an axis, in f32 (f64 for f64); log: its logarithm.
struct Softmax {
  int64_t axis = 0;
  bool log = false;

  static constexpr auto kName = "softmax";
  static constexpr auto kDoc = "softmax along an axis, or its logarithm";
  static constexpr auto fields() {
    return std::tuple{field("axis", &Softmax::axis, "the axis that sums to 1"),
                      field("log", &Softmax::log, "log_softmax instead")};
  }
  std::vector<TensorType> infer(Types in) const;
  void cpu(const KernelArgs& args) const;
};

}  // namespace tutti
