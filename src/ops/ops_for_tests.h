// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <random>

#include "core/strided.h"
#include "device/cpu/pool.h"
#include "ir/op.h"

namespace tutti {

// What tests of operators share: tensors from numbers and back, memory layouts, running one
// operator.

using Values = std::vector<double>;

inline constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
inline constexpr double kInf = std::numeric_limits<double>::infinity();

/// A contiguous tensor with these elements in row-major order, rounded to dtype.
inline Tensor tensor_of(DType dtype, const Dims& shape, const Values& values) {
  EXPECT_EQ(elements(shape), static_cast<int64_t>(values.size()));
  Tensor wide = Tensor::zeros(DType::f64, shape);
  std::copy(values.begin(), values.end(), wide.as<double>());
  return cast(wide, dtype);
}

/// The elements in row-major order.
inline Values values_of(const Tensor& tensor) {
  const Tensor wide = cast(tensor, DType::f64);
  return Values(wide.as<double>(), wide.as<double>() + wide.elements());
}

/// Multiples of 1/8 in [-4, 4] for floats, small integers for integers (0 to 8 for u8).
inline Tensor random_tensor(DType dtype, const Dims& shape, unsigned seed) {
  std::mt19937 random(seed);
  Values values(static_cast<size_t>(elements(shape)));
  for (double& value : values) {
    const int n = static_cast<int>(random() % 65) - 32;
    value = dtype == DType::boolean ? n > 0 : dtype == DType::u8 ? (n + 32) / 8 : n / 8.0;
  }
  return tensor_of(dtype, shape, values);
}

inline constexpr int kLayouts = 4;

/// The same tensor in other memory: 0 row-major, 1 first axis fastest, 2 negative strides, 3 with
/// gaps between elements.
inline Tensor in_layout(const Tensor& tensor, int layout) {
  const int rank = tensor.rank();
  const int64_t gap = layout == 3 ? 2 : 1;
  Tensor out = Tensor::zeros(tensor.dtype, {std::max<int64_t>(tensor.elements() * gap, 1)});
  out.shape = tensor.shape;
  out.strides = contiguous_strides(tensor.shape);
  if (layout == 1) {
    int64_t step = 1;
    for (int axis = 0; axis < rank; step *= std::max<int64_t>(tensor.shape[axis++], 1))
      out.strides[axis] = step;
  }
  int64_t first = 0;
  for (int axis = 0; axis < rank; ++axis) {
    out.strides[axis] *= gap;
    if (layout != 2 || tensor.elements() == 0) continue;
    first += out.strides[axis] * (tensor.shape[axis] - 1);
    out.strides[axis] *= -1;
  }
  out.data = out.as<char>() + first * static_cast<int64_t>(size_of(tensor.dtype));
  copy_strided(tensor.shape, tensor.data, tensor.dtype, tensor.strides, out.data, out.dtype,
               out.strides);
  return out;
}

/// The outputs of one operator, in the given layout; its workspace is exactly what it asks for.
inline std::vector<Tensor> run_op(const Op& op, const std::vector<Tensor>& in, int layout = 0) {
  static cpu::Pool pool(3);
  std::vector<TensorType> types;
  for (const Tensor& t : in) types.push_back({t.dtype, to_shape(t.shape)});
  std::vector<Tensor> out;
  for (const TensorType& type : op.infer(types)) {
    Tensor filled = Tensor::zeros(type.dtype, constant_dims(type.shape));
    if (filled.elements() > 0) std::memset(filled.data, 1, filled.bytes());
    out.push_back(in_layout(filled, layout));
  }
  constexpr size_t kGuard = 64;
  const size_t bytes = op.workspace(types);
  Tensor workspace = Tensor::zeros(DType::u8, {static_cast<int64_t>(bytes + kGuard)});
  std::memset(workspace.data, 0x7f, bytes + kGuard);
  op.cpu({in, out, bytes ? workspace.data : nullptr, pool});
  for (size_t i = 0; i < kGuard; ++i)
    EXPECT_EQ(workspace.as<uint8_t>()[bytes + i], 0x7f) << op.name() << " overran its workspace";
  return out;
}

/// Compares the elements; a NaN equals a NaN, an infinity itself.
inline void expect_values(const Tensor& found, const Values& wanted, double tolerance = 0) {
  const Values values = values_of(found);
  ASSERT_EQ(values.size(), wanted.size());
  for (size_t i = 0; i < wanted.size(); ++i) {
    if (std::isnan(wanted[i]) || std::isinf(wanted[i])) {
      EXPECT_TRUE(std::isnan(wanted[i]) ? std::isnan(values[i]) : values[i] == wanted[i])
          << "element " << i << ": " << values[i] << ", wanted " << wanted[i];
    } else {
      EXPECT_NEAR(values[i], wanted[i], tolerance * std::max(1.0, std::abs(wanted[i])))
          << "element " << i;
    }
  }
}

/// Runs the operator on its inputs in each layout, into each layout, and compares output 0.
inline void expect_in_all_layouts(const Op& op, const std::vector<Tensor>& in, const Values& wanted,
                                  double tolerance = 0) {
  for (int layout = 0; layout < kLayouts; ++layout) {
    SCOPED_TRACE(testing::Message() << op.name() << " in layout " << layout);
    std::vector<Tensor> relaid;
    for (size_t i = 0; i < in.size(); ++i)
      relaid.push_back(in_layout(in[i], (layout + static_cast<int>(i)) % kLayouts));
    expect_values(run_op(op, relaid, layout)[0], wanted, tolerance);
  }
}

/// Half the distance of 1 to the next number of a float type, a little more; 0 for integers.
inline double rounding_of(DType dtype) {
  switch (dtype) {
    case DType::f64:
      return 1e-14;
    case DType::f32:
      return 1e-5;
    case DType::f16:
      return 0x1p-11;
    case DType::bf16:
      return 0x1p-8;
    case DType::f8_e4m3:
      return 0x1p-4;
    case DType::f8_e5m2:
      return 0x1p-3;
    default:
      return 0;
  }
}

/// Expects an Error whose message holds all the words.
template <class F>
void expect_error(F&& f, const std::vector<std::string>& words) {
  try {
    f();
    ADD_FAILURE() << "no error; one about " << join_list(words) << " is wanted";
  } catch (const Error& error) {
    for (const std::string& word : words)
      EXPECT_NE(std::string_view(error.what()).find(word), std::string_view::npos)
          << "'" << word << "' is not in: " << error.what();
  }
}

inline constexpr DType kAllDTypes[] = {DType::f64,     DType::f32,     DType::f16, DType::bf16,
                                       DType::f8_e4m3, DType::f8_e5m2, DType::i64, DType::i32,
                                       DType::i16,     DType::i8,      DType::u8,  DType::boolean};
inline constexpr DType kFloats[] = {DType::f64,  DType::f32,     DType::f16,
                                    DType::bf16, DType::f8_e4m3, DType::f8_e5m2};

}  // namespace tutti
