// SPDX-License-Identifier: Apache-2.0
#include "plan/reach.h"

#include <gtest/gtest.h>

namespace tutti {
namespace {

TEST(Reach, IsFirstToLastByteTouched) {
  const auto dense = reach(DType::f32, {2, 3}, {3, 1});
  ASSERT_TRUE(dense);
  EXPECT_EQ(dense->begin, 0);
  EXPECT_EQ(dense->end, 24);
  const auto mixed = reach(DType::bf16, {4, 3, 5}, {-10, 0, 2});
  ASSERT_TRUE(mixed);
  EXPECT_EQ(mixed->begin, -60);
  EXPECT_EQ(mixed->end, 18);
  EXPECT_EQ(reach(DType::i64, {}, {})->end, 8);
}

TEST(Reach, OfNoElementsIsEmpty) {
  const auto none = reach(DType::f32, {4, 0}, {100, 1});
  ASSERT_TRUE(none);
  EXPECT_EQ(none->begin, 0);
  EXPECT_EQ(none->end, 0);
}

TEST(Reach, RefusesWhatNoMemoryHolds) {
  const int64_t huge = int64_t{1} << 40;
  EXPECT_FALSE(reach(DType::f32, {huge, huge}, {0, 0}));
  EXPECT_FALSE(reach(DType::f32, {0, huge, huge}, {0, 0, 0}));
  EXPECT_FALSE(reach(DType::f32, {3}, {INT64_MAX}));
  EXPECT_FALSE(reach(DType::f32, {3}, {INT64_MIN}));
  EXPECT_FALSE(reach(DType::f32, {-1}, {1}));
  EXPECT_FALSE(reach(DType::f32, {2, 2}, {1}));
  EXPECT_FALSE(dense_bytes(DType::f64, {INT64_MAX}));
}

}  // namespace
}  // namespace tutti
