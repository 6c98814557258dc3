// SPDX-License-Identifier: Apache-2.0
#include "device/cpu/gemm.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>

#include "core/error.h"
#include "device/cpu/gemm_fixture_test.h"

namespace tutti::cpu {
namespace {

// Each test runs with both.
class Products : public testing::TestWithParam<Product> {
 protected:
  void SetUp() override {
    if (GetParam() == Product::onednn && dnnl_version_text().empty())
      GTEST_SKIP() << "this build has no oneDNN";
  }

  void TearDown() override {
    if (asked_ > 0 && taken_ == 0) GTEST_SKIP() << "oneDNN takes none of these";
  }

  /// On every instruction set (oneDNN: on the best, by 1 and 3 threads), B as it is and packed.
  void expect_right(const GemmProblem& problem) {
    Fixture fixture(problem);
    const bool own = GetParam() == Product::own;
    for (Isa isa : own ? isas() : std::vector{best_isa()}) {
      for (bool pack : {false, true}) {
        for (int threads : {1, 3}) {
          if (own && threads > 1) continue;
          ++asked_;
          taken_ += fixture.expect_right(GetParam(), isa, threads, pack);
          if (HasFatalFailure()) return;
        }
      }
    }
  }

 private:
  int asked_ = 0, taken_ = 0;
};

INSTANTIATE_TEST_SUITE_P(, Products, testing::Values(Product::own, Product::onednn),
                         [](const auto& info) {
                           return info.param == Product::own ? "own" : "onednn";
                         });

/// Contiguous f32 matrices and one output.
GemmProblem plain(int64_t m, int64_t n, int64_t k) {
  GemmProblem problem;
  problem.m = m;
  problem.n = n;
  problem.k = k;
  problem.a = {DType::f32, k, 1, {}};
  problem.b = {DType::f32, n, 1, {}};
  problem.outputs = {{n, {DType::f32, n, 1, {}}, {}}};
  return problem;
}

TEST_P(Products, MultipliesOddSizes) {
  for (int64_t m : {1, 2, 3, 7, 17, 33, 100}) {
    for (int64_t n : {1, 2, 3, 7, 17, 33, 100}) {
      for (int64_t k : {1, 3, 17, 100}) expect_right(plain(m, n, k));
    }
  }
}

TEST_P(Products, MultipliesThroughBlocksOfK) {
  expect_right(plain(3, 40, 1700));
  expect_right(plain(30, 300, 1025));
  expect_right(plain(530, 33, 800));
  expect_right(plain(30, 100, 1536));  // rows of A that fall on one set of the cache
}

TEST_P(Products, TakesStridedAndTransposedMatrices) {
  for (int64_t m : {1, 5, 33}) {
    GemmProblem problem = plain(m, 39, 45);
    problem.a = {DType::f32, 1, m + 2, {}};
    problem.b = {DType::f32, 1, 47, {}};
    problem.outputs[0].layout = {DType::f32, 50, 1, {}};
    expect_right(problem);
    problem.a = {DType::f32, 200, 3, {}};
    problem.b = {DType::f32, 100, 2, {}};
    problem.outputs[0].layout = {DType::f32, 1, m + 1, {}};
    expect_right(problem);
    problem.a = {DType::f32, 1024, 1, {}};
    problem.b = {DType::f32, 64, 1, {}};
    problem.outputs[0].layout = {DType::f32, 100, 2, {}};
    expect_right(problem);
  }
}

TEST_P(Products, TakesEveryStorageType) {
  const DType types[] = {DType::f32, DType::bf16, DType::f16};
  for (DType a : types) {
    for (DType b : types) {
      for (DType c : types) {
        for (int64_t m : {1, 3, 20, 40}) {
          GemmProblem problem = plain(m, 75, 40);
          problem.a.dtype = a;
          problem.b.dtype = b;
          problem.outputs[0].layout.dtype = c;
          expect_right(problem);
          problem.b = {b, 1, 40, {}};
          problem.outputs[0].layout = {c, 1, m, {}};
          expect_right(problem);
        }
      }
    }
  }
}

TEST_P(Products, MultipliesDoubles) {
  for (int64_t m : {1, 5, 33}) {
    GemmProblem problem = plain(m, 19, 37);
    problem.a = {DType::f64, 2, 2 * m, {}};
    problem.b = {DType::f64, 19, 1, {}};
    problem.outputs[0].layout = {DType::f64, 19, 1, {}};
    problem.outputs[0].post_ops = {PostOp::bias(0, DType::f64), PostOp::apply(Unary::gelu_tanh),
                                   PostOp::multiply(1, {DType::f64, 1, 0, {}}),
                                   PostOp::scale(0.5f)};
    expect_right(problem);
    problem.batch = {1, 2, 1, 3};
    problem.b.batch_strides = {0, 0, 0, 19 * 37};
    problem.outputs[0].layout.batch_strides = {0, m * 19, 0, 2 * m * 19};
    expect_right(problem);
  }
}

TEST_P(Products, BroadcastsAndStridesBatches) {
  GemmProblem problem = plain(9, 35, 12);
  problem.batch = {2, 3, 1, 4};
  problem.a.batch_strides = {3 * 9 * 12, 9 * 12, 0, 0};
  problem.b.batch_strides = {0, 12 * 35, 0, 3 * 12 * 35};
  problem.outputs[0].layout.batch_strides = {12 * 9 * 35, 9 * 35, 0, 3 * 9 * 35};
  problem.outputs[0].post_ops = {PostOp::add(0, {DType::f32, 0, 1, {35, 0, 0, 70}})};
  expect_right(problem);
  // Heads side by side in rows, as attention has them.
  problem.batch = {1, 1, 2, 3};
  problem.a = {DType::f32, 36, 1, {0, 0, 9 * 36, 12}};
  problem.b = {DType::f32, 1, 12, {0, 0, 0, 12 * 35}};
  problem.outputs[0] = {35, {DType::bf16, 3 * 35, 1, {0, 0, 9 * 105, 35}}, {}};
  expect_right(problem);
}

TEST_P(Products, FoldsBatchesOfRowsTheyContinue) {
  for (int64_t m : {1, 6}) {
    GemmProblem problem = plain(m, 35, 12);
    problem.batch = {1, 5, 1, 2};
    problem.a.batch_strides = {0, 2 * m * 12, 7, m * 12};
    problem.outputs[0].layout.batch_strides = {0, 2 * m * 35, 0, m * 35};
    problem.outputs[0].post_ops = {PostOp::bias(0),
                                   PostOp::add(1, {DType::f32, 35, 1, {0, 2 * m * 35, 3, m * 35}})};
    expect_right(problem);
    problem.outputs[0].post_ops[1].layout.batch_strides = {0, m * 35, 0, 0};
    expect_right(problem);
  }
}

TEST_P(Products, AppliesEveryPostOp) {
  const MatrixLayout per_column{DType::f32, 0, 1, {}};
  const MatrixLayout per_row{DType::f16, 1, 0, {}};
  for (int64_t m : {1, 4, 17}) {
    for (int64_t n : {5, 32, 67, 96}) {
      const MatrixLayout whole{DType::bf16, n + 3, 1, {}};
      const MatrixLayout odd{DType::f32, 1, m, {}};
      std::vector<std::vector<PostOp>> lists = {
          {PostOp::bias(0)},
          {PostOp::bias(0, DType::bf16)},
          {PostOp::multiply(0, per_column)},
          {PostOp::add(0, per_row)},
          {PostOp::add(0, whole)},
          {PostOp::multiply(0, odd)},
          {PostOp::scale(-0.25f)},
          {PostOp::bias(0), PostOp::multiply(1, per_column), PostOp::add(2, whole)},
          {PostOp::bias(0), PostOp::scale(0.125f), PostOp::apply(Unary::silu),
           PostOp::multiply(1, whole), PostOp::apply(Unary::relu), PostOp::add(2, odd),
           PostOp::multiply(3, per_row), PostOp::add(4, per_column)},
      };
      for (int f = 0; f < kUnaryCount; ++f) {
        // log is taken of positive numbers.
        lists.push_back({PostOp::apply(Unary::sigmoid), PostOp::apply(static_cast<Unary>(f))});
        if (static_cast<Unary>(f) != Unary::log) {
          lists.push_back({PostOp::bias(0), PostOp::apply(static_cast<Unary>(f))});
        }
      }
      for (const auto& list : lists) {
        GemmProblem problem = plain(m, n, 8);
        problem.outputs[0].post_ops = list;
        expect_right(problem);
      }
    }
  }
}

TEST_P(Products, RoundsBetweenPostOps) {
  for (DType dtype : {DType::bf16, DType::f16}) {
    GemmProblem problem = plain(7, 37, 2);
    // With k = 2 the product is exact, so rounding it has one right answer.
    problem.outputs[0].post_ops = {PostOp::round(dtype), PostOp::scale(1024), PostOp::round(dtype)};
    expect_right(problem);
  }
}

TEST_P(Products, SplitsColumnsOverOutputs) {
  for (int64_t m : {1, 3, 20}) {
    GemmProblem problem = plain(m, 0, 30);
    const int64_t columns[] = {64, 20, 0, 44, 1, 96};
    int operand = 0;
    for (int64_t n : columns) {
      GemmOutput output{n, {DType::f32, n + 1, 1, {}}, {}};
      if (operand % 2 == 0) output.post_ops.push_back(PostOp::bias(operand));
      if (operand == 3) {
        output.layout = {DType::bf16, 1, m, {}};
        output.post_ops = {PostOp::apply(Unary::tanh),
                           PostOp::multiply(operand, {DType::f32, n, 1, {}})};
      }
      problem.outputs.push_back(output);
      problem.n += n;
      ++operand;
    }
    problem.outputs.erase(problem.outputs.begin());
    problem.b = {DType::f32, problem.n, 1, {}};
    expect_right(problem);
    problem.k = 900;
    problem.a = {DType::f32, 900, 1, {}};
    expect_right(problem);
    problem = plain(m, 224, 48);
    problem.outputs = {{64, {DType::f32, 64, 1, {}}, {PostOp::bias(0), PostOp::scale(0.5f)}},
                       {96, {DType::f32, 96, 1, {}}, {PostOp::apply(Unary::silu)}},
                       {64, {DType::f32, 64, 1, {}}, {PostOp::add(1, {DType::f32, 64, 1, {}})}}};
    expect_right(problem);
  }
}

TEST(Gemm, MayAddToItsOutputInPlace) {
  for (Isa isa : isas()) {
    const GemmProblem first = plain(20, 70, 16);
    GemmProblem problem = first;
    problem.outputs[0].post_ops = {PostOp::scale(2), PostOp::add(0, problem.outputs[0].layout)};
    std::vector<float> a(20 * 16, 0.5f), b(16 * 70, 0.25f), c(20 * 70, 1.0f);
    const Gemm gemm(problem, 1, isa);
    std::vector<float> workspace(gemm.workspace_bytes() / 4 + 16);
    Pool pool(1);
    void* outputs[] = {c.data()};
    const void* operands[] = {c.data()};
    gemm.run({a.data(), b.data(), outputs, operands}, workspace.data(), pool);
    for (float value : c) EXPECT_EQ(value, 5.0f);
  }
}

TEST_P(Products, TreatsAnEmptySumAsZeroAndEmptyOutputsAsNothing) {
  GemmProblem problem = plain(5, 40, 0);
  problem.outputs[0].post_ops = {PostOp::bias(0), PostOp::apply(Unary::sigmoid)};
  expect_right(problem);
  expect_right(plain(0, 5, 5));
  expect_right(plain(5, 0, 5));
  problem = plain(4, 4, 4);
  problem.batch = {1, 0, 1, 1};
  expect_right(problem);
}

TEST(Gemm, GivesTheSameBitsForAnyNumberOfThreads) {
  for (Isa isa : isas()) {
    for (auto [m, n, k] : {std::array<int64_t, 3>{64, 384, 128}, {200, 120, 900}, {1, 700, 300}}) {
      for (bool transposed : {false, true}) {
        GemmProblem problem = plain(m, n, k);
        if (transposed) problem.b = {DType::f32, 1, k, {}};
        problem.outputs[0].post_ops = {PostOp::bias(0), PostOp::apply(Unary::gelu_erf)};
        Fixture fixture(problem, true);
        fixture.expect_right(Product::own, isa, 1, false);
        const std::vector<Bytes> alone = fixture.found();
        for (int threads : {2, 4}) {
          fixture.expect_right(Product::own, isa, threads, false);
          EXPECT_EQ(fixture.found(), alone) << threads << " threads";
          fixture.expect_right(Product::own, isa, threads, true);
          EXPECT_EQ(fixture.found(), alone) << threads << " threads, packed";
        }
      }
    }
  }
}

TEST(Gemm, RefusesWhatItCannotDo) {
  GemmProblem problem = plain(2, 3, 4);
  problem.outputs[0].columns = 2;
  EXPECT_THROW(Gemm(problem, 1), Error);
  problem = plain(2, 3, 4);
  problem.b.dtype = DType::f64;
  EXPECT_THROW(Gemm(problem, 1), Error);
  problem = plain(2, 3, 4);
  problem.a.dtype = DType::i8;
  EXPECT_THROW(Gemm(problem, 1), Error);
  problem = plain(2, 3, -1);
  EXPECT_THROW(Gemm(problem, 1), Error);
  problem = plain(2, 3, 4);
  problem.outputs[0].post_ops.assign(kMaxPostOps + 1, PostOp::scale(1));
  EXPECT_THROW(Gemm(problem, 1), Error);
  const Gemm gemm(plain(2, 3, 4), 1);
  Pool pool(2);
  EXPECT_THROW(gemm.run({}, nullptr, pool), Error);
}

TEST(DnnlMatmul, TakesWhatModelsAreMadeOf) {
  if (dnnl_version_text().empty()) GTEST_SKIP() << "this build has no oneDNN";
  const MatrixLayout per_column{DType::f32, 0, 1, {}};
  GemmProblem problem = plain(88, 384, 128);
  problem.outputs[0].post_ops = {PostOp::bias(0), PostOp::apply(Unary::gelu_tanh),
                                 PostOp::scale(0.5f), PostOp::multiply(1, per_column),
                                 PostOp::add(2, problem.outputs[0].layout)};
  EXPECT_TRUE(DnnlMatmul::prepare(problem, 2));
  problem.outputs = {{128, {DType::f32, 128, 1, {}}, {PostOp::bias(0)}},
                     {256, {DType::f32, 256, 1, {}}, {PostOp::apply(Unary::silu)}}};
  EXPECT_TRUE(DnnlMatmul::prepare(problem, 2));
  if (best_isa() == Isa::avx512) {
    problem.b_packed = true;
    EXPECT_TRUE(DnnlMatmul::prepare(problem, 2));
    EXPECT_TRUE(dnnl_reads_packed(Isa::avx512, 128, {128, 256}));
  }
  EXPECT_FALSE(dnnl_reads_packed(Isa::avx512, 120, {128, 256}));
  EXPECT_FALSE(dnnl_reads_packed(Isa::avx512, 128, {120, 264}));
}

TEST(DnnlMatmul, RefusesWhatItHasNot) {
  const auto refused = [](GemmProblem problem, const std::vector<PostOp>& post_ops) {
    problem.outputs[0].post_ops = post_ops;
    return !DnnlMatmul::prepare(problem, 2);
  };
  EXPECT_TRUE(refused(plain(8, 32, 16), {PostOp::apply(Unary::sin)}));
  EXPECT_TRUE(refused(plain(8, 32, 16), {PostOp::round(DType::bf16)}));
  EXPECT_TRUE(refused(plain(8, 32, 16), {PostOp::bias(0, DType::bf16)}));
  EXPECT_TRUE(refused(plain(8, 32, 0), {}));
  GemmProblem problem = plain(8, 32, 16);
  problem.a.dtype = DType::bf16;
  EXPECT_TRUE(refused(problem, {}));
}

TEST(DnnlMatmul, AppliesFunctionsToSpecialNumbers) {
  if (dnnl_version_text().empty()) GTEST_SKIP() << "this build has no oneDNN";
  const std::vector<float> specials = {NAN, INFINITY, -INFINITY, 0,      -0.0f, 1e-40f, 88.5f, 89,
                                       -88, -104,     1e30f,     -1e30f, 1,     -1,     20,    -20};
  const auto n = static_cast<int64_t>(specials.size());
  int taken = 0;
  for (int f = 0; f < kUnaryCount; ++f) {
    const Unary function = static_cast<Unary>(f);
    GemmProblem problem = plain(2, n, 1);
    problem.outputs[0].post_ops = {PostOp::apply(function)};
    auto matmul = DnnlMatmul::prepare(problem, 1);
    if (!matmul) continue;
    ++taken;
    const std::vector<float> a = {1, 1};
    std::vector<float> found(static_cast<size_t>(2 * n));
    void* c = found.data();
    Pool pool(1);
    alignas(64) char workspace[1 << 14];
    ASSERT_LE(matmul->workspace_bytes(), sizeof(workspace));
    matmul->run({a.data(), specials.data(), &c, nullptr}, workspace, pool);
    for (size_t i = 0; i < found.size(); ++i) {
      const double x = static_cast<double>(specials[i % specials.size()]);
      const double y = static_cast<double>(found[i]), wanted = reference::unary(function, x);
      SCOPED_TRACE(testing::Message() << to_string(function) << "(" << x << ")");
      if (std::isnan(wanted))
        EXPECT_TRUE(std::isnan(y)) << y;
      else if (std::isinf(wanted))
        EXPECT_EQ(y, wanted);
      else
        EXPECT_NEAR(y, wanted, kDnnlActivation * std::max(1.0, std::fabs(wanted)));
    }
  }
  EXPECT_EQ(taken, 6);
}

}  // namespace
}  // namespace tutti::cpu
