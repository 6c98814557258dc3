// SPDX-License-Identifier: Apache-2.0
#include "device/cpu/gemm.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>

#include "core/error.h"
#include "device/cpu/gemm_reference_test.h"
#include "device/cpu/packed_matrix.h"

namespace tutti::cpu {
namespace {

using Bytes = std::vector<unsigned char>;

std::vector<Isa> isas() {
  std::vector<Isa> all;
  for (int i = 0; i < kIsaCount; ++i) {
    if (is_supported(static_cast<Isa>(i))) all.push_back(static_cast<Isa>(i));
  }
  return all;
}

/// Elements a layout spans for the sizes of a problem.
int64_t span_of(const MatrixLayout& layout, const BatchDims& batch, int64_t rows, int64_t columns) {
  if (rows == 0 || columns == 0) return 1;
  int64_t last = (rows - 1) * layout.row_stride + (columns - 1) * layout.col_stride;
  for (size_t i = 0; i < kGemmBatchRank; ++i) {
    last += std::max<int64_t>(batch[i] - 1, 0) * layout.batch_strides[i];
  }
  return last + 1;
}

double tolerance(DType dtype, int64_t k) {
  if (dtype == DType::bf16) return 1.0 / 128;
  if (dtype == DType::f16) return 1.0 / 1024;
  return dtype == DType::f64 ? 1e-13 : 1e-7 * static_cast<double>(20 + k);
}

/// The memory of a problem with random contents, the reference's outputs, and a run of Gemm.
class Fixture {
 public:
  explicit Fixture(const GemmProblem& problem, bool rough = false) : problem_(problem) {
    a_ = reference::random_array(problem.a.dtype,
                                 span_of(problem.a, problem.batch, problem.m, problem.k), 1, rough);
    b_ = reference::random_array(problem.b.dtype,
                                 span_of(problem.b, problem.batch, problem.k, problem.n), 2, rough);
    for (const GemmOutput& output : problem.outputs) {
      const int64_t size = span_of(output.layout, problem.batch, problem.m, output.columns);
      wanted_.push_back(reference::random_array(output.layout.dtype, size, 3));
      for (const PostOp& op : output.post_ops) {
        if (op.kind != PostOp::Kind::add && op.kind != PostOp::Kind::multiply) continue;
        const size_t at = static_cast<size_t>(op.operand);
        if (operands_.size() <= at) operands_.resize(at + 1);
        operands_[at] = reference::random_array(
            op.layout.dtype, span_of(op.layout, problem.batch, problem.m, output.columns), 4 + at);
      }
    }
    found_ = wanted_;
    reference::multiply(problem, args(b_.data(), wanted_));
  }

  /// Runs the product and compares every byte outside and every number inside of the outputs.
  void expect_right(Isa isa, int threads, bool pack) {
    GemmProblem problem = problem_;
    Bytes packed;
    const void* b = b_.data();
    if (pack) {
      packed = pack_b(isa, problem);
      b = packed.data();
    }
    run(problem, isa, threads, b);
    for (size_t o = 0; o < found_.size(); ++o) {
      const DType dtype = problem.outputs[o].layout.dtype;
      const int64_t elements = static_cast<int64_t>(found_[o].size() / size_of(dtype));
      for (int64_t i = 0; i < elements; ++i) {
        const double found = reference::read(found_[o].data(), dtype, i);
        const double wanted = reference::read(wanted_[o].data(), dtype, i);
        const double limit = tolerance(dtype, problem.k) * std::max(1.0, std::fabs(wanted));
        ASSERT_LE(std::fabs(found - wanted), limit)
            << "output " << o << " element " << i << ": " << found << ", wanted " << wanted
            << " (m " << problem.m << " n " << problem.n << " k " << problem.k << " on "
            << to_string(isa) << (pack ? ", packed" : "") << ")";
      }
    }
  }

  const std::vector<Bytes>& found() const { return found_; }

  void run(const GemmProblem& problem, Isa isa, int threads, const void* b) {
    for (size_t o = 0; o < found_.size(); ++o) {
      found_[o] = reference::random_array(
          problem.outputs[o].layout.dtype,
          static_cast<int64_t>(found_[o].size() / size_of(problem.outputs[o].layout.dtype)), 3);
    }
    const Gemm gemm(problem, threads, isa);
    std::vector<float> workspace(gemm.workspace_bytes() / 4 + 16);
    Pool pool(threads);
    gemm.run(args(b, found_), workspace.data(), pool);
  }

