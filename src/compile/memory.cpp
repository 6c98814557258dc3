// SPDX-License-Identifier: Apache-2.0
#include "compile/memory.h"

#include <algorithm>
#include <numeric>

namespace tutti {

ArenaLayout lay_out_arena(const std::vector<Lifetime>& blocks) {
  constexpr int64_t kAlignment = 64;
  ArenaLayout layout;
  layout.offsets.resize(blocks.size());
  std::vector<size_t> order(blocks.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](size_t a, size_t b) { return blocks[a].bytes > blocks[b].bytes; });
  std::vector<size_t> placed;  // by offset
  for (size_t block : order) {
    const int64_t bytes = (blocks[block].bytes + kAlignment - 1) / kAlignment * kAlignment;
    int64_t offset = 0;
    for (size_t other : placed) {
      if (blocks[other].last < blocks[block].first || blocks[other].first > blocks[block].last)
        continue;
      if (layout.offsets[other] >= offset + bytes) break;
      const int64_t end =
          layout.offsets[other] + (blocks[other].bytes + kAlignment - 1) / kAlignment * kAlignment;
      offset = std::max(offset, end);
    }
    layout.offsets[block] = offset;
    layout.total = std::max(layout.total, offset + bytes);
    placed.insert(
        std::upper_bound(placed.begin(), placed.end(), block,
                         [&](size_t a, size_t b) { return layout.offsets[a] < layout.offsets[b]; }),
        block);
  }
  return layout;
}

}  // namespace tutti
