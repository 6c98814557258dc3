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
  task.b = at(recipe.packed_floats > 0 ? run.packed_b() : run.args.b, problem.b);
  task.row_begin = share(problem.m, recipe.row_tasks, row_task);
  task.row_end = share(problem.m, recipe.row_tasks, row_task + 1);
  task.panel_begin = share(recipe.panels, recipe.panel_tasks, panel_task);
  task.panel_end = share(recipe.panels, recipe.panel_tasks, panel_task + 1);
  task.partial = run.scratch_of(thread);
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
      recipe.copy_b(task.run, task.index, task.b, p, block.k_begin, block.k,
                    task.b_panels + (p - block.panel_begin) * block.k * kWidth);
    }
    return {reinterpret_cast<const char*>(task.b_panels), block.k * kWidth, kWidth, 4, DType::f32};
  }
  // The last panel may end past B's columns: kernels get a padded copy of it.
  if (block.panel_end * kWidth > problem.n) {
    recipe.copy_b(task.run, task.index, task.b, block.panel_end - 1, block.k_begin, block.k,
                  task.b_panels);
  }
  const int64_t first = block.k_begin * b.row_stride + block.panel_begin * kWidth;
  return {task.b + first * bytes, kWidth, b.row_stride, bytes, b.dtype};
}

/// What the tiles of a panel, or of a pair of panels, have in common.
struct PanelJob {
  const Kernel* kernels;
  int64_t column;
  int width;    // computed
  int columns;  // of the output
  bool to_buffer = false;
  bool bias_is_added = false;
};

/// Chooses the kernels and fills what of `tile` does not depend on its rows: in and out are those
/// of the first row of the block.
PanelJob start_panel(const Task& task, const Block& block, const Panels& panels, int64_t p,
                     bool pairs, Tile& tile) {
  const GemmRecipe& recipe = task.recipe;
  const GemmProblem& problem = recipe.problem;
  const int64_t column = p * kWidth;
  const int64_t left = problem.n - column;
  const bool pair = pairs && p + 1 < block.panel_end && left >= 2 * kWidth;
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
  const Extent extent = recipe.interleave ? Extent::interleaved
                        : pair            ? Extent::pair
                        : half            ? Extent::half
                                          : Extent::panel;
  PanelJob job{find_kernels(dtype, extent), column, width, columns};

  float* partial = task.partial + (p - block.panel_begin) * kWidth;
  const int64_t partial_stride = recipe.block_panels * kWidth;
  tile.in = block.k_begin > 0 ? partial : nullptr;
  tile.in_stride = partial_stride;
  tile.bias = nullptr;
  if (block.k_begin + block.k < problem.k) {
    tile.out = partial;
    tile.out_stride = partial_stride;
    return job;
  }
  job.to_buffer = true;
  const int o = columns == width ? sole_output(recipe, column, columns) : -1;
  if (o < 0) return job;
  const GemmOutput& output = problem.outputs[static_cast<size_t>(o)];
  const MatrixLayout& c = output.layout;
  const int64_t first = column - recipe.first_columns[static_cast<size_t>(o)];
  job.bias_is_added = recipe.kernel_adds_bias[static_cast<size_t>(o)];
  if (job.bias_is_added) {
    const PostOp& op = output.post_ops[0];
    tile.bias = static_cast<const float*>(task.run.args.operands[op.operand]) + first +
                batch_offset(task.index, op.layout.batch_strides);
  }
  if (output.post_ops.size() == (job.bias_is_added ? 1 : 0) && c.dtype == DType::f32 &&
      c.col_stride == 1 && recipe.finish == nullptr) {
    job.to_buffer = false;
    tile.out = static_cast<float*>(task.run.args.c[o]) + block.row_begin * c.row_stride + first +
               batch_offset(task.index, c.batch_strides);
    tile.out_stride = c.row_stride;
  }
  return job;
}

void fetch_output(const Tile& tile, int rows) {
  for (int i = 0; i < rows; ++i) {
    const float* row = tile.out + i * tile.out_stride;
    __builtin_prefetch(row, 1);
    __builtin_prefetch(row + kLanes, 1);
  }
}

/// Rows of a block, cut into tiles of nearly equal height: the first `taller` have one row more.
struct Tiles {
  Tiles(int64_t rows, int most)
      : count((rows + most - 1) / most),
        height(static_cast<int>(rows / count)),
        taller(rows % count) {}
  int rows(int64_t i) const { return height + (i < taller ? 1 : 0); }

  int64_t count;
  int height;
  int64_t taller;
};

