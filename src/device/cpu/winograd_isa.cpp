// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "device/cpu/conv_lines.h"
#include "device/cpu/transpose.h"

namespace tutti::cpu::TUTTI_ISA {

namespace {

/// One task: tiles [row, row + rows) x [column, column + columns) of an image.
struct Block {
  const ConvPlan& plan;
  int64_t image;
  int64_t row, rows, column, columns;
  int64_t panel_begin, panel_end;
  float *window, *tiles, *products, *pixels, *lines;

  int64_t count() const { return rows * columns; }
  int64_t window_stride() const { return (2 * columns + 2) * kLanes; }
};

Block make_block(const ConvPlan& plan, int64_t task, float* scratch) {
  const WinogradPlan& w = plan.winograd;
  const int64_t panel_task = task % w.panel_tasks;
  task /= w.panel_tasks;
  const int64_t column_block = task % w.column_blocks,
                row_block = task / w.column_blocks % w.row_blocks;
  Block block{plan};
  block.image = task / w.column_blocks / w.row_blocks;
  block.row = share(w.tile_rows, w.row_blocks, row_block);
  block.rows = share(w.tile_rows, w.row_blocks, row_block + 1) - block.row;
  block.column = share(w.tile_columns, w.column_blocks, column_block);
  block.columns = share(w.tile_columns, w.column_blocks, column_block + 1) - block.column;
  const int64_t panels = (plan.problem.out_channels + kWidth - 1) / kWidth;
  block.panel_begin = share(panels, w.panel_tasks, panel_task);
  block.panel_end = share(panels, w.panel_tasks, panel_task + 1);
  block.window = scratch;
  block.tiles = block.window + w.window_floats;
  block.products = block.tiles + w.tile_floats;
  block.pixels = block.products + w.product_floats;
  block.lines = block.pixels + w.pixel_floats;
  return block;
}

/// Pixels [x, x + count) of up to kLanes channels, one vector for each pixel; kLanes pixels of `to`
/// are written.
template <class T>
void load_pixels(const T* from, int64_t channel_stride, int64_t pixel_stride, int channels,
                 int count, float* to) {
  VecF v[kLanes];
  for (int c = 0; c < kLanes; ++c) {
    v[c] = VecF{};
    if (c >= channels) continue;
    const T* x = from + c * channel_stride;
    if (pixel_stride != 1) {
      for (int i = 0; i < count; ++i) v[c][i] = load_one(x + i * pixel_stride);
    } else {
      v[c] = count == kLanes ? load(x) : load_first(x, count);
    }
  }
  transpose(v);
#pragma GCC unroll 16
  for (int i = 0; i < kLanes; ++i) store(to + i * kLanes, v[i]);
}

/// The input of a block's tiles, kLanes channels from `channel` on, zeros around the image.
template <class T>
void fill_window(const Block& block, const T* image, int64_t channel) {
  const ConvProblem& p = block.plan.problem;
  const int channels = static_cast<int>(std::min<int64_t>(kLanes, p.in_channels - channel));
  const int64_t width = 2 * block.columns + 2;
  const int64_t left = 2 * block.column - p.padding[2];
  const int64_t begin = std::clamp<int64_t>(-left, 0, width);
  const int64_t end = std::clamp<int64_t>(p.in_size[2] - left, begin, width);
  const T* from = image + channel * p.input.channel_stride + left * p.input.spatial_strides[2];
  for (int64_t i = 0; i < 2 * block.rows + 2; ++i) {
    const int64_t y = 2 * block.row - p.padding[1] + i;
    float* to = block.window + i * block.window_stride();
    int64_t x = 0;
    if (y >= 0 && y < p.in_size[1]) {
      for (; x < begin; ++x) store(to + x * kLanes, VecF{});
      const T* line = from + y * p.input.spatial_strides[1];
      for (; x < end; x += kLanes) {
        const int count = static_cast<int>(std::min<int64_t>(kLanes, end - x));
        load_pixels(line + x * p.input.spatial_strides[2], p.input.channel_stride,
                    p.input.spatial_strides[2], channels, count, to + x * kLanes);
      }
      x = end;
    }
    for (; x < width; ++x) store(to + x * kLanes, VecF{});
  }
}

/// B^T d B for every tile of the window.
void transform_tiles(const Block& block, int64_t channel) {
  const WinogradPlan& w = block.plan.winograd;
  const int64_t stride = block.window_stride();
  float* to = block.tiles + channel;
  for (int64_t i = 0; i < block.rows; ++i) {
    for (int64_t j = 0; j < block.columns; ++j) {
      const float* from = block.window + 2 * i * stride + 2 * j * kLanes;
      VecF half[4][4];
#pragma GCC unroll 4
      for (int x = 0; x < 4; ++x) {
        const VecF a = load(from + x * kLanes), b = load(from + stride + x * kLanes);
        const VecF c = load(from + 2 * stride + x * kLanes),
                   d = load(from + 3 * stride + x * kLanes);
        half[0][x] = a - c;
        half[1][x] = b + c;
        half[2][x] = c - b;
        half[3][x] = b - d;
      }
#pragma GCC unroll 4
      for (int y = 0; y < 4; ++y) {
        float* row = to + 4 * y * w.number_stride;
        store(row, half[y][0] - half[y][2]);
        store(row + w.number_stride, half[y][1] + half[y][2]);
        store(row + 2 * w.number_stride, half[y][2] - half[y][1]);
        store(row + 3 * w.number_stride, half[y][1] - half[y][3]);
      }
      to += w.tile_stride;
    }
  }
}

/// The 16 products of the tiles with one panel of weights.
void multiply_panel(const Block& block, const float* weights, int64_t panel, int columns) {
  const WinogradPlan& w = block.plan.winograd;
  const int64_t k = block.plan.problem.in_channels;
  const Kernel* kernels =
      find_kernels(DType::f32, columns <= kLanes ? Extent::half : Extent::panel);
  const int64_t pieces = (block.count() + kTileRows - 1) / kTileRows;
  Tile tile{};
  tile.k = k;
  tile.a_stride = w.tile_stride;
  tile.b_stride = kWidth;
  tile.out_stride = kWidth;
  for (int number = 0; number < 16; ++number) {
    tile.b = weights + (panel * 16 + number) * k * kWidth;
    for (int64_t i = 0; i < pieces; ++i) {
      const int64_t first = share(block.count(), pieces, i);
      const int64_t rows = share(block.count(), pieces, i + 1) - first;
      tile.a = block.tiles + number * w.number_stride + first * w.tile_stride;
      tile.out = block.products + number * w.product_stride + first * kWidth;
      kernels[rows - 1](tile);
    }
  }
}

/// A^T m A for every tile: 2 x 2 pixels of `vectors` * kLanes channels.
void transform_products(const Block& block, int vectors) {
  const WinogradPlan& w = block.plan.winograd;
  const float* from = block.products;
  const int64_t below = 2 * block.columns * kWidth;
  for (int64_t i = 0; i < block.rows; ++i) {
    for (int64_t j = 0; j < block.columns; ++j) {
      float* to = block.pixels + 2 * i * below + 2 * j * kWidth;
      for (int v = 0; v < vectors; ++v) {
        VecF top[4], bottom[4];
#pragma GCC unroll 4
        for (int x = 0; x < 4; ++x) {
          const float* m = from + x * w.product_stride + v * kLanes;
          const VecF b = load(m + 4 * w.product_stride), c = load(m + 8 * w.product_stride);
          top[x] = load(m) + b + c;
          bottom[x] = b - c - load(m + 12 * w.product_stride);
        }
        float* out = to + v * kLanes;
        store(out, top[0] + top[1] + top[2]);
        store(out + kWidth, top[1] - top[2] - top[3]);
        store(out + below, bottom[0] + bottom[1] + bottom[2]);
        store(out + below + kWidth, bottom[1] - bottom[2] - bottom[3]);
      }
      from += kWidth;
    }
  }
}

/// Writes pixels [y][x][channel] as lines [channel][pixel], `columns` pixels of every row.
void turn_pixels(const Block& block, int64_t rows, int64_t columns, int vectors) {
  const int64_t stride = block.plan.winograd.line_stride;
  for (int64_t y = 0; y < rows; ++y) {
    const float* row = block.pixels + y * 2 * block.columns * kWidth;
    for (int64_t x = 0; x < columns; x += kLanes) {
      for (int v = 0; v < vectors; ++v) {
        VecF square[kLanes];
#pragma GCC unroll 16
        for (int i = 0; i < kLanes; ++i) square[i] = load(row + (x + i) * kWidth + v * kLanes);
        transpose(square);
        // What is written past the row, the next row overwrites.
        float* to = block.lines + v * kLanes * stride + y * columns + x;
#pragma GCC unroll 16
        for (int i = 0; i < kLanes; ++i) store(to + i * stride, square[i]);
      }
    }
  }
}

void finish_panel(const GemmRun& run, const Block& block, int64_t panel, int channels) {
  const ConvProblem& p = block.plan.problem;
  const ConvSource& source = block.plan.parts[0].source;
  const int64_t y = 2 * block.row, x = 2 * block.column;
  const int64_t rows = std::min(2 * block.rows, p.out_size[1] - y);
  const int64_t columns = std::min(2 * block.columns, p.out_size[2] - x);
  const int vectors = channels <= kLanes ? 1 : 2;
  transform_products(block, vectors);
  turn_pixels(block, rows, columns, vectors);
  const int64_t stride = block.plan.winograd.line_stride;
  if (source.folded && columns == p.out_size[2]) {
    finish(run, {block.image, 0, 0, 0}, block.lines, stride, panel * kWidth, channels, y * columns,
           static_cast<int>(rows * columns), false);
    return;
  }
  for (int64_t i = 0; i < rows; ++i) {
    BatchDims index{block.image, 0, 0, source.folded ? 0 : y + i};
    const int64_t pixel = (source.folded ? (y + i) * p.out_size[2] : 0) + x;
    finish(run, index, block.lines + i * columns, stride, panel * kWidth, channels, pixel,
           static_cast<int>(columns), false);
  }
}

}  // namespace

void run_winograd(const GemmRun& run, const ConvPlan& plan, int64_t task, float* scratch) {
  const ConvProblem& p = plan.problem;
  const Block block = make_block(plan, task, scratch);
  with_float(p.input.dtype, [&](auto type) {
    const auto* image =
        static_cast<const decltype(type)*>(run.args.b) + block.image * p.input.image_stride;
    for (int64_t channel = 0; channel < p.in_channels; channel += kLanes) {
      fill_window(block, image, channel);
      transform_tiles(block, channel);
    }
  });
  for (int64_t panel = block.panel_begin; panel < block.panel_end; ++panel) {
    const int channels =
        static_cast<int>(std::min<int64_t>(kWidth, p.out_channels - panel * kWidth));
    multiply_panel(block, static_cast<const float*>(run.args.a), panel, channels);
    finish_panel(run, block, panel, channels);
  }
}

}  // namespace tutti::cpu::TUTTI_ISA
