// SPDX-License-Identifier: Apache-2.0
#include "ops/views.h"

#include "ops/ops_for_tests.h"

namespace tutti {
namespace {

const Dim s = Dim::symbol("s"), t = Dim::symbol("t");

TensorType f32(const Shape& shape) { return {DType::f32, shape}; }

/// The element at an index of a tensor given as row-major values.
double at(const Values& values, const Dims& shape, const std::vector<int64_t>& index) {
  int64_t flat = 0;
  for (int axis = 0; axis < shape.rank(); ++axis)
    flat = flat * shape[axis] + index[static_cast<size_t>(axis)];
  return values[static_cast<size_t>(flat)];
}

TEST(Reshape, KeepsTheRowMajorOrder) {
  for (DType dtype : kAllDTypes) {
    const Tensor x = random_tensor(dtype, {4, 3, 5}, 1);
    for (const Shape& shape : {Shape{60}, Shape{5, 12}, Shape{1, 2, 30, 1}, Shape{4, 3, 5}}) {
      EXPECT_EQ(to_shape(run_op(Reshape{shape}, {x})[0].shape), shape);
      expect_in_all_layouts(Reshape{shape}, {x}, values_of(x));
    }
  }
}

TEST(Reshape, TakesOneElementAndNone) {
  expect_in_all_layouts(Reshape{{}}, {tensor_of(DType::f32, {1, 1}, {7})}, {7});
  expect_in_all_layouts(Reshape{{1, 1}}, {tensor_of(DType::i64, {}, {7})}, {7});
  expect_in_all_layouts(Reshape{{0, 7}}, {Tensor::zeros(DType::f32, {3, 0})}, {});
}

TEST(Reshape, RefusesAnotherNumberOfElements) {
  expect_error(
      [] {
        Op(Reshape{{2, 4}}).infer(std::vector{f32({2, 3})});
      },
      {"reshape", "f32[2, 3]", "6", "8"});
  expect_error([] { Op(Reshape{{-1, 6}}).infer(std::vector{f32({2, 3})}); }, {"[-1, 6]"});
  expect_error([] { Op(Reshape{{s * 2 + 1}}).infer(std::vector{f32({s, 2})}); }, {"2*s"});
}

TEST(Reshape, AcceptsProductsThatMayBeEqual) {
  const Op op(Reshape{{s * 4, 16}});
  EXPECT_EQ(op.infer(std::vector{f32({s, 64})})[0], f32({s * 4, 16}));
  EXPECT_EQ(op.infer(std::vector{f32({t, 8})})[0], f32({s * 4, 16}));
}

TEST(Permute, PutsEachAxisWhereItSays) {
  const Dims shape{2, 3, 4};
  for (DType dtype : kAllDTypes) {
    const Tensor x = random_tensor(dtype, shape, 2);
    const Values values = values_of(x);
    Values wanted;
    for (int64_t i = 0; i < 4; ++i)
      for (int64_t j = 0; j < 2; ++j)
        for (int64_t k = 0; k < 3; ++k) wanted.push_back(at(values, shape, {j, k, i}));
    EXPECT_EQ(run_op(Permute{{2, 0, 1}}, {x})[0].shape, Dims({4, 2, 3}));
    expect_in_all_layouts(Permute{{2, 0, 1}}, {x}, wanted);
  }
}

TEST(Permute, TakesRankZeroAndNoElement) {
  expect_in_all_layouts(Permute{{}}, {tensor_of(DType::f32, {}, {3})}, {3});
  EXPECT_EQ(run_op(Permute{{1, 0}}, {Tensor::zeros(DType::f32, {0, 3})})[0].shape, Dims({3, 0}));
}

TEST(Permute, RefusesWhatIsNoPermutation) {
  for (const std::vector<int64_t>& axes :
       {std::vector<int64_t>{0}, {0, 0}, {0, 2}, {-1, 0}, {0, 1, 2}})
    expect_error(
        [&] {
          Op(Permute{axes}).infer(std::vector{f32({2, s})});
        },
        {"permute", join_list(axes), "f32[2, s]"});
}

TEST(Expand, RepeatsAxesOfOneAndAddsAxes) {
  const Tensor x = tensor_of(DType::i32, {2, 1}, {1, 2});
  expect_in_all_layouts(Expand{{2, 3}}, {x}, {1, 1, 1, 2, 2, 2});
  expect_in_all_layouts(Expand{{2, 2, 2}}, {x}, {1, 1, 2, 2, 1, 1, 2, 2});
  expect_in_all_layouts(Expand{{3}}, {tensor_of(DType::f16, {}, {5})}, {5, 5, 5});
  expect_in_all_layouts(Expand{{2, 0}}, {x}, {});
}

TEST(Expand, KeepsTheConstantOfTwoExtentsThatMayBeEqual) {
  EXPECT_EQ(Op(Expand{{s, 4}}).infer(std::vector{f32({3, 1})})[0], f32({3, 4}));
  EXPECT_EQ(Op(Expand{{s, t}}).infer(std::vector{f32({t, 1})})[0], f32({s, t}));
}

TEST(Expand, RefusesExtentsThatDoNotBroadcast) {
  expect_error(
      [] {
        Op(Expand{{2, 4}}).infer(std::vector{f32({2, 3})});
      },
      {"expand", "f32[2, 3]", "[2, 4]"});
  expect_error([] { Op(Expand{{3}}).infer(std::vector{f32({1, 3})}); }, {"f32[1, 3]", "[3]"});
  expect_error([] { Op(Expand{{-1}}).infer(std::vector{f32({3})}); }, {"[-1]"});
}

TEST(Slice, TakesARangeOfOneAxis) {
  const Dims shape{3, 7};
  for (DType dtype : kAllDTypes) {
    const Tensor x = random_tensor(dtype, shape, 3);
    const Values values = values_of(x);
    struct {
      int64_t start, size, step;
    } const cases[] = {{0, 7, 1}, {2, 3, 1}, {1, 3, 2}, {6, 7, -1}, {5, 2, -3}, {6, 1, 9}};
    for (const auto& [start, size, step] : cases) {
      Values wanted;
      for (int64_t i = 0; i < 3; ++i)
        for (int64_t j = 0; j < size; ++j)
          wanted.push_back(at(values, shape, {i, start + j * step}));
      expect_in_all_layouts(Slice{1, start, size, step}, {x}, wanted);
    }
  }
}

TEST(Slice, MayBeEmptyAnywhere) {
  const Tensor x = random_tensor(DType::f32, {3, 7}, 3);
  EXPECT_EQ(run_op(Slice{0, 3, 0, 1}, {x})[0].shape, Dims({0, 7}));
  EXPECT_EQ(run_op(Slice{0, 9, 0, 2}, {x})[0].shape, Dims({0, 7}));
}

TEST(Slice, RefusesIndicesOutsideOfTheAxis) {
  struct {
    int64_t start, size, step;
  } const cases[] = {{0, 8, 1},  {-1, 2, 1}, {7, 1, 1}, {3, 3, 2},
                     {1, 3, -1}, {0, 1, 0},  {0, -1, 1}};
  for (const auto& [start, size, step] : cases)
    EXPECT_THROW(Op(Slice{1, start, size, step}).infer(std::vector{f32({3, 7})}), Error)
        << start << " " << size << " " << step;
  expect_error(
      [] {
        Op(Slice{1, 5, 4, 1}).infer(std::vector{f32({3, 7})});
      },
      {"slice", "axis 1", "f32[3, 7]", "4", "5"});
  expect_error([] { Op(Slice{2, 0, 1, 1}).infer(std::vector{f32({3, 7})}); }, {"axis 2"});
}

TEST(Slice, ChecksWhatIsKnownOfSymbolicExtents) {
  EXPECT_EQ(Op(Slice{0, s - 1, 1, 1}).infer(std::vector{f32({s})})[0], f32({1}));
  EXPECT_EQ(Op(Slice{0, 5, s - 5, 1}).infer(std::vector{f32({s})})[0], f32({s - 5}));
  EXPECT_EQ(Op(Slice{0, s, t, 1}).infer(std::vector{f32({s})})[0], f32({t}));
  EXPECT_THROW(Op(Slice{0, s, 1, 1}).infer(std::vector{f32({s})}), Error);
  EXPECT_THROW(Op(Slice{0, 5, s - 4, 1}).infer(std::vector{f32({s})}), Error);
}

TEST(Unfold, MakesWindowsOfAnAxis) {
  const Dims shape{7, 2};
  const Tensor x = random_tensor(DType::f32, shape, 4);
  const Values values = values_of(x);
  for (int64_t size : {1, 3, 7})
    for (int64_t step : {1, 2, 5}) {
      Values wanted;
      for (int64_t w = 0; w * step + size <= 7; ++w)
        for (int64_t i = 0; i < 2; ++i)
          for (int64_t j = 0; j < size; ++j) wanted.push_back(at(values, shape, {w * step + j, i}));
      expect_in_all_layouts(Unfold{0, size, step}, {x}, wanted);
    }
}

TEST(Unfold, CountsWindowsOfSymbolicExtents) {
  EXPECT_EQ(Op(Unfold{0, 4, 2}).infer(std::vector{f32({s * 2, 3})})[0], f32({s - 1, 3, 4}));
}

TEST(Unfold, RefusesWindowsThatDoNotFit) {
  expect_error([] { Op(Unfold{0, 4, 1}).infer(std::vector{f32({3})}); }, {"unfold", "f32[3]", "4"});
  EXPECT_THROW(Op(Unfold{0, 2, 0}).infer(std::vector{f32({3})}), Error);
  EXPECT_THROW(Op(Unfold{1, 2, 1}).infer(std::vector{f32({3})}), Error);
}

}  // namespace
}  // namespace tutti
