// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "core/text.h"
#include "ir/dim.h"

namespace tutti {

/// Element type and extents of a value; what inference computes.
struct TensorType {
  DType dtype = DType::f32;
  Shape shape;

  int rank() const { return static_cast<int>(shape.size()); }
  friend bool operator==(const TensorType& a, const TensorType& b) {
    return a.dtype == b.dtype && a.shape == b.shape;
  }
};

/// "f32[2, s0]"
inline std::string to_string(const TensorType& type) { return join(type.dtype, type.shape); }

}  // namespace tutti
