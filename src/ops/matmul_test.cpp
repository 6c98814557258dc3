// SPDX-License-Identifier: Apache-2.0
#include "ops/matmul.h"

#include <algorithm>
#include <optional>

#include "ops/implementation.h"
#include "ops/ops_for_tests.h"

namespace tutti {
namespace {

// Sums over k in double, element by element; operands are read as contiguous ones of the batch of
// y.
Values product(const Tensor& a, const Tensor& b, const Dims& batch) {
  const auto n = static_cast<size_t>(b.shape.back()), k = static_cast<size_t>(a.shape.back());
  const auto m = static_cast<size_t>(a.shape[a.rank() - 2]);
  const Values as = values_of(a), bs = values_of(b);
  Values y;
  const auto batches = static_cast<size_t>(elements(batch));
  const size_t a_batches = m * k > 0 ? as.size() / (m * k) : 1,
               b_batches = k * n > 0 ? bs.size() / (k * n) : 1;
  for (size_t g = 0; g < batches; ++g)
    for (size_t i = 0; i < m; ++i)
      for (size_t j = 0; j < n; ++j) {
        double sum = 0;
        for (size_t l = 0; l < k; ++l)
          sum += as[(g % a_batches * m + i) * k + l] * bs[(g % b_batches * k + l) * n + j];
        y.push_back(sum);
      }
  return y;
}

// By each implementation; "plain" is the operator's own cpu().
class MatmulBy : public testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    const auto rows = implementations();
    const bool built = std::any_of(rows.begin(), rows.end(), [](const Implementation& row) {
      return row.op == Matmul::kName && row.name == GetParam();
    });
    if (!built && GetParam() != std::string_view("plain"))
      GTEST_SKIP() << "this build has no " << GetParam();
  }

  void TearDown() override {
    if (asked_ > 0 && taken_ == 0) GTEST_SKIP() << GetParam() << " takes none of these";
  }

  // The product, or nothing where the implementation does not take the operands.
  std::optional<Tensor> run(const std::vector<Tensor>& in, int layout) {
    if (GetParam() == std::string_view("plain")) return run_op(Matmul{}, in, layout)[0];
    static cpu::Pool pool(3);
    std::vector<TensorType> types;
    for (const Tensor& t : in) types.push_back({t.dtype, to_shape(t.shape)});
    const Op op = Matmul{};
    const TensorType type = op.infer(types)[0];
    const std::vector<Tensor> out = {
        in_layout(Tensor::zeros(type.dtype, constant_dims(type.shape)), layout)};
    const auto [kernel, name] = prepare_kernel({op, in, out, pool.threads()}, GetParam());
    ++asked_;
    if (name != GetParam()) return std::nullopt;
    ++taken_;
    const Tensor workspace = Tensor::zeros(DType::u8, {static_cast<int64_t>(kernel->workspace())});
    kernel->run({in, out, workspace.data, pool});
    return out[0];
  }

  // Like expect_in_all_layouts, and with all operands in one layout.
  void expect(const std::vector<Tensor>& in, const Values& wanted, double tolerance = 0) {
    for (int layout = 0; layout < kLayouts; ++layout) {
      for (const bool alike : {true, false}) {
        std::vector<Tensor> relaid;
        for (size_t i = 0; i < in.size(); ++i)
          relaid.push_back(
              in_layout(in[i], (layout + (alike ? 0 : static_cast<int>(i))) % kLayouts));
        SCOPED_TRACE(testing::Message() << "layout " << layout);
        const auto found = run(relaid, layout);
        if (found) expect_values(*found, wanted, tolerance);
      }
    }
  }

 private:
  int asked_ = 0, taken_ = 0;
};

INSTANTIATE_TEST_SUITE_P(, MatmulBy, testing::Values("plain", "own", "onednn"),
                         [](const auto& info) { return std::string(info.param); });