 private:
  Bytes pack_b(Isa isa, GemmProblem& problem) {
    const PackedLayout layout = PackedLayout::of(isa, problem.b.dtype);
    const MatrixLayout from = problem.b;
    const int64_t each = layout.elements(problem.k, problem.n);
    int64_t count = 1;
    problem.b_packed = true;
    for (size_t i = 0; i < kGemmBatchRank; ++i) {
      problem.b.batch_strides[i] = from.batch_strides[i] == 0 ? 0 : count * each;
      if (from.batch_strides[i] != 0) count *= problem.batch[i];
    }
    Bytes packed(static_cast<size_t>(count * each) * size_of(layout.dtype) + 1);
    BatchDims index{};
    for (index[0] = 0; index[0] < problem.batch[0]; ++index[0])
      for (index[1] = 0; index[1] < problem.batch[1]; ++index[1])
        for (index[2] = 0; index[2] < problem.batch[2]; ++index[2])
          for (index[3] = 0; index[3] < problem.batch[3]; ++index[3]) {
            int64_t source = 0;
            int64_t target = 0;
            for (size_t i = 0; i < kGemmBatchRank; ++i) {
              source += index[i] * from.batch_strides[i];
              target += index[i] * problem.b.batch_strides[i];
            }
            const auto size = static_cast<int64_t>(size_of(layout.dtype));
            pack_matrix(layout, problem.k, problem.n, b_.data() + source * size, from,
                        packed.data() + target * size);
          }
    return packed;
  }

  GemmArgs args(const void* b, std::vector<Bytes>& outputs) {
    c_.clear();
    pointers_.clear();
    for (Bytes& output : outputs) c_.push_back(output.data());
    for (Bytes& operand : operands_) pointers_.push_back(operand.data());
    return {a_.data(), b, c_.data(), pointers_.data()};
  }

  GemmProblem problem_;
  Bytes a_;
  Bytes b_;
  std::vector<Bytes> operands_;
  std::vector<Bytes> wanted_;
  std::vector<Bytes> found_;
  std::vector<void*> c_;
  std::vector<const void*> pointers_;
};

void expect_right(const GemmProblem& problem, bool also_packed = true) {
  Fixture fixture(problem);
  for (Isa isa : isas()) {
    for (bool pack : {false, true}) {
      if (pack && !also_packed) continue;
      fixture.expect_right(isa, 1, pack);
      if (testing::Test::HasFatalFailure()) return;
    }
  }
}

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

TEST(Gemm, MultipliesOddSizes) {
  for (int64_t m : {1, 2, 3, 7, 17, 33, 100}) {
    for (int64_t n : {1, 2, 3, 7, 17, 33, 100}) {
      for (int64_t k : {1, 3, 17, 100}) expect_right(plain(m, n, k));
    }
  }
}

TEST(Gemm, MultipliesThroughBlocksOfK) {
  expect_right(plain(3, 40, 1700));
  expect_right(plain(30, 300, 1025));
  expect_right(plain(530, 33, 800));
}

TEST(Gemm, TakesStridedAndTransposedMatrices) {
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

TEST(Gemm, TakesEveryStorageType) {
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

TEST(Gemm, MultipliesDoubles) {
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

TEST(Gemm, BroadcastsAndStridesBatches) {
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

TEST(Gemm, FoldsBatchesOfRowsTheyContinue) {
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

TEST(Gemm, AppliesEveryPostOp) {
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

TEST(Gemm, RoundsBetweenPostOps) {
  for (DType dtype : {DType::bf16, DType::f16}) {
    GemmProblem problem = plain(7, 37, 2);
    // With k = 2 the product is exact, so rounding it has one right answer.
    problem.outputs[0].post_ops = {PostOp::round(dtype), PostOp::scale(1024), PostOp::round(dtype)};
    expect_right(problem);
  }
}

TEST(Gemm, SplitsColumnsOverOutputs) {
  for (int64_t m : {3, 20}) {
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

TEST(Gemm, TreatsAnEmptySumAsZeroAndEmptyOutputsAsNothing) {
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
        fixture.expect_right(isa, 1, false);
        const std::vector<Bytes> alone = fixture.found();
        for (int threads : {2, 4}) {
          fixture.expect_right(isa, threads, false);
          EXPECT_EQ(fixture.found(), alone) << threads << " threads";
          fixture.expect_right(isa, threads, true);
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

}  // namespace
}  // namespace tutti::cpu
