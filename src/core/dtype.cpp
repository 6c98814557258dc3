// SPDX-License-Identifier: Apache-2.0
#include "tutti/tensor.h"

namespace tutti {
namespace {
constexpr std::string_view kNames[kDTypeCount] = {"f64", "f32", "f16", "bf16", "f8_e4m3", "f8_e5m2",
                                                  "i64", "i32", "i16", "i8",   "u8",      "bool"};
}

std::string_view to_string(DType t) { return kNames[static_cast<int>(t)]; }

std::optional<DType> parse_dtype(std::string_view name) {
  for (int i = 0; i < kDTypeCount; ++i)
    if (kNames[i] == name) return static_cast<DType>(i);
  return std::nullopt;
}

}  // namespace tutti
