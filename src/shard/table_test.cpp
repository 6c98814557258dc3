// SPDX-License-Identifier: Apache-2.0
#include "shard/table.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <ostream>
#include <random>

namespace tutti::shard {

void PrintTo(const Ranges& ranges, std::ostream* os) {
  for (const Range& r : ranges.list()) *os << r.begin << ":" << r.end << " ";
}

namespace {

using Indices = std::vector<int64_t>;

Indices indices_of(const Ranges& ranges) {
  Indices list;
  for (const Range& r : ranges.list())
    for (int64_t i = r.begin; i < r.end; ++i) list.push_back(i);
  return list;
}

Ranges ranges_of(const Indices& list) {
  Ranges ranges;
  for (const int64_t i : list) ranges.add({i, i + 1});
  return ranges;
}

const Mesh kThree = Mesh::parse("p=3");

// The indices of each rank of a table.
std::vector<Indices> all_of(const Table& table) {
  std::vector<Indices> list;
  for (int r = 0; r < table.ranks(); ++r) list.push_back(indices_of(table.on(r)));
  return list;
}

TEST(Ranges, JoinsNeighboursAndLeavesOutWhatIsEmpty) {
  Ranges r;
  r.add({0, 2});
  r.add({2, 2});
  r.add({2, 5});
  EXPECT_EQ(r, (Ranges{{0, 5}}));
  r.add({5, 3});
  r.add({7, 8});
  r.add({1, 2});
  EXPECT_EQ(indices_of(r), (Indices{0, 1, 2, 3, 4, 7, 1}));
  EXPECT_EQ(r.size(), 7);
  EXPECT_TRUE(Ranges{}.empty());
}

TEST(Ranges, FindsPositionsInTheOrderWanted) {
  const Ranges held{{8, 12}, {0, 4}};
  EXPECT_EQ(indices_of(*held.positions_of({{2, 4}, {9, 11}})), (Indices{6, 7, 1, 2}));
  EXPECT_EQ(indices_of(*held.positions_of({{3, 4}, {3, 4}})), (Indices{7, 7}));
  EXPECT_TRUE(held.positions_of({})->empty());
  EXPECT_FALSE(held.positions_of({{3, 5}}));
  EXPECT_FALSE(held.positions_of({{4, 5}}));
}

// Lists of indices, with repetitions, searched one by one.
TEST(Ranges, AgreesWithListsOfIndices) {
  std::mt19937 random(7);
  for (int round = 0; round < 2000; ++round) {
    Indices held, wanted;
    for (Indices* list : {&held, &wanted})
      for (int i = static_cast<int>(random() % 4); i > 0; --i) {
        const int64_t begin = random() % 12, size = random() % 6;
        for (int64_t k = begin; k < begin + size; ++k) list->push_back(k);
      }
    const bool found = std::all_of(wanted.begin(), wanted.end(), [&](int64_t w) {
      return std::find(held.begin(), held.end(), w) != held.end();
    });
    const auto positions = ranges_of(held).positions_of(ranges_of(wanted));
    ASSERT_EQ(positions.has_value(), found);
    Indices at_positions;
    if (found)
      for (const int64_t p : indices_of(*positions))
        at_positions.push_back(held.at(static_cast<size_t>(p)));
    ASSERT_EQ(at_positions, found ? wanted : Indices{});
    const Range window{static_cast<int64_t>(random() % 8), static_cast<int64_t>(random() % 16)};
    Indices inside;
    for (const int64_t h : held)
      if (h >= window.begin && h < window.end) inside.push_back(h);
    ASSERT_EQ(indices_of(ranges_of(held).within(window)), inside);
  }
}

TEST(Ranges, AreSortedAfterAnother) {
  const Ranges held{{6, 9}, {0, 3}};
  EXPECT_EQ(indices_of(held.in_order_of({{0, 10}})), (Indices{0, 1, 2, 6, 7, 8}));
  EXPECT_EQ(indices_of(held.in_order_of({{5, 7}, {2, 5}})), (Indices{6, 2}));
  EXPECT_TRUE(held.in_order_of({{3, 6}}).empty());
}

TEST(Table, DealsBlocksAndTheFirstRanksHoldOneMore) {
  const Table table = Table::block(kThree, 1, 8);
  EXPECT_EQ(all_of(table), (std::vector<Indices>{{0, 1, 2}, {3, 4, 5}, {6, 7}}));
  EXPECT_EQ(table.largest(), 3);
  EXPECT_EQ(table.text(kThree), "0:3 | 3:6 | 6:8");
}

TEST(Table, KeepsUnitsTogetherAndTheLastMayBeShort) {
  EXPECT_EQ(all_of(Table::block(kThree, 1, 7, 2)),
            (std::vector<Indices>{{0, 1, 2, 3}, {4, 5}, {6}}));
  EXPECT_EQ(all_of(Table::block(kThree, 1, 3, 4)), (std::vector<Indices>{{0, 1, 2}, {}, {}}));
}

TEST(Table, LeavesRanksWithoutWhenThereAreFewerThanRanks) {
  EXPECT_EQ(Table::block(kThree, 1, 2).text(kThree), "0:1 | 1:2 | -");
  EXPECT_TRUE(Table::block(kThree, 1, 0).covers());
  for (int64_t extent = 0; extent < 9; ++extent) {
    EXPECT_TRUE(Table::block(kThree, 1, extent).covers()) << extent;
    EXPECT_TRUE(Table::zigzag(kThree, 1, extent).covers()) << extent;
    int64_t held = 0;
    for (const Indices& own : all_of(Table::zigzag(kThree, 1, extent)))
      held += static_cast<int64_t>(own.size());
    EXPECT_EQ(held, extent);
  }
}

TEST(Table, GivesARankAnEarlyAndALateBlockByZigzag) {
  EXPECT_EQ(all_of(Table::zigzag(kThree, 1, 12)),
            (std::vector<Indices>{{0, 1, 10, 11}, {2, 3, 8, 9}, {4, 5, 6, 7}}));
}

// Rows of a causal score matrix: row i has i + 1 keys.
TEST(Table, BalancesCausalRowsByZigzag) {
  std::vector<int64_t> work;
  for (const Indices& own : all_of(Table::zigzag(kThree, 1, 24))) {
    int64_t keys = 0;
    for (const int64_t row : own) keys += row + 1;
    work.push_back(keys);
  }
  EXPECT_EQ(work, (std::vector<int64_t>{100, 100, 100}));
}

TEST(Table, DiffersAlongItsAxesOnly) {
  const Mesh mesh = Mesh::parse("a=2,b=2");
  EXPECT_EQ(all_of(Table::block(mesh, mesh.axis("a"), 4)),
            (std::vector<Indices>{{0, 1}, {0, 1}, {2, 3}, {2, 3}}));
  EXPECT_EQ(all_of(Table::block(mesh, mesh.axis("b"), 4)),
            (std::vector<Indices>{{0, 1}, {2, 3}, {0, 1}, {2, 3}}));
  EXPECT_EQ(Table::block(mesh, mesh.axis("b"), 4).text(mesh), "0:2 | 2:4");
}

TEST(Table, CoversWhatEachIndexHasARankFor) {
  EXPECT_TRUE(Table(4, 1, {{{0, 2}}, {{2, 3}}, {{1, 4}}}).covers());
  EXPECT_FALSE(Table(4, 1, {{{0, 2}}, {{3, 4}}, {}}).covers());
  EXPECT_FALSE(Table(4, 1, {{{0, 2}}, {{2, 3}}, {}}).covers());
  EXPECT_FALSE(Table(4, 1, {{{1, 4}}, {}, {}}).covers());
  EXPECT_FALSE(Table(4, 1, {{{0, 5}}, {}, {}}).covers());
}

TEST(Table, JoinsPartsAsSegments) {
  const Table one = Table::block(kThree, 1, 3), two(2, 1, {{}, {}, {{0, 2}}});
  EXPECT_EQ(all_of(Table::joined({one, two})), (std::vector<Indices>{{0}, {1}, {2, 3, 4}}));
  EXPECT_EQ(Table::joined({one, two}).extent(), 5);
  EXPECT_EQ(Table::joined({one, two}).cut(3, 2), two);
  EXPECT_EQ(Table::joined({one, two}).cut(0, 3), one);
}

// A random table: any ranges on any rank, in any order, some twice.
Table random_table(int64_t extent, std::mt19937& random) {
  std::vector<Ranges> by_rank(3);
  for (Ranges& own : by_rank)
    for (int i = static_cast<int>(random() % 3); i > 0; --i) {
      const int64_t begin = random() % extent;
      own.add({begin, begin + 1 + static_cast<int64_t>(random() % (extent - begin))});
    }
  return {extent, 1, std::move(by_rank)};
}

TEST(Table, CutsScalesAndRepeatsAsListsOfIndices) {
  std::mt19937 random(3);
  for (int round = 0; round < 500; ++round) {
    const int64_t extent = 1 + random() % 9, factor = 1 + random() % 4;
    const Table table = random_table(extent, random);
    const int64_t start = random() % extent, size = random() % (extent - start + 1);
    const Table cut = table.cut(start, size), scaled = table.scaled(factor),
                repeated = table.repeated(factor);
    EXPECT_EQ(scaled.extent(), extent * factor);
    EXPECT_EQ(repeated.extent(), extent * factor);
    for (int r = 0; r < 3; ++r) {
      Indices in_cut, in_scaled, in_repeated;
      for (const int64_t i : indices_of(table.on(r))) {
        if (i >= start && i < start + size) in_cut.push_back(i - start);
        for (int64_t k = 0; k < factor; ++k) in_scaled.push_back(i * factor + k);
      }
      for (int64_t k = 0; k < factor; ++k)
        for (const int64_t i : indices_of(table.on(r))) in_repeated.push_back(k * extent + i);
      ASSERT_EQ(indices_of(cut.on(r)), in_cut);
      ASSERT_EQ(indices_of(scaled.on(r)), in_scaled);
      ASSERT_EQ(indices_of(repeated.on(r)), in_repeated);
    }
    ASSERT_EQ(*scaled.divided(factor), table);
    ASSERT_EQ(*repeated.folded(factor), table);
  }
}

TEST(Table, IsNotDividedInsideOfAUnit) {
  const Table table(6, 1, {{{0, 3}}, {{3, 6}}, {}});
  EXPECT_TRUE(table.divided(3));
  EXPECT_FALSE(table.divided(2));
}

TEST(Table, IsNotFoldedWhenRepetitionsDiffer) {
  EXPECT_FALSE(Table(4, 1, {{{0, 1}, {3, 4}}, {{1, 3}}, {}}).folded(2));
  EXPECT_FALSE(Table(4, 1, {{{2, 3}, {0, 1}}, {{1, 2}, {3, 4}}, {}}).folded(2));
  EXPECT_FALSE(Table::block(kThree, 1, 5).folded(2));
}

TEST(Table, OfWhatIsSharedHasEachIndexOnce) {
  // Of six indices, three share one of two.
  const Table six(6, 1, {{{0, 2}}, {{2, 4}}, {{5, 6}, {4, 5}}, {}});
  EXPECT_EQ(six.shared(3), Table(2, 1, {{{0, 1}}, {{0, 2}}, {{1, 2}}, {}}));
  EXPECT_EQ(six.shared(1), six);
  const Mesh mesh = Mesh::parse("tp=4");
  EXPECT_TRUE(six.each_once(mesh));
  EXPECT_FALSE(six.shared(3).each_once(mesh));
}

}  // namespace
}  // namespace tutti::shard
