// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace tutti {

/// Element type of a tensor. Complex numbers are a trailing dimension of 2.
enum class DType : uint8_t {
  f64,
  f32,
  f16,
  bf16,
  f8_e4m3,
  f8_e5m2,
  i64,
  i32,
  i16,
  i8,
  u8,
  boolean
};

/// Number of element types; their values are 0 to kDTypeCount - 1.
inline constexpr int kDTypeCount = 12;

/// Bytes of one element.
constexpr size_t size_of(DType t) {
  constexpr size_t kBytes[kDTypeCount] = {8, 4, 2, 2, 1, 1, 8, 4, 2, 1, 1, 1};
  return kBytes[static_cast<int>(t)];
}

/// True for f64, f32, f16, bf16 and the two f8 types.
constexpr bool is_float(DType t) { return t <= DType::f8_e5m2; }

/// True for i64, i32, i16, i8 and u8; boolean is no integer.
constexpr bool is_integer(DType t) { return t >= DType::i64 && t <= DType::u8; }

/// The name of a type: "f32", "bf16", "f8_e4m3", "i64", "bool", ...
std::string_view to_string(DType t);

/// The type of that name, or nothing.
std::optional<DType> parse_dtype(std::string_view name);

}  // namespace tutti
