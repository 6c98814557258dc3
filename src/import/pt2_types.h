// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "tutti/tensor.h"

namespace tutti::pt2 {

/// What a scalar type of PyTorch's export schema is here; complex numbers are pairs of `dtype`.
struct ElementType {
  DType dtype;
  bool is_complex = false;
};

/// The schema's number as an element type; nothing for those that tutti lacks.
std::optional<ElementType> element_type(int64_t scalar_type);

/// "FLOAT", or the number where it is not known.
std::string scalar_type_name(int64_t scalar_type);

/// The schema's number for dense tensors with strides, the only layout that can be read.
inline constexpr int64_t kStridedLayout = 7;

}  // namespace tutti::pt2
