// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "core/band.h"
#include "ir/op.h"

namespace tutti {

/// y = softmax(scale * q k^T + mask) v for each head.
///
/// q [b, n, s, d], k [b, m, t, d], v [b, m, t, e] with m dividing n (head h reads k, v of head h /
/// (n / m)), optional input 3: mask, boolean (true attends) or of q's type (added), broadcast to
/// [b, n, s, t]. A query sees the keys of a band: left before its position and right behind it, -1
/// for all; the position of query i is i + offset. One that may attend to nothing gives 0. f32
/// arithmetic (f64 for f64), rounded once. With lse a second result [b, n, s], f32 (f64 for f64):
/// the logarithm of the sum of the exponentials of a query's scores, -inf where there are none.
struct Attention {
  double scale = 1;
  int64_t left = -1;
  int64_t right = -1;
  int64_t offset = 0;
  bool lse = false;

  static constexpr auto kName = "attention";
  static constexpr auto kDoc = "scaled dot product attention";
  static constexpr auto fields() {
    return std::tuple{
        field("scale", &Attention::scale, "factor of q k^T"),
        field("left", &Attention::left, "keys before a query's own that it sees, -1: all"),
        field("right", &Attention::right, "keys behind it, -1: all; 0: causal"),
        field("offset", &Attention::offset, "position of the first query among the keys"),
        field("lse", &Attention::lse, "gives sums of exponentials too")};
  }
  Band band() const { return {left, right, offset}; }
  void set_band(const Band& band) { left = band.left, right = band.right, offset = band.offset; }
  std::vector<TensorType> infer(Types in) const;
  size_t workspace(Types in) const;
  void cpu(const KernelArgs& args) const;
};

}  // namespace tutti
