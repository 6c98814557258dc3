// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "device/cpu/conv_lines.h"

namespace tutti::cpu::TUTTI_ISA {

namespace {

Spatial coordinates(const ConvSource& source, int64_t pixel) {
  const int64_t line = pixel / source.grid[2];
  return {line / source.grid[1], line % source.grid[1], pixel % source.grid[2]};
}

int split_into_runs(const ConvSource& source, int64_t pixel, int pixels, PixelRun (&runs)[kWidth]) {
  int count = 0;
  for (int done = 0; done < pixels;) {
    const Spatial at = coordinates(source, pixel + done);
    const int length = static_cast<int>(std::min<int64_t>(pixels - done, source.grid[2] - at[2]));
    runs[count++] = {at, done, length};
    done += length;
  }
  return count;
}

/// What a tap reads for the runs of a panel.
struct TapReach {
  int copied = 0;  ///< columns; the others are zeros
  PixelReach* runs = nullptr;
};

/// Writes the row of one tap and one channel.
template <class T>
void copy_row(const T* channel, int64_t step, const TapReach& reach, int count, float* row) {
  if (reach.copied == kWidth && count == 1 && step == 1) {
    store(row, load(channel + reach.runs[0].offset));
    store(row + kLanes, load(channel + reach.runs[0].offset + kLanes));
    return;
  }
  if (reach.copied < kWidth) {
    store(row, VecF{});
    store(row + kLanes, VecF{});
  }
  for (int r = 0; r < count; ++r)
    copy_line(channel + reach.runs[r].offset, step, reach.runs[r], row);
}

/// Rows [k0, k0 + k) of a panel: row c * taps + t is what tap t reads of channel c. All taps of a
/// channel come together, since they read the same lines.
template <class T>
void copy_panel(const ConvSource& source, const T* image, const PixelRun* runs, int count,
                int64_t k0, int64_t k, float* to) {
  const int64_t taps = static_cast<int64_t>(source.taps.size());
  const int64_t step = source.in_step[2] * source.input.spatial_strides[2];
  constexpr int64_t kMost = 512;  // runs of taps known at a time
  PixelReach reaches[kMost];
  TapReach known[kMost];
  const int64_t at_once = std::min<int64_t>(kMost / count, taps);
  for (int64_t first_tap = 0; first_tap < taps; first_tap += at_once) {
    const int64_t end_tap = std::min(first_tap + at_once, taps);
    for (int64_t t = first_tap; t < end_tap; ++t) {
      TapReach& reach = known[t - first_tap];
      reach = {0, reaches + (t - first_tap) * count};
      for (int r = 0; r < count; ++r) {
        reach.runs[r] = reach_of(source, runs[r], source.taps[static_cast<size_t>(t)]);
        reach.copied += reach.runs[r].high - reach.runs[r].low;
      }
    }
    for (int64_t c = k0 / taps; c * taps < k0 + k; ++c) {
      const T* channel = image + c * source.input.channel_stride;
      const int64_t begin = std::max(first_tap, k0 - c * taps);
      const int64_t end = std::min(end_tap, k0 + k - c * taps);
      float* row = to + (c * taps + begin - k0) * kWidth;
      for (int64_t t = begin; t < end; ++t, row += kWidth)
        copy_row(channel, step, known[t - first_tap], count, row);
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

void copy_windows(const GemmRun& run, const BatchDims&, const void* b, int64_t panel, int64_t k0,
                  int64_t k, float* to) {
  const ConvSource& source = *static_cast<const ConvSource*>(run.recipe.source);
  const int64_t pixel = panel * kWidth;
  const int pixels = static_cast<int>(std::min<int64_t>(kWidth, run.recipe.problem.n - pixel));
  PixelRun runs[kWidth];
  const int count = split_into_runs(source, pixel, pixels, runs);
  with_float(source.input.dtype, [&](auto type) {
    copy_panel(source, static_cast<const decltype(type)*>(b), runs, count, k0, k, to);
  });
}

void finish_lines(const GemmRun& run, const BatchDims& index, float* x, int64_t x_stride,
                  int64_t row, int rows, int64_t column, int columns, bool) {
  const ConvSource& source = *static_cast<const ConvSource*>(run.recipe.source);
  for (int done = 0; done < columns;) {
    const Spatial at = coordinates(source, column + done);
    const int count = static_cast<int>(std::min<int64_t>(columns - done, source.grid[2] - at[2]));
    finish(run, {index[0], index[1], at[0], at[1]}, x + done, x_stride, row, rows, at[2], count,
           false);
    done += count;
  }
}

void run_depthwise(const GemmRun& run, const ConvPlan& plan, int64_t task, float* scratch);
void run_winograd(const GemmRun& run, const ConvPlan& plan, int64_t task, float* scratch);

extern const ConvKernels kConvKernels;
const ConvKernels kConvKernels = {copy_weights, copy_windows, finish_lines, run_depthwise,
                                  run_winograd};

}  // namespace tutti::cpu::TUTTI_ISA
