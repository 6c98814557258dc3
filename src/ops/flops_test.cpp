// SPDX-License-Identifier: Apache-2.0
#include "ops/flops.h"

#include <gtest/gtest.h>

#include "ops/attention.h"
#include "ops/conv.h"
#include "ops/fused_matmul.h"
#include "ops/matmul.h"
#include "ops/softmax.h"

namespace tutti {
namespace {

double of(const Op& op, const std::vector<Dims>& in, const std::vector<Dims>& out) {
  return flops(op, in, out);
}

TEST(Flops, CountsTheMultiplicationsOfAProductTwice) {
  EXPECT_EQ(of(Matmul{}, {{2, 3, 4, 5}, {5, 6}}, {{2, 3, 4, 6}}), 2. * 2 * 3 * 4 * 5 * 6);
  EXPECT_EQ(of(Matmul{}, {{4, 5}, {7, 5, 6}, {6}}, {{7, 4, 6}}), 2. * 7 * 4 * 5 * 6);
  EXPECT_EQ(of(Matmul{}, {{0, 5}, {5, 6}}, {{0, 6}}), 0);
}

TEST(Flops, CountsAllColumnsOfAProductThatIsGivenApart) {
  const FusedMatmul op{{6, 2}, {{}, {}}, "f32.nr32"};
  EXPECT_EQ(of(op, {{4, 5}, {40}}, {{4, 6}, {4, 2}}), 2. * 4 * 5 * 8);
}

TEST(Flops, CountsKeysThatQueriesAttendTo) {
  Attention op;
  const std::vector<Dims> in = {{2, 4, 5, 8}, {2, 2, 7, 8}, {2, 2, 7, 6}};
  const std::vector<Dims> out = {{2, 4, 5, 6}};
  EXPECT_EQ(of(op, in, out), 2. * 2 * 4 * 5 * 7 * (8 + 6));
  op.right = 0;
  op.offset = 3;
  double pairs = 0;
  for (int i = 0; i < 5; ++i)
    for (int j = 0; j < 7; ++j) pairs += j <= i + 3;
  EXPECT_EQ(of(op, in, out), 2. * 2 * 4 * pairs * (8 + 6));
  op.left = 2;
  pairs = 0;
  for (int i = 0; i < 5; ++i)
    for (int j = 0; j < 7; ++j) pairs += j <= i + 3 && j >= i + 3 - 2;
  EXPECT_EQ(of(op, in, out), 2. * 2 * 4 * pairs * (8 + 6));
}

// Every place of a window that lies inside, and outside too: padding is multiplied as zeros.
TEST(Flops, CountsWindowsOfConvolutions) {
  Conv op;
  op.stride = {2, 1}, op.padding_before = op.padding_after = {1, 1}, op.dilation = {1, 1};
  op.groups = 2;
  EXPECT_EQ(of(op, {{3, 4, 9, 8}, {6, 2, 3, 3}}, {{3, 6, 5, 8}}), 2. * 3 * 6 * 5 * 8 * 2 * 9);
  op.transposed = true;
  EXPECT_EQ(of(op, {{3, 4, 5, 8}, {4, 3, 3, 3}}, {{3, 6, 9, 8}}), 2. * 3 * 4 * 5 * 8 * 3 * 9);
}

TEST(Flops, AreNoneOfOtherOperators) { EXPECT_EQ(of(Softmax{}, {{2, 3}}, {{2, 3}}), 0); }

}  // namespace
}  // namespace tutti
