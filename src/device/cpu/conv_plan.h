// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <vector>

#include "device/cpu/conv.h"
#include "device/cpu/gemm_recipe.h"

// Inside of the convolution: products of the weights, rows are channels of the output, with the
// windows of its pixels, which are copied from the input into panels as they are needed.
//
// A transposed convolution of stride s is s (per dimension) ordinary ones, each of which makes
// every s-th pixel of the output from some of the taps.
namespace tutti::cpu {

/// One element of the kernel: where it reads, relative to pixel * in_step, and its index.
struct ConvTap {
  Spatial offset;
  int64_t weight;
};

/// What the copies of windows and weights read.
struct ConvSource {
  ImageLayout input;
  Spatial in_size;
  Spatial grid;     ///< pixels made
  Spatial in_step;  ///< input pixels from one made pixel to the next
  std::vector<ConvTap> taps;
  int64_t channels = 0;  ///< of the input in one group
  int64_t outputs = 0;   ///< of one group
  /// Whether the pixels of the output lie at one distance from each other; else its batch strides 2
  /// and 3 are those of depth and height, and tiles are stored line by line.
  bool folded = true;
  DType weight_dtype = DType::f32;
  std::array<int64_t, 2> weight_strides{};  ///< by output channel, by input channel
};

/// An ordinary convolution onto every out_step-th pixel from `first` on.
struct ConvPart {
  ConvSource source;
  GemmRecipe recipe;
  Spatial first{};
  Spatial out_step{1, 1, 1};
};

/// How 2 x 2 pixels at a time are made: a tile of 4 x 4 input pixels becomes 16 numbers for each
/// channel, each number the row of a matrix product of its own. Scratch memory of one thread, in
/// floats: window [2 block_rows + 2][2 block_columns + 2][lanes],
/// tiles [16][block_rows * block_columns][channels], products [16][tiles][width],
/// pixels [2 block_rows][2 block_columns][width], lines [width][pixels].
struct WinogradPlan {
  int64_t tile_rows = 0, tile_columns = 0;    ///< of the image
  int64_t block_rows = 0, block_columns = 0;  ///< tiles of a task
  int64_t row_blocks = 0, column_blocks = 0;
  int64_t panel_tasks = 1;  ///< tasks of a block, each a range of output channels
  int64_t tile_stride = 0, number_stride = 0;  ///< of `tiles`, by tile and by number
  int64_t product_stride = 0;                  ///< of `products`, by number
  int64_t line_stride = 0;
  size_t window_floats = 0, tile_floats = 0, product_floats = 0, pixel_floats = 0, line_floats = 0;
  size_t floats() const {
    return window_floats + tile_floats + product_floats + pixel_floats + line_floats;
  }
};

/// How a convolution of single channels works: line by line, each made of lines of the input, of
/// which every stride-th pixel is copied beside the other (a phase), zeros around. Scratch memory
/// of one thread, in floats: phases [phases][line_floats], sums of the lines of a task.
struct DepthwisePlan {
  int64_t first_offset = 0;  ///< of the taps along a line, the least
  int64_t phases = 1;
  int64_t line_floats = 0;
  int64_t lines = 1;   ///< of a task
  int64_t blocks = 1;  ///< tasks of a channel
  size_t sum_floats = 0;
  size_t floats() const { return static_cast<size_t>(phases * line_floats) + sum_floats; }
};

struct ConvPlan {
  enum class Way { product, depthwise, winograd };

  ConvProblem problem;
  Way way = Way::product;
  int threads = 1;
  std::vector<ConvPart> parts;
  WinogradPlan winograd;
  DepthwisePlan depthwise;

  int64_t in_group() const { return problem.in_channels / problem.groups; }
  int64_t out_group() const { return problem.out_channels / problem.groups; }
};

/// What an instruction set offers.
struct ConvKernels {
  CopyA copy_weights;  ///< of a transposed convolution
  CopyB copy_windows;
  FinishTile finish_lines;  ///< of an output that is not folded
  void (*run_depthwise)(const GemmRun& run, const ConvPlan& plan, int64_t task, float* scratch);
  void (*run_winograd)(const GemmRun& run, const ConvPlan& plan, int64_t task, float* scratch);
};

const ConvKernels& conv_kernels(Isa isa);

/// Decides everything about Way::depthwise, whose parts are made.
DepthwisePlan plan_depthwise(const ConvPlan& plan, Isa isa);

/// Decides everything about Way::winograd.
WinogradPlan plan_winograd(const ConvPlan& plan, Isa isa);

}  // namespace tutti::cpu
