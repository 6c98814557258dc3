// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string_view>

#include "ir/op.h"

namespace tutti {

/// What an elementwise operator computes for each element.
///
/// unary: of one value; binary and ternary broadcast their operands as PyTorch does.
enum class Elementwise : uint8_t {
  // unary, float to float
  exp,
  exp2,
  expm1,
  log,
  log2,
  log1p,
  sqrt,
  rsqrt,
  sin,
  cos,
  tan,
  asin,
  acos,
  atan,
  sinh,
  cosh,
  tanh,
  erf,
  erfc,
  sigmoid,
  silu,
  gelu,
  gelu_tanh,
  softplus,
  reciprocal,
  // unary, type kept
  neg,
  abs,
  sign,
  relu,
  floor,
  ceil,
  round,
  trunc,
  // unary to boolean
  is_nan,
  is_inf,
  is_finite,
  logical_not,
  // unary on integers and booleans
  bitwise_not,
  // binary, type kept (operands of one type)
  add,
  sub,
  mul,
  div,
  div_trunc,
  div_floor,
  remainder,
  fmod,
  pow,
  minimum,
  maximum,
  atan2,
  bitwise_and,
  bitwise_or,
  bitwise_xor,
  shift_left,
  shift_right,
  // binary to boolean
  equal,
  not_equal,
  less,
  less_equal,
  greater,
  greater_equal,
  logical_and,
  logical_or,
  logical_xor,
  // ternary: select(condition, a, b)
  select,
};

/// A row of the elementwise table.
struct ElementwiseInfo {
  std::string_view name;
  int arity;
  std::string_view doc;
  bool floats, integers, booleans;  ///< element types it takes
};

/// Number of rows.
int elementwise_count();
const ElementwiseInfo& info(Elementwise fn);
/// True when the result is boolean whatever the operands are.
bool gives_boolean(Elementwise fn);

/// All elementwise operators: one struct, the function is its name.
///
/// Operands of one element type (select: boolean first); extents broadcast. Small floats compute
/// in f32 and round once. Integers wrap. div of integers is refused (cast first, as PyTorch does);
/// div_trunc and div_floor by integer zero give 0.
struct ElementwiseOp {
  Elementwise fn = Elementwise::add;

  static constexpr auto kName = "elementwise";
  static constexpr auto kDoc = "one function of each element, operands broadcast";
  static constexpr auto fields() { return std::tuple<>{}; }
  std::string_view name() const { return info(fn).name; }
  void set_name(std::string_view name);

  std::vector<TensorType> infer(Types in) const;
  void cpu(const KernelArgs& args) const;
};

/// The same elements in another type, converted as PyTorch's Tensor.to does.
struct Cast {
  DType dtype = DType::f32;

  static constexpr auto kName = "cast";
  static constexpr auto kDoc = "y = x in another element type";
  static constexpr auto fields() {
    return std::tuple{field("dtype", &Cast::dtype, "element type of y")};
  }
  std::vector<TensorType> infer(Types in) const;
  void cpu(const KernelArgs& args) const;
};

/// The extents of two shapes broadcast against each other; throws invalid_argument with both.
Shape broadcast(const Shape& a, const Shape& b);

}  // namespace tutti