void run_panel(const Task& task, const Block& block, const PanelJob& job, Tile tile,
               const Tiles& tiles) {
  const bool interleaved = task.recipe.interleave;
  const bool fetch_c = task.recipe.fetch_c && !job.to_buffer;
  const FinishTile finish_tile = task.recipe.finish ? task.recipe.finish : finish;
  alignas(64) float buffer[kTileFloats + kLanes];
  if (job.to_buffer) {
    tile.out = buffer;
    tile.out_stride = job.width;
  }
  int64_t row = block.row_begin;
  for (int64_t i = 0; i < tiles.count; ++i) {
    const int rows = tiles.rows(i);
    if (fetch_c) fetch_output(tile, rows);
    job.kernels[rows - 1](tile);
    if (job.to_buffer) {
      finish_tile(task.run, task.index, buffer, job.width, row, rows, job.column, job.columns,
                  job.bias_is_added);
    } else {
      tile.out += rows * tile.out_stride;
    }
    if (tile.in != nullptr) tile.in += rows * tile.in_stride;
    tile.a += rows * (interleaved ? block.k : tile.a_stride);
    tile.fetch = static_cast<const char*>(tile.fetch) + block.k * tile.fetch_bytes;
    row += rows;
  }
}

/// Makes the rows of a block available to kernels; returns the first one's address.
const float* prepare_rows(const Task& task, const Block& block, const Tiles& tiles, Tile& tile) {
  const GemmRecipe& recipe = task.recipe;
  const MatrixLayout& layout = recipe.problem.a;
  const int64_t height = block.row_end - block.row_begin;
  if (recipe.interleave) {
    float* copy = task.a_rows + recipe.block_rows * recipe.block_k + kLanes;
    float* to = task.a_rows;
    int64_t row = block.row_begin;
    for (int64_t i = 0; i < tiles.count; ++i) {
      const int rows = tiles.rows(i);
      const float* from =
          reinterpret_cast<const float*>(task.a) + row * layout.row_stride + block.k_begin;
      int64_t stride = layout.row_stride;
      if (recipe.copy_a != nullptr) {
        stride = block.k + kCopyPadding;
        recipe.copy_a(task.run, task.index, task.a, row, rows, block.k_begin, block.k, copy,
                      stride);
        from = copy;
      }
      interleave_rows(from, stride, rows, block.k, to);
      to += rows * block.k;
      row += rows;
    }
    return task.a_rows;
  }
  if (recipe.copy_a != nullptr) {
    tile.a_stride = block.k + kCopyPadding;
    recipe.copy_a(task.run, task.index, task.a, block.row_begin, static_cast<int>(height),
                  block.k_begin, block.k, task.a_rows, tile.a_stride);
    return task.a_rows;
  }
  tile.a_stride = layout.row_stride;
  return reinterpret_cast<const float*>(task.a) + block.row_begin * layout.row_stride +
         block.k_begin;
}

void run_block(const Task& task, const Block& block, const Panels& panels) {
  const GemmRecipe& recipe = task.recipe;
  const Tiles tiles(block.row_end - block.row_begin, recipe.pairs ? kPairRows : kTileRows);
  const bool pairs = recipe.pairs || (tiles.count == 1 && tiles.rows(0) <= kPairRows);
  Tile tile{};
  tile.k = block.k;
  tile.panel_stride = panels.panel_stride;
  tile.a = prepare_rows(task, block, tiles, tile);
  for (int64_t p = block.panel_begin; p < block.panel_end;) {
    const PanelJob job = start_panel(task, block, panels, p, pairs, tile);
    tile.fetch = tile.b;
    tile.fetch_bytes = 0;
    if (recipe.interleave && p + 1 < block.panel_end) {
      // All tiles of this panel together fetch the next one.
      tile.fetch = static_cast<const char*>(tile.b) + panels.panel_stride * panels.element_bytes;
      tile.fetch_bytes = kWidth * panels.element_bytes / tiles.count;
    }
    run_panel(task, block, job, tile, tiles);
    p += job.width / kWidth;
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
    Panels panels{};
    for (int64_t r = 0; r < row_blocks; ++r) {
      Block block{share(height, row_blocks, r) + task.row_begin,
                  share(height, row_blocks, r + 1) + task.row_begin,
                  p,
                  panel_end,
                  0,
                  0};
      do {
        block.k = std::min(recipe.block_k, k - block.k_begin);
        if (r == 0 || block.k < k) panels = prepare_panels(task, block);
        run_block(task, block, panels);
        block.k_begin += block.k;
      } while (block.k_begin < k);
    }
  }
}

void copy_a(const GemmRun& run, const BatchDims&, const void* a, int64_t row, int rows, int64_t k0,
            int64_t k, float* to, int64_t stride) {
  copy_rows(a, run.recipe.problem.a, row, rows, k0, k, to, stride);
}

void copy_b(const GemmRun& run, const BatchDims&, const void* b, int64_t panel, int64_t k0,
            int64_t k, float* to) {
  const MatrixLayout& from = run.recipe.given_b;
  const int64_t column = panel * kWidth;
  const int64_t at = k0 * from.row_stride + column * from.col_stride;
  const char* first = static_cast<const char*>(b) + at * static_cast<int64_t>(size_of(from.dtype));
  const int64_t columns = std::min<int64_t>(kWidth, run.recipe.problem.n - column);
  pack_panel(first, from, k, static_cast<int>(columns), to);
}

}  // namespace tutti::cpu::TUTTI_ISA
