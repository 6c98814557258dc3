// SPDX-License-Identifier: Apache-2.0
#include "shard/planner.h"

#include <gtest/gtest.h>

#include "ops/elementwise.h"
#include "ops/matmul.h"

namespace tutti::shard {
namespace {

const Mesh kMesh = Mesh::parse("tp=2");

// [m, 8] split by rows times [8, n] split by columns, over the same ranks; rows of the result are
// asked for.
NodePlacement product_of_parts(int64_t m, int64_t n) {
  Function f;
  const auto made = [&](const char* name, const Shape& shape) {
    return f.add1(ElementwiseOp{Elementwise::tanh}, {f.add_input(name, {DType::f32, shape})});
  };
  const ValueId a = made("a", {m, 8}), b = made("b", {8, n});
  f.outputs = {{"y", f.add1(Matmul{}, {a, b})}};
  Desires desires(f, kMesh);
  desires.seed(a, 0, Table::block(kMesh, 1, m));
  desires.seed(b, 1, Table::block(kMesh, 1, n));
  return place_values(f, kMesh, desires, {Context::gather_kv}, 0).nodes.back();
}

TEST(Planner, MovesTheOperandThatIsDesiredElsewhereWhereThatIsLess) {
  const NodePlacement p = product_of_parts(64, 2);
  EXPECT_TRUE(p.in[0].dims[0].has_value());
  EXPECT_TRUE(p.in[1].is_whole());
}

// 8 x 64 would be gathered; 2 x 8 and the result are less.
TEST(Planner, MovesOthersAndTheResultWhereThatIsLess) {
  const NodePlacement p = product_of_parts(2, 64);
  EXPECT_TRUE(p.in[0].is_whole());
  EXPECT_TRUE(p.in[1].dims[1].has_value());
}

}  // namespace
}  // namespace tutti::shard
