// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>

#include "device/cpu/conv_plan.h"
#include "device/cpu/gemm_kernel.h"
#include "device/cpu/vector.h"

// For x_isa.cpp files only: lines of pixels and what the taps of a convolution read for them.
namespace tutti::cpu::TUTTI_ISA {

/// Calls f with the type that stores `dtype`.
template <class F>
[[gnu::always_inline]] inline void with_float(DType dtype, const F& f) {
  if (dtype == DType::bf16) return f(bf16{});
  if (dtype == DType::f16) return f(f16{});
  f(float{});
}

/// Adjacent pixels of one line.
struct PixelRun {
  Spatial at;
  int first;  ///< its column of the panel
  int count;
};

/// What one tap reads for a run: columns [low, high) of the panel from `offset` on.
struct PixelReach {
  int64_t offset;
  int low;
  int high;
};

[[gnu::always_inline]] inline PixelReach reach_of(const ConvSource& source, const PixelRun& run,
                                                  const ConvTap& tap) {
  int64_t offset = 0;
  for (size_t d = 0; d < 2; ++d) {
    const int64_t position = run.at[d] * source.in_step[d] + tap.offset[d];
    if (position < 0 || position >= source.in_size[d]) return {0, run.first, run.first};
    offset += position * source.input.spatial_strides[d];
  }
  const int64_t step = source.in_step[2];
  const int64_t begin = run.at[2] * step + tap.offset[2];
  const int64_t size = source.in_size[2];
  // Columns whose position begin + i * step is in [0, size).
  const int64_t low = begin >= 0 ? 0 : (-begin + step - 1) / step;
  const int64_t high = begin >= size ? 0 : (size - begin + step - 1) / step;
  const int from = static_cast<int>(std::min<int64_t>(low, run.count));
  const int to = static_cast<int>(std::clamp<int64_t>(high, from, run.count));
  return {offset + (begin + from * step) * source.input.spatial_strides[2], run.first + from,
          run.first + to};
}

/// Columns [low, high) of `to` from elements `stride` apart.
template <class T>
[[gnu::always_inline]] inline void copy_line(const T* from, int64_t stride, const PixelReach& reach,
                                             float* to) {
  const int n = reach.high - reach.low;
  to += reach.low;
  int i = 0;
  if (stride == 1) {
    for (; i + kLanes <= n; i += kLanes) store(to + i, load(from + i));
    if (i < n) store_first(to + i, load_first(from + i, n - i), n - i);
  } else {
    for (; i < n; ++i) to[i] = load_one(from + i * stride);
  }
}

}  // namespace tutti::cpu::TUTTI_ISA