TEST_P(MatmulBy, EqualsTheSumsInDoubleForEveryTypeAndLayout) {
  for (DType dtype : kAllDTypes) {
    if (dtype == DType::boolean || dtype == DType::i8 || dtype == DType::u8) continue;
    const Tensor a = random_tensor(dtype, {5, 7}, 1), b = random_tensor(dtype, {7, 3}, 2);
    SCOPED_TRACE(to_string(dtype));
    expect({a, b}, product(a, b, {}), rounding_of(dtype));
  }
}

TEST_P(MatmulBy, HandlesExtentsBeyondOneTile) {
  for (const auto& [m, k, n] : {std::array<int64_t, 3>{1, 300, 1}, {9, 65, 130}, {67, 1, 64}}) {
    const Tensor a = random_tensor(DType::f32, {m, k}, 3), b = random_tensor(DType::f32, {k, n}, 4);
    expect({a, b}, product(a, b, {}), 1e-5);
  }
}

TEST_P(MatmulBy, SharesRowsOfManyBatchesAmongThreads) {
  const Tensor a = random_tensor(DType::f32, {5, 7, 200}, 3);
  const Tensor b = random_tensor(DType::f32, {5, 200, 90}, 4);
  expect({a, b}, product(a, b, {5}), 1e-5);
}

TEST_P(MatmulBy, BroadcastsLeadingAxes) {
  const Tensor a = random_tensor(DType::f32, {2, 3, 4, 5}, 5),
               b = random_tensor(DType::f32, {3, 5, 6}, 6);
  EXPECT_EQ(run_op(Matmul{}, {a, b})[0].shape, Dims({2, 3, 4, 6}));
  expect({a, b}, product(a, b, {2, 3}), 1e-5);
  const Tensor one = random_tensor(DType::f32, {1, 1, 4, 5}, 7);
  expect({one, b}, product(one, b, {1, 3}), 1e-5);
}

TEST_P(MatmulBy, AddsWhatBroadcastsToTheResult) {
  const Tensor a = random_tensor(DType::f32, {2, 3, 4}, 8),
               b = random_tensor(DType::f32, {4, 5}, 9);
  const Values sums = product(a, b, {2});
  for (const Dims& shape : {Dims{5}, Dims{1}, Dims{}, Dims{3, 1}, Dims{2, 1, 5}, Dims{2, 3, 5}}) {
    const Tensor c = random_tensor(DType::f32, shape, 10);
    const Values cs = values_of(c);
    const int missing = 3 - c.rank();
    Values wanted = sums;
    for (size_t flat = 0; flat < wanted.size(); ++flat) {
      const size_t index[3] = {flat / 15, flat / 5 % 3, flat % 5};
      size_t at = 0;
      for (int i = 0; i < c.rank(); ++i)
        at = at * static_cast<size_t>(c.shape[i]) + (c.shape[i] == 1 ? 0 : index[missing + i]);
      wanted[flat] += cs[at];
    }
    expect({a, b, c}, wanted, 1e-5);
  }
}

TEST_P(MatmulBy, RoundsOnceWithTheAddendIncluded) {
  // 1 + 2^-9 is no bf16, and rounds to 1; adding 2^-9 first gives 1 + 2^-8, then 1 + 2^-7 with c.
  const Tensor a = tensor_of(DType::bf16, {1, 3}, {1, 1, 1});
  const Tensor b = tensor_of(DType::bf16, {3, 1}, {1, 0x1p-9, 0x1p-9});
  expect({a, b, tensor_of(DType::bf16, {1}, {0x1p-8})}, {1 + 0x1p-7});
  // 2048 + 1 is no f16.
  const Tensor p = tensor_of(DType::f16, {1, 2}, {2048, 1}),
               q = tensor_of(DType::f16, {2, 1}, {1, 1});
  expect({p, q, tensor_of(DType::f16, {1}, {1})}, {2050});
}

