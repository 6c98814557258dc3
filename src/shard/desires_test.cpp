// SPDX-License-Identifier: Apache-2.0
#include "shard/desires.h"

#include <gtest/gtest.h>

#include "ops/elementwise.h"
#include "ops/views.h"

namespace tutti::shard {
namespace {

const Mesh kMesh = Mesh::parse("tp=2");
const Table kBlocks = Table::block(kMesh, 1, 4);
const Table kUneven(4, 1, {{{0, 3}}, {{3, 4}}});

// State s becomes what `next` makes of it.
struct Network {
  Function f;
  ValueId before = f.read(0, "s", {DType::f32, {4, 4}});

  void becomes(ValueId next) { f.updates = {{0, next}}; }
};

TEST(Desires, AreTheSameOfStateAndOfWhatItBecomes) {
  Network n;
  const ValueId after =
      n.f.add1(ElementwiseOp{Elementwise::tanh}, {n.f.add_input("x", {DType::f32, {4, 4}})});
  n.becomes(after);
  Desires desires(n.f, kMesh);
  desires.seed(after, 1, kBlocks);
  EXPECT_EQ(desires.at(n.before, 1), kBlocks);
  EXPECT_EQ(desires.states().at(0).dims[1], kBlocks);
  Desires other = desires.none();
  other.seed(n.before, 0, kUneven);
  EXPECT_EQ(other.at(after, 0), kUneven);
  EXPECT_EQ(other.at(n.f.inputs[0], 0), kUneven);
}

TEST(Desires, LeaveStateWholeThatBecomesAnotherPart) {
  Network n;
  // A dimension cannot be split as the other is: what is transposed has the table in both.
  const ValueId after = n.f.add1(Permute{{1, 0}}, {n.before});
  n.becomes(after);
  Desires desires(n.f, kMesh);
  desires.seed(n.before, 0, kBlocks);
  EXPECT_EQ(desires.at(after, 1), kBlocks);
  EXPECT_TRUE(desires.states().at(0).is_whole());
}

TEST(Desires, LeaveStateWholeThatNothingReads) {
  Function f;
  f.updates = {{0, f.add_input("x", {DType::f32, {4, 4}})}};
  Desires desires(f, kMesh);
  desires.seed(f.inputs[0], 0, kBlocks);
  EXPECT_TRUE(desires.states().at(0).is_whole());
}

}  // namespace
}  // namespace tutti::shard
