// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <type_traits>

#include "core/error.h"
#include "core/small_float.h"
#include "tutti/tensor.h"

namespace tutti {

/// Calls `f(T{})` with the C++ type that stores `dtype`; bool for boolean.
template <class F>
decltype(auto) with_dtype(DType dtype, F&& f) {
  switch (dtype) {
    case DType::f64:
      return f(double{});
    case DType::f32:
      return f(float{});
    case DType::f16:
      return f(f16{});
    case DType::bf16:
      return f(bf16{});
    case DType::f8_e4m3:
      return f(f8_e4m3{});
    case DType::f8_e5m2:
      return f(f8_e5m2{});
    case DType::i64:
      return f(int64_t{});
    case DType::i32:
      return f(int32_t{});
    case DType::i16:
      return f(int16_t{});
    case DType::i8:
      return f(int8_t{});
    case DType::u8:
      return f(uint8_t{});
    case DType::boolean:
      return f(bool{});
  }
  fail(Errc::internal, "dtype ", static_cast<int>(dtype), " is none");
}

/// The type in which an element of stored type T is computed: f32 for small floats, else T.
template <class T>
using ComputeType = std::conditional_t<std::is_arithmetic_v<T>, T, float>;

}  // namespace tutti
