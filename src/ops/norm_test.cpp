// SPDX-License-Identifier: Apache-2.0
#include "ops/norm.h"

#include "ops/ops_for_tests.h"

namespace tutti {
namespace {

const Dim s = Dim::symbol("s");

TensorType f32(const Shape& shape) { return {DType::f32, shape}; }

/// Normalizes rows of n values: mean taken off when centered, divided by the root mean square.
Values normalized(const Values& x, size_t n, double eps, bool centered) {
  Values y;
  for (size_t row = 0; row * n < x.size(); ++row) {
    double sum = 0, squares = 0;
    for (size_t i = 0; i < n; ++i)
      sum += x[row * n + i], squares += x[row * n + i] * x[row * n + i];
    const double count = static_cast<double>(n), mean = centered ? sum / count : 0;
    const double variance = squares / count - mean * mean;
    for (size_t i = 0; i < n; ++i) y.push_back((x[row * n + i] - mean) / std::sqrt(variance + eps));
  }
  return y;
}

/// y * weight + bias, each value of which covers `run` elements in a row, over and over.
Values scaled(Values y, const Values& weight, const Values& bias, size_t run) {
  for (size_t i = 0; i < y.size(); ++i) {
    if (!weight.empty()) y[i] *= weight[i / run % weight.size()];
    if (!bias.empty()) y[i] += bias[i / run % bias.size()];
  }
  return y;
}

TEST(LayerNorm, MatchesTheFormula) {
  for (DType dtype : kFloats) {
    const Tensor x = random_tensor(dtype, {3, 2, 5}, 1);
    for (int64_t axes : {1, 2, 3}) {
      const Dims shape = axes == 1 ? Dims{5} : axes == 2 ? Dims{2, 5} : Dims{3, 2, 5};
      const Tensor weight = random_tensor(dtype, shape, 2), bias = random_tensor(dtype, shape, 3);
      const LayerNorm op{axes, 0.5};
      const Values plain =
          normalized(values_of(x), static_cast<size_t>(elements(shape)), 0.5, true);
      const double tolerance = 2 * rounding_of(dtype);
      expect_in_all_layouts(op, {x}, plain, tolerance);
      expect_in_all_layouts(op, {x, weight}, scaled(plain, values_of(weight), {}, 1), tolerance);
      expect_in_all_layouts(op, {x, weight, bias},
                            scaled(plain, values_of(weight), values_of(bias), 1), tolerance);
    }
  }
}

TEST(LayerNorm, KeepsDigitsFarFromZero) {
  const Tensor x = tensor_of(DType::f32, {4}, {10000, 10001, 10002, 10003});
  const Values wanted{-1.3416408, -0.4472136, 0.4472136, 1.3416408};
  expect_values(run_op(LayerNorm{1, 0}, {x})[0], wanted, 1e-6);
}

TEST(LayerNorm, TakesNoElementOneAndManyRows) {
  EXPECT_EQ(run_op(LayerNorm{}, {Tensor::zeros(DType::f32, {3, 0})})[0].shape, Dims({3, 0}));
  EXPECT_EQ(run_op(LayerNorm{}, {Tensor::zeros(DType::f32, {0, 3})})[0].shape, Dims({0, 3}));
  expect_in_all_layouts(LayerNorm{}, {tensor_of(DType::f32, {1}, {7})}, {0});
  const Tensor x = random_tensor(DType::f32, {1000, 33}, 4);
  expect_values(run_op(LayerNorm{}, {x})[0], normalized(values_of(x), 33, 1e-5, true), 1e-5);
}

TEST(LayerNorm, RefusesAWeightOfAnotherWidth) {
  const Op op(LayerNorm{});
  expect_error(
      [&] {
        op.infer(std::vector{f32({2, 4}), f32({5})});
      },
      {"layer_norm", "weight is f32[5]", "4"});
  expect_error(
      [&] {
        op.infer(std::vector{f32({2, 4}), f32({4}), f32({2, 4})});
      },
      {"bias is f32[2, 4]", "rank 1"});
  expect_error(
      [&] {
        op.infer(std::vector<TensorType>{f32({2, 4}), {DType::f16, {4}}});
      },
      {"weight is f16[4]", "f32"});
  expect_error([&] { op.infer(std::vector<TensorType>{{DType::i32, {2, 4}}}); }, {"i32[2, 4]"});
  expect_error(
      [] {
        Op(LayerNorm{3}).infer(std::vector{f32({2, 4})});
      },
      {"axes is 3", "f32[2, 4]"});
  EXPECT_EQ(op.infer(std::vector{f32({s, s}), f32({4})})[0], f32({s, s}));
}

TEST(RmsNorm, MatchesTheFormula) {
  for (DType dtype : kFloats) {
    const Tensor x = random_tensor(dtype, {3, 2, 5}, 1);
    for (int64_t axes : {1, 2}) {
      const Dims shape = axes == 1 ? Dims{5} : Dims{2, 5};
      const Tensor weight = random_tensor(dtype, shape, 2);
      const RmsNorm op{axes, 0.25};
      const Values plain =
          normalized(values_of(x), static_cast<size_t>(elements(shape)), 0.25, false);
      expect_in_all_layouts(op, {x}, plain, 2 * rounding_of(dtype));
      expect_in_all_layouts(op, {x, weight}, scaled(plain, values_of(weight), {}, 1),
                            2 * rounding_of(dtype));
    }
  }
}

TEST(RmsNorm, RefusesABias) {
  expect_error(
      [] {
        Op(RmsNorm{}).infer(std::vector{f32({2, 4}), f32({4}), f32({4})});
      },
      {"rms_norm", "3 operands", "1 to 2"});
}

TEST(GroupNorm, MatchesTheFormula) {
  for (DType dtype : kFloats) {
    for (const Dims& shape : {Dims{2, 6, 5}, Dims{3, 6}, Dims{1, 6, 3, 2, 2}}) {
      const Tensor x = random_tensor(dtype, shape, 1);
      const Tensor weight = random_tensor(dtype, {6}, 2), bias = random_tensor(dtype, {6}, 3);
      const auto space = static_cast<size_t>(elements(shape) / shape[0] / 6);
      for (int64_t groups : {1, 2, 3, 6}) {
        const GroupNorm op{groups, 0.5};
        const Values plain =
            normalized(values_of(x), 6 / static_cast<size_t>(groups) * space, 0.5, true);
        const double tolerance = 2 * rounding_of(dtype);
        expect_in_all_layouts(op, {x}, plain, tolerance);
        expect_in_all_layouts(op, {x, weight, bias},
                              scaled(plain, values_of(weight), values_of(bias), space), tolerance);
      }
    }
  }
}

TEST(GroupNorm, TakesNoElement) {
  EXPECT_EQ(run_op(GroupNorm{2}, {Tensor::zeros(DType::f32, {2, 4, 0})})[0].shape, Dims({2, 4, 0}));
  EXPECT_EQ(run_op(GroupNorm{2}, {Tensor::zeros(DType::f32, {0, 4, 3})})[0].shape, Dims({0, 4, 3}));
}

TEST(GroupNorm, RefusesGroupsThatDoNotDivideTheChannels) {
  expect_error(
      [] {
        Op(GroupNorm{4}).infer(std::vector{f32({2, 6, 5})});
      },
      {"group_norm", "groups is 4", "f32[2, 6, 5]", "6"});
  expect_error([] { Op(GroupNorm{0}).infer(std::vector{f32({2, 6})}); }, {"groups is 0"});
  expect_error([] { Op(GroupNorm{1}).infer(std::vector{f32({6})}); }, {"f32[6]", "rank"});
  expect_error(
      [] {
        Op(GroupNorm{2}).infer(std::vector{f32({2, 6}), f32({3})});
      },
      {"weight is f32[3]", "6"});
}

}  // namespace
}  // namespace tutti
