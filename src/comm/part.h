// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

namespace tutti::comm {

/// Elements [begin, end).
struct Part {
  int64_t begin = 0, end = 0;
  int64_t size() const { return end - begin; }
};

/// The part of `length` elements that is rank `r`'s among `size`: whole cache lines but at the end.
inline Part part_of(int64_t length, size_t element, int r, int size) {
  const auto unit = static_cast<int64_t>(64 / element);
  const int64_t units = (length + unit - 1) / unit;
  return {std::min(length, units * r / size * unit),
          std::min(length, units * (r + 1) / size * unit)};
}

}  // namespace tutti::comm
