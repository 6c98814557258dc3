// SPDX-License-Identifier: Apache-2.0
#include "ops/reduce.h"

#include <map>

#include "ops/ops_for_tests.h"

namespace tutti {
namespace {

const Dim s = Dim::symbol("s"), t = Dim::symbol("t");

TensorType f32(const Shape& shape) { return {DType::f32, shape}; }

using Fold = double (*)(const Values& list);

double sum_of(const Values& list) {
  double sum = 0;
  for (double value : list) sum += value;
  return sum;
}
double product_of(const Values& list) {
  double product = 1;
  for (double value : list) product *= value;
  return product;
}

struct FoldCase {
  const char* fn;
  Fold wanted;
} const kFolds[] = {
    {"sum", sum_of},
    {"mean", [](const Values& list) { return sum_of(list) / static_cast<double>(list.size()); }},
    {"prod", product_of},
    {"max", [](const Values& list) { return *std::max_element(list.begin(), list.end()); }},
    {"min", [](const Values& list) { return *std::min_element(list.begin(), list.end()); }},
    {"any",
     [](const Values& list) {
       return std::count(list.begin(), list.end(), 0) != std::ssize(list) ? 1.0 : 0;
     }},
    {"all",
     [](const Values& list) { return std::count(list.begin(), list.end(), 0) == 0 ? 1.0 : 0; }},
};

/// The elements of x [2, 3, 4] that meet in each place of y, in row-major order of y.
Values fold_all(const Tensor& x, const std::vector<int64_t>& axes, Fold fold) {
  const Values values = values_of(x);
  std::map<std::vector<int64_t>, Values> places;
  for (int64_t i = 0; i < 2; ++i)
    for (int64_t j = 0; j < 3; ++j)
      for (int64_t k = 0; k < 4; ++k) {
        std::vector<int64_t> place{i, j, k};
        for (int64_t axis : axes) place[static_cast<size_t>(axis)] = 0;
        places[place].push_back(values[static_cast<size_t>((i * 3 + j) * 4 + k)]);
      }
  Values wanted;
  for (const auto& [place, list] : places) wanted.push_back(fold(list));
  return wanted;
}

bool takes(std::string_view fn, DType dtype) {
  if (fn == "mean") return is_float(dtype);
  if (fn == "sum" || fn == "prod") return is_float(dtype) || dtype == DType::i64;
  return true;
}

TEST(Reduce, FoldsAnyAxesOfEveryType) {
  const std::vector<int64_t> lists[] = {{}, {0}, {1}, {2}, {0, 1}, {0, 2}, {1, 2}, {0, 1, 2}};
  for (const auto& [fn, fold] : kFolds)
    for (DType dtype : kAllDTypes) {
      Tensor x = random_tensor(dtype, {2, 3, 4}, 3);
      if (std::string_view(fn) == "prod") x = tensor_of(dtype, {2, 3, 4}, Values(24, 2));
      for (const auto& axes : lists) {
        const Op op(Reduce{fn, axes});
        if (!takes(fn, dtype)) {
          expect_error([&] { run_op(op, {x}); },
                       {"reduce", std::string(to_string(dtype)) + "[2, 3, 4]"});
          continue;
        }
        // 24 factors of 2 leave the range of the smallest floats.
        if (std::string_view(fn) == "prod" && size_of(dtype) < 4 && axes.size() > 1) continue;
        const Values wanted = fold_all(x, axes, fold);
        expect_in_all_layouts(op, {x}, wanted, rounding_of(dtype));
        expect_in_all_layouts(Reduce{fn, axes, true}, {x}, wanted, rounding_of(dtype));
      }
    }
}

TEST(Reduce, DropsOrKeepsTheAxes) {
  EXPECT_EQ(Op(Reduce{"sum", {0, 2}}).infer(std::vector{f32({s, t, 3})})[0], f32({t}));
  EXPECT_EQ(Op(Reduce{"sum", {0, 2}, true}).infer(std::vector{f32({s, t, 3})})[0], f32({1, t, 1}));
  EXPECT_EQ(Op(Reduce{"any", {0}}).infer(std::vector{f32({s})})[0],
            (TensorType{DType::boolean, {}}));
}

TEST(Reduce, GivesTheNeutralElementForNothing) {
  const Tensor none = Tensor::zeros(DType::f32, {2, 0});
  const auto fold = [&](const char* fn) { return values_of(run_op(Reduce{fn, {1}}, {none})[0]); };
  EXPECT_EQ(fold("sum"), (Values{0, 0}));
  EXPECT_EQ(fold("prod"), (Values{1, 1}));
  EXPECT_EQ(fold("any"), (Values{0, 0}));
  EXPECT_EQ(fold("all"), (Values{1, 1}));
  expect_values(run_op(Reduce{"mean", {1}}, {none})[0], {kNan, kNan});
  expect_error([&] { fold("max"); }, {"reduce", "f32[2, 0]", "axis 1", "max"});
  EXPECT_EQ(run_op(Reduce{"max", {0}}, {none})[0].shape, Dims({0}));
}

TEST(Reduce, PropagatesNanAndInfinity) {
  const Tensor x = tensor_of(DType::f32, {3, 3}, {1, kNan, 2, -kInf, -kInf, -kInf, kInf, 0, 1});
  expect_values(run_op(Reduce{"max", {1}}, {x})[0], {kNan, -kInf, kInf});
  expect_values(run_op(Reduce{"min", {1}}, {x})[0], {kNan, -kInf, 0});
  expect_values(run_op(Reduce{"sum", {1}}, {x})[0], {kNan, -kInf, kInf});
  expect_values(run_op(Reduce{"any", {1}}, {tensor_of(DType::f16, {1, 2}, {0, kNan})})[0], {1});
}

TEST(Reduce, SumsManyNumbersWithoutLosingThem) {
  const int64_t n = 100001;
  Tensor x = Tensor::zeros(DType::f16, {n, 3});
  for (int64_t i = 0; i < 3 * n; ++i) x.as<f16>()[i] = f16(0.5f);
  expect_values(run_op(Reduce{"mean", {0}}, {x})[0], Values(3, 0.5));
  Tensor y = Tensor::zeros(DType::f32, {2, n});
  for (int64_t i = 0; i < 2 * n; ++i) y.as<float>()[i] = 0.1f;
  expect_values(run_op(Reduce{"sum", {1}}, {y})[0], Values(2, n * double{0.1f}), 1e-7);
}

TEST(Reduce, WrapsIntegers) {
  Tensor x = Tensor::zeros(DType::i64, {3});
  x.as<int64_t>()[0] = INT64_MAX, x.as<int64_t>()[1] = 2, x.as<int64_t>()[2] = 1;
  EXPECT_EQ(*run_op(Reduce{"sum", {0}}, {x})[0].as<int64_t>(), INT64_MIN + 2);
  EXPECT_EQ(*run_op(Reduce{"prod", {0}}, {x})[0].as<int64_t>(), -2);
  EXPECT_EQ(*run_op(Reduce{"max", {0}}, {x})[0].as<int64_t>(), INT64_MAX);
}

TEST(Reduce, RefusesWhatItDoesNotKnow) {
  const auto infer = [](const Reduce& op) { Op(op).infer(std::vector{f32({2, 3})}); };
  expect_error([&] { infer({"median", {0}}); }, {"reduce", "median", "prod"});
  expect_error([&] { infer({"sum", {2}}); }, {"axis 2", "f32[2, 3]"});
  expect_error([&] { infer({"sum", {-1}}); }, {"axis -1"});
  expect_error([&] { infer({"sum", {1, 0}}); }, {"[1, 0]", "ascending"});
  expect_error([&] { infer({"sum", {1, 1}}); }, {"[1, 1]", "ascending"});
}

TEST(ArgReduce, FindsTheFirstOfEqualsInEveryType) {
  for (DType dtype : kAllDTypes) {
    const Tensor x = random_tensor(dtype, {4, 5, 3}, 5);
    const Values values = values_of(x);
    for (const bool largest : {true, false}) {
      Values wanted;
      for (size_t i = 0; i < 4; ++i)
        for (size_t k = 0; k < 3; ++k) {
          size_t best = 0;
          for (size_t j = 1; j < 5; ++j) {
            const double now = values[(i * 5 + j) * 3 + k], old = values[(i * 5 + best) * 3 + k];
            if (largest ? now > old : now < old) best = j;
          }
          wanted.push_back(static_cast<double>(best));
        }
      for (bool keep : {false, true})
        expect_in_all_layouts(ArgReduce{largest ? "max" : "min", 1, keep}, {x}, wanted);
    }
  }
}

TEST(ArgReduce, LetsTheFirstNanWin) {
  const Tensor x = tensor_of(DType::f32, {2, 4}, {1, kNan, 9, kNan, kNan, 1, 2, 3});
  expect_values(run_op(ArgReduce{"max", 1}, {x})[0], {1, 0});
  expect_values(run_op(ArgReduce{"min", 1}, {x})[0], {1, 0});
}

TEST(ArgReduce, GivesI64AndNeedsAnElement) {
  EXPECT_EQ(Op(ArgReduce{"max", 0}).infer(std::vector{f32({s, 3})})[0],
            (TensorType{DType::i64, {3}}));
  EXPECT_EQ(Op(ArgReduce{"max", 0, true}).infer(std::vector{f32({s, 3})})[0],
            (TensorType{DType::i64, {1, 3}}));
  expect_error(
      [] {
        Op(ArgReduce{"min", 0}).infer(std::vector{f32({0, 3})});
      },
      {"arg_reduce", "f32[0, 3]", "axis 0"});
  expect_error([] { Op(ArgReduce{"sum", 0}).infer(std::vector{f32({2})}); }, {"sum", "max, min"});
  EXPECT_EQ(run_op(ArgReduce{"max", 1}, {Tensor::zeros(DType::f32, {0, 3})})[0].shape, Dims({0}));
}

TEST(Scan, RunsAlongEachAxisOfEveryNumberType) {
  for (DType dtype : kAllDTypes) {
    if (dtype == DType::boolean) continue;
    Values numbers;
    for (int i = 0; i < 24; ++i) numbers.push_back(i * i % 3 + 1);
    const Tensor x = tensor_of(dtype, {4, 3, 2}, numbers);
    for (int axis = 0; axis < 3; ++axis)
      for (const bool product : {false, true}) {
        Values wanted = values_of(x);
        const int64_t inner = axis == 0 ? 6 : axis == 1 ? 2 : 1;
        for (int64_t i = 0; i < 24; ++i) {
          if (i / inner % x.shape[axis] == 0) continue;
          double& value = wanted[static_cast<size_t>(i)];
          const double before = wanted[static_cast<size_t>(i - inner)];
          value = product ? before * value : before + value;
        }
        const double tolerance = rounding_of(dtype);
        expect_in_all_layouts(Scan{product ? "prod" : "sum", axis}, {x}, wanted, tolerance);
      }
  }
}

TEST(Scan, KeepsItsSumInMoreBitsThanItStores) {
  Tensor x = Tensor::zeros(DType::bf16, {1000});
  for (int i = 0; i < 1000; ++i) x.as<bf16>()[i] = bf16(1.0f);
  EXPECT_EQ(values_of(run_op(Scan{"sum", 0}, {x})[0])[999], 1000);
}

TEST(Scan, WrapsIntegersAndTakesNothing) {
  expect_values(run_op(Scan{"sum", 0}, {tensor_of(DType::i8, {3}, {100, 100, 1})})[0],
                {100, -56, -55});
  EXPECT_EQ(run_op(Scan{"sum", 1}, {Tensor::zeros(DType::f32, {2, 0})})[0].shape, Dims({2, 0}));
  expect_error(
      [] {
        Op(Scan{"sum", 0}).infer(std::vector<TensorType>{{DType::boolean, {2}}});
      },
      {"scan", "bool[2]"});
  expect_error([] { Op(Scan{"max", 0}).infer(std::vector{f32({2})}); }, {"max", "sum, prod"});
}

}  // namespace
}  // namespace tutti
