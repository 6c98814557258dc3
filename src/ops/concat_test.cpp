// SPDX-License-Identifier: Apache-2.0
#include "ops/concat.h"

#include "ops/ops_for_tests.h"
#include "ops/views.h"

namespace tutti {
namespace {

const Dim s = Dim::symbol("s"), t = Dim::symbol("t");

TensorType f32(const Shape& shape) { return {DType::f32, shape}; }

TEST(Concat, JoinsInputsOfEveryTypeAlongEachAxis) {
  for (DType dtype : kAllDTypes)
    for (int axis = 0; axis < 3; ++axis) {
      const int64_t extents[] = {3, 0, 1, 4};
      std::vector<Tensor> in;
      std::vector<Values> values;
      Dims total{2, 3, 5};
      total[axis] = 8;
      for (int64_t extent : extents) {
        Dims shape = total;
        shape[axis] = extent;
        in.push_back(random_tensor(dtype, shape, static_cast<unsigned>(extent)));
        values.push_back(values_of(in.back()));
      }
      int64_t outer = 1, inner = 1;
      for (int i = 0; i < axis; ++i) outer *= total[i];
      for (int i = axis + 1; i < 3; ++i) inner *= total[i];
      Values wanted;
      for (int64_t o = 0; o < outer; ++o)
        for (size_t k = 0; k < 4; ++k)
          for (int64_t i = 0; i < extents[k] * inner; ++i)
            wanted.push_back(values[k][static_cast<size_t>(o * extents[k] * inner + i)]);
      expect_in_all_layouts(Concat{axis}, in, wanted);
    }
}

TEST(Concat, TakesOneInput) {
  const Tensor x = random_tensor(DType::f32, {3, 2}, 1);
  expect_in_all_layouts(Concat{1}, {x}, values_of(x));
}

TEST(Concat, AddsSymbolicExtents) {
  const Op op(Concat{1});
  EXPECT_EQ(op.infer(std::vector{f32({s, 3}), f32({s, t}), f32({4, s})})[0], f32({4, s + t + 3}));
}

TEST(Concat, RefusesInputsThatDoNotMatch) {
  const Op op(Concat{1});
  const auto infer = [&](TensorType second) { op.infer(std::vector{f32({2, 3}), second}); };
  expect_error([&] { infer({DType::f16, {2, 3}}); }, {"concat", "input 1", "f16[2, 3]", "f32"});
  expect_error([&] { infer(f32({3, 3})); }, {"input 1", "f32[3, 3]", "extent 2 of axis 0"});
  expect_error([&] { infer(f32({3})); }, {"input 1", "f32[3]", "rank 2"});
  expect_error([&] { op.infer({}); }, {"concat", "0 operands"});
  expect_error([] { Op(Concat{2}).infer(std::vector{f32({2, 3})}); }, {"axis 2"});
}

/// Where index i of a padded axis of `extent` elements stands in x, or -1, found step by step.
int64_t walk(const std::string& mode, int64_t i, int64_t extent) {
  if (mode == "constant") return i < 0 || i >= extent ? -1 : i;
  int64_t at = 0, direction = i < 0 ? -1 : 1;
  for (int64_t step = 0; step < std::abs(i); ++step) {
    if (mode == "reflect" && (at + direction < 0 || at + direction >= extent))
      direction = -direction;
    at += direction;
    if (mode == "replicate") at = std::clamp<int64_t>(at, 0, extent - 1);
    if (mode == "circular") at = at < 0 ? extent - 1 : at >= extent ? 0 : at;
  }
  return at;
}

Values padded(Tensor x, Pad op) {
  // A circle closes after what is cut off.
  for (int axis = 0; op.mode == "circular" && axis < 2; ++axis) {
    int64_t &before = op.before[static_cast<size_t>(axis)],
            &after = op.after[static_cast<size_t>(axis)];
    const int64_t first = std::max<int64_t>(-before, 0), cut = std::max<int64_t>(-after, 0);
    x = run_op(Slice{axis, first, x.shape[axis] - first - cut}, {x})[0];
    before += first;
    after += cut;
  }
  const Values values = values_of(x);
  Values y;
  for (int64_t i = -op.before[0]; i < x.shape[0] + op.after[0]; ++i)
    for (int64_t j = -op.before[1]; j < x.shape[1] + op.after[1]; ++j) {
      const int64_t row = walk(op.mode, i, x.shape[0]), column = walk(op.mode, j, x.shape[1]);
      y.push_back(row < 0 || column < 0 ? op.value
                                        : values[static_cast<size_t>(row * x.shape[1] + column)]);
    }
  return y;
}

TEST(Pad, AddsBordersOfEveryMode) {
  for (const char* mode : {"constant", "reflect", "replicate", "circular"}) {
    const Tensor x = random_tensor(DType::f32, {5, 6}, 1);
    const std::vector<int64_t> list[] = {{0, 0}, {1, 2}, {3, 3}, {-1, 2}, {-2, -2}, {0, 3}};
    for (const auto& before : list)
      for (const auto& after : list) {
        const Pad op{before, after, mode, 7};
        expect_in_all_layouts(op, {x}, padded(x, op));
      }
  }
}

TEST(Pad, WorksOnEveryType) {
  for (DType dtype : kAllDTypes) {
    const Tensor x = random_tensor(dtype, {3, 2}, 2);
    for (const char* mode : {"constant", "circular"}) {
      const Pad op{{1, 0}, {0, 2}, mode, 1};
      expect_in_all_layouts(op, {x}, padded(x, op));
    }
  }
}

TEST(Pad, WritesAnyConstant) {
  expect_values(run_op(Pad{{1}, {0}, "constant", -kInf}, {tensor_of(DType::f16, {1}, {2})})[0],
                {-kInf, 2});
  expect_values(run_op(Pad{{0}, {1}, "constant", -3}, {tensor_of(DType::i64, {1}, {2})})[0],
                {2, -3});
}

TEST(Pad, TakesRankZeroAndEmptyAxes) {
  expect_in_all_layouts(Pad{}, {tensor_of(DType::f32, {}, {3})}, {3});
  expect_in_all_layouts(Pad{{0, 1}, {0, 1}, "constant", 5}, {Tensor::zeros(DType::f32, {2, 0})},
                        {5, 5, 5, 5});
  expect_in_all_layouts(Pad{{0, 1}, {0, 1}, "reflect"}, {Tensor::zeros(DType::f32, {0, 2})}, {});
  expect_in_all_layouts(Pad{{-2, 0}, {-1, 0}}, {Tensor::zeros(DType::f32, {3, 2})}, {});
}

TEST(Pad, AddsToSymbolicExtents) {
  EXPECT_EQ(Op(Pad{{1, 0}, {2, 0}}).infer(std::vector{f32({s, t})})[0], f32({s + 3, t}));
}

TEST(Pad, RefusesBordersThatTheInputCannotGive) {
  const auto infer = [](const Pad& op) { Op(op).infer(std::vector{f32({3})}); };
  expect_error([&] { infer({{3}, {0}, "reflect"}); }, {"pad", "f32[3]", "4", "reflect"});
  expect_error([&] { infer({{0}, {4}, "circular"}); }, {"pad", "f32[3]", "circular"});
  expect_error([&] { infer({{-1}, {3}, "circular"}); }, {"pad", "f32[3]", "4", "circular"});
  infer({{2}, {2}, "reflect"});
  infer({{3}, {3}, "circular"});
  expect_error([&] { infer({{-2}, {-2}}); }, {"pad", "f32[3]", "-2"});
  expect_error([&] { infer({{1}, {1}, "mirror"}); }, {"mirror", "reflect"});
  expect_error([&] { infer({{1, 1}, {1, 1}}); }, {"before", "[1, 1]", "1 numbers"});
  expect_error([] { Op(Pad{{1}, {0}, "replicate"}).infer(std::vector{f32({0})}); }, {"f32[0]"});
}

}  // namespace
}  // namespace tutti
