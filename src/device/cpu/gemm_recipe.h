// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "device/cpu/gemm.h"

// Inside of the matrix product: what gemm.cpp decides once and x_isa.cpp files carry out.
//
// A task is a range of rows and of panels (of `width` columns) of one matrix of the batch. It goes
// through blocks of panels; in each through blocks of rows; in each through blocks of k; in each
// through tiles of at most `tile_rows` rows, and for each tile through the panels: the rows of A
// stay in the first-level cache, the panels of B in the second. Sums are carried in registers,
// between blocks of k in `partial`, so that every element is summed in the order of k.
namespace tutti::cpu {

struct GemmRun;

/// How kernels get at B.
enum class BSource : uint8_t {
  packed,   ///< panels in memory
  strided,  ///< rows of B itself, col_stride 1
  copied,   ///< packed by each task into its scratch memory, block by block
};

/// Writes rows [row, row + rows) x [k0, k0 + k) of A as f32 to `to`, rows `stride` apart; `a` is
/// matrix `index` of the batch.
using CopyA = void (*)(const GemmRun& run, const BatchDims& index, const void* a, int64_t row,
                       int rows, int64_t k0, int64_t k, float* to, int64_t stride);
/// Writes panel `panel` of rows [k0, k0 + k) of B as f32 [k][width], zeros past the last column.
using CopyB = void (*)(const GemmRun& run, const BatchDims& index, const void* b, int64_t panel,
                       int64_t k0, int64_t k, float* to);

/// Applies post-ops to a tile and stores it, see finish in gemm_kernel.h.
using FinishTile = void (*)(const GemmRun& run, const BatchDims& index, float* x, int64_t x_stride,
                            int64_t row, int rows, int64_t column, int columns, bool bias_is_added);

/// A or B made while it is read, rather than lying in memory. Costs are in cycles or so: of an
/// element of A, and of a row of a panel of B. finish: for outputs whose columns have no one
/// stride.
struct GemmSource {
  CopyA copy_a = nullptr;
  CopyB copy_b = nullptr;
  double cost = 0;
  FinishTile finish = nullptr;
};

struct GemmRecipe {
  GemmProblem problem;   ///< as given, but for folded batches and B's layout when packed first
  MatrixLayout given_b;  ///< what copy_b reads
  const void* source = nullptr;  ///< what copy_a or copy_b of a convolution read
  CopyA copy_a = nullptr;        ///< null: kernels read A itself
  CopyB copy_b = nullptr;
  FinishTile finish = nullptr;  ///< null: the one of gemm_kernel.h
  double a_cost = 0.125;        ///< cycles or so to copy an element of A
  double b_cost = 6;            ///< and a row of a panel of B
  BSource b_source = BSource::packed;
  Isa isa = Isa::portable;
  int threads = 1;
  int width = 0;
  int tile_rows = 0;
  int64_t batches = 1;
  int64_t panels = 0;
  int64_t row_tasks = 1;  ///< tasks of one matrix: row_tasks * panel_tasks
  int64_t panel_tasks = 1;
  int64_t block_panels = 1;
  int64_t block_rows = 1;
  int64_t block_k = 1;
  bool pairs = false;                  ///< whether tiles are low and of two panels, at once
  bool interleave = false;             ///< whether kernels read copies of A as tiles of [k][rows]
  bool fetch_c = false;                ///< whether the output is fetched ahead of being written
  std::vector<int64_t> first_columns;  ///< of the outputs, then n
  std::vector<bool> kernel_adds_bias;  ///< whether post_ops[0] of an output is left to the kernel

  // Scratch memory of one thread in floats: partial [block_rows][block_panels * width],
  // rows of A [tile_rows][block_k + padding], panels of B [block_panels][block_k][width].
  size_t partial_floats = 0;
  size_t a_floats = 0;
  size_t b_floats = 0;
  size_t thread_floats() const { return partial_floats + a_floats + b_floats; }

  /// Shared by all threads: all of B in panels, when it is packed before the first task.
  size_t packed_floats = 0;
  int64_t packed_matrices = 0;
};

struct GemmRun {
  const GemmRecipe& recipe;
  const GemmArgs& args;
  float* scratch;  ///< [packed_floats], [threads][thread_floats()]

  float* packed_b() const { return scratch; }
  float* scratch_of(int thread) const {
    return scratch + recipe.packed_floats + static_cast<size_t>(thread) * recipe.thread_floats();
  }
};

/// Element offset of matrix `index` of a batch.
inline int64_t batch_offset(const BatchDims& index, const BatchDims& strides) {
  int64_t offset = 0;
  for (int i = 0; i < kGemmBatchRank; ++i) offset += index[i] * strides[i];
  return offset;
}

/// First of the i-th of `parts` nearly equal shares of [0, total).
inline int64_t share(int64_t total, int64_t parts, int64_t i) { return total * i / parts; }

/// What an instruction set offers.
struct GemmKernels {
  int width;      ///< columns of a panel of f32; f64 panels have half
  int tile_rows;  ///< most rows of a tile
  void (*run_task)(const GemmRun& run, int64_t task, int thread);
  void (*run_task_f64)(const GemmRun& run, int64_t task, int thread);
  CopyA copy_a;
  CopyB copy_b;
  /// Packs one panel of at most `width` columns: rows of `from` (its row 0 at `matrix`) as f32.
  void (*pack_panel)(const void* matrix, const MatrixLayout& from, int64_t rows, int columns,
                     float* to);
  /// Rounds n floats to bf16 or f16, or widens them.
  void (*narrow)(const float* from, DType dtype, void* to, int64_t n);
  void (*widen)(const void* from, DType dtype, float* to, int64_t n);
};

const GemmKernels& gemm_kernels(Isa isa);

}  // namespace tutti::cpu
