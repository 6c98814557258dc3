// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <random>
#include <vector>

#include "core/dispatch.h"
#include "device/cpu/gemm.h"

// For tests: matrix products by plain loops in double.
namespace tutti::cpu::reference {

/// Element `at` of an array of `dtype`.
inline double read(const void* array, DType dtype, int64_t at) {
  return with_dtype(dtype, [&](auto type) {
    using T = decltype(type);
    return static_cast<double>(static_cast<ComputeType<T>>(static_cast<const T*>(array)[at]));
  });
}

inline void write(void* array, DType dtype, int64_t at, double value) {
  with_dtype(dtype, [&](auto type) {
    using T = decltype(type);
    static_cast<T*>(array)[at] = T(static_cast<ComputeType<T>>(value));
  });
}

/// Memory of `elements` random numbers in [-1, 1]: 64ths, of which all types hold every one, and
/// f32 short sums of products exactly; or, when `rough`, numbers that need all bits of an f32.
inline std::vector<unsigned char> random_array(DType dtype, int64_t elements, unsigned seed,
                                               bool rough = false) {
  std::vector<unsigned char> bytes(static_cast<size_t>(elements) * size_of(dtype));
  std::mt19937 generator(seed);
  std::uniform_int_distribution<int> number(-64, 64);
  for (int64_t i = 0; i < elements; ++i) {
    const double value = number(generator) / 64.0;
    write(bytes.data(), dtype, i, rough ? value * (1 + number(generator) * 1e-4) : value);
  }
  return bytes;
}

inline double unary(Unary f, double x) {
  switch (f) {
    case Unary::relu:
      return x > 0 ? x : 0;
    case Unary::gelu_erf:
      return 0.5 * x * std::erfc(-x / std::sqrt(2.0));
    case Unary::gelu_tanh:
      return 0.5 * x * (1 + std::tanh(std::sqrt(2 / M_PI) * (x + 0.044715 * x * x * x)));
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

inline int64_t offset(const MatrixLayout& layout, const int64_t (&index)[kGemmBatchRank],
                      int64_t row, int64_t column) {
  int64_t at = row * layout.row_stride + column * layout.col_stride;
  for (size_t i = 0; i < kGemmBatchRank; ++i) at += index[i] * layout.batch_strides[i];
  return at;
}

/// Runs the post-ops on one product.
inline double finish(const std::vector<PostOp>& ops, const void* const* operands,
                     const int64_t (&index)[kGemmBatchRank], int64_t row, int64_t column,
                     double x) {
  for (const PostOp& op : ops) {
    const auto operand = [&] {
      return read(operands[op.operand], op.layout.dtype, offset(op.layout, index, row, column));
    };
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
        x = unary(op.unary, x);
        break;
      case PostOp::Kind::round:
        x = op.dtype == DType::bf16 ? static_cast<double>(bf16(static_cast<float>(x)))
                                    : static_cast<double>(f16(static_cast<float>(x)));
    }
  }
  return x;
}

/// C = A x B with post-ops; B as problem.b says, never packed.
inline void multiply(const GemmProblem& problem, const GemmArgs& args) {
  int64_t index[kGemmBatchRank] = {};
  const auto& batch = problem.batch;
  for (index[0] = 0; index[0] < batch[0]; ++index[0])
    for (index[1] = 0; index[1] < batch[1]; ++index[1])
      for (index[2] = 0; index[2] < batch[2]; ++index[2])
        for (index[3] = 0; index[3] < batch[3]; ++index[3])
          for (int64_t i = 0; i < problem.m; ++i) {
            int64_t first = 0;
            for (size_t o = 0; o < problem.outputs.size(); ++o) {
              const GemmOutput& output = problem.outputs[o];
              for (int64_t j = 0; j < output.columns; ++j) {
                double sum = 0;
                for (int64_t p = 0; p < problem.k; ++p) {
                  sum += read(args.a, problem.a.dtype, offset(problem.a, index, i, p)) *
                         read(args.b, problem.b.dtype, offset(problem.b, index, p, first + j));
                }
                write(args.c[o], output.layout.dtype, offset(output.layout, index, i, j),
                      finish(output.post_ops, args.operands, index, i, j, sum));
              }
              first += output.columns;
            }
          }
}

}  // namespace tutti::cpu::reference
