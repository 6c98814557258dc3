// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "ir/op.h"

namespace tutti {

/// A tensor that is part of the program.
struct Constant {
  Tensor value = Tensor::zeros(DType::f32, {0});

  static constexpr auto kName = "constant";
  static constexpr auto kDoc = "y = value";
  static constexpr auto fields() {
    return std::tuple{field("value", &Constant::value, "the elements")};
  }
  std::vector<TensorType> infer(Types in) const;
  void cpu(const KernelArgs& args) const;
};

/// y[...] = value, in any element type; an integer value is exact up to 2^53.
struct Full {
  double value = 0;
  DType dtype = DType::f32;
  Shape shape;

  static constexpr auto kName = "full";
  static constexpr auto kDoc = "y = value everywhere";
  static constexpr auto fields() {
    return std::tuple{field("value", &Full::value, "the value of every element"),
                      field("dtype", &Full::dtype, "element type of y"),
                      field("shape", &Full::shape, "extents of y")};
  }
  std::vector<TensorType> infer(Types in) const;
  void cpu(const KernelArgs& args) const;
};

/// y[i] = start + i * step, as PyTorch's arange: computed in f64 (integers: exactly), then
/// converted. start and step of integer types are integers; `size` is the length of y.
struct Arange {
  Dim start = 0;
  Dim step = 1;
  double float_start = 0;
  double float_step = 1;
  Dim size = 0;
  DType dtype = DType::i64;

  static constexpr auto kName = "arange";
  static constexpr auto kDoc = "y[i] = start + i * step";
  static constexpr auto fields() {
    return std::tuple{field("start", &Arange::start, "first element, for integer types"),
                      field("step", &Arange::step, "difference, for integer types"),
                      field("float_start", &Arange::float_start, "first element, for float types"),
                      field("float_step", &Arange::float_step, "difference, for float types"),
                      field("size", &Arange::size, "number of elements"),
                      field("dtype", &Arange::dtype, "element type of y")};
  }
  std::vector<TensorType> infer(Types in) const;
  void cpu(const KernelArgs& args) const;
};

}  // namespace tutti
