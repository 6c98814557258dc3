// SPDX-License-Identifier: Apache-2.0
#include "shard/mesh.h"

#include <gtest/gtest.h>

#include "core/error.h"

namespace tutti::shard {
namespace {

void expect_refused(std::string_view text, std::string_view word) {
  try {
    Mesh::parse(text);
    FAIL() << text << " is accepted";
  } catch (const Error& e) {
    EXPECT_NE(std::string_view(e.what()).find(word), std::string_view::npos) << e.what();
  }
}

TEST(Mesh, IsReadFromTextAndWritten) {
  const Mesh mesh = Mesh::parse("dp=2,tp=3,cp=4");
  EXPECT_EQ(mesh.text(), "dp=2,tp=3,cp=4");
  EXPECT_EQ(mesh.size(), 24);
  EXPECT_EQ(mesh.text(mesh.axis("dp") | mesh.axis("cp")), "dp,cp");
  EXPECT_TRUE(mesh.has("tp"));
  EXPECT_FALSE(mesh.has("ep"));
  EXPECT_EQ(Mesh::parse("").size(), 1);
}

TEST(Mesh, RefusesTextWithWhatWasFound) {
  expect_refused("tp", "tp; NAME=RANKS");
  expect_refused("tp=x", "tp=x");
  expect_refused("tp=2x", "tp=2x");
  expect_refused("tp=2,", "NAME=RANKS");
  expect_refused("tp=2,,cp=2", "NAME=RANKS");
  expect_refused("=2", "no name");
  expect_refused("tp=0", "0 ranks");
  expect_refused("tp=65", "65 ranks");
  expect_refused("tp=-1", "-1 ranks");
  expect_refused("tp=16,cp=8", "128 ranks");
  expect_refused("tp=2,tp=2", "twice");
}

TEST(Mesh, NamesTheAxesThereAreWhenOneIsUnknown) {
  try {
    Mesh::parse("tp=2,cp=4").axis("dp");
    FAIL();
  } catch (const Error& e) {
    EXPECT_STREQ(e.what(), "mesh tp=2,cp=4 has no axis dp");
  }
}

// Coordinates of rank r in a mesh of a, b, c ranks, by hand.
TEST(Mesh, CountsTheLastAxisFastest) {
  const Mesh mesh = Mesh::parse("a=2,b=3,c=4");
  const AxisSet a = mesh.axis("a"), b = mesh.axis("b"), c = mesh.axis("c");
  for (int i = 0, rank = 0; i < 2; ++i)
    for (int j = 0; j < 3; ++j)
      for (int k = 0; k < 4; ++k, ++rank) {
        EXPECT_EQ(mesh.position(rank, a), i);
        EXPECT_EQ(mesh.position(rank, b), j);
        EXPECT_EQ(mesh.position(rank, c), k);
        EXPECT_EQ(mesh.position(rank, a | c), i * 4 + k);
        EXPECT_EQ(mesh.position(rank, a | b | c), rank);
        EXPECT_EQ(mesh.position(rank, 0), 0);
      }
}

TEST(Mesh, GroupsRanksThatDifferInSomeAxesOnly) {
  const Mesh mesh = Mesh::parse("a=2,b=3,c=2");
  EXPECT_EQ(mesh.group(0, mesh.axis("b")), (std::vector<int>{0, 2, 4}));
  EXPECT_EQ(mesh.group(9, mesh.axis("b")), (std::vector<int>{7, 9, 11}));
  EXPECT_EQ(mesh.group(3, mesh.axis("a") | mesh.axis("c")), (std::vector<int>{2, 3, 8, 9}));
  EXPECT_EQ(mesh.group(5, 0), (std::vector<int>{5}));
  EXPECT_EQ(mesh.size(mesh.axis("a") | mesh.axis("b")), 6);
  EXPECT_EQ(mesh.groups(mesh.axis("a")),
            (std::vector<int64_t>{0, 6, 1, 7, 2, 8, 3, 9, 4, 10, 5, 11}));
}

}  // namespace
}  // namespace tutti::shard
