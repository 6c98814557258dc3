// SPDX-License-Identifier: Apache-2.0
#include "ops/attention.h"

#include "ops/ops_for_tests.h"

namespace tutti {
namespace {

// The definition in double with the softmax in its textbook form. allowed(b, n, s, t) and
// added(b, n, s, t) describe the mask.
template <class Allowed, class Added>
Values attention(const Tensor& q, const Tensor& k, const Tensor& v, double scale, Allowed allowed,
                 Added added) {
  const Values qs = values_of(q), ks = values_of(k), vs = values_of(v);
  const int64_t n = q.shape[1], m = k.shape[1], s = q.shape[2], t = k.shape[2], d = q.shape[3],
                e = v.shape[3];
  Values y;
  for (int64_t b = 0; b < q.shape[0]; ++b)
    for (int64_t h = 0; h < n; ++h)
      for (int64_t i = 0; i < s; ++i) {
        const int64_t g = b * m + h * m / n;
        Values weights;
        double total = 0;
        for (int64_t j = 0; j < t; ++j) {
          double dot = 0;
          for (int64_t c = 0; c < d; ++c)
            dot += qs[static_cast<size_t>(((b * n + h) * s + i) * d + c)] *
                   ks[static_cast<size_t>((g * t + j) * d + c)];
          weights.push_back(allowed(b, h, i, j) ? std::exp(scale * dot + added(b, h, i, j)) : 0);
          total += weights.back();
        }
        for (int64_t c = 0; c < e; ++c) {
          double sum = 0;
          for (int64_t j = 0; j < t; ++j)
            sum += weights[static_cast<size_t>(j)] * vs[static_cast<size_t>((g * t + j) * e + c)];
          y.push_back(total > 0 ? sum / total : 0);
        }
      }
  return y;
}

constexpr auto kAll = [](int64_t, int64_t, int64_t, int64_t) { return true; };
constexpr auto kZero = [](int64_t, int64_t, int64_t, int64_t) { return 0.0; };

TEST(Attention, EqualsItsDefinitionForEveryTypeAndLayout) {
  for (DType dtype : kFloats) {
    SCOPED_TRACE(to_string(dtype));
    const Tensor q = random_tensor(dtype, {2, 3, 5, 7}, 1),
                 k = random_tensor(dtype, {2, 3, 4, 7}, 2);
    const Tensor v = random_tensor(dtype, {2, 3, 4, 70}, 3);
    expect_in_all_layouts(Attention{.scale = 0.25}, {q, k, v},
                          attention(q, k, v, 0.25, kAll, kZero), rounding_of(dtype));
  }
}

TEST(Attention, GivesTheLogarithmOfTheSumOfExponentials) {
  const Tensor q = random_tensor(DType::f32, {1, 2, 5, 4}, 1),
               k = random_tensor(DType::f32, {1, 2, 6, 4}, 2);
  const Values qs = values_of(q), ks = values_of(k);
  Values wanted;
  for (size_t row = 0; row < 10; ++row) {
    double total = 0;
    // Row i of a head sees keys 0 to i - 2.
    for (size_t j = 0; j + 2 <= row % 5; ++j) {
      double dot = 0;
      for (size_t c = 0; c < 4; ++c) dot += qs[row * 4 + c] * ks[(row / 5 * 6 + j) * 4 + c];
      total += std::exp(0.5 * dot);
    }
    wanted.push_back(std::log(total));
  }
  const Attention op{.scale = 0.5, .right = 0, .offset = -2, .lse = true};
  for (const auto& results : {run_op(op, {q, k, k}), run_op(op, {q, k, k}, 1)})
    expect_values(results[1], wanted, 1e-5);
}

TEST(Attention, SharesHeadsOfKeysAndValues) {
  const Tensor q = random_tensor(DType::f32, {1, 6, 3, 4}, 4);
  const Tensor k = random_tensor(DType::f32, {1, 2, 5, 4}, 5);
  const Tensor v = random_tensor(DType::f32, {1, 2, 5, 4}, 6);
  expect_in_all_layouts(Attention{.scale = 0.5}, {q, k, v}, attention(q, k, v, 0.5, kAll, kZero),
                        1e-5);
}

TEST(Attention, IsCausalFromTheTopLeft) {
  const auto earlier = [](int64_t, int64_t, int64_t i, int64_t j) { return j <= i; };
  for (const auto& [s, t] : {std::pair<int64_t, int64_t>{4, 4}, {3, 6}, {6, 3}, {100, 1}}) {
    const Tensor q = random_tensor(DType::f32, {1, 2, s, 4}, 7);
    const Tensor k = random_tensor(DType::f32, {1, 2, t, 4}, 8);
    const Tensor v = random_tensor(DType::f32, {1, 2, t, 4}, 9);
    expect_in_all_layouts(Attention{.scale = 0.5, .right = 0}, {q, k, v},
                          attention(q, k, v, 0.5, earlier, kZero), 1e-5);
  }
}

TEST(Attention, SeesTheKeysOfABandOnly) {
  for (const Band& band :
       {Band{0, 0}, Band{2, 0}, Band{1, 2}, Band{9, 0}, Band{2, -1, 1}, Band{1, 1, -2}})
    for (const auto& [s, t] : {std::pair<int64_t, int64_t>{6, 6}, {3, 7}, {7, 3}, {1, 5}}) {
      const auto seen = [&](int64_t, int64_t, int64_t i, int64_t j) {
        const int64_t p = i + band.offset;
        return (band.left < 0 || j >= p - band.left) && (band.right < 0 || j <= p + band.right);
      };
      const Tensor q = random_tensor(DType::f32, {1, 4, s, 4}, 7);
      const Tensor k = random_tensor(DType::f32, {1, 2, t, 4}, 8);
      const Tensor v = random_tensor(DType::f32, {1, 2, t, 4}, 9);
      Attention op{.scale = 0.5};
      op.set_band(band);
      expect_in_all_layouts(op, {q, k, v}, attention(q, k, v, 0.5, seen, kZero), 1e-5);
      const Tensor mask = random_tensor(DType::boolean, {s, t}, 13);
      const Values bits = values_of(mask);
      const auto both = [&](int64_t b, int64_t h, int64_t i, int64_t j) {
        return seen(b, h, i, j) && bits[static_cast<size_t>(i * t + j)] != 0;
      };
      expect_in_all_layouts(op, {q, k, v, mask}, attention(q, k, v, 0.5, both, kZero), 1e-5);
    }
}

TEST(Attention, BroadcastsItsMasks) {
  const Tensor q = random_tensor(DType::f32, {2, 3, 4, 4}, 10);
  const Tensor k = random_tensor(DType::f32, {2, 3, 5, 4}, 11);
  const Tensor v = random_tensor(DType::f32, {2, 3, 5, 4}, 12);
  for (const Dims& shape :
       {Dims{2, 3, 4, 5}, Dims{2, 1, 1, 5}, Dims{4, 5}, Dims{5}, Dims{3, 4, 1}, Dims{}}) {
    const Tensor bools = random_tensor(DType::boolean, shape, 13);
    const Tensor floats = random_tensor(DType::f32, shape, 14);
    const Values b_values = values_of(bools), f_values = values_of(floats);
    const auto at = [&](int64_t b, int64_t h, int64_t i, int64_t j) {
      const int64_t index[4] = {b, h, i, j};
      int64_t flat = 0;
      for (int a = 0; a < shape.rank(); ++a)
        flat = flat * shape[a] + (shape[a] == 1 ? 0 : index[4 - shape.rank() + a]);
      return static_cast<size_t>(flat);
    };
    const auto allowed = [&](auto... i) { return b_values[at(i...)] != 0; };
    const auto added = [&](auto... i) { return f_values[at(i...)]; };
    expect_in_all_layouts(Attention{.scale = 0.5}, {q, k, v, bools},
                          attention(q, k, v, 0.5, allowed, kZero), 1e-5);
    expect_in_all_layouts(Attention{.scale = 0.5}, {q, k, v, floats},
                          attention(q, k, v, 0.5, kAll, added), 1e-5);
  }
}

TEST(Attention, GivesZeroWhereAQueryMayAttendToNothing) {
  const Tensor q = tensor_of(DType::f32, {1, 1, 2, 1}, {1, 1});
  const Tensor k = tensor_of(DType::f32, {1, 1, 2, 1}, {1, 2});
  const Tensor v = tensor_of(DType::f32, {1, 1, 2, 1}, {5, 7});
  const Tensor bools = tensor_of(DType::boolean, {2, 2}, {0, 0, 0, 1});
  expect_values(run_op(Attention{}, {q, k, v, bools})[0], {0, 7});
  const Tensor floats = tensor_of(DType::f32, {2, 2}, {-kInf, -kInf, -kInf, 0});
  expect_values(run_op(Attention{}, {q, k, v, floats})[0], {0, 7});
  const Tensor first = tensor_of(DType::boolean, {2, 2}, {0, 1, 1, 1});
  expect_values(run_op(Attention{.right = 0}, {q, k, v, first})[0],
                {0, (5 + 7 * std::exp(1.0)) / (1 + std::exp(1.0))}, 1e-6);
  EXPECT_EQ(values_of(run_op(Attention{}, {q, Tensor::zeros(DType::f32, {1, 1, 0, 1}),
                                           Tensor::zeros(DType::f32, {1, 1, 0, 1})})[0]),
            Values({0, 0}));
}

TEST(Attention, IgnoresWhatLiesUnderAMask) {
  const Tensor q = tensor_of(DType::f32, {1, 1, 1, 1}, {1});
  const Tensor k = tensor_of(DType::f32, {1, 1, 2, 1}, {1, kNan});
  const Tensor v = tensor_of(DType::f32, {1, 1, 2, 1}, {5, kNan});
  const Tensor mask = tensor_of(DType::boolean, {2}, {1, 0});
  expect_values(run_op(Attention{}, {q, k, v, mask})[0], {5});
}

TEST(Attention, PropagatesNan) {
  const Tensor q = tensor_of(DType::f32, {1, 1, 1, 1}, {1});
  const Tensor v = tensor_of(DType::f32, {1, 1, 2, 1}, {5, 7});
  expect_values(run_op(Attention{}, {q, tensor_of(DType::f32, {1, 1, 2, 1}, {kNan, 1}), v})[0],
                {kNan});
}

TEST(Attention, GivesNanWhereAllScoresAreNan) {
  const Tensor q = tensor_of(DType::f32, {1, 1, 1, 1}, {kNan});
  const Tensor k = tensor_of(DType::f32, {1, 1, 2, 1}, {1, 2});
  expect_values(run_op(Attention{}, {q, k, k})[0], {kNan});
}

TEST(Attention, StaysFiniteForLargeScores) {
  const Tensor q = tensor_of(DType::f32, {1, 1, 1, 1}, {1000});
  const Tensor k = tensor_of(DType::f32, {1, 1, 2, 1}, {1000, -1000});
  const Tensor v = tensor_of(DType::f32, {1, 1, 2, 1}, {5, 7});
  expect_values(run_op(Attention{}, {q, k, v})[0], {5});
}

TEST(Attention, AcceptsTensorsWithoutElements) {
  const auto zeros = [](Dims shape) { return Tensor::zeros(DType::f32, shape); };
  const auto shape = [&](Dims q, Dims k, Dims v) {
    return run_op(Attention{}, {zeros(q), zeros(k), zeros(v)})[0].shape;
  };
  EXPECT_EQ(shape({0, 2, 3, 4}, {0, 2, 5, 4}, {0, 2, 5, 6}), Dims({0, 2, 3, 6}));
  EXPECT_EQ(shape({1, 2, 0, 4}, {1, 2, 5, 4}, {1, 2, 5, 6}), Dims({1, 2, 0, 6}));
  EXPECT_EQ(shape({1, 2, 3, 4}, {1, 2, 5, 4}, {1, 2, 5, 0}), Dims({1, 2, 3, 0}));
  EXPECT_EQ(shape({1, 0, 3, 4}, {1, 0, 5, 4}, {1, 0, 5, 6}), Dims({1, 0, 3, 6}));
}

TEST(Attention, NamesTheOperandThatDoesNotFit) {
  const TensorType q{DType::f32, {2, 6, 4, 8}}, k{DType::f32, {2, 3, 5, 8}};
  const auto infer = [&](TensorType a, TensorType b, TensorType c,
                         std::optional<TensorType> mask = {}) {
    std::vector<TensorType> in{a, b, c};
    if (mask) in.push_back(*mask);
    return [in] { Op(Attention{}).infer(in); };
  };
  expect_error(infer(q, {DType::f32, {2, 4, 5, 8}}, {DType::f32, {2, 4, 5, 8}}),
               {"attention: k is f32[2, 4, 5, 8]", "divides", "f32[2, 6, 4, 8]"});
  expect_error(infer(q, k, {DType::f32, {2, 3, 6, 8}}), {"v is f32[2, 3, 6, 8]", "extent 5"});
  expect_error(infer(q, k, {DType::f32, {2, 6, 5, 8}}), {"v is", "extent 3", "axis 1"});
  expect_error(infer(q, {DType::f32, {2, 3, 5, 7}}, k), {"k is", "extent 8"});
  expect_error(infer(q, {DType::f16, {2, 3, 5, 8}}, k), {"k is f16", "f32 is wanted"});
  expect_error(infer({DType::i32, {2, 6, 4, 8}}, k, k), {"q is i32", "float"});
  expect_error(infer({DType::f32, {6, 4, 8}}, k, k), {"q is f32[6, 4, 8]", "rank 4"});
  expect_error(infer(q, k, k, TensorType{DType::f16, {4, 5}}), {"mask is f16", "bool or f32"});
  expect_error(infer(q, k, k, TensorType{DType::f32, {4, 4}}),
               {"mask is f32[4, 4]", "[2, 6, 4, 5]"});
}

TEST(Attention, KeepsSymbols) {
  const Dim b = Dim::symbol("b"), s = Dim::symbol("s"), t = Dim::symbol("t");
  const auto y = Attention{}.infer(std::vector<TensorType>{{DType::bf16, {b, 8, s, 64}},
                                                           {DType::bf16, {b, 2, t, 64}},
                                                           {DType::bf16, {2, 2, t, 32}},
                                                           {DType::boolean, {1, 1, s, t}}});
  EXPECT_EQ(y[0], (TensorType{DType::bf16, {2, 8, s, 32}}));
}

}  // namespace
}  // namespace tutti
