// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "device/cpu/conv_lines.h"

namespace tutti::cpu::TUTTI_ISA {

namespace {

/// Copies what the taps of one row of the kernel read of a line: pixel first_offset + phase +
/// i * stride to element i of each phase, zeros outside of the line.
template <class T>
void copy_phases(const ConvPlan& plan, const T* line, float* phases) {
  const ConvProblem& p = plan.problem;
  const DepthwisePlan& d = plan.depthwise;
  const int64_t stride = p.stride[2], size = p.in_size[2];
  for (int64_t phase = 0; phase < d.phases; ++phase) {
    const int64_t first = d.first_offset + phase;
    const int64_t count = d.line_floats;
    const int64_t low = std::min(count, first >= 0 ? 0 : (-first + stride - 1) / stride);
    const int64_t high =
        std::clamp(first >= size ? 0 : (size - first + stride - 1) / stride, low, count);
    float* to = phases + phase * d.line_floats;
    std::fill(to, to + low, 0.0F);
    std::fill(to + high, to + count, 0.0F);
    copy_line(line + (first + low * stride) * p.input.spatial_strides[2],
              stride * p.input.spatial_strides[2],
              {0, static_cast<int>(low), static_cast<int>(high)}, to);
  }
}

/// sums = (sums, but for the first row) + what the taps of one row of the kernel give.
template <class W>
void add_row(const ConvPlan& plan, const float* phases, const W* weights, bool first, float* sums) {
  const ConvProblem& p = plan.problem;
  const int64_t width = plan.parts[0].source.grid[2];
  for (int64_t x = 0; x < width; x += 2 * kLanes) {
    VecF sum[2] = {};
    if (!first) {
      sum[0] = load(sums + x);
      sum[1] = load(sums + x + kLanes);
    }
    for (int64_t t = 0, reach = 0; t < p.kernel[2]; ++t, reach += p.dilation[2]) {
      const float weight = load_one(weights + t);
      const float* from =
          phases + reach % p.stride[2] * plan.depthwise.line_floats + reach / p.stride[2] + x;
      sum[0] += load(from) * weight;
      sum[1] += load(from + kLanes) * weight;
    }
    store(sums + x, sum[0]);
    store(sums + x + kLanes, sum[1]);
  }
}

/// The sums of one line of the output.
template <class T, class W>
void filter_line(const ConvPlan& plan, const T* channel, const W* weights, int64_t line,
                 float* phases, float* sums) {
  const ConvProblem& p = plan.problem;
  const ConvSource& source = plan.parts[0].source;
  const int64_t depth = line / source.grid[1] * p.stride[0] - p.padding[0];
  const int64_t height = line % source.grid[1] * p.stride[1] - p.padding[1];
  bool first = true;
  for (int64_t i = 0; i < p.kernel[0]; ++i) {
    const int64_t z = depth + i * p.dilation[0];
    if (z < 0 || z >= p.in_size[0]) continue;
    for (int64_t j = 0; j < p.kernel[1]; ++j) {
      const int64_t y = height + j * p.dilation[1];
      if (y < 0 || y >= p.in_size[1]) continue;
      copy_phases(plan, channel + z * p.input.spatial_strides[0] + y * p.input.spatial_strides[1],
                  phases);
      add_row(plan, phases, weights + (i * p.kernel[1] + j) * p.kernel[2], first, sums);
      first = false;
    }
  }
  if (first) std::fill(sums, sums + source.grid[2], 0.0F);
}

}  // namespace

void run_depthwise(const GemmRun& run, const ConvPlan& plan, int64_t task, float* scratch) {
  const ConvProblem& p = plan.problem;
  const DepthwisePlan& d = plan.depthwise;
  const ConvSource& source = plan.parts[0].source;
  const int64_t width = source.grid[2], all_lines = source.grid[0] * source.grid[1];
  const int64_t block = task % d.blocks, o = task / d.blocks % p.out_channels;
  const int64_t image = task / d.blocks / p.out_channels;
  const int64_t begin = share(all_lines, d.blocks, block);
  const int64_t lines = share(all_lines, d.blocks, block + 1) - begin;
  float* sums = scratch + d.phases * d.line_floats;
  with_float(source.input.dtype, [&](auto in_type) {
    with_float(source.weight_dtype, [&](auto weight_type) {
      const auto* channel = static_cast<const decltype(in_type)*>(run.args.b) +
                            image * p.input.image_stride +
                            o / source.outputs * p.input.channel_stride;
      const auto* weights =
          static_cast<const decltype(weight_type)*>(run.args.a) + o * source.weight_strides[0];
      // What is written past a line, the next one overwrites.
      for (int64_t i = 0; i < lines; ++i)
        filter_line(plan, channel, weights, begin + i, scratch, sums + i * width);
    });
  });
  const FinishTile finish_tile = source.folded ? finish : run.recipe.finish;
  finish_tile(run, {image, 0, 0, 0}, sums, d.lines * width, o, 1, begin * width,
              static_cast<int>(lines * width), false);
}

}  // namespace tutti::cpu::TUTTI_ISA
