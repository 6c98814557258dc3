// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "device/cpu/dnnl_matmul.h"
#include "device/cpu/gemm_reference_test.h"
#include "device/cpu/packed_matrix.h"

// For tests of matrix products.
namespace tutti::cpu {

using Bytes = std::vector<unsigned char>;

inline std::vector<Isa> isas() {
  std::vector<Isa> all;
  for (int i = 0; i < kIsaCount; ++i) {
    if (is_supported(static_cast<Isa>(i))) all.push_back(static_cast<Isa>(i));
  }
  return all;
}

/// Elements a layout spans for the sizes of a problem.
inline int64_t span_of(const MatrixLayout& layout, const BatchDims& batch, int64_t rows,
                       int64_t columns) {
  if (rows == 0 || columns == 0) return 1;
  int64_t last = (rows - 1) * layout.row_stride + (columns - 1) * layout.col_stride;
  for (size_t i = 0; i < kGemmBatchRank; ++i) {
    last += std::max<int64_t>(batch[i] - 1, 0) * layout.batch_strides[i];
  }
  return last + 1;
}

inline double tolerance(DType dtype, int64_t k) {
  if (dtype == DType::bf16) return 1.0 / 128;
  if (dtype == DType::f16) return 1.0 / 1024;
  return dtype == DType::f64 ? 1e-13 : 1e-7 * static_cast<double>(20 + k);
}

/// oneDNN's activations are that much less accurate than ours.
inline constexpr double kDnnlActivation = 4e-6;

/// Who multiplies.
enum class Product { own, onednn };

/// The memory of a problem with random contents, the reference's outputs, and runs of a product.
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
  /// False when oneDNN does not take the problem.
  bool expect_right(Product product, Isa isa, int threads, bool pack) {
    GemmProblem problem = problem_;
    Bytes packed;
    const void* b = b_.data();
    if (pack) {
      packed = pack_b(isa, problem);
      b = packed.data();
    }
    if (!run(product, problem, isa, threads, b)) return false;
    compare(problem, isa, pack, product == Product::own ? 0 : kDnnlActivation);
    return true;
  }

  const std::vector<Bytes>& found() const { return found_; }

 private:
  void compare(const GemmProblem& problem, Isa isa, bool pack, double activation) const {
    for (size_t o = 0; o < found_.size(); ++o) {
      const DType dtype = problem.outputs[o].layout.dtype;
      const auto& ops = problem.outputs[o].post_ops;
      const bool activates = std::any_of(
          ops.begin(), ops.end(), [](const PostOp& op) { return op.kind == PostOp::Kind::unary; });
      const int64_t elements = static_cast<int64_t>(found_[o].size() / size_of(dtype));
      for (int64_t i = 0; i < elements; ++i) {
        const double found = reference::read(found_[o].data(), dtype, i);
        const double wanted = reference::read(wanted_[o].data(), dtype, i);
        const double limit = (tolerance(dtype, problem.k) + (activates ? activation : 0)) *
                             std::max(1.0, std::fabs(wanted));
        ASSERT_LE(std::fabs(found - wanted), limit)
            << "output " << o << " element " << i << ": " << found << ", wanted " << wanted
            << " (m " << problem.m << " n " << problem.n << " k " << problem.k << " on "
            << to_string(isa) << (pack ? ", packed" : "") << ")";
      }
    }
  }

  bool run(Product product, const GemmProblem& problem, Isa isa, int threads, const void* b) {
    for (size_t o = 0; o < found_.size(); ++o) {
      found_[o] = reference::random_array(
          problem.outputs[o].layout.dtype,
          static_cast<int64_t>(found_[o].size() / size_of(problem.outputs[o].layout.dtype)), 3);
    }
    Pool pool(threads);
    const auto multiply = [&](auto& prepared) {
      const size_t bytes = prepared.workspace_bytes();
      Bytes memory(bytes + 128, 0x7f);
      const auto start = reinterpret_cast<uintptr_t>(memory.data());
      unsigned char* workspace = memory.data() + (64 - start % 64);
      // Twice: a second run finds what the first left in its memory.
      prepared.run(args(b, found_), workspace, pool);
      prepared.run(args(b, found_), workspace, pool);
      for (const unsigned char* end = workspace + bytes; end < &memory.back(); ++end)
        EXPECT_EQ(*end, 0x7f) << "the workspace was overrun";
    };
    if (product == Product::own) {
      Gemm gemm(problem, threads, isa);
      multiply(gemm);
      return true;
    }
    auto matmul = DnnlMatmul::prepare(problem, threads, isa);
    if (matmul) multiply(*matmul);
    return matmul.has_value();
  }

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

}  // namespace tutti::cpu
