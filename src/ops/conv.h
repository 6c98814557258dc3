// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "ir/op.h"

namespace tutti {

/// Convolution of x [b, c, space...] with w [o, c / groups, kernel...] and optional bias [o], in 1,
/// 2 or 3 dimensions (cross-correlation, as PyTorch). Lists have one number for each dimension of
/// space.
///
/// transposed: x [b, c, ...], w [c, o / groups, kernel...], PyTorch's conv_transpose.
struct Conv {
  std::vector<int64_t> stride;
  std::vector<int64_t> padding_before;
  std::vector<int64_t> padding_after;
  std::vector<int64_t> dilation;
  int64_t groups = 1;
  bool transposed = false;
  std::vector<int64_t> output_padding;

  static constexpr auto kName = "conv";
  static constexpr auto kDoc = "convolution in 1, 2 or 3 dimensions";
  static constexpr auto fields() {
    return std::tuple{
        field("stride", &Conv::stride, "step of the window"),
        field("padding_before", &Conv::padding_before, "zeros in front"),
        field("padding_after", &Conv::padding_after, "zeros behind"),
        field("dilation", &Conv::dilation, "distance between kernel elements"),
        field("groups", &Conv::groups, "channel groups"),
        field("transposed", &Conv::transposed, "transposed convolution"),
        field("output_padding", &Conv::output_padding, "extra extent of y, transposed only")};
  }
  std::vector<TensorType> infer(Types in) const;
  void cpu(const KernelArgs& args) const;
};

}  // namespace tutti