TEST(Matmul, WrapsIntegers) {
  const Tensor a = tensor_of(DType::i8, {1, 2}, {127, 2}), b = tensor_of(DType::i8, {2, 1}, {2, 3});
  expect_values(run_op(Matmul{}, {a, b})[0], {254 + 6 - 256});
  const Tensor u = tensor_of(DType::u8, {1, 1}, {20}), v = tensor_of(DType::u8, {1, 1}, {20});
  expect_values(run_op(Matmul{}, {u, v})[0], {400 - 256});
  const Tensor w = tensor_of(DType::i32, {1, 1}, {65536}),
               x = tensor_of(DType::i32, {1, 1}, {-32769});
  expect_values(run_op(Matmul{}, {w, x})[0], {0x1p32 - 65536.0 * 32769});
}

TEST_P(MatmulBy, GivesTheAddendForAnEmptySum) {
  const Tensor a = Tensor::zeros(DType::f32, {2, 0}), b = Tensor::zeros(DType::f32, {0, 3});
  expect({a, b}, Values(6, 0));
  expect({a, b, tensor_of(DType::f32, {3}, {1, 2, 3})}, {1, 2, 3, 1, 2, 3});
  EXPECT_EQ(run_op(Matmul{},
                   {Tensor::zeros(DType::f32, {0, 2}), tensor_of(DType::f32, {2, 1}, {1, 2})})[0]
                .shape,
            Dims({0, 1}));
}

TEST_P(MatmulBy, PropagatesNanAndInfinity) {
  const Tensor a = tensor_of(DType::f32, {2, 2}, {kNan, 0, kInf, 0});
  const Tensor b = tensor_of(DType::f32, {2, 2}, {1, 0, 0, 1});
  expect({a, b}, {kNan, kNan, kInf, kNan});
}

TEST(Matmul, NamesTheOperandThatDoesNotFit) {
  const auto infer = [](std::vector<TensorType> in) { return [in] { Op(Matmul{}).infer(in); }; };
  const TensorType a{DType::f32, {2, 3}};
  expect_error(infer({a, {DType::f32, {4, 5}}}), {"matmul: b is f32[4, 5]", "extent 3"});
  expect_error(infer({a, {DType::f16, {3, 5}}}), {"b is f16[3, 5]", "f32 is wanted"});
  expect_error(infer({a, {DType::f32, {3}}}), {"b is f32[3]", "rank 2"});
  expect_error(infer({a, {DType::f32, {3, 5}}, {DType::f32, {4}}}), {"c is f32[4]", "[2, 5]"});
  expect_error(infer({a, {DType::f32, {3, 5}}, {DType::f32, {1, 2, 5}}}), {"c is f32[1, 2, 5]"});
  expect_error(infer({{DType::boolean, {2, 3}}, {DType::boolean, {3, 5}}}), {"a is bool[2, 3]"});
  expect_error(infer({{DType::f32, {2, 4, 3}}, {DType::f32, {3, 3, 5}}}), {"[2]", "[3]"});
  expect_error(infer({a}), {"1 operands"});
}

TEST(Matmul, KeepsSymbolsAndTheConstantOfTwoExtents) {
  const Dim s = Dim::symbol("s"), t = Dim::symbol("t");
  const auto infer = [](std::vector<TensorType> in) { return Matmul{}.infer(in)[0].shape; };
  EXPECT_EQ(infer({{DType::f32, {s, 7, t}}, {DType::f32, {s, 4}}}), (Shape{s, 7, 4}));
  EXPECT_EQ(infer({{DType::f32, {s, 7, 3}}, {DType::f32, {5, 3, 4}}}), (Shape{5, 7, 4}));
  EXPECT_EQ(infer({{DType::f32, {s, 3}}, {DType::f32, {3, t}}, {DType::f32, {8}}}), (Shape{s, 8}));
}

}  // namespace
}  // namespace tutti
