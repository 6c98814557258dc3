// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>

#include "comm/collective.h"

namespace tutti::comm {

/// What reduce_isa.cpp offers for one instruction set; null where nothing is defined.
struct Kernels {
  void (*reduce[kDTypeCount][kReduceCount])(const void* const* ins, size_t count, void* out,
                                            int64_t n) = {};
  void (*stream)(void* to, const void* from, size_t bytes) = nullptr;
};

}  // namespace tutti::comm
