// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "ir/op.h"

namespace tutti {

/// y = x with y[indices] = values (added when accumulate), indices as in Index; values broadcast.
///
/// Inputs: x, values, then one index for each axis listed. Later ones win. y may be x in place.
struct IndexPut {
  std::vector<int64_t> axes;
  bool accumulate = false;

  static constexpr auto kName = "index_put";
  static constexpr auto kDoc = "x with elements at indices replaced";
  static constexpr auto fields() {
    return std::tuple{field("axes", &IndexPut::axes, "axes indexed, ascending"),
                      field("accumulate", &IndexPut::accumulate, "adds instead of replacing")};
  }
  std::vector<TensorType> infer(Types in) const;
  size_t workspace(Types in) const;
  void cpu(const KernelArgs& args) const;
};

/// y = x with y[index[i][j]][j] = source[i][j] (for axis 0), as PyTorch's scatter.
///
/// Inputs: x, index, source. reduce: none (last wins), sum, prod, max, min, mean (integers: rounded
/// down). Small floats are reduced in f32 and rounded once. y may be x in place.
struct Scatter {
  int64_t axis = 0;
  std::string reduce = "none";
  bool include_self = true;

  static constexpr auto kName = "scatter";
  static constexpr auto kDoc = "x with elements of source put at indices of one axis";
  static constexpr auto fields() {
    return std::tuple{
        field("axis", &Scatter::axis, "the axis indexed"),
        field("reduce", &Scatter::reduce, "none, sum, prod, max, min or mean"),
        field("include_self", &Scatter::include_self, "x takes part in the reduction")};
  }
  std::vector<TensorType> infer(Types in) const;
  size_t workspace(Types in) const;
  void cpu(const KernelArgs& args) const;
};

/// y = x with a range of one axis replaced by source: the inverse of Slice. Inputs: x, source.
/// y may be x in place.
struct SliceUpdate {
  int64_t axis = 0;
  Dim start = 0;
  int64_t step = 1;

  static constexpr auto kName = "slice_update";
  static constexpr auto kDoc = "x with a range of one axis replaced";
  static constexpr auto fields() {
    return std::tuple{field("axis", &SliceUpdate::axis, "the axis"),
                      field("start", &SliceUpdate::start, "first index"),
                      field("step", &SliceUpdate::step, "distance between indices")};
  }
  std::vector<TensorType> infer(Types in) const;
  void cpu(const KernelArgs& args) const;
};

}  // namespace tutti
