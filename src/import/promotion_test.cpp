// SPDX-License-Identifier: Apache-2.0
#include "import/promotion.h"

#include <gtest/gtest.h>

#include "core/error.h"

namespace tutti::pt2 {
namespace {

constexpr Weight kNumber = Weight::number, kScalar = Weight::scalar_tensor,
                 kTensor = Weight::tensor;

DType result(Typed a, Typed b) {
  const Typed both[] = {a, b};
  return result_type(both).dtype;
}

TEST(Promotion, FindsTheSmallestTypeOfTwoTensors) {
  // Rows of torch.promote_types.
  const struct {
    DType a, b, both;
  } rows[] = {{DType::f16, DType::bf16, DType::f32},   {DType::bf16, DType::i64, DType::bf16},
              {DType::u8, DType::i8, DType::i16},      {DType::u8, DType::i32, DType::i32},
              {DType::boolean, DType::u8, DType::u8},  {DType::i16, DType::i64, DType::i64},
              {DType::f64, DType::f32, DType::f64},    {DType::f16, DType::f32, DType::f32},
              {DType::boolean, DType::f16, DType::f16}};
  for (const auto& row : rows) {
    EXPECT_EQ(result({{row.a}}, {{row.b}}), row.both) << to_string(row.a) << " " << to_string(row.b);
    EXPECT_EQ(result({{row.b}}, {{row.a}}), row.both) << to_string(row.a) << " " << to_string(row.b);
  }
}

TEST(Promotion, LetsNumbersChangeTheCategoryOnly) {
  EXPECT_EQ(result({{DType::bf16}, kTensor}, {{DType::f32}, kNumber}), DType::bf16);
  EXPECT_EQ(result({{DType::i32}, kTensor}, {{DType::i64}, kNumber}), DType::i32);
  EXPECT_EQ(result({{DType::i32}, kTensor}, {{DType::f32}, kNumber}), DType::f32);
  EXPECT_EQ(result({{DType::boolean}, kTensor}, {{DType::i64}, kNumber}), DType::i64);
  EXPECT_EQ(result({{DType::f64}, kScalar}, {{DType::f32}, kNumber}), DType::f64);
}

TEST(Promotion, LetsScalarTensorsWeighLessThanOthers) {
  EXPECT_EQ(result({{DType::f16}, kTensor}, {{DType::f64}, kScalar}), DType::f16);
  EXPECT_EQ(result({{DType::i16}, kTensor}, {{DType::i64}, kScalar}), DType::i16);
  EXPECT_EQ(result({{DType::i16}, kTensor}, {{DType::f64}, kScalar}), DType::f64);
}

TEST(Promotion, MakesComplexOfFloats) {
  const Typed operands[] = {{{DType::f64}, kTensor}, {{DType::f32, true}, kScalar}};
  EXPECT_EQ(result_type(operands), (ElementType{DType::f64, true}));
}

}  // namespace
}  // namespace tutti::pt2
