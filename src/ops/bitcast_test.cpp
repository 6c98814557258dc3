// SPDX-License-Identifier: Apache-2.0
#include "ops/bitcast.h"

#include "ops/ops_for_tests.h"

namespace tutti {
namespace {

TEST(Bitcast, ReadsTheBytesOfFloats) {
  const Tensor x = tensor_of(DType::f32, {2, 1}, {1, -2});
  expect_in_all_layouts(Bitcast{DType::i32}, {x}, {0x3f800000, -0x40000000});
  expect_in_all_layouts(Bitcast{DType::u8}, {x}, {0, 0, 0x80, 0x3f, 0, 0, 0, 0xc0});
  EXPECT_EQ(run_op(Bitcast{DType::u8}, {x})[0].shape, (Dims{2, 4}));
}

TEST(Bitcast, JoinsSmallElementsOfTheLastAxis) {
  const Tensor x = tensor_of(DType::i16, {2, 2}, {0, 0x3f80, 0, -0x4000});
  expect_in_all_layouts(Bitcast{DType::f32}, {x}, {1, -2});
  EXPECT_EQ(run_op(Bitcast{DType::f32}, {x})[0].shape, (Dims{2, 1}));
}

TEST(Bitcast, TakesNoElementAndScalars) {
  expect_in_all_layouts(Bitcast{DType::i32}, {tensor_of(DType::f32, {}, {1})}, {0x3f800000});
  expect_in_all_layouts(Bitcast{DType::u8}, {Tensor::zeros(DType::f32, {0, 3})}, {});
}

TEST(Bitcast, RefusesPartsOfElementsAndBooleans) {
  const auto infer = [](DType from, const Shape& shape, DType to) {
    return Op(Bitcast{to}).infer(std::vector<TensorType>{{from, shape}});
  };
  EXPECT_THROW(infer(DType::u8, {2, 3}, DType::f32), Error);
  EXPECT_THROW(infer(DType::f32, {}, DType::u8), Error);
  EXPECT_THROW(infer(DType::u8, {4}, DType::boolean), Error);
  const Dim s = Dim::symbol("s");
  EXPECT_EQ(infer(DType::f32, {s}, DType::u8)[0].shape, (Shape{s * 4}));
}

}  // namespace
}  // namespace tutti
