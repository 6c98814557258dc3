// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "device/cpu/attention.h"

namespace tutti::cpu {

/// Keys and values are visited in blocks of so many.
inline constexpr int64_t kAttentionKeys = 96;

/// The kernels of one instruction set.
struct AttentionKernels {
  using Run = void (*)(const AttentionPlan& plan, const AttentionArgs& args, int64_t task,
                       float* space, float* partials);
  int lanes;        ///< f32 of a vector
  int panel_lanes;  ///< rows of a panel of the wide kernel, at most
  Run wide;         ///< does a task: writes out or, where keys are split, its part of partials
  Run narrow;       ///< the same with vectors along d, for few rows
  Run merge;        ///< merges the parts of a block of rows, the task, into out
};

/// Where a thread's workspace has what, in floats. Rounded up: rows to whole vectors, and d and dv
/// to `d_padded` and `dv_padded`.
struct AttentionSpace {
  int64_t q = 0;       ///< wide: panels [d, rows of the panel]; narrow: [rows, d]; scaled
  int64_t o = 0;       ///< wide: panels [dv, rows of the panel]; narrow: [rows, dv]
  int64_t max = 0;     ///< [rows], base-2 logarithms, as all scores
  int64_t sum = 0;     ///< [rows], of 2^(score - max)
  int64_t begin = 0;   ///< [rows] i32, the first key that a row sees
  int64_t end = 0;     ///< [rows] i32, the one behind the last
  int64_t scores = 0;  ///< wide: [keys, rows of the panel]; narrow: [rows, keys]
  int64_t mask = 0;    ///< wide: like scores; narrow: [keys]
  int64_t lines = 0;   ///< [lanes, max(d, dv, keys)], on the way to a transpose
  int64_t k = 0;       ///< [keys, d]
  int64_t v = 0;       ///< [keys, dv]
  int64_t floats = 0;  ///< in all
};

/// How the work is cut; depends on shapes and instruction set only.
///
/// The heads that share a key/value head are one matrix of rows = s * group queries: row r is query
/// r / group of head r % group of them. A task is a block of rows and a range of keys.
struct AttentionPlan {
  AttentionSpec spec;
  const AttentionKernels* kernels = nullptr;  ///< null for f64
  int64_t group = 1;
  int64_t rows = 0;
  int64_t block_rows = 0;  ///< rows of a task
  int64_t row_blocks = 0;
  int64_t split_keys = 0;  ///< keys of a task, from the first that its rows see
  int64_t splits = 1;
  int64_t first = 0, end = 0;  ///< query i sees keys i + first to i + end - 1, of those there are
  bool narrow = false;
  bool masked = false;
  AttentionSpec::Mask mask;  ///< when masked
  int64_t d_padded = 0, dv_padded = 0;
  AttentionSpace space;
  int64_t padded_rows = 0;     ///< block_rows, rounded up
  int64_t partial_floats = 0;  ///< of a task: max, sum [padded_rows], o [padded_rows, dv_padded]
  bool small = false;          ///< not worth waking threads for

  int64_t blocks() const { return spec.b * spec.n_kv * row_blocks; }
  int64_t tasks() const { return blocks() * splits; }
};

/// Does a task of f64, plainly; `space` has kAttentionKeys + dv doubles.
void attend_f64(const AttentionPlan& plan, const AttentionArgs& args, int64_t task, double* space);

}  // namespace tutti::cpu
