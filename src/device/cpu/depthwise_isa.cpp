// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "device/cpu/conv_lines.h"

namespace tutti::cpu::TUTTI_ISA {

namespace {

/// Up to kWidth pixels of one channel; `weights` are those of the channel.
template <class T, class W>
void filter_run(const ConvSource& source, const T* channel, const W* weights, const PixelRun& run,
                float* to) {
  const int64_t step = source.in_step[2] * source.input.spatial_strides[2];
  VecF sum[2] = {};
  for (const ConvTap& tap : source.taps) {
    const PixelReach reach = reach_of(source, run, tap);
    if (reach.low == reach.high) continue;
    const float weight = load_one(weights + tap.weight);
    if (step == 1 && reach.high - reach.low == kWidth) {
      sum[0] += load(channel + reach.offset) * weight;
      sum[1] += load(channel + reach.offset + kLanes) * weight;
      continue;
    }
    float line[kWidth] = {};
    copy_line(channel + reach.offset, step, reach, line);
    sum[0] += load(line) * weight;
    sum[1] += load(line + kLanes) * weight;
  }
  store(to, sum[0]);
  store(to + kLanes, sum[1]);
}

}  // namespace

void run_depthwise(const GemmRun& run, const ConvSource& source, int64_t number) {
  const int64_t line = number % (source.grid[0] * source.grid[1]);
  const Spatial at = {line / source.grid[1], line % source.grid[1], 0};
  BatchDims index{number / (source.grid[0] * source.grid[1]), 0, 0, 0};
  if (!source.folded) index = {index[0], 0, at[0], at[1]};
  const int64_t pixel = source.folded ? line * source.grid[2] : 0;
  alignas(64) float buffer[2 * kWidth];
  with_float(source.input.dtype, [&](auto in_type) {
    with_float(source.weight_dtype, [&](auto weight_type) {
      const auto* image =
          static_cast<const decltype(in_type)*>(run.args.b) + index[0] * source.input.image_stride;
      const auto* weights = static_cast<const decltype(weight_type)*>(run.args.a);
      for (int64_t o = 0; o < run.recipe.problem.m; ++o) {
        const auto* channel = image + o / source.outputs * source.input.channel_stride;
        for (int64_t x = 0; x < source.grid[2]; x += kWidth) {
          const int count = static_cast<int>(std::min<int64_t>(kWidth, source.grid[2] - x));
          filter_run(source, channel, weights + o * source.weight_strides[0],
                     {{at[0], at[1], x}, 0, count}, buffer);
          finish(run, index, buffer, kWidth, o, 1, pixel + x, count, false);
        }
      }
    });
  });
}

}  // namespace tutti::cpu::TUTTI_ISA
