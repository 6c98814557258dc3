// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>

#include "core/dispatch.h"
#include "tutti/tensor.h"

namespace tutti {

/// Calls `f(offsets)` for every index of `shape` in row-major order; offsets[k] is the element
/// offset under strides[k].
template <size_t kOperands, class F>
void for_each_offset(const Dims& shape, const std::array<Dims, kOperands>& strides, F&& f) {
  std::array<int64_t, kOperands> offsets{};
  const int rank = shape.rank();
  for (int64_t extent : shape)
    if (extent == 0) return;
  Dims index = Dims::filled(rank, 0);
  for (;;) {
    f(offsets);
    int axis = rank - 1;
    for (; axis >= 0; --axis) {
      for (size_t k = 0; k < kOperands; ++k) offsets[k] += strides[k][axis];
      if (++index[axis] < shape[axis]) break;
      for (size_t k = 0; k < kOperands; ++k) offsets[k] -= strides[k][axis] * shape[axis];
      index[axis] = 0;
    }
    if (axis < 0) return;
  }
}

/// One element converted as PyTorch does: floats to integers truncate (what does not fit wraps
/// through i64, NaN gives the smallest), anything but zero is true.
template <class To, class From>
To convert(From value) {
  if constexpr (std::is_same_v<To, From>) {
    return value;
  } else if constexpr (std::is_same_v<To, bool>) {
    return static_cast<ComputeType<From>>(value) != 0;
  } else if constexpr (std::is_integral_v<To> && !std::is_integral_v<From>) {
    const double wide = static_cast<double>(static_cast<ComputeType<From>>(value));
    const bool fits = wide >= -0x1p63 && wide < 0x1p63;
    return static_cast<To>(fits ? static_cast<int64_t>(wide) : INT64_MIN);
  } else if constexpr (std::is_arithmetic_v<To>) {
    return static_cast<To>(static_cast<ComputeType<From>>(value));
  } else {
    return To(static_cast<float>(static_cast<ComputeType<From>>(value)));
  }
}

/// Copies a strided tensor over another of the same shape, converting elements; no overlap.
void copy_strided(const Dims& shape, const void* from, DType from_dtype, const Dims& from_strides,
                  void* to, DType to_dtype, const Dims& to_strides);

}  // namespace tutti
