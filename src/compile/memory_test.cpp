// SPDX-License-Identifier: Apache-2.0
#include "compile/memory.h"

#include <gtest/gtest.h>

#include <random>

namespace tutti {
namespace {

TEST(Memory, BlocksAliveTogetherDoNotOverlap) {
  std::mt19937 random(7);
  for (int round = 0; round < 50; ++round) {
    std::vector<Lifetime> blocks(40);
    for (Lifetime& block : blocks) {
      block.bytes = random() % 1000;
      block.first = static_cast<int>(random() % 30);
      block.last = block.first + static_cast<int>(random() % 10);
    }
    const ArenaLayout layout = lay_out_arena(blocks);
    for (size_t a = 0; a < blocks.size(); ++a) {
      EXPECT_EQ(layout.offsets[a] % 64, 0);
      EXPECT_LE(layout.offsets[a] + blocks[a].bytes, layout.total);
      for (size_t b = 0; b < a; ++b) {
        const bool together =
            blocks[a].first <= blocks[b].last && blocks[b].first <= blocks[a].last;
        const bool apart = layout.offsets[a] + blocks[a].bytes <= layout.offsets[b] ||
                           layout.offsets[b] + blocks[b].bytes <= layout.offsets[a];
        EXPECT_TRUE(!together || apart || blocks[a].bytes == 0 || blocks[b].bytes == 0);
      }
    }
  }
}

TEST(Memory, BlocksThatFollowEachOtherShareBytes) {
  const ArenaLayout layout = lay_out_arena({{640, 0, 1}, {640, 2, 3}, {640, 4, 5}});
  EXPECT_EQ(layout.total, 640);
}

}  // namespace
}  // namespace tutti
