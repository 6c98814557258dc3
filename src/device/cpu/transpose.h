// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <utility>

#include "device/cpu/vector.h"

// For x_isa.cpp files only: squares of kLanes vectors, rows against columns.
namespace tutti::cpu::TUTTI_ISA {

template <int kStep, bool kHigh, size_t... kLane>
[[gnu::always_inline]] inline VecF interleave(VecF x, VecF y, std::index_sequence<kLane...>) {
  // Swaps lanes so that after all steps kStep = 1, 2, 4, ... rows have become columns.
  if constexpr (kHigh) {
    return __builtin_shufflevector(
        x, y,
        ((kLane & kStep) ? static_cast<int>(kLane) + kLanes : static_cast<int>(kLane) + kStep)...);
  } else {
    return __builtin_shufflevector(
        x, y,
        ((kLane & kStep) ? static_cast<int>(kLane) + kLanes - kStep : static_cast<int>(kLane))...);
  }
}

template <int kStep>
[[gnu::always_inline]] inline void transpose_step(VecF (&v)[kLanes]) {
#pragma GCC unroll 16
  for (int i = 0; i < kLanes; ++i) {
    if (i & kStep) continue;
    const VecF x = v[i];
    const VecF y = v[i + kStep];
    v[i] = interleave<kStep, false>(x, y, std::make_index_sequence<kLanes>{});
    v[i + kStep] = interleave<kStep, true>(x, y, std::make_index_sequence<kLanes>{});
  }
}

/// Lane j of vector i goes to lane i of vector j.
[[gnu::always_inline]] inline void transpose(VecF (&v)[kLanes]) {
  transpose_step<1>(v);
  transpose_step<2>(v);
  if constexpr (kLanes >= 8) transpose_step<4>(v);
  if constexpr (kLanes >= 16) transpose_step<8>(v);
}

}  // namespace tutti::cpu::TUTTI_ISA
