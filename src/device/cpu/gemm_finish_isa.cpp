// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <type_traits>

#include "device/cpu/gemm_kernel.h"
#include "device/cpu/unary_isa.h"

namespace tutti::cpu::TUTTI_ISA {

namespace {

using Whole = std::integral_constant<int, kLanes>;

/// The part of a tile that goes to one output: x in, y out (x itself or the output).
struct Patch {
  float* x;
  int64_t x_stride;
  float* y;
  int64_t y_stride;
  int rows;
  int columns;
};

template <class T>
[[gnu::always_inline]] inline VecF load_some(const T* from, Whole) {
  return load(from);
}
template <class T>
[[gnu::always_inline]] inline VecF load_some(const T* from, int count) {
  return load_first(from, count);
}

/// y = f(i, j, x, count) for every vector; `count` lanes from column j of row i matter.
template <class F>
[[gnu::always_inline]] inline void each(const Patch& patch, const F& f) {
  for (int i = 0; i < patch.rows; ++i) {
    const float* x = patch.x + i * patch.x_stride;
    float* y = patch.y + i * patch.y_stride;
    int j = 0;
    for (; j + kLanes <= patch.columns; j += kLanes) store(y + j, f(i, j, load(x + j), Whole{}));
    const int rest = patch.columns - j;
    if (rest > 0) store_first(y + j, f(i, j, load(x + j), rest), rest);
  }
}

template <class T, class F>
void combine_typed(const Patch& patch, const T* operand, int64_t row_stride, int64_t col_stride,
                   const F& f) {
  if (col_stride == 1) {
    each(patch, [&](int i, int j, VecF x, auto count) {
      return f(x, load_some(operand + i * row_stride + j, count));
    });
  } else if (col_stride == 0) {
    each(patch, [&](int i, int, VecF x, auto) {
      return f(x, math::splat<VecF>(load_one(operand + i * row_stride)));
    });
  } else {
    each(patch, [&](int i, int j, VecF x, auto count) {
      VecF gathered{};
      for (int lane = 0; lane < count; ++lane) {
        gathered[lane] = load_one(operand + i * row_stride + (j + lane) * col_stride);
      }
      return f(x, gathered);
    });
  }
}

template <class F>
void combine(const Patch& patch, const void* operand, const MatrixLayout& layout, int64_t offset,
             const F& f) {
  const int64_t rows = layout.row_stride;
  const int64_t cols = layout.col_stride;
  switch (layout.dtype) {
    case DType::bf16:
      return combine_typed(patch, static_cast<const bf16*>(operand) + offset, rows, cols, f);
    case DType::f16:
      return combine_typed(patch, static_cast<const f16*>(operand) + offset, rows, cols, f);
    default:
      return combine_typed(patch, static_cast<const float*>(operand) + offset, rows, cols, f);
  }
}

void apply(const PostOp& op, const Patch& patch, const void* const* operands, int64_t offset) {
  switch (op.kind) {
    case PostOp::Kind::add:
      return combine(patch, operands[op.operand], op.layout, offset,
                     [](VecF x, VecF y) { return x + y; });
    case PostOp::Kind::multiply:
      return combine(patch, operands[op.operand], op.layout, offset,
                     [](VecF x, VecF y) { return x * y; });
    case PostOp::Kind::scale:
      return each(patch, [&](int, int, VecF x, auto) { return x * op.factor; });
    case PostOp::Kind::unary:
      return with_unary(op.unary,
                        [&](auto f) { each(patch, [&](int, int, VecF x, auto) { return f(x); }); });
    case PostOp::Kind::round:
      if (op.dtype == DType::bf16) {
        return each(patch, [](int, int, VecF x, auto) { return from_bf16(to_bf16(x)); });
      }
      return each(patch, [](int, int, VecF x, auto) { return from_f16(to_f16(x)); });
  }
}

template <class T>
void store_typed(const Patch& patch, T* to, int64_t row_stride, int64_t col_stride) {
  for (int i = 0; i < patch.rows; ++i) {
    const float* x = patch.x + i * patch.x_stride;
    T* y = to + i * row_stride;
    int j = 0;
    if (col_stride == 1) {
      for (; j + kLanes <= patch.columns; j += kLanes) store(y + j, load(x + j));
      if (j < patch.columns) store_first(y + j, load(x + j), patch.columns - j);
    } else {
      for (; j < patch.columns; ++j) store_one(y + j * col_stride, x[j]);
    }
  }
}

void finish_output(const GemmRun& run, const GemmOutput& output, int64_t o, const BatchDims& index,
                   Patch patch, int64_t row, int64_t column, size_t first_op) {
  const MatrixLayout& c = output.layout;
  const int64_t at =
      batch_offset(index, c.batch_strides) + row * c.row_stride + column * c.col_stride;
  void* to = run.args.c[o];
  const bool in_place = c.dtype == DType::f32 && c.col_stride == 1;
  const size_t ops = output.post_ops.size();
  for (size_t i = first_op; i < ops; ++i) {
    const PostOp& op = output.post_ops[i];
    const MatrixLayout& in = op.layout;
    if (in_place && i + 1 == ops) {
      patch.y = static_cast<float*>(to) + at;
      patch.y_stride = c.row_stride;
    }
    apply(op, patch, run.args.operands,
          batch_offset(index, in.batch_strides) + row * in.row_stride + column * in.col_stride);
  }
  if (in_place && first_op < ops) return;
  switch (c.dtype) {
    case DType::bf16:
      return store_typed(patch, static_cast<bf16*>(to) + at, c.row_stride, c.col_stride);
    case DType::f16:
      return store_typed(patch, static_cast<f16*>(to) + at, c.row_stride, c.col_stride);
    default:
      return store_typed(patch, static_cast<float*>(to) + at, c.row_stride, c.col_stride);
  }
}

}  // namespace

int sole_output(const GemmRecipe& recipe, int64_t column, int64_t columns) {
  const int outputs = static_cast<int>(recipe.problem.outputs.size());
  for (int i = 0; i < outputs; ++i) {
    if (column < recipe.first_columns[static_cast<size_t>(i) + 1]) {
      return column + columns <= recipe.first_columns[static_cast<size_t>(i) + 1] ? i : -1;
    }
  }
  return -1;
}

void finish(const GemmRun& run, const BatchDims& index, float* x, int64_t x_stride, int64_t row,
            int rows, int64_t column, int columns, bool bias_is_added) {
  const GemmRecipe& recipe = run.recipe;
  for (size_t o = 0; o < recipe.problem.outputs.size(); ++o) {
    const int64_t begin = std::max(column, recipe.first_columns[o]);
    const int64_t end = std::min(column + columns, recipe.first_columns[o + 1]);
    if (begin >= end) continue;
    float* from = x + (begin - column);
    const Patch patch{from, x_stride, from, x_stride, rows, static_cast<int>(end - begin)};
    finish_output(run, recipe.problem.outputs[o], static_cast<int64_t>(o), index, patch, row,
                  begin - recipe.first_columns[o], bias_is_added ? 1 : 0);
  }
}

}  // namespace tutti::cpu::TUTTI_ISA
