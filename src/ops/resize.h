// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "ir/op.h"

namespace tutti {

/// Resamples the last axes of x [b, c, space...] to `size` as PyTorch's upsample functions do.
///
/// mode: nearest, nearest_exact, linear (1, 2 or 3 axes), cubic (2 axes). scale: for each axis 0
/// (use the ratio of extents) or the factor that the caller gave.
struct Resize {
  std::string mode = "nearest";
  Shape size;
  std::vector<double> scale;
  bool align_corners = false;

  static constexpr auto kName = "resize";
  static constexpr auto kDoc = "resampling of the last axes";
  static constexpr auto fields() {
    return std::tuple{
        field("mode", &Resize::mode, "nearest, nearest_exact, linear or cubic"),
        field("size", &Resize::size, "output extents of the space axes"),
        field("scale", &Resize::scale, "factor of each axis, or 0"),
        field("align_corners", &Resize::align_corners, "corner elements keep their values")};
  }
  std::vector<TensorType> infer(Types in) const;
  size_t workspace(Types in) const;
  void cpu(const KernelArgs& args) const;
};

}  // namespace tutti
