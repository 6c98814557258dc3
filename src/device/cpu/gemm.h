// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "device/cpu/isa.h"
#include "device/cpu/pool.h"
#include "device/cpu/unary.h"
#include "tutti/tensor.h"

namespace tutti::cpu {

inline constexpr int kGemmBatchRank = 4;
inline constexpr int kMaxPostOps = 8;
using BatchDims = std::array<int64_t, kGemmBatchRank>;

/// How a batch of matrices lies in memory; strides in elements, 0 repeats the same element.
struct MatrixLayout {
  DType dtype = DType::f32;
  int64_t row_stride = 0;
  int64_t col_stride = 1;
  BatchDims batch_strides{};
};

/// One step from the f32 product towards what is stored: v = v + operand, v * operand, v * factor,
/// unary(v), or v rounded to dtype (bf16 or f16) and back.
/// An operand is a matrix like the output with the strides of `layout`, f32, bf16 or f16: a bias
/// of n has row_stride 0, a factor per row col_stride 0. `operand` is its index in
/// GemmArgs::operands. It may be the output itself, element for element.
struct PostOp {
  enum class Kind { add, multiply, scale, unary, round };
  Kind kind = Kind::add;
  int operand = 0;
  MatrixLayout layout;
  float factor = 1;
  Unary unary = Unary::relu;
  DType dtype = DType::f32;

  static PostOp add(int operand, const MatrixLayout& layout);
  static PostOp multiply(int operand, const MatrixLayout& layout);
  /// Adds a contiguous vector of n elements.
  static PostOp bias(int operand, DType dtype = DType::f32);
  static PostOp scale(float factor);
  static PostOp apply(Unary unary);
  static PostOp round(DType dtype);
};

/// A destination of `columns` adjacent columns of the product. Strides and operands of its
/// post_ops count from the first of these columns. dtype f32, bf16 or f16, rounded to nearest even.
struct GemmOutput {
  int64_t columns = 0;
  MatrixLayout layout;
  std::vector<PostOp> post_ops;  ///< in order, at most kMaxPostOps
};

/// C[batch..., m, n] = A[batch..., m, k] x B[batch..., k, n], summed in f32 in the order of k.
/// a, b: f32, bf16 or f16; or all of a, b, the outputs and operands f64 (then summed in f64).
/// b_packed: each matrix of B is in the layout of PackedLayout::of(isa, b.dtype); then of b only
/// dtype and batch_strides are read. The columns of the outputs add up to n.
struct GemmProblem {
  int64_t m = 0;
  int64_t n = 0;
  int64_t k = 0;
  BatchDims batch{1, 1, 1, 1};
  MatrixLayout a;
  MatrixLayout b;
  bool b_packed = false;
  std::vector<GemmOutput> outputs;
};

/// Pointers of one run: c[i] of outputs[i], operands by PostOp::operand. No output overlaps A or B.
struct GemmArgs {
  const void* a = nullptr;
  const void* b = nullptr;
  void* const* c = nullptr;
  const void* const* operands = nullptr;
};

struct GemmRecipe;

/// A prepared product. Immutable; several threads may run it at once with their own workspaces.
/// Results have the same bits for any number of threads.
class Gemm {
 public:
  /// Plans for pools of up to `threads`. Throws invalid_argument for inconsistent sizes and
  /// unsupported for types that cannot be mixed.
  explicit Gemm(const GemmProblem& problem, int threads, Isa isa = current_isa());
  ~Gemm();
  Gemm(Gemm&&) noexcept;
  Gemm& operator=(Gemm&&) noexcept;

  /// Bytes of scratch memory a run needs, aligned to 64.
  size_t workspace_bytes() const;

  /// Allocates nothing. Throws invalid_argument when the pool has more threads than planned for.
  void run(const GemmArgs& args, void* workspace, Pool& pool) const;

 private:
  std::unique_ptr<GemmRecipe> recipe_;
};

}  // namespace tutti::cpu
