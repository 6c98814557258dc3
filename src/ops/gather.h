// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "ir/op.h"

namespace tutti {

/// y[..., idx..., ...] = x[..., index[idx...], ...]: rows of x along one axis, index i64 or i32 of
/// any shape.
///
/// An embedding is take along axis 0. Negative indices count from the end; others outside are an
/// error.
struct Take {
  int64_t axis = 0;

  static constexpr auto kName = "take";
  static constexpr auto kDoc = "slices of x at given indices of one axis";
  static constexpr auto fields() {
    return std::tuple{field("axis", &Take::axis, "the axis indexed")};
  }
  std::vector<TensorType> infer(Types in) const;
  size_t workspace(Types in) const;
  void cpu(const KernelArgs& args) const;
};

/// y[i][j][k] = x[index[i][j][k]][j][k] (for axis 0), as PyTorch's gather.
struct Gather {
  int64_t axis = 0;

  static constexpr auto kName = "gather";
  static constexpr auto kDoc = "elements of x at given indices of one axis";
  static constexpr auto fields() {
    return std::tuple{field("axis", &Gather::axis, "the axis indexed")};
  }
  std::vector<TensorType> infer(Types in) const;
  void cpu(const KernelArgs& args) const;
};

/// x indexed by tensors (i64 or i32, broadcast against each other) at the axes listed, as NumPy's
/// advanced indexing: adjacent axes put the indices' extents in their place, else in front.
///
/// Inputs: x, then one index for each axis listed.
struct Index {
  std::vector<int64_t> axes;

  static constexpr auto kName = "index";
  static constexpr auto kDoc = "advanced indexing";
  static constexpr auto fields() {
    return std::tuple{field("axes", &Index::axes, "axes indexed, ascending")};
  }
  std::vector<TensorType> infer(Types in) const;
  size_t workspace(Types in) const;
  void cpu(const KernelArgs& args) const;
};

}  // namespace tutti
