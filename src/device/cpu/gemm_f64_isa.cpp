// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cmath>

#include "device/cpu/gemm_kernel.h"

namespace tutti::cpu::TUTTI_ISA {

namespace {

constexpr int kRows = 4;
constexpr int kColumns = 2 * kLanesF64;

double apply_unary_f64(Unary f, double x) {
  const double root = 0.70710678118654752440;
  switch (f) {
    case Unary::relu:
      return x > 0 ? x : (x == x ? 0 : x);
    case Unary::gelu_erf:
      return 0.5 * x * std::erfc(-x * root);
    case Unary::gelu_tanh:
      return 0.5 * x * (1 + std::tanh(0.79788456080286535588 * (x + 0.044715 * x * x * x)));
    case Unary::silu:
      return x / (1 + std::exp(-x));
    case Unary::quick_gelu:
      return x / (1 + std::exp(-1.702 * x));
    case Unary::tanh:
      return std::tanh(x);
    case Unary::sigmoid:
      return 1 / (1 + std::exp(-x));
    case Unary::exp:
      return std::exp(x);
    case Unary::log:
      return std::log(x);
    case Unary::erf:
      return std::erf(x);
    case Unary::sin:
      return std::sin(x);
    case Unary::cos:
      return std::cos(x);
  }
  return x;
}

double finish_element(const GemmOutput& output, const GemmArgs& args, const BatchDims& index,
                      int64_t row, int64_t column, double x) {
  for (const PostOp& op : output.post_ops) {
    const MatrixLayout& in = op.layout;
    const int64_t at =
        batch_offset(index, in.batch_strides) + row * in.row_stride + column * in.col_stride;
    const auto operand = [&] { return static_cast<const double*>(args.operands[op.operand])[at]; };
    switch (op.kind) {
      case PostOp::Kind::add:
        x += operand();
        break;
      case PostOp::Kind::multiply:
        x *= operand();
        break;
      case PostOp::Kind::scale:
        x *= static_cast<double>(op.factor);
        break;
      case PostOp::Kind::unary:
        x = apply_unary_f64(op.unary, x);
        break;
      case PostOp::Kind::round:
        break;  // refused when prepared
    }
  }
  return x;
}

void finish_tile(const GemmRun& run, const BatchDims& index, const double (&x)[kRows][kColumns],
                 int64_t row, int rows, int64_t column, int64_t columns) {
  const GemmRecipe& recipe = run.recipe;
  for (size_t o = 0; o < recipe.problem.outputs.size(); ++o) {
    const GemmOutput& output = recipe.problem.outputs[o];
    const int64_t first = recipe.first_columns[o];
    double* c =
        static_cast<double*>(run.args.c[o]) + batch_offset(index, output.layout.batch_strides);
    const int64_t begin = std::max(column, first);
    const int64_t end = std::min(column + columns, recipe.first_columns[o + 1]);
    for (int i = 0; i < rows; ++i) {
      for (int64_t j = begin; j < end; ++j) {
        c[(row + i) * output.layout.row_stride + (j - first) * output.layout.col_stride] =
            finish_element(output, run.args, index, row + i, j - first, x[i][j - column]);
      }
    }
  }
}

/// kRows x kColumns sums in the order of k; rows beyond `rows` repeat the last one.
void multiply(const double* a, const MatrixLayout& layout, int rows, const double* panel, int64_t k,
              double (&out)[kRows][kColumns]) {
  VecD sum[kRows][2] = {};
  const double* row[kRows];
  for (int i = 0; i < kRows; ++i) row[i] = a + std::min(i, rows - 1) * layout.row_stride;
  for (int64_t p = 0; p < k; ++p) {
    const VecD left = load_bytes<VecD>(panel + p * kColumns);
    const VecD right = load_bytes<VecD>(panel + p * kColumns + kLanesF64);
#pragma GCC unroll 4
    for (int i = 0; i < kRows; ++i) {
      const VecD factor = row[i][p * layout.col_stride] - VecD{};
      sum[i][0] += factor * left;
      sum[i][1] += factor * right;
    }
  }
  std::memcpy(out, sum, sizeof out);
}

}  // namespace

void run_task_f64(const GemmRun& run, int64_t number, int thread) {
  const GemmRecipe& recipe = run.recipe;
  const GemmProblem& problem = recipe.problem;
  const int64_t panel = number % recipe.panels;
  BatchDims index{};
  number /= recipe.panels;
  for (size_t i = kGemmBatchRank; i-- > 0 && number > 0;) {
    index[i] = number % problem.batch[i];
    number /= problem.batch[i];
  }
  const MatrixLayout& b_layout = problem.b;
  const double* a =
      static_cast<const double*>(run.args.a) + batch_offset(index, problem.a.batch_strides);
  const double* b =
      static_cast<const double*>(run.args.b) + batch_offset(index, problem.b.batch_strides);
  const int64_t column = panel * kColumns;
  const int64_t columns = std::min<int64_t>(kColumns, problem.n - column);
  const double* values = b + panel * problem.k * kColumns;
  if (recipe.b_source != BSource::packed) {
    double* copy = reinterpret_cast<double*>(run.scratch +
                                             static_cast<size_t>(thread) * recipe.thread_floats());
    for (int64_t p = 0; p < problem.k; ++p) {
      for (int64_t j = 0; j < kColumns; ++j) {
        copy[p * kColumns + j] =
            j < columns ? b[p * b_layout.row_stride + (column + j) * b_layout.col_stride] : 0.0;
      }
    }
    values = copy;
  }
  for (int64_t row = 0; row < problem.m; row += kRows) {
    const int rows = static_cast<int>(std::min<int64_t>(kRows, problem.m - row));
    double out[kRows][kColumns];
    multiply(a + row * problem.a.row_stride, problem.a, rows, values, problem.k, out);
    finish_tile(run, index, out, row, rows, column, columns);
  }
}

}  // namespace tutti::cpu::TUTTI_ISA
