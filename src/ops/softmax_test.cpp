// SPDX-License-Identifier: Apache-2.0
#include "ops/softmax.h"

#include "ops/ops_for_tests.h"

namespace tutti {
namespace {

TEST(Softmax, MatchesTheFormulaAlongEachAxis) {
  for (DType dtype : kFloats) {
    const Tensor x = random_tensor(dtype, {3, 5, 2}, 1);
    const Values values = values_of(x);
    for (int axis = 0; axis < 3; ++axis)
      for (bool log : {false, true}) {
        const int64_t n = x.shape[axis], inner = axis == 0 ? 10 : axis == 1 ? 2 : 1;
        Values wanted;
        for (int64_t i = 0; i < 30; ++i) {
          double sum = 0;
          const int64_t first = i - i / inner % n * inner;
          for (int64_t j = 0; j < n; ++j)
            sum += std::exp(values[static_cast<size_t>(first + j * inner)]);
          const double value = values[static_cast<size_t>(i)];
          wanted.push_back(log ? value - std::log(sum) : std::exp(value) / sum);
        }
        expect_in_all_layouts(Softmax{axis, log}, {x}, wanted, rounding_of(dtype));
      }
  }
}

TEST(Softmax, StandsLargeNumbers) {
  const Tensor x = tensor_of(DType::f32, {3}, {1000, 1000, -1000});
  expect_values(run_op(Softmax{0}, {x})[0], {0.5, 0.5, 0});
  expect_values(run_op(Softmax{0, true}, {x})[0], {-M_LN2, -M_LN2, -2000 - M_LN2}, 1e-6);
}

TEST(Softmax, GivesZeroForMinusInfinityAndNanForNothingElse) {
  const Tensor x = tensor_of(DType::f16, {4, 2}, {-kInf, 0, -kInf, -kInf, kInf, 0, kNan, 0});
  expect_values(run_op(Softmax{1}, {x})[0], {0, 1, kNan, kNan, kNan, kNan, kNan, kNan});
  expect_values(run_op(Softmax{1, true}, {x})[0], {-kInf, 0, kNan, kNan, kNan, kNan, kNan, kNan});
}

TEST(Softmax, TakesNoElementOneAndManyRows) {
  expect_in_all_layouts(Softmax{0}, {tensor_of(DType::f32, {1}, {-7})}, {1});
  EXPECT_EQ(run_op(Softmax{1}, {Tensor::zeros(DType::f32, {3, 0})})[0].shape, Dims({3, 0}));
  const Tensor many = run_op(Softmax{1}, {random_tensor(DType::f32, {700, 100}, 2)})[0];
  for (int64_t i = 0; i < 700; ++i) {
    double sum = 0;
    for (int64_t j = 0; j < 100; ++j) sum += many.as<float>()[i * 100 + j];
    EXPECT_NEAR(sum, 1, 1e-5);
  }
}

TEST(Softmax, RefusesIntegersAndOtherAxes) {
  expect_error(
      [] {
        Op(Softmax{0}).infer(std::vector<TensorType>{{DType::i32, {2}}});
      },
      {"softmax", "i32[2]", "float"});
  expect_error(
      [] {
        Op(Softmax{1}).infer(std::vector<TensorType>{{DType::f32, {2}}});
      },
      {"softmax", "axis 1", "f32[2]"});
}

}  // namespace
}  // namespace tutti
