// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "device/cpu/conv_plan.h"

namespace tutti::cpu {

namespace {

constexpr int64_t kTaskPixels = 2048;
constexpr int64_t kTasksPerThread = 4;

int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }
int64_t whole_lines(int64_t floats) { return ceil_div(floats, 16) * 16; }

}  // namespace

DepthwisePlan plan_depthwise(const ConvPlan& plan, Isa isa) {
  const ConvProblem& p = plan.problem;
  const ConvSource& source = plan.parts[0].source;
  const int64_t lanes = gemm_kernels(isa).width / 2;
  const int64_t width = source.grid[2], lines = source.grid[0] * source.grid[1];
  const int64_t reach = (p.kernel[2] - 1) * p.dilation[2];
  DepthwisePlan d;
  d.first_offset = -p.padding[2];
  d.phases = std::min(p.stride[2], reach + 1);
  d.line_floats = whole_lines(width + reach / p.stride[2] + 2 * lanes);
  d.lines = std::clamp<int64_t>(kTaskPixels / std::max<int64_t>(width, 1), 1, lines);
  const int64_t channels = std::max<int64_t>(1, p.images * p.out_channels);
  const int64_t wanted = ceil_div(kTasksPerThread * plan.threads, channels);
  if (plan.threads > 1) d.lines = std::min(d.lines, std::max<int64_t>(1, lines / wanted));
  d.blocks = ceil_div(lines, d.lines);
  d.sum_floats = static_cast<size_t>(whole_lines(d.lines * width + 2 * lanes));
  return d;
}

}  // namespace tutti::cpu
