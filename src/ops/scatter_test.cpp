// SPDX-License-Identifier: Apache-2.0
#include "ops/scatter.h"

#include <map>

#include "ops/ops_for_tests.h"

namespace tutti {
namespace {

Tensor indices(const Dims& shape, const Values& values, DType dtype = DType::i64) {
  return tensor_of(dtype, shape, values);
}

size_t wrapped(double index, int64_t extent) {
  return static_cast<size_t>(index < 0 ? index + static_cast<double>(extent) : index);
}

TEST(IndexPut, ReplacesRowsOfEveryTypeInEveryLayout) {
  for (DType dtype : kAllDTypes) {
    const Tensor x = random_tensor(dtype, {5, 3}, 1), values = random_tensor(dtype, {2, 3}, 2);
    Values wanted = values_of(x);
    const Values vs = values_of(values);
    for (size_t j = 0; j < 3; ++j) wanted[4 * 3 + j] = vs[j], wanted[1 * 3 + j] = vs[3 + j];
    expect_in_all_layouts(IndexPut{{0}}, {x, values, indices({2}, {-1, 1})}, wanted);
  }
}

TEST(IndexPut, LetsTheLaterOfEqualIndicesWin) {
  const Tensor x = Tensor::zeros(DType::f32, {2, 1000});
  Values many(3000);
  for (size_t i = 0; i < 3000; ++i) many[i] = static_cast<double>(i);
  Values wanted(2000, 0.0);
  for (size_t j = 0; j < 1000; ++j) wanted[1000 + j] = static_cast<double>(2000 + j);
  expect_values(run_op(IndexPut{{0}},
                       {x, tensor_of(DType::f32, {3, 1000}, many), indices({3}, {1, -1, 1})})[0],
                wanted);
}

TEST(IndexPut, AddsEqualIndicesWhenItAccumulates) {
  for (DType dtype : kAllDTypes) {
    if (dtype == DType::boolean) continue;
    const Tensor x = tensor_of(dtype, {3}, {1, 2, 3});
    expect_in_all_layouts(
        IndexPut{{0}, true},
        {x, tensor_of(dtype, {4}, {1, 2, 4, 1}), indices({4}, {0, 2, -3, 0}, DType::i32)},
        {1 + 1 + 4 + 1, 2, 3 + 2});
  }
}

TEST(IndexPut, AddsManyElementsToOnePlace) {
  const int64_t n = 200000;
  const Tensor one = tensor_of(DType::i32, {}, {1}), at = Tensor::zeros(DType::i64, {n});
  for (int repeat = 0; repeat < 5; ++repeat)
    expect_values(run_op(IndexPut{{0}, true}, {tensor_of(DType::i32, {1}, {0}), one, at})[0],
                  {static_cast<double>(n)});
}

TEST(IndexPut, RoundsEachAdditionAndWrapsIntegers) {
  const Tensor one = tensor_of(DType::bf16, {1}, {1}), at = indices({2}, {0, 0});
  expect_values(run_op(IndexPut{{0}, true}, {one, tensor_of(DType::bf16, {1}, {0x1p-8}), at})[0],
                {1});
  const Tensor big = tensor_of(DType::i8, {1}, {100});
  expect_values(run_op(IndexPut{{0}, true}, {big, tensor_of(DType::i8, {2}, {20, 20}), at})[0],
                {140 - 256});
}

TEST(IndexPut, BroadcastsValuesAndIndices) {
  const Tensor x = random_tensor(DType::f32, {3, 4, 5}, 3);
  const Tensor values = random_tensor(DType::f32, {2, 1}, 4);
  Values wanted = values_of(x);
  const Values vs = values_of(values);
  const int rows[2] = {2, 0}, columns[3] = {0, 3, 1};
  for (int a = 0; a < 3; ++a)
    for (int i = 0; i < 2; ++i)
      for (int j = 0; j < 3; ++j)
        wanted[static_cast<size_t>((a * 4 + columns[j]) * 5 + rows[i])] =
            vs[static_cast<size_t>(i)];
  expect_in_all_layouts(IndexPut{{1, 2}},
                        {x, values, indices({3}, {0, -1, 1}), indices({2, 1}, {2, 0})}, wanted);
}

TEST(IndexPut, PutsExtentsOfSeparateIndicesInFront) {
  const Tensor x = random_tensor(DType::f32, {3, 4, 5}, 5);
  const Tensor values = random_tensor(DType::f32, {2, 4}, 6);
  Values wanted = values_of(x);
  const Values vs = values_of(values);
  const size_t is[2] = {2, 0}, js[2] = {1, 4};
  for (size_t k = 0; k < 2; ++k)
    for (size_t a = 0; a < 4; ++a) wanted[(is[k] * 4 + a) * 5 + js[k]] = vs[k * 4 + a];
  expect_in_all_layouts(IndexPut{{0, 2}}, {x, values, indices({2}, {-1, 0}), indices({2}, {1, -1})},
                        wanted);
}

TEST(IndexPut, WritesInPlace) {
  static cpu::Pool pool(2);
  Tensor x = tensor_of(DType::f32, {3}, {1, 2, 3});
  const Tensor value = tensor_of(DType::f32, {}, {9}), at = indices({1}, {1});
  int64_t workspace[2];
  const std::vector<Tensor> in{x, value, at}, out{x};
  IndexPut{{0}}.cpu({in, out, workspace, pool});
  expect_values(x, {1, 9, 3});
}

TEST(IndexPut, NamesAnIndexOutsideBeforeItWrites) {
  static cpu::Pool pool(2);
  Tensor x = tensor_of(DType::f32, {3}, {1, 2, 3});
  const std::vector<Tensor> in{x, tensor_of(DType::f32, {}, {9}), indices({2}, {1, 3})}, out{x};
  int64_t workspace[4];
  expect_error(
      [&] {
        IndexPut{{0}}.cpu({in, out, workspace, pool});
      },
      {"index_put", "index 3", "axis 0", "extent 3"});
  expect_values(x, {1, 2, 3});
}

TEST(IndexPut, AcceptsTensorsWithoutElements) {
  const Tensor x = tensor_of(DType::f32, {2}, {1, 2}), none = Tensor::zeros(DType::f32, {0});
  expect_values(run_op(IndexPut{{0}}, {x, none, indices({0}, {})})[0], {1, 2});
}

TEST(IndexPut, RefusesWrongTypes) {
  const TensorType x{DType::f32, {4, 7}}, i{DType::i64, {3}};
  const auto infer = [](IndexPut op, std::vector<TensorType> in) {
    return [=] { Op(op).infer(in); };
  };
  expect_error(infer({{0}}, {x, {DType::f32, {2, 7}}, i}), {"values is f32[2, 7]", "[3, 7]"});
  expect_error(infer({{0}}, {x, {DType::f16, {3, 7}}, i}), {"values is f16", "f32 is wanted"});
  expect_error(infer({{0, 1}}, {x, {DType::f32, {3}}, i}), {"3 operands", "4"});
  EXPECT_EQ(IndexPut{{0}}.infer(std::vector<TensorType>{x, {DType::f32, {7}}, i})[0], x);
}

// PyTorch's loops over the index, collecting what comes to each place.
Values scatter_values(const Scatter& op, const Tensor& x, const Tensor& index,
                      const Tensor& source) {
  const Values is = values_of(index), ss = values_of(source);
  Values y = values_of(x);
  std::map<size_t, Values> arrivals;
  const Dims in = contiguous_strides(index.shape), from = contiguous_strides(source.shape),
             to = contiguous_strides(x.shape);
  for (size_t flat = 0; flat < is.size(); ++flat) {
    size_t place = 0, origin = 0;
    for (int a = 0; a < x.rank(); ++a) {
      const auto at = flat / static_cast<size_t>(in[a]) % static_cast<size_t>(index.shape[a]);
      origin += at * static_cast<size_t>(from[a]);
      place += (a == op.axis ? wrapped(is[flat], x.shape[a]) : at) * static_cast<size_t>(to[a]);
    }
    arrivals[place].push_back(ss[origin]);
  }
  for (auto& [place, list] : arrivals) {
    if (op.include_self && op.reduce != "none") list.insert(list.begin(), y[place]);
    double sum = 0, product = 1;
    for (double v : list) sum += v, product *= v;
    y[place] = op.reduce == "none"   ? list.back()
               : op.reduce == "sum"  ? sum
               : op.reduce == "prod" ? product
               : op.reduce == "mean" ? sum / static_cast<double>(list.size())
               : op.reduce == "max"  ? *std::max_element(list.begin(), list.end())
                                     : *std::min_element(list.begin(), list.end());
    if (op.reduce == "mean" && !is_float(x.dtype)) y[place] = std::floor(y[place]);
  }
  return y;
}

TEST(Scatter, FollowsItsDefinitionInEveryModeAndLayout) {
  const Tensor index =
      indices({3, 2, 3}, {0, 1, -1, 2, 2, 0, 1, 1, 1, -4, 0, 0, 3, 3, 3, 3, 0, -2});
  for (DType dtype : {DType::f64, DType::f32, DType::f16, DType::bf16, DType::i64, DType::i32,
                      DType::i16, DType::i8, DType::u8}) {
    const Tensor x = random_tensor(dtype, {4, 4, 4}, 1);
    const Tensor source = random_tensor(dtype, {3, 3, 3}, 2);
    for (const char* reduce : {"none", "sum", "prod", "max", "min", "mean"})
      for (int64_t axis : {0, 1, 2})
        for (bool self : {true, false}) {
          if (dtype == DType::u8 && std::string(reduce) == "prod") continue;  // wraps
          SCOPED_TRACE(testing::Message() << to_string(dtype) << reduce << axis << self);
          const Scatter op{axis, reduce, self};
          expect_in_all_layouts(op, {x, index, source}, scatter_values(op, x, index, source),
                                rounding_of(dtype));
        }
  }
}

TEST(Scatter, ReplacesElementsOfEveryType) {
  for (DType dtype : kAllDTypes) {
    const Tensor x = random_tensor(dtype, {6}, 3), source = random_tensor(dtype, {4}, 4);
    const Tensor index = indices({4}, {5, 0, -2, 1}, DType::i32);
    expect_in_all_layouts(Scatter{0}, {x, index, source},
                          scatter_values(Scatter{0}, x, index, source));
  }
}

TEST(Scatter, SharesManyElementsAmongThreadsInOrder) {
  const Tensor x = random_tensor(DType::f32, {50, 400}, 5);
  const Tensor source = random_tensor(DType::f32, {300, 400}, 6);
  Values at(300 * 400);
  std::mt19937 random(7);
  for (double& v : at) v = random() % 50;
  const Tensor index = indices({300, 400}, at);
  for (const char* reduce : {"none", "sum"})
    expect_values(run_op(Scatter{0, reduce}, {x, index, source})[0],
                  scatter_values(Scatter{0, reduce}, x, index, source), 1e-5);
}

TEST(Scatter, AddsManySmallFloatsWithoutLoss) {
  const Tensor x = tensor_of(DType::bf16, {1}, {256});
  const Tensor index = Tensor::zeros(DType::i64, {64});
  const Tensor source = tensor_of(DType::bf16, {64}, Values(64, 0.5));
  expect_values(run_op(Scatter{0, "sum"}, {x, index, source})[0], {288});
}

TEST(Scatter, PropagatesNanInMaxAndMin) {
  const Tensor x = tensor_of(DType::f32, {2}, {kNan, 1});
  const Tensor index = indices({3}, {0, 1, 1}), source = tensor_of(DType::f32, {3}, {1, kNan, 2});
  for (const char* reduce : {"max", "min"})
    expect_values(run_op(Scatter{0, reduce}, {x, index, source})[0], {kNan, kNan});
}

TEST(Scatter, AcceptsTensorsWithoutElements) {
  const Tensor x = tensor_of(DType::f32, {2, 1}, {1, 2}), none = Tensor::zeros(DType::f32, {0, 1});
  for (const char* reduce : {"none", "mean"})
    expect_values(run_op(Scatter{0, reduce}, {x, indices({0, 1}, {}), none})[0], {1, 2});
  EXPECT_EQ(run_op(Scatter{1, "sum"}, {none, indices({0, 1}, {}), none})[0].shape, Dims({0, 1}));
}

TEST(Scatter, NamesAnIndexOutsideAndTheExtent) {
  const Tensor x = Tensor::zeros(DType::f32, {3, 2}), source = Tensor::zeros(DType::f32, {1, 2});
  for (double bad : {3.0, -4.0})
    for (const char* reduce : {"none", "sum"})
      expect_error(
          [&] {
            run_op(Scatter{0, reduce}, {x, indices({1, 2}, {0, bad}), source});
          },
          {"scatter", std::to_string(static_cast<int>(bad)), "axis 0", "extent 3"});
}

TEST(Scatter, RefusesWrongTypes) {
  const TensorType x{DType::f32, {4, 7}}, i{DType::i64, {3, 7}};
  const auto infer = [](Scatter op, std::vector<TensorType> in) {
    return [=] { Op(op).infer(in); };
  };
  expect_error(infer({0}, {x, i, {DType::f32, {2, 7}}}), {"index", "i64[3, 7]", "f32[2, 7]"});
  expect_error(infer({1}, {{DType::f32, {2, 7}}, i, x}), {"index", "i64[3, 7]", "f32[2, 7]"});
  expect_error(infer({0}, {x, i, {DType::f64, {3, 7}}}), {"source is f64", "f32"});
  expect_error(infer({0, "median"}, {x, i, x}), {"median", "mean"});
  expect_error(infer({2}, {x, i, x}), {"axis 2"});
  expect_error(infer({0}, {x, {DType::i64, {3}}, x}), {"index is i64[3]", "rank 2"});
}

TEST(SliceUpdate, ReplacesARangeOfEveryTypeInEveryLayout) {
  for (DType dtype : kAllDTypes) {
    const Tensor x = random_tensor(dtype, {3, 7, 2}, 8),
                 source = random_tensor(dtype, {3, 3, 2}, 9);
    for (int64_t step : {1, 2, -2}) {
      const int64_t start = step > 0 ? 1 : 5;
      Values wanted = values_of(x);
      const Values vs = values_of(source);
      for (size_t a = 0; a < 3; ++a)
        for (size_t i = 0; i < 3; ++i)
          for (size_t b = 0; b < 2; ++b)
            wanted[(a * 7 + static_cast<size_t>(start + static_cast<int64_t>(i) * step)) * 2 + b] =
                vs[(a * 3 + i) * 2 + b];
      expect_in_all_layouts(SliceUpdate{1, start, step}, {x, source}, wanted);
    }
  }
}

TEST(SliceUpdate, AcceptsAnEmptySource) {
  const Tensor x = tensor_of(DType::f32, {2}, {1, 2});
  expect_values(run_op(SliceUpdate{0, 2}, {x, Tensor::zeros(DType::f32, {0})})[0], {1, 2});
}

TEST(SliceUpdate, RefusesARangeOutside) {
  const TensorType x{DType::f32, {4, 7}}, source{DType::f32, {4, 3}};
  const auto infer = [](SliceUpdate op, std::vector<TensorType> in) {
    return [=] { Op(op).infer(in); };
  };
  expect_error(infer({1, 5}, {x, source}), {"indices 5 to 7", "f32[4, 7]"});
  expect_error(infer({1, -1}, {x, source}), {"indices -1 to 1"});
  expect_error(infer({1, 1, -1}, {x, source}), {"indices 1 to -1"});
  expect_error(infer({1, 0, 0}, {x, source}), {"step is 0"});
  expect_error(infer({0, 0}, {x, source}), {"source is f32[4, 3]", "extent 7"});
  const Dim s = Dim::symbol("s");
  EXPECT_EQ((SliceUpdate{1, s}.infer(std::vector<TensorType>{x, source})[0]), x);
}

}  // namespace
}  // namespace tutti
