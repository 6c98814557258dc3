// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <vector>

namespace tutti {

/// A block of memory that is needed from step `first` to step `last`, both included.
struct Lifetime {
  int64_t bytes = 0;
  int first = 0, last = 0;
};

/// Offsets, multiples of 64, such that blocks alive at the same time do not overlap; `total` is
/// the end of the highest. Larger blocks are placed first, each at the lowest free offset.
struct ArenaLayout {
  std::vector<int64_t> offsets;
  int64_t total = 0;
};
ArenaLayout lay_out_arena(const std::vector<Lifetime>& blocks);

}  // namespace tutti
