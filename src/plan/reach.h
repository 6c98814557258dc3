// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>

#include "tutti/tensor.h"

namespace tutti {

/// The bytes that a strided view touches, from its first element: [begin, end), begin <= 0. Both
/// are 0 for a view without elements.
struct Reach {
  int64_t begin = 0, end = 0;
};

/// Nothing when ranks differ, an extent is negative, or a number leaves 56 bits: a contiguous
/// tensor of such a shape fits no memory.
std::optional<Reach> reach(DType dtype, const Dims& shape, const Dims& strides);

/// Bytes of a contiguous tensor; nothing in the same cases.
std::optional<int64_t> dense_bytes(DType dtype, const Dims& shape);

}  // namespace tutti
