// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "comm/collective.h"

namespace tutti::comm {

/// out[i] = ins[0][i] o ins[1][i] o ... for i in [0, n), in that order; out may be one of ins.
///
/// 8- and 16-bit floats are combined in f32 and rounded once, integers wrap, avg divides the sum by
/// the number of ins. NaN wins max and min. The combination must be defined.
void reduce_elements(DType dtype, Reduce op, std::span<const void* const> ins, void* out,
                     int64_t n);

/// Copies bytes that do not overlap, past the caches when `stream`: for more than they hold.
void copy_bytes(void* to, const void* from, size_t bytes, bool stream = false);

}  // namespace tutti::comm
