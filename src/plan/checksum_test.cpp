// SPDX-License-Identifier: Apache-2.0
#include "plan/checksum.h"

#include <gtest/gtest.h>

#include <string>
#include <string_view>

namespace tutti {
namespace {

uint64_t of(std::string_view text) { return checksum(std::as_bytes(std::span(text))); }

// Values of the reference program, xxhsum -H1.
TEST(Checksum, IsXxh64) {
  EXPECT_EQ(of(""), 0xef46db3751d8e999u);
  EXPECT_EQ(of("a"), 0xd24ec4f1a98c6e5bu);
  EXPECT_EQ(of("abc"), 0x44bc2cf5ad770999u);
  EXPECT_EQ(of("Nobody inspects the spammish repetition"), 0xfbcea83c8a378bf1u);
}

TEST(Checksum, DependsOnEveryBitAndOnTheLength) {
  std::string text(101, 'x');
  const uint64_t before = of(text);
  EXPECT_NE(of(text + '\0'), before);
  for (size_t bit = 0; bit < 8 * text.size(); ++bit) {
    text[bit / 8] ^= static_cast<char>(1 << bit % 8);
    EXPECT_NE(of(text), before) << bit;
    text[bit / 8] ^= static_cast<char>(1 << bit % 8);
  }
}

}  // namespace
}  // namespace tutti
