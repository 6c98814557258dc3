// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "ir/op.h"

namespace tutti {

/// y = a x b [+ c]: a [..., m, k], b [..., k, n], leading axes broadcast; c broadcasts to y.
///
/// Floats accumulate in f32 (f64 for f64), c included, and round once; integers wrap. All of one
/// type.
struct Matmul {
  static constexpr auto kName = "matmul";
  static constexpr auto kDoc = "matrix product with an optional addend";
  static constexpr auto fields() { return std::tuple<>{}; }
  std::vector<TensorType> infer(Types in) const;
  void cpu(const KernelArgs& args) const;
};

}  // namespace tutti
