// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "device/cpu/conv_lines.h"

namespace tutti::cpu::TUTTI_ISA {

namespace {

Spatial coordinates(const ConvSource& source, const BatchDims& index, int64_t pixel) {
  if (!source.folded) return {index[2], index[3], pixel};
  const int64_t line = pixel / source.grid[2];
  return {line / source.grid[1], line % source.grid[1], pixel % source.grid[2]};
}

int split_into_runs(const ConvSource& source, const BatchDims& index, int64_t pixel, int pixels,
                    PixelRun (&runs)[kWidth]) {
  int count = 0;
  for (int done = 0; done < pixels;) {
    const Spatial at = coordinates(source, index, pixel + done);
    const int length = static_cast<int>(std::min<int64_t>(pixels - done, source.grid[2] - at[2]));
    runs[count++] = {at, done, length};
    done += length;
  }
  return count;
}

/// A panel whose rows are whole vectors of adjacent input: what one tap reads of every channel.
template <class T>
void copy_whole(const T* from, int64_t channel_stride, int64_t channels, int64_t taps, float* row) {
  for (int64_t c = 0; c < channels; ++c) {
    const T* x = from + c * channel_stride;
    store(row, load(x));
    store(row + kLanes, load(x + kLanes));
    row += taps * kWidth;
  }
}

template <class T>
void copy_panel(const ConvSource& source, const T* image, const PixelRun* runs, int count,
                int64_t k0, int64_t k, float* to) {
  const int64_t taps = static_cast<int64_t>(source.taps.size());
  const int64_t step = source.in_step[2] * source.input.spatial_strides[2];
  PixelReach reaches[kWidth];
  for (int64_t t = 0; t < taps; ++t) {
    int copied = 0;
    for (int r = 0; r < count; ++r) {
      reaches[r] = reach_of(source, runs[r], source.taps[static_cast<size_t>(t)]);
      copied += reaches[r].high - reaches[r].low;
    }
    // The first channel with its row at or after k0, and the one behind the last.
    const int64_t first = (k0 - t + taps - 1) / taps;
    const int64_t end = (k0 + k - t + taps - 1) / taps;
    float* row = to + (first * taps + t - k0) * kWidth;
    const T* channel = image + first * source.input.channel_stride;
    if (copied == kWidth && count == 1 && step == 1) {
      copy_whole(channel + reaches[0].offset, source.input.channel_stride, end - first, taps, row);
      continue;
    }
    for (int64_t c = first; c < end; ++c) {
      if (copied < kWidth) {
        store(row, VecF{});
        store(row + kLanes, VecF{});
      }
      for (int r = 0; r < count; ++r) {
        copy_line(channel + reaches[r].offset, step, reaches[r], row);
      }
      channel += source.input.channel_stride;
      row += taps * kWidth;
    }
  }
}

}  // namespace

void copy_weights(const GemmRun& run, const BatchDims&, const void* a, int64_t row, int rows,
                  int64_t k0, int64_t k, float* to, int64_t stride) {
  const ConvSource& source = *static_cast<const ConvSource*>(run.recipe.source);
  const int64_t taps = static_cast<int64_t>(source.taps.size());
  with_float(source.weight_dtype, [&](auto type) {
    for (int i = 0; i < rows; ++i) {
      const auto* from =
          static_cast<const decltype(type)*>(a) + (row + i) * source.weight_strides[0];
      float* out = to + i * stride;
      for (int64_t p = k0; p < k0 + k;) {
        const auto* channel = from + p / taps * source.weight_strides[1];
        const int64_t end = std::min(k0 + k, (p / taps + 1) * taps);
        for (int64_t t = p % taps; p < end; ++p, ++t) {
          *out++ = load_one(channel + source.taps[static_cast<size_t>(t)].weight);
        }
      }
    }
  });
}

void copy_windows(const GemmRun& run, const BatchDims& index, const void* b, int64_t panel,
                  int64_t k0, int64_t k, float* to) {
  const ConvSource& source = *static_cast<const ConvSource*>(run.recipe.source);
  const int64_t pixel = panel * kWidth;
  const int pixels = static_cast<int>(std::min<int64_t>(kWidth, run.recipe.problem.n - pixel));
  PixelRun runs[kWidth];
  const int count = split_into_runs(source, index, pixel, pixels, runs);
  with_float(source.input.dtype, [&](auto type) {
    copy_panel(source, static_cast<const decltype(type)*>(b), runs, count, k0, k, to);
  });
}

void run_depthwise(const GemmRun& run, const ConvSource& source, int64_t line);
void run_winograd(const GemmRun& run, const ConvPlan& plan, int64_t task, float* scratch);

extern const ConvKernels kConvKernels;
const ConvKernels kConvKernels = {copy_weights, copy_windows, run_depthwise, run_winograd};

}  // namespace tutti::cpu::TUTTI_ISA
