// SPDX-License-Identifier: Apache-2.0
#include "plan/reach.h"

namespace tutti {
namespace {

constexpr int64_t kLimit = int64_t{1} << 56;

bool within_limit(int64_t value) { return value > -kLimit && value < kLimit; }

}  // namespace

std::optional<Reach> reach(DType dtype, const Dims& shape, const Dims& strides) {
  if (shape.rank() != strides.rank() || !dense_bytes(dtype, shape)) return std::nullopt;
  Reach range;
  for (int i = 0; i < shape.rank(); ++i) {
    int64_t span;
    if (__builtin_mul_overflow(std::max<int64_t>(shape[i] - 1, 0), strides[i], &span) ||
        !within_limit(span))
      return std::nullopt;
    (span < 0 ? range.begin : range.end) += span;
  }
  if (elements(shape) == 0) return Reach{};
  // At most 8 spans of 56 bits: no sum overflows, and the product with 8 bytes does not either
  // once it is within the limit again.
  if (!within_limit(range.begin) || !within_limit(range.end)) return std::nullopt;
  const auto size = static_cast<int64_t>(size_of(dtype));
  return Reach{range.begin * size, (range.end + 1) * size};
}

std::optional<int64_t> dense_bytes(DType dtype, const Dims& shape) {
  int64_t most = static_cast<int64_t>(size_of(dtype)), bytes = most;
  for (int64_t extent : shape) {
    // Extents of 0 count as 1 for the limit, so that strides fit as well.
    if (extent < 0 || __builtin_mul_overflow(most, std::max<int64_t>(extent, 1), &most) ||
        most > kLimit)
      return std::nullopt;
    bytes *= extent;
  }
  return bytes;
}

}  // namespace tutti
