// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <vector>

#include "device/cpu/conv.h"
#include "device/cpu/conv_plan.h"

// Winograd, "Arithmetic complexity of computations", 1980; Lavin and Gray, "Fast algorithms for
// convolutional neural networks", 2015: Y = A^T [(G g G^T) * (B^T d B)] A.
namespace tutti::cpu {

namespace {

constexpr int64_t kLeastChannels = 16;
constexpr int64_t kLeastTiles = 4;
constexpr int64_t kTileFloats = 112 << 10;  // of the numbers of a block's tiles: part of the cache
constexpr int64_t kFewTiles = 14;           // fewer would read weights for little work
constexpr int64_t kMostBlock = 112;
constexpr int64_t kWideBlock = 32;  // columns of tiles

int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

/// Floats of a matrix whose neighbours, 16 of them, must not fall on the same sets of the cache.
int64_t apart(int64_t floats) { return ceil_div(floats, 1024) * 1024 + 16; }

}  // namespace

bool winograd_pays(const ConvProblem& p) {
  const bool plain = !p.transposed && p.groups == 1 && p.kernel == Spatial{1, 3, 3} &&
                     p.stride == Spatial{1, 1, 1} && p.dilation == Spatial{1, 1, 1} &&
                     p.in_size[0] == 1 && p.out_size[0] == 1 && p.padding[0] == 0;
  if (!plain || p.in_channels < kLeastChannels || p.out_channels < kLeastChannels) return false;
  const int64_t pixels = p.out_size[1] * p.out_size[2];
  const int64_t tiles = ceil_div(p.out_size[1], 2) * ceil_div(p.out_size[2], 2);
  return tiles >= kLeastTiles && tiles * 4 * 10 <= pixels * 17;
}

WinogradPlan plan_winograd(const ConvPlan& plan, Isa isa) {
  const ConvProblem& p = plan.problem;
  const int64_t width = gemm_kernels(isa).width, lanes = width / 2;
  WinogradPlan w;
  w.tile_rows = ceil_div(p.out_size[1], 2);
  w.tile_columns = ceil_div(p.out_size[2], 2);
  w.tile_stride = ceil_div(p.in_channels, lanes) * lanes + 16;
  // Blocks as large as the cache allows, but enough of them for all threads. Small images share out
  // their channels instead, where those are enough: every task of tiles reads all weights.
  const int64_t all_tiles = p.images * w.tile_rows * w.tile_columns;
  const int64_t panels = ceil_div(p.out_channels, width);
  const bool by_channels = panels >= plan.threads && all_tiles < 2 * kFewTiles * plan.threads;
  const int64_t share = by_channels ? all_tiles : ceil_div(all_tiles, plan.threads);
  const int64_t most =
      std::min(std::clamp(kTileFloats / (16 * w.tile_stride), kFewTiles * 2, kMostBlock),
               std::max(share, kFewTiles));
  // Square blocks read the fewest pixels twice, but lines of a whole image are stored together.
  const int64_t columns = w.tile_columns <= kWideBlock ? w.tile_columns : kWideBlock / 2;
  w.column_blocks = std::max<int64_t>(1, ceil_div(w.tile_columns, std::max<int64_t>(columns, 1)));
  w.block_columns = std::max<int64_t>(1, ceil_div(w.tile_columns, w.column_blocks));
  const int64_t rows = std::clamp<int64_t>((most + w.block_columns / 2) / w.block_columns, 1,
                                           std::max<int64_t>(w.tile_rows, 1));
  w.row_blocks = std::max<int64_t>(1, ceil_div(w.tile_rows, rows));
  w.block_rows = std::max<int64_t>(1, ceil_div(w.tile_rows, w.row_blocks));
  const int64_t blocks = std::max<int64_t>(1, p.images * w.row_blocks * w.column_blocks);
  w.panel_tasks = std::min(panels, ceil_div(plan.threads, blocks));
  const int64_t tiles = w.block_rows * w.block_columns;
  w.number_stride = apart(tiles * w.tile_stride);
  w.product_stride = apart(tiles * width);
  w.line_stride = ceil_div(4 * tiles, 16) * 16 + 16;
  w.window_floats =
      static_cast<size_t>((2 * w.block_rows + 2) * (2 * w.block_columns + 2 + lanes) * lanes);
  w.tile_floats = static_cast<size_t>(16 * w.number_stride);
  w.product_floats = static_cast<size_t>(16 * w.product_stride);
  w.pixel_floats = static_cast<size_t>((4 * tiles + lanes) * width);
  w.line_floats = static_cast<size_t>(w.line_stride * width);
  return w;
}

namespace {

/// The 16 numbers of one 3 x 3 kernel, G g G^T, each `stride` floats from the one before.
void transform_kernel(const float* g, float* to, int64_t stride) {
  double half[4][3];  // G g
  for (int j = 0; j < 3; ++j) {
    const double a = g[j], b = g[3 + j], d = g[6 + j];
    half[0][j] = a;
    half[1][j] = (a + b + d) / 2;
    half[2][j] = (a - b + d) / 2;
    half[3][j] = d;
  }
  for (const auto& [a, b, d] : half) {
    for (const double number : {a, (a + b + d) / 2, (a - b + d) / 2, d}) {
      *to = static_cast<float>(number);
      to += stride;
    }
  }
}

}  // namespace

void winograd_weights(const void* weights, DType dtype, int64_t outputs, int64_t channels,
                      float* matrix) {
  constexpr int64_t kAtOnce = 64;  // output channels: they lie beside each other in the matrix
  const int64_t each = channels * 9;
  std::vector<float> kernels(static_cast<size_t>(kAtOnce * each));
  for (int64_t first = 0; first < outputs; first += kAtOnce) {
    const int64_t count = std::min(kAtOnce, outputs - first);
    const char* from =
        static_cast<const char*>(weights) + first * each * static_cast<int64_t>(size_of(dtype));
    gemm_kernels(Isa::portable).widen(from, dtype, kernels.data(), count * each);
    for (int64_t c = 0; c < channels; ++c) {
      for (int64_t o = 0; o < count; ++o) {
        transform_kernel(kernels.data() + o * each + c * 9, matrix + c * outputs + first + o,
                         channels * outputs);
      }
    }
  }
}

void winograd_weights_back(const float* matrix, int64_t outputs, int64_t channels, float* weights) {
  for (int64_t o = 0; o < outputs; ++o) {
    for (int64_t c = 0; c < channels; ++c) {
      const auto number = [&](int i, int j) {
        return static_cast<double>(matrix[((i * 4 + j) * channels + c) * outputs + o]);
      };
      double half[4][3];
      for (int i = 0; i < 4; ++i) {
        half[i][0] = number(i, 0);
        half[i][1] = number(i, 1) - number(i, 2);
        half[i][2] = number(i, 3);
      }
      float* g = weights + (o * channels + c) * 9;
      for (int j = 0; j < 3; ++j) {
        g[j] = static_cast<float>(half[0][j]);
        g[3 + j] = static_cast<float>(half[1][j] - half[2][j]);
        g[6 + j] = static_cast<float>(half[3][j]);
      }
    }
  }
}

}  // namespace tutti::cpu
