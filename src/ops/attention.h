// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "ir/op.h"

namespace tutti {

/// y = softmax(scale * q k^T + mask) v for each head.
///
/// q [b, n, s, d], k [b, m, t, d], v [b, m, t, e] with m dividing n (head h reads k, v of head h /
/// (n / m)), optional input 3: mask, boolean (true attends) or of q's type (added), broadcast to
/// [b, n, s, t]. A query that may attend to nothing gives 0. f32 arithmetic (f64 for f64), rounded
/// once. With lse a second result f32 [b, n, s]: the logarithm of the sum of the exponentials of a
/// query's scores, -inf where it attends to nothing.
struct Attention {
  double scale = 1;
  bool causal = false;
  int64_t offset = 0;
  bool lse = false;

  static constexpr auto kName = "attention";
  static constexpr auto kDoc = "scaled dot product attention";
  static constexpr auto kSharding = "q: b n s d!, k: b n t d!, v: b n t e -> y: b n s e";
  static constexpr auto fields() {
    return std::tuple{
        field("scale", &Attention::scale, "factor of q k^T"),
        field("causal", &Attention::causal, "query i attends to keys 0 to i + offset only"),
        field("offset", &Attention::offset, "of the first query, when causal"),
        field("lse", &Attention::lse, "gives sums of exponentials too")};
  }
  std::vector<TensorType> infer(Types in) const;
  size_t workspace(Types in) const;
  void cpu(const KernelArgs& args) const;
};

}  // namespace tutti
