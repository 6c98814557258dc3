// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "device/cpu/gemm_kernel.h"
#include "device/cpu/gemm_pack.h"

namespace tutti::cpu::TUTTI_ISA {

namespace {

constexpr int kTileFloats = std::max(kTileRows, 2 * kPairRows) * kWidth;

/// One task: rows [row_begin, row_end) x panels [panel_begin, panel_end) of matrix `index`.
struct Task {
  const GemmRun& run;
  const GemmRecipe& recipe;
  BatchDims index{};
  const char* a = nullptr;
  const char* b = nullptr;
  int64_t row_begin = 0;
  int64_t row_end = 0;
  int64_t panel_begin = 0;
  int64_t panel_end = 0;
  float* partial = nullptr;
  float* a_rows = nullptr;
  float* b_panels = nullptr;
};

/// The ranges a block of a task works on.
struct Block {
  int64_t row_begin;
  int64_t row_end;
  int64_t panel_begin;
  int64_t panel_end;
  int64_t k_begin;
  int64_t k;
};

Task make_task(const GemmRun& run, int64_t number, int thread) {
  const GemmRecipe& recipe = run.recipe;
  const GemmProblem& problem = recipe.problem;
  Task task{run, recipe};
  const int64_t row_task = number % recipe.row_tasks;
  number /= recipe.row_tasks;
  const int64_t panel_task = number % recipe.panel_tasks;
  number /= recipe.panel_tasks;
  for (int i = kGemmBatchRank - 1; i >= 0 && number > 0; --i) {
    task.index[static_cast<size_t>(i)] = number % problem.batch[static_cast<size_t>(i)];
    number /= problem.batch[static_cast<size_t>(i)];
  }
  const auto at = [&](const void* base, const MatrixLayout& layout) {
    return static_cast<const char*>(base) + batch_offset(task.index, layout.batch_strides) *
                                                static_cast<int64_t>(size_of(layout.dtype));
  };
  task.a = at(run.args.a, problem.a);
  task.b = at(run.args.b, problem.b);
  task.row_begin = share(problem.m, recipe.row_tasks, row_task);
  task.row_end = share(problem.m, recipe.row_tasks, row_task + 1);
  task.panel_begin = share(recipe.panels, recipe.panel_tasks, panel_task);
  task.panel_end = share(recipe.panels, recipe.panel_tasks, panel_task + 1);
  task.partial = run.scratch + static_cast<size_t>(thread) * recipe.thread_floats();
  task.a_rows = task.partial + recipe.partial_floats;
  task.b_panels = task.a_rows + recipe.a_floats;
  return task;
}

/// Where kernels find the panels of a block.
struct Panels {
  const char* base;      // of panel_begin
  int64_t panel_stride;  // elements
  int64_t row_stride;
  int64_t element_bytes;
  DType dtype;
};

Panels prepare_panels(const Task& task, const Block& block) {
  const GemmRecipe& recipe = task.recipe;
  const GemmProblem& problem = recipe.problem;
  const MatrixLayout& b = problem.b;
  const int64_t bytes = static_cast<int64_t>(size_of(b.dtype));
  if (recipe.b_source == BSource::packed) {
    const int64_t first = (block.panel_begin * problem.k + block.k_begin) * kWidth;
    return {task.b + first * bytes, problem.k * kWidth, kWidth, bytes, b.dtype};
  }
  if (recipe.b_source == BSource::copied) {
    for (int64_t p = block.panel_begin; p < block.panel_end; ++p) {
      recipe.copy_b(task.run, task.b, p, block.k_begin, block.k,
                    task.b_panels + (p - block.panel_begin) * block.k * kWidth);
    }
    return {reinterpret_cast<const char*>(task.b_panels), block.k * kWidth, kWidth, 4, DType::f32};
  }
  // The last panel may end past B's columns: kernels get a padded copy of it.
  if (block.panel_end * kWidth > problem.n) {
    recipe.copy_b(task.run, task.b, block.panel_end - 1, block.k_begin, block.k, task.b_panels);
  }
  const int64_t first = block.k_begin * b.row_stride + block.panel_begin * kWidth;
  return {task.b + first * bytes, kWidth, b.row_stride, bytes, b.dtype};
}

/// Computes columns from panel p on of one tile; returns how many panels that were.
int multiply_tile(const Task& task, const Block& block, const Panels& panels, Tile tile,
                  int64_t row, int rows, int64_t p) {
  const GemmRecipe& recipe = task.recipe;
  const GemmProblem& problem = recipe.problem;
  const int64_t column = p * kWidth;
  const int64_t left = problem.n - column;
  const bool pair = rows <= kPairRows && p + 1 < block.panel_end && left >= 2 * kWidth;
  const int width = pair ? 2 * kWidth : kWidth;
  const int columns = static_cast<int>(std::min<int64_t>(left, width));
  DType dtype = panels.dtype;
  tile.b = panels.base + (p - block.panel_begin) * panels.panel_stride * panels.element_bytes;
  tile.b_stride = panels.row_stride;
  if (columns < kWidth && recipe.b_source == BSource::strided) {
    dtype = DType::f32;
    tile.b = task.b_panels;
    tile.b_stride = kWidth;
  }
  const bool half = columns <= kLanes && dtype == DType::f32;
  const Extent extent = pair ? Extent::pair : half ? Extent::half : Extent::panel;
  const Kernel kernel = find_kernel(dtype, rows, extent);

  const int64_t partial_stride = recipe.block_panels * kWidth;
  float* partial =
      task.partial + (row - block.row_begin) * partial_stride + (p - block.panel_begin) * kWidth;
  if (block.k_begin > 0) {
    tile.in = partial;
    tile.in_stride = partial_stride;
  }
  if (block.k_begin + block.k < problem.k) {
    tile.out = partial;
    tile.out_stride = partial_stride;
    kernel(tile);
    return pair ? 2 : 1;
  }
  alignas(64) float buffer[kTileFloats + kLanes];
  tile.out = buffer;
  tile.out_stride = width;
  bool bias_is_added = false;
  const int o = columns == width ? sole_output(recipe, column, columns) : -1;
  if (o >= 0) {
    const GemmOutput& output = problem.outputs[static_cast<size_t>(o)];
    const MatrixLayout& c = output.layout;
    const int64_t first = column - recipe.first_columns[static_cast<size_t>(o)];
    bias_is_added = recipe.kernel_adds_bias[static_cast<size_t>(o)];
    if (bias_is_added) {
      const PostOp& op = output.post_ops[0];
      tile.bias = static_cast<const float*>(task.run.args.operands[op.operand]) + first +
                  batch_offset(task.index, op.layout.batch_strides);
    }
    if (output.post_ops.size() == (bias_is_added ? 1 : 0) && c.dtype == DType::f32 &&
        c.col_stride == 1) {
      tile.out = static_cast<float*>(task.run.args.c[o]) + row * c.row_stride + first +
                 batch_offset(task.index, c.batch_strides);
      tile.out_stride = c.row_stride;
    }
  }
  kernel(tile);
  if (tile.out == buffer) {
    finish(task.run, task.index, buffer, width, row, rows, column, columns, bias_is_added);
  }
  return pair ? 2 : 1;
}

void run_block(const Task& task, const Block& block) {
  const GemmRecipe& recipe = task.recipe;
  const MatrixLayout& a = recipe.problem.a;
  const Panels panels = prepare_panels(task, block);
  const int64_t height = block.row_end - block.row_begin;
  const int64_t tiles = (height + kTileRows - 1) / kTileRows;
  for (int64_t i = 0; i < tiles; ++i) {
    const int64_t row = block.row_begin + share(height, tiles, i);
    const int rows = static_cast<int>(block.row_begin + share(height, tiles, i + 1) - row);
    Tile tile{};
    tile.k = block.k;
    tile.panel_stride = panels.panel_stride;
    if (recipe.copy_a != nullptr) {
      tile.a_stride = block.k + kCopyPadding;
      recipe.copy_a(task.run, task.a, row, rows, block.k_begin, block.k, task.a_rows,
                    tile.a_stride);
      tile.a = task.a_rows;
    } else {
      tile.a_stride = a.row_stride;
      tile.a = reinterpret_cast<const float*>(task.a) + row * a.row_stride + block.k_begin;
    }
    for (int64_t p = block.panel_begin; p < block.panel_end;) {
      p += multiply_tile(task, block, panels, tile, row, rows, p);
    }
  }
}

}  // namespace

void run_task(const GemmRun& run, int64_t number, int thread) {
  const Task task = make_task(run, number, thread);
  const GemmRecipe& recipe = run.recipe;
  const int64_t k = recipe.problem.k;
  const int64_t height = task.row_end - task.row_begin;
  const int64_t row_blocks = (height + recipe.block_rows - 1) / recipe.block_rows;
  for (int64_t p = task.panel_begin; p < task.panel_end; p += recipe.block_panels) {
    const int64_t panel_end = std::min(p + recipe.block_panels, task.panel_end);
    for (int64_t r = 0; r < row_blocks; ++r) {
      Block block{task.row_begin + share(height, row_blocks, r),
                  task.row_begin + share(height, row_blocks, r + 1),
                  p,
                  panel_end,
                  0,
                  0};
      do {
        block.k = std::min(recipe.block_k, k - block.k_begin);
        run_block(task, block);
        block.k_begin += block.k;
      } while (block.k_begin < k);
    }
  }
}

void copy_a(const GemmRun& run, const void* a, int64_t row, int rows, int64_t k0, int64_t k,
            float* to, int64_t stride) {
  copy_rows(a, run.recipe.problem.a, row, rows, k0, k, to, stride);
}

void copy_b(const GemmRun& run, const void* b, int64_t panel, int64_t k0, int64_t k, float* to) {
  const MatrixLayout& from = run.recipe.problem.b;
  const int64_t column = panel * kWidth;
  const int64_t at = k0 * from.row_stride + column * from.col_stride;
  const char* first = static_cast<const char*>(b) + at * static_cast<int64_t>(size_of(from.dtype));
  const int64_t columns = std::min<int64_t>(kWidth, run.recipe.problem.n - column);
  pack_panel(first, from, k, static_cast<int>(columns), to);
}

}  // namespace tutti::cpu::TUTTI_ISA
