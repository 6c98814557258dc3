// SPDX-License-Identifier: Apache-2.0
#include "ops/sort.h"

#include "ops/ops_for_tests.h"

namespace tutti {
namespace {

const Dim s = Dim::symbol("s");

TensorType f32(const Shape& shape) { return {DType::f32, shape}; }

/// Indices of the k best of a line, each found by a search through what is left.
std::vector<size_t> best_of(const Values& line, size_t k, bool largest) {
  std::vector<size_t> found;
  while (found.size() < k) {
    size_t best = line.size();
    for (size_t i = 0; i < line.size(); ++i) {
      if (std::count(found.begin(), found.end(), i) > 0) continue;
      const bool better =
          best == line.size() || (std::isnan(line[best]) ? !largest && !std::isnan(line[i])
                                  : largest ? std::isnan(line[i]) || line[i] > line[best]
                                            : line[i] < line[best]);
      if (better) best = i;
    }
    found.push_back(best);
  }
  return found;
}

/// Runs on x [a, n, b] along axis 1 in all layouts and compares values and indices.
void expect_sorted(const Tensor& x, int64_t k, bool largest) {
  const Values values = values_of(x);
  const int64_t n = x.shape[1], inner = x.shape[2];
  Dims shape = x.shape;
  shape[1] = k;
  Values wanted(static_cast<size_t>(elements(shape))), indices(wanted.size());
  for (int64_t i = 0; i < x.shape[0]; ++i)
    for (int64_t j = 0; j < inner; ++j) {
      Values line;
      for (int64_t m = 0; m < n; ++m)
        line.push_back(values[static_cast<size_t>((i * n + m) * inner + j)]);
      const auto best = best_of(line, static_cast<size_t>(k), largest);
      for (int64_t m = 0; m < k; ++m) {
        const auto at = static_cast<size_t>((i * k + m) * inner + j);
        wanted[at] = line[best[static_cast<size_t>(m)]];
        indices[at] = static_cast<double>(best[static_cast<size_t>(m)]);
      }
    }
  for (int layout = 0; layout < kLayouts; ++layout) {
    const auto y = run_op(TopK{1, k, largest}, {in_layout(x, layout)}, (layout + 1) % kLayouts);
    expect_values(y[0], wanted);
    expect_values(y[1], indices);
  }
}

TEST(TopK, GivesTheBestInOrderInEveryType) {
  for (DType dtype : kAllDTypes)
    for (int64_t k : {0, 1, 3, 9})
      for (bool largest : {true, false}) {
        SCOPED_TRACE(testing::Message() << to_string(dtype) << " " << k << " " << largest);
        expect_sorted(random_tensor(dtype, {2, 9, 3}, 1), k, largest);
      }
}

TEST(TopK, CountsNanAsLargest) {
  const Tensor x = tensor_of(DType::f32, {1, 6, 1}, {1, kNan, -kInf, kInf, kNan, 1});
  for (int64_t k : {2, 6})
    for (bool largest : {true, false}) expect_sorted(x, k, largest);
  const auto y = run_op(TopK{1, 6, true}, {x});
  expect_values(y[0], {kNan, kNan, kInf, 1, 1, -kInf});
  expect_values(y[1], {1, 4, 3, 0, 5, 2});
}

TEST(TopK, KeepsTheOrderOfEquals) {
  const Tensor x = tensor_of(DType::i32, {1, 40, 1}, Values(40, 5));
  for (bool largest : {true, false}) expect_sorted(x, 40, largest);
  for (bool largest : {true, false}) expect_sorted(x, 7, largest);
  expect_sorted(tensor_of(DType::f32, {1, 3, 1}, {0.0, -0.0, 0.0}), 3, true);
}

TEST(TopK, SharesItsWorkspaceAmongManyLines) {
  expect_sorted(random_tensor(DType::f32, {50, 17, 3}, 2), 5, true);
  Tensor x = Tensor::zeros(DType::i64, {1000});
  for (int64_t i = 0; i < 1000; ++i) x.as<int64_t>()[i] = INT64_MAX - i * 7919 % 1000;
  const Tensor y = run_op(TopK{0, 1000, false}, {x})[0];
  for (int64_t i = 0; i < 1000; ++i) EXPECT_EQ(y.as<int64_t>()[i], INT64_MAX - 999 + i);
}

TEST(TopK, TakesNoElement) {
  EXPECT_EQ(run_op(TopK{0, 0}, {Tensor::zeros(DType::f32, {0, 3})})[0].shape, Dims({0, 3}));
  EXPECT_EQ(run_op(TopK{0, 2}, {Tensor::zeros(DType::f32, {4, 0})})[1].shape, Dims({2, 0}));
}

TEST(TopK, RefusesMoreThanThereAre) {
  expect_error(
      [] {
        Op(TopK{1, 4}).infer(std::vector{f32({2, 3})});
      },
      {"top_k", "k is 4", "f32[2, 3]"});
  expect_error([] { Op(TopK{0, -1}).infer(std::vector{f32({2})}); }, {"k is -1"});
  expect_error([] { Op(TopK{0, s + 1}).infer(std::vector{f32({s})}); }, {"k is s + 1"});
  EXPECT_EQ(Op(TopK{0, 3}).infer(std::vector{f32({s})})[1], (TensorType{DType::i64, {3}}));
}

}  // namespace
}  // namespace tutti
