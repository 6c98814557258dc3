// SPDX-License-Identifier: Apache-2.0
#include "shard/links.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>

#include "shard/elements_for_tests.h"

namespace tutti::shard {
namespace {

using Tables = std::vector<std::optional<Table>>;

const Mesh kMesh = Mesh::parse("a=2,b=3");

void expect_same_elements(const Dims& from, const Tables& tables, const Dims& to,
                          const Tables& result) {
  for (int r = 0; r < kMesh.size(); ++r)
    ASSERT_EQ(elements_of(to, result, r), elements_of(from, tables, r)) << "rank " << r;
}

// The result's tables, checked; the test fails where there are none.
Tables reshaped(const Dims& from, const Tables& tables, const Dims& to) {
  const auto result = reshape_tables(from, tables, to, kMesh);
  EXPECT_TRUE(result.has_value());
  if (!result) return {};
  expect_same_elements(from, tables, to, *result);
  return *result;
}

const Table kBlock12 = Table::block(kMesh, 2, 12);

TEST(ReshapeTables, KeepsADimensionThatStays) {
  EXPECT_EQ(reshaped({4, 12, 5}, {{}, kBlock12, {}}, {2, 2, 12, 5})[2], kBlock12);
  EXPECT_EQ(reshaped({1, 12, 5}, {{}, kBlock12, {}}, {12, 1, 5, 1})[0], kBlock12);
}

TEST(ReshapeTables, JoinsAndParts) {
  EXPECT_EQ(reshaped({4, 12, 5}, {{}, kBlock12, {}}, {48, 5})[0], kBlock12.repeated(4));
  EXPECT_EQ(reshaped({48, 5}, {kBlock12.repeated(4), {}}, {4, 12, 5})[1], kBlock12);
  EXPECT_EQ(reshaped({2, 12, 64}, {{}, kBlock12, {}}, {2, 768})[1], kBlock12.scaled(64));
}

TEST(ReshapeTables, KeepsHeadsOfAFusedProduct) {
  const Table fused =
      Table::joined({kBlock12.scaled(64), kBlock12.scaled(64), kBlock12.scaled(64)});
  EXPECT_EQ(reshaped({2, 5, 3 * 768}, {{}, {}, fused}, {2, 5, 3, 12, 64})[3], kBlock12);
}

TEST(ReshapeTables, KeepsTwoSplitDimensions) {
  const Table outer = Table::block(kMesh, 1, 4);
  const Tables joined = reshaped({4, 12, 5}, {outer, kBlock12, {}}, {48, 5});
  EXPECT_EQ(joined[0]->axes(), 3u);
  const Tables same = reshaped({4, 12, 5}, {outer, kBlock12, {}}, {4, 3, 4, 5});
  EXPECT_EQ(same[0], outer);
  EXPECT_EQ(same[1], Table::block(kMesh, 2, 3));
}

TEST(ReshapeTables, AreNoneWhereARankWouldHoldNoBlock) {
  // Rows of 5 do not end where thirds of 20 do.
  EXPECT_FALSE(reshape_tables({20}, {Table::block(kMesh, 2, 20)}, {4, 5}, kMesh));
  EXPECT_FALSE(reshape_tables({0, 3}, {{}, Table::block(kMesh, 2, 3)}, {3, 0}, kMesh));
}

// Shapes that are factorings of one number, any tables.
TEST(ReshapeTables, HoldTheSameElementsInTheSameOrder) {
  std::mt19937 random(11);
  const auto pick = [&](int n) { return static_cast<int>(random() % static_cast<unsigned>(n)); };
  int found = 0;
  for (int round = 0; round < 4000; ++round) {
    std::vector<int64_t> primes = {2, 3, 2, 2};
    Dims shapes[2];
    for (Dims& shape : shapes) {
      std::shuffle(primes.begin(), primes.end(), random);
      std::vector<int64_t> extents(static_cast<size_t>(1 + pick(4)), 1);
      for (const int64_t p : primes)
        extents[static_cast<size_t>(pick(static_cast<int>(extents.size())))] *= p;
      shape = Dims(extents);
    }
    Tables tables(static_cast<size_t>(shapes[0].rank()));
    for (const AxisSet axis : {1u, 2u}) {
      const int d = pick(shapes[0].rank());
      const int64_t extent = shapes[0][d];
      if (tables[static_cast<size_t>(d)] || pick(4) == 0) continue;
      if (pick(3) == 0)
        tables[static_cast<size_t>(d)] = Table::zigzag(kMesh, axis, extent);
      else if (pick(2) == 0 && extent % 2 == 0)
        tables[static_cast<size_t>(d)] = Table::block(kMesh, axis, extent / 2).repeated(2);
      else
        tables[static_cast<size_t>(d)] = Table::block(kMesh, axis, extent, 1 + pick(3));
    }
    const auto result = reshape_tables(shapes[0], tables, shapes[1], kMesh);
    if (!result) continue;
    ++found;
    ASSERT_NO_FATAL_FAILURE(expect_same_elements(shapes[0], tables, shapes[1], *result));
  }
  EXPECT_GT(found, 1000);
}

}  // namespace
}  // namespace tutti::shard
