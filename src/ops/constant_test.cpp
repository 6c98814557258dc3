// SPDX-License-Identifier: Apache-2.0
#include "ops/constant.h"

#include "ops/ops_for_tests.h"

namespace tutti {
namespace {

TEST(Constant, GivesItsValueInEveryType) {
  for (DType dtype : kAllDTypes) {
    const Tensor value = random_tensor(dtype, {3, 5}, 1);
    expect_in_all_layouts(Constant{value}, {}, values_of(value));
    expect_in_all_layouts(Constant{in_layout(value, 2)}, {}, values_of(value));
  }
  expect_in_all_layouts(Constant{tensor_of(DType::f32, {}, {2})}, {}, {2});
  expect_in_all_layouts(Constant{Tensor::zeros(DType::f32, {2, 0})}, {}, {});
}

TEST(Full, GivesOneValueInEveryType) {
  for (DType dtype : kAllDTypes) {
    const double wanted = dtype == DType::boolean ? 1 : 3;
    expect_in_all_layouts(Full{3, dtype, {2, 3}}, {}, Values(6, wanted));
  }
  expect_in_all_layouts(Full{3, DType::f32, {}}, {}, {3});
  expect_in_all_layouts(Full{3, DType::f32, {4, 0}}, {}, {});
}

TEST(Full, RoundsItsValueToTheType) {
  expect_values(run_op(Full{0.1, DType::f32, {1}}, {})[0], {0.1f});
  expect_values(run_op(Full{1e6, DType::f16, {1}}, {})[0], {kInf});
  expect_values(run_op(Full{-kInf, DType::bf16, {1}}, {})[0], {-kInf});
  expect_values(run_op(Full{-2.7, DType::i32, {1}}, {})[0], {-2});
  const Tensor large = run_op(Full{0x1p53, DType::i64, {1}}, {})[0];
  EXPECT_EQ(*large.as<int64_t>(), int64_t{1} << 53);
}

TEST(Full, KeepsSymbolicExtents) {
  const Dim s = Dim::symbol("s");
  EXPECT_EQ(Op(Full{1, DType::i8, {s, 2}}).infer({})[0], (TensorType{DType::i8, {s, 2}}));
  expect_error([] { Op(Full{1, DType::i8, {2, -1}}).infer({}); }, {"full", "[2, -1]"});
  expect_error(
      [] {
        Op(Full{1, DType::i8, {}}).infer(std::vector{TensorType{}});
      },
      {"1 operands", "0"});
}

TEST(Arange, CountsInIntegers) {
  Arange op{.start = 5, .step = -2, .size = 4};
  for (DType dtype : {DType::i64, DType::i32, DType::i16, DType::i8}) {
    op.dtype = dtype;
    expect_in_all_layouts(op, {}, {5, 3, 1, -1});
  }
  const Tensor large = run_op(Arange{.start = INT64_MAX - 1, .step = 1, .size = 2}, {})[0];
  EXPECT_EQ(large.as<int64_t>()[1], INT64_MAX);
}

TEST(Arange, CountsInF64ForFloats) {
  Arange op{.float_start = 0.1, .float_step = 0.1, .size = 1000};
  for (DType dtype : kFloats) {
    op.dtype = dtype;
    Values wanted;
    for (int i = 0; i < 1000; ++i) wanted.push_back(0.1 + i * 0.1);
    expect_values(run_op(op, {})[0], values_of(tensor_of(dtype, {1000}, wanted)));
  }
}

TEST(Arange, MayBeEmpty) {
  EXPECT_EQ(run_op(Arange{}, {})[0].shape, Dims({0}));
  EXPECT_THROW(Op(Arange{.size = -1}).infer({}), Error);
}

}  // namespace
}  // namespace tutti
