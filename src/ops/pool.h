// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "ir/op.h"

namespace tutti {

/// Largest or mean element of each window of the last axes; x [..., space...].
///
/// max pads with the smallest value, and its second output (i64) says where each element of y stood
/// in x's flattened space, -1 for a dilated window that misses x. avg divides by the window
/// (count_padding), by what lies inside, or by divisor.
struct Pool {
  std::string fn = "max";
  std::vector<int64_t> kernel;
  std::vector<int64_t> stride;
  std::vector<int64_t> padding;
  std::vector<int64_t> dilation;
  bool ceil = false;
  bool count_padding = true;
  int64_t divisor = 0;

  static constexpr auto kName = "pool";
  static constexpr auto kDoc = "max or average over windows";
  static constexpr auto fields() {
    return std::tuple{field("fn", &Pool::fn, "max or avg"),
                      field("kernel", &Pool::kernel, "extent of the window"),
                      field("stride", &Pool::stride, "step of the window"),
                      field("padding", &Pool::padding, "border on both sides"),
                      field("dilation", &Pool::dilation, "distance between elements, max only"),
                      field("ceil", &Pool::ceil, "rounds the output extent up"),
                      field("count_padding", &Pool::count_padding, "avg counts the border"),
                      field("divisor", &Pool::divisor, "avg divides by this when not 0")};
  }
  std::vector<TensorType> infer(Types in) const;
  void cpu(const KernelArgs& args) const;
};

/// Max or mean over windows that cut the last axes into `size` parts, as PyTorch's adaptive
/// pooling; max has a second output (i64) as Pool has.
struct AdaptivePool {
  std::string fn = "avg";
  Shape size;

  static constexpr auto kName = "adaptive_pool";
  static constexpr auto kDoc = "max or average over a given number of windows";
  static constexpr auto fields() {
    return std::tuple{field("fn", &AdaptivePool::fn, "max or avg"),
                      field("size", &AdaptivePool::size, "output extents of the last axes")};
  }
  std::vector<TensorType> infer(Types in) const;
  void cpu(const KernelArgs& args) const;
};

}  // namespace tutti
