// SPDX-License-Identifier: Apache-2.0
#include "ops/gather.h"

#include "ops/ops_for_tests.h"

namespace tutti {
namespace {

// NumPy's rule, written as a search: for each place of y, which place of x.
Values take_values(const Tensor& x, const Tensor& index, int axis) {
  const Values xs = values_of(x), is = values_of(index);
  int64_t outer = 1, inner = 1;
  for (int i = 0; i < axis; ++i) outer *= x.shape[i];
  for (int i = axis + 1; i < x.rank(); ++i) inner *= x.shape[i];
  Values y;
  for (int64_t o = 0; o < outer; ++o)
    for (double at : is)
      for (int64_t i = 0; i < inner; ++i) {
        const auto row =
            static_cast<int64_t>(at < 0 ? at + static_cast<double>(x.shape[axis]) : at);
        y.push_back(xs[static_cast<size_t>((o * x.shape[axis] + row) * inner + i)]);
      }
  return y;
}

TEST(Take, GivesRowsOfEveryTypeInEveryLayout) {
  for (DType dtype : kAllDTypes) {
    const Tensor x = random_tensor(dtype, {5, 3}, 1);
    const Tensor index = tensor_of(DType::i64, {2, 2}, {4, 0, -1, -5});
    expect_in_all_layouts(Take{0}, {x, index}, take_values(x, index, 0));
  }
}

TEST(Take, GivesSlicesOfEachAxis) {
  const Tensor x = random_tensor(DType::f32, {4, 5, 6}, 2);
  const Tensor index = tensor_of(DType::i32, {3}, {-1, 0, 2});
  for (int64_t axis : {0, 1, 2}) {
    const auto y = run_op(Take{axis}, {x, index})[0];
    Dims shape = x.shape;
    shape[static_cast<int>(axis)] = 3;
    EXPECT_EQ(y.shape, shape);
    expect_in_all_layouts(Take{axis}, {x, index}, take_values(x, index, static_cast<int>(axis)));
  }
}

TEST(Take, SharesManyRowsAmongThreads) {
  const Tensor x = random_tensor(DType::f32, {37, 65}, 3);
  Tensor index = Tensor::zeros(DType::i64, {1001});
  for (int64_t i = 0; i < 1001; ++i) index.as<int64_t>()[i] = i * i % 74 - 37;
  expect_values(run_op(Take{0}, {x, index})[0], take_values(x, index, 0));
  Tensor columns = Tensor::zeros(DType::i64, {500});
  for (int64_t i = 0; i < 500; ++i) columns.as<int64_t>()[i] = i * 7 % 65;
  expect_values(run_op(Take{1}, {x, columns})[0], take_values(x, columns, 1));
}

TEST(Take, DropsTheAxisForAnIndexWithoutExtents) {
  const Tensor x = tensor_of(DType::f32, {2, 3}, {1, 2, 3, 4, 5, 6});
  const auto y = run_op(Take{1}, {x, tensor_of(DType::i64, {}, {-1})})[0];
  EXPECT_EQ(y.shape, Dims({2}));
  expect_values(y, {3, 6});
}

TEST(Take, AcceptsTensorsWithoutElements) {
  const Tensor none = Tensor::zeros(DType::i64, {0});
  EXPECT_EQ(run_op(Take{0}, {Tensor::zeros(DType::f32, {4, 2}), none})[0].shape, Dims({0, 2}));
  EXPECT_EQ(run_op(Take{0}, {Tensor::zeros(DType::f32, {0, 2}), none})[0].shape, Dims({0, 2}));
  EXPECT_EQ(run_op(Take{0}, {Tensor::zeros(DType::f32, {4, 0}), tensor_of(DType::i64, {1}, {1})})[0]
                .shape,
            Dims({1, 0}));
}

TEST(Take, NamesAnIndexOutsideAndTheExtent) {
  const Tensor x = Tensor::zeros(DType::f32, {4, 7});
  for (double bad : {7.0, -8.0})
    expect_error(
        [&] {
          run_op(Take{1}, {x, tensor_of(DType::i64, {2}, {0, bad})});
        },
        {"take", std::to_string(static_cast<int>(bad)), "axis 1", "extent 7"});
}

TEST(Take, RefusesWrongTypes) {
  const TensorType x{DType::f32, {4, 7}};
  const auto infer = [&](int64_t axis, TensorType index) {
    return [=] { Op(Take{axis}).infer(std::vector<TensorType>{x, index}); };
  };
  expect_error(infer(2, {DType::i64, {3}}), {"take", "axis 2", "f32[4, 7]"});
  expect_error(infer(-1, {DType::i64, {3}}), {"axis -1"});
  expect_error(infer(0, {DType::f32, {3}}), {"index", "f32[3]", "i64 or i32"});
  expect_error([&] { Op(Take{0}).infer(std::vector<TensorType>{x}); }, {"1 operands", "2"});
}

TEST(Take, KeepsSymbols) {
  const Dim s = Dim::symbol("s");
  const auto y =
      Take{0}.infer(std::vector<TensorType>{{DType::bf16, {9, 4}}, {DType::i64, {2, s}}});
  EXPECT_EQ(y[0], (TensorType{DType::bf16, {2, s, 4}}));
}

Values gather_values(const Tensor& x, const Tensor& index, int axis) {
  const Values xs = values_of(x), is = values_of(index);
  const Dims in = contiguous_strides(x.shape), out = contiguous_strides(index.shape);
  Values y(is.size());
  for (size_t flat = 0; flat < y.size(); ++flat) {
    int64_t at = 0;
    for (int i = 0; i < x.rank(); ++i) {
      int64_t place = static_cast<int64_t>(flat) / out[i] % index.shape[i];
      if (i == axis) place = static_cast<int64_t>(is[flat]);
      if (place < 0) place += x.shape[i];
      at += place * in[i];
    }
    y[flat] = xs[static_cast<size_t>(at)];
  }
  return y;
}

Tensor random_index(DType dtype, const Dims& shape, int64_t extent, unsigned seed) {
  std::mt19937 random(seed);
  Values values(static_cast<size_t>(elements(shape)));
  for (double& v : values)
    v = static_cast<double>(static_cast<int64_t>(random() % static_cast<uint64_t>(2 * extent)) -
                            extent);
  return tensor_of(dtype, shape, values);
}

TEST(Gather, PicksElementsOfEveryTypeInEveryLayout) {
  for (DType dtype : kAllDTypes) {
    const Tensor x = random_tensor(dtype, {4, 5, 3}, 4);
    for (int axis = 0; axis < 3; ++axis) {
      Dims shape{3, 4, 3};
      shape[axis] = 7;
      const Tensor index =
          random_index(axis == 1 ? DType::i32 : DType::i64, shape, x.shape[axis], 5);
      expect_in_all_layouts(Gather{axis}, {x, index}, gather_values(x, index, axis));
    }
  }
}

TEST(Gather, SharesManyElementsAmongThreads) {
  const Tensor x = random_tensor(DType::f32, {300, 129}, 6);
  for (int axis = 0; axis < 2; ++axis) {
    const Tensor index = random_index(DType::i64, {300, 129}, x.shape[axis], 7);
    expect_values(run_op(Gather{axis}, {x, index})[0], gather_values(x, index, axis));
  }
}

TEST(Gather, ReadsAnExpandedIndex) {
  const Tensor x = tensor_of(DType::f32, {3, 2}, {1, 2, 3, 4, 5, 6});
  Tensor index = tensor_of(DType::i64, {2, 1}, {2, -3});
  index.shape = {2, 2};
  index.strides = {1, 0};
  expect_values(run_op(Gather{0}, {x, index})[0], {5, 6, 1, 2});
}

TEST(Gather, AcceptsTensorsWithoutElements) {
  const Tensor x = Tensor::zeros(DType::f32, {3, 2});
  EXPECT_EQ(run_op(Gather{0}, {x, Tensor::zeros(DType::i64, {0, 2})})[0].shape, Dims({0, 2}));
  const Tensor empty = Tensor::zeros(DType::f32, {0, 2});
  EXPECT_EQ(run_op(Gather{0}, {empty, Tensor::zeros(DType::i64, {0, 2})})[0].shape, Dims({0, 2}));
}

TEST(Gather, NamesAnIndexOutsideAndTheExtent) {
  const Tensor x = Tensor::zeros(DType::f32, {3, 2});
  expect_error(
      [&] {
        run_op(Gather{0}, {x, tensor_of(DType::i64, {1, 2}, {0, 3})});
      },
      {"gather", "index 3", "axis 0", "extent 3"});
  expect_error(
      [&] {
        run_op(Gather{1}, {x, tensor_of(DType::i32, {1, 1}, {-3})});
      },
      {"gather", "index -3", "axis 1", "extent 2"});
}

TEST(Gather, RefusesAnIndexOfAnotherRankOrLargerExtents) {
  const TensorType x{DType::f32, {4, 7}};
  expect_error(
      [&] {
        Op(Gather{0}).infer(std::vector<TensorType>{x, {DType::i64, {3}}});
      },
      {"gather", "index", "i64[3]", "rank 2"});
  expect_error(
      [&] {
        Op(Gather{0}).infer(std::vector<TensorType>{x, {DType::i64, {9, 8}}});
      },
      {"index", "i64[9, 8]", "f32[4, 7]"});
}

TEST(Index, PutsExtentsOfAdjacentIndicesInTheirPlace) {
  const Tensor x = random_tensor(DType::f32, {3, 4, 5, 2}, 8);
  const Tensor i = tensor_of(DType::i64, {2, 1}, {-1, 2}),
               j = tensor_of(DType::i32, {3}, {0, -5, 4});
  const Values xs = values_of(x);
  Values wanted;
  for (size_t a = 0; a < 3; ++a)
    for (size_t p : {3, 2})
      for (size_t q : {0, 0, 4})
        for (size_t b = 0; b < 2; ++b) wanted.push_back(xs[((a * 4 + p) * 5 + q) * 2 + b]);
  EXPECT_EQ(run_op(Index{{1, 2}}, {x, i, j})[0].shape, Dims({3, 2, 3, 2}));
  expect_in_all_layouts(Index{{1, 2}}, {x, i, j}, wanted);
}

TEST(Index, PutsExtentsOfSeparateIndicesInFront) {
  const Tensor x = random_tensor(DType::i16, {3, 4, 5, 2}, 9);
  const Tensor i = tensor_of(DType::i64, {3}, {3, 0, 1}), j = tensor_of(DType::i64, {}, {-1});
  const Values xs = values_of(x);
  Values wanted;
  for (size_t p : {3, 0, 1})
    for (size_t a = 0; a < 3; ++a)
      for (size_t q = 0; q < 5; ++q) wanted.push_back(xs[((a * 4 + p) * 5 + q) * 2 + 1]);
  EXPECT_EQ(run_op(Index{{1, 3}}, {x, i, j})[0].shape, Dims({3, 3, 5}));
  expect_in_all_layouts(Index{{1, 3}}, {x, i, j}, wanted);
}

TEST(Index, PicksSingleElementsWhenAllAxesAreIndexed) {
  const Tensor x = random_tensor(DType::bf16, {40, 30}, 10);
  const Tensor i = random_index(DType::i64, {200}, 40, 11),
               j = random_index(DType::i64, {200}, 30, 12);
  const Values xs = values_of(x), is = values_of(i), js = values_of(j);
  Values wanted;
  for (size_t k = 0; k < 200; ++k)
    wanted.push_back(xs[static_cast<size_t>(is[k] < 0 ? is[k] + 40 : is[k]) * 30 +
                        static_cast<size_t>(js[k] < 0 ? js[k] + 30 : js[k])]);
  expect_in_all_layouts(Index{{0, 1}}, {x, i, j}, wanted);
}

TEST(Index, AcceptsTensorsWithoutElements) {
  const Tensor x = Tensor::zeros(DType::f32, {3, 2, 4});
  const Tensor none = Tensor::zeros(DType::i64, {0});
  EXPECT_EQ(run_op(Index{{0, 2}}, {x, none, none})[0].shape, Dims({0, 2}));
}

TEST(Index, NamesAnIndexOutsideAndTheExtent) {
  const Tensor x = Tensor::zeros(DType::f32, {3, 2});
  const Tensor good = tensor_of(DType::i64, {1}, {0}), bad = tensor_of(DType::i64, {1}, {2});
  expect_error(
      [&] {
        run_op(Index{{0, 1}}, {x, good, bad});
      },
      {"index", "index 2", "axis 1", "extent 2"});
}

TEST(Index, RefusesWrongTypes) {
  const TensorType x{DType::f32, {4, 7}}, i{DType::i64, {3}}, j{DType::i64, {2}};
  const auto infer = [](Index op, std::vector<TensorType> in) { return [=] { Op(op).infer(in); }; };
  expect_error(infer({{0, 1}}, {x, i, j}), {"index", "[3]", "[2]", "broadcast"});
  expect_error(infer({{1, 0}}, {x, i, i}), {"[1, 0]", "ascending"});
  expect_error(infer({{0, 2}}, {x, i, i}), {"axis 2"});
  expect_error(infer({{0}}, {x, i, i}), {"3 operands", "2"});
  expect_error(infer({{}}, {x}), {"no axes"});
  expect_error(infer({{0}}, {x, {DType::u8, {3}}}), {"u8[3]", "i64 or i32"});
}

}  // namespace
}  // namespace tutti
