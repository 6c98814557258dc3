// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>

#include "comm/collective.h"

namespace tutti::comm {

/// What reduce_isa.cpp offers for one instruction set; null where nothing is defined.
struct Kernels {
  using Combine = void (*)(const void* const* ins, size_t count, void* out, int64_t n,
                           size_t ranks);
  Combine reduce[kDTypeCount][kReduceCount] = {};
  // Small floats only: to f32 without avg, and from there.
  Combine to_partial[kDTypeCount][kReduceCount] = {}, from_partial[kDTypeCount][kReduceCount] = {};
  void (*stream)(void* to, const void* from, size_t bytes) = nullptr;
};

}  // namespace tutti::comm
