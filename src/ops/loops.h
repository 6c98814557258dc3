// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>

#include "core/strided.h"
#include "device/cpu/pool.h"

namespace tutti {

// How kernels walk strided tensors and share the work.

/// The strides of a tensor broadcast to `shape`: 0 where its extent is 1 or it has no such axis.
Dims broadcast_strides(const Tensor& tensor, const Dims& shape);

/// Element offset of the index at row-major position `flat` of `shape`.
int64_t offset_at(int64_t flat, const Dims& shape, const Dims& strides);

/// Merges axes that every operand walks as one, and drops those of extent 1.
template <size_t kOperands>
void collapse(Dims& shape, std::array<Dims, kOperands>& strides) {
  for (int axis = shape.rank() - 1; axis >= 0; --axis) {
    bool merge = axis + 1 < shape.rank();
    for (const Dims& s : strides) merge = merge && s[axis] == s[axis + 1] * shape[axis + 1];
    if (!merge && shape[axis] != 1) continue;
    if (merge) {
      shape[axis + 1] *= shape[axis];
    }
    shape.erase(axis);
    for (Dims& s : strides) s.erase(axis);
  }
}

/// Calls `f(offsets, n, steps)` for every row of `shape`: n elements along the last axis, the first
/// at element offsets[k] of operand k, the others steps[k] apart. Rank 0 is one row of 1.
template <size_t kOperands, class F>
void for_each_row(const Dims& shape, const std::array<Dims, kOperands>& strides, F&& f) {
  std::array<int64_t, kOperands> steps{};
  if (shape.empty()) {
    f(std::array<int64_t, kOperands>{}, int64_t{1}, steps);
    return;
  }
  const int last = shape.rank() - 1;
  const int64_t n = shape[last];
  if (n == 0) return;
  Dims outer = shape;
  std::array<Dims, kOperands> outer_strides = strides;
  outer.erase(last);
  for (size_t k = 0; k < kOperands; ++k) {
    steps[k] = strides[k][last];
    outer_strides[k].erase(last);
  }
  for_each_offset<kOperands>(outer, outer_strides, [&](const auto& at) { f(at, n, steps); });
}

/// Cuts [0, n) into ranges of at least `grain` (a few for each thread) and calls body(begin, end)
/// for each, on the pool; body must not throw.
template <class F>
void parallel_ranges(cpu::Pool& pool, int64_t n, int64_t grain, const F& body) {
  if (n <= 0) return;
  const int64_t most = std::max<int64_t>(1, n / std::max<int64_t>(grain, 1));
  const int64_t ranges = std::min<int64_t>(most, int64_t{4} * pool.threads());
  const int64_t size = (n + ranges - 1) / ranges;
  pool.parallel((n + size - 1) / size,
                [&](int64_t i, int) { body(i * size, std::min(n, (i + 1) * size)); });
}

/// Calls `f(offsets)` for every index of `shape`, on the pool: offsets[k] is the element offset
/// under strides[k]. `work` is the number of elements that one call handles; f must not throw.
template <size_t kOperands, class F>
void parallel_offsets(cpu::Pool& pool, const Dims& shape,
                      const std::array<Dims, kOperands>& strides, int64_t work, const F& f) {
  constexpr int64_t kElementsOfATask = 8192;
  const int64_t grain = kElementsOfATask / std::max<int64_t>(work, 1);
  parallel_ranges(pool, elements(shape), grain, [&](int64_t begin, int64_t end) {
    for (int64_t flat = begin; flat < end; ++flat) {
      std::array<int64_t, kOperands> offsets;
      for (size_t k = 0; k < kOperands; ++k) offsets[k] = offset_at(flat, shape, strides[k]);
      f(offsets);
    }
  });
}

/// The axis along which to cut work over `shape`: the first that is long enough for `threads`, else
/// the longest; never `excluded`. -1 when there is none.
int axis_to_split(const Dims& shape, int threads, int excluded = -1);

/// Cuts the work over `shape` along one axis other than `excluded` and calls body(part, offsets):
/// `part` is the shape of a piece that begins at element offsets[k] of operand k.
template <size_t kOperands, class F>
void parallel_pieces(cpu::Pool& pool, const Dims& shape, const std::array<Dims, kOperands>& strides,
                     int excluded, const F& body) {
  constexpr int64_t kElementsOfATask = 8192;
  const int64_t n = elements(shape);
  if (n == 0) return;
  const int axis = axis_to_split(shape, pool.threads(), excluded);
  if (axis < 0) {
    body(shape, std::array<int64_t, kOperands>{});
    return;
  }
  const int64_t slice = n / shape[axis];
  parallel_ranges(pool, shape[axis], kElementsOfATask / slice, [&](int64_t begin, int64_t end) {
    Dims part = shape;
    part[axis] = end - begin;
    std::array<int64_t, kOperands> offsets;
    for (size_t k = 0; k < kOperands; ++k) offsets[k] = begin * strides[k][axis];
    body(part, offsets);
  });
}

/// Calls `f(Word{})` with the unsigned integer as wide as an element of `dtype`: for kernels that
/// only move elements.
template <class F>
decltype(auto) with_word(DType dtype, F&& f) {
  switch (size_of(dtype)) {
    case 1:
      return f(uint8_t{});
    case 2:
      return f(uint16_t{});
    case 4:
      return f(uint32_t{});
    default:
      return f(uint64_t{});
  }
}

/// Copies elements of one row.
template <class T>
void copy_row(const T* from, int64_t from_step, T* to, int64_t to_step, int64_t n) {
  if (from_step == 1 && to_step == 1)
    std::copy_n(from, n, to);
  else
    for (int64_t i = 0; i < n; ++i) to[i * to_step] = from[i * from_step];
}

/// Copies a tensor over another of the same type and shape; no overlap.
void copy_tensor(cpu::Pool& pool, const Tensor& from, const Tensor& to);

}  // namespace tutti
