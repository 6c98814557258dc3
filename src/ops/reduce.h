// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "ir/op.h"

namespace tutti {

/// y = fn over the given axes of x; an empty list keeps x.
///
/// fn: sum, mean, prod, max, min, any, all. Floats accumulate in f64 and round once; sum and prod
/// of integers and booleans are taken in dtype i64 (cast first). max and min propagate NaN; over no
/// element they are an error. any and all give boolean.
struct Reduce {
  std::string fn = "sum";
  std::vector<int64_t> axes;
  bool keep = false;

  static constexpr auto kName = "reduce";
  static constexpr auto kDoc = "a reduction over axes";
  static constexpr auto fields() {
    return std::tuple{field("fn", &Reduce::fn, "sum, mean, prod, max, min, any or all"),
                      field("axes", &Reduce::axes, "axes reduced, ascending"),
                      field("keep", &Reduce::keep, "keeps the axes with extent 1")};
  }
  std::vector<TensorType> infer(Types in) const;
  void cpu(const KernelArgs& args) const;
};

/// y = index (i64) of the largest or smallest element along an axis, the first of equals; NaN wins.
struct ArgReduce {
  std::string fn = "max";
  int64_t axis = 0;
  bool keep = false;

  static constexpr auto kName = "arg_reduce";
  static constexpr auto kDoc = "where the largest or smallest element is";
  static constexpr auto fields() {
    return std::tuple{field("fn", &ArgReduce::fn, "max or min"),
                      field("axis", &ArgReduce::axis, "axis searched"),
                      field("keep", &ArgReduce::keep, "keeps the axis with extent 1")};
  }
  std::vector<TensorType> infer(Types in) const;
  void cpu(const KernelArgs& args) const;
};

/// y[.., i, ..] = fn over x[.., 0..i, ..]: running sum or product, of integers and floats.
///
/// Accumulates in f64 (small floats: f32) and rounds at each store, as PyTorch; integers wrap.
struct Scan {
  std::string fn = "sum";
  int64_t axis = 0;

  static constexpr auto kName = "scan";
  static constexpr auto kDoc = "running sum or product along an axis";
  static constexpr auto fields() {
    return std::tuple{field("fn", &Scan::fn, "sum or prod"),
                      field("axis", &Scan::axis, "axis scanned")};
  }
  std::vector<TensorType> infer(Types in) const;
  void cpu(const KernelArgs& args) const;
};

}  // namespace tutti
