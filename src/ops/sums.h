// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <type_traits>

#include "core/dispatch.h"

namespace tutti {

/// The type in which products of elements of T are summed: f64 for f64, f32 for other floats, u64
/// for integers, whose low bits are the same for signed ones and wrap without being undefined.
template <class T>
using SumType = std::conditional_t<std::is_integral_v<T>, uint64_t, ComputeType<T>>;

template <class T>
SumType<T> to_sum(T value) {
  return static_cast<SumType<T>>(value);
}

/// Rounds, or cuts an integer to its low bits.
template <class T>
T from_sum(SumType<T> sum) {
  return static_cast<T>(sum);
}

}  // namespace tutti
