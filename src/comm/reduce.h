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

/// Partial results, of some of the ranks: those of 8- and 16-bit floats are f32, others as they
/// are. avg is a sum in `to_partial`, divided by `ranks` in `from_partial`. Out may be one of ins
/// where both have one type.
DType partial_dtype(DType dtype);
void reduce_to_partial(DType dtype, Reduce op, std::span<const void* const> ins, void* partial,
                       int64_t n);
void reduce_from_partial(DType dtype, Reduce op, std::span<const void* const> partials, void* out,
                         int64_t n, int ranks);

/// Copies bytes that do not overlap, past the caches when `stream`: for more than they hold.
void copy_bytes(void* to, const void* from, size_t bytes, bool stream = false);

}  // namespace tutti::comm
