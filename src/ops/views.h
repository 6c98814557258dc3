// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "ir/op.h"

namespace tutti {

/// The same elements in row-major order under another shape.
struct Reshape {
  Shape shape;

  static constexpr auto kName = "reshape";
  static constexpr auto kDoc = "y = x with other extents";
  static constexpr auto fields() {
    return std::tuple{field("shape", &Reshape::shape, "extents of y; their product is that of x")};
  }
  std::vector<TensorType> infer(Types in) const;
  void cpu(const KernelArgs& args) const;
};

/// y's axis i is x's axis axes[i].
struct Permute {
  std::vector<int64_t> axes;

  static constexpr auto kName = "permute";
  static constexpr auto kDoc = "y = x with its axes in another order";
  static constexpr auto fields() {
    return std::tuple{field("axes", &Permute::axes, "axis of x for each axis of y")};
  }
  std::vector<TensorType> infer(Types in) const;
  void cpu(const KernelArgs& args) const;
};

/// Repeats axes of extent 1, and adds axes in front, as NumPy's broadcast_to.
struct Expand {
  Shape shape;

  static constexpr auto kName = "expand";
  static constexpr auto kDoc = "y = x broadcast to a shape";
  static constexpr auto fields() {
    return std::tuple{field("shape", &Expand::shape, "extents of y")};
  }
  std::vector<TensorType> infer(Types in) const;
  void cpu(const KernelArgs& args) const;
};

/// y[.., i, ..] = x[.., start + i * step, ..]; step may be negative. 0 <= start, and the last index
/// lies in x.
struct Slice {
  int64_t axis = 0;
  Dim start = 0;
  Dim size = 0;
  int64_t step = 1;

  static constexpr auto kName = "slice";
  static constexpr auto kDoc = "a range of one axis";
  static constexpr auto fields() {
    return std::tuple{field("axis", &Slice::axis, "the axis cut"),
                      field("start", &Slice::start, "first index"),
                      field("size", &Slice::size, "extent of the axis in y"),
                      field("step", &Slice::step, "distance between indices, not 0")};
  }
  std::vector<TensorType> infer(Types in) const;
  void cpu(const KernelArgs& args) const;
};

/// y[.., w, .., j] = x[.., w * step + j, ..]: windows of one axis become a last axis.
struct Unfold {
  int64_t axis = 0;
  int64_t size = 1;
  int64_t step = 1;

  static constexpr auto kName = "unfold";
  static constexpr auto kDoc = "overlapping windows of one axis";
  static constexpr auto fields() {
    return std::tuple{field("axis", &Unfold::axis, "the axis cut into windows"),
                      field("size", &Unfold::size, "extent of a window"),
                      field("step", &Unfold::step, "distance between windows")};
  }
  std::vector<TensorType> infer(Types in) const;
  void cpu(const KernelArgs& args) const;
};

}  // namespace tutti
