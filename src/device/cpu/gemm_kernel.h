// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "device/cpu/gemm_recipe.h"
#include "device/cpu/vector.h"

// For x_isa.cpp files: the innermost loops of the matrix product.
namespace tutti::cpu::TUTTI_ISA {

inline constexpr int kWidth = 2 * kLanes;                      ///< columns of a panel
inline constexpr int kTileRows = kVectorBytes == 64 ? 14 : 6;  ///< accumulators fill the registers
inline constexpr int kPairRows = kVectorBytes == 64 ? 6 : 2;   ///< most rows for two panels at once

/// One tile of the product: out = (in or 0) + a x b (+ bias).
struct Tile {
  int64_t k;
  const float* a;  ///< rows a_stride apart, each of k floats
  int64_t a_stride;
  const void* b;  ///< k rows b_stride elements apart
  int64_t b_stride;
  int64_t panel_stride;  ///< elements from one panel to the next, for two panels
  const float* in;       ///< sums so far, or null
  int64_t in_stride;
  float* out;
  int64_t out_stride;
  const float* bias;    ///< one row, or null
  const void* fetch;    ///< interleaved kernels fetch memory from here on into the second-level
  int64_t fetch_bytes;  ///< cache, this many bytes further for each k
};

using Kernel = void (*)(const Tile& tile);

/// How much of a panel, or of two, a kernel computes. interleaved: a panel, from A as [k][rows].
enum class Extent { half, panel, pair, interleaved };

/// Kernels for panels of f32, bf16 or f16, by rows - 1: up to kTileRows, kPairRows for pairs.
/// Halves of panels exist for f32 only.
const Kernel* find_kernels(DType panels, Extent extent);

/// Applies post_ops [first_op, ...) of the outputs that own columns [column, column + columns) to
/// a tile and stores it. x holds whole vectors, rows x_stride apart (a multiple of kLanes).
void finish(const GemmRun& run, const BatchDims& index, float* x, int64_t x_stride, int64_t row,
            int rows, int64_t column, int columns, bool bias_is_added);

/// The output that holds all of columns [column, column + columns), or -1.
int sole_output(const GemmRecipe& recipe, int64_t column, int64_t columns);

}  // namespace tutti::cpu::TUTTI_ISA
