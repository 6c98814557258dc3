// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>
#include <string_view>

#include "ir/dim.h"
#include "ops/loops.h"

namespace tutti {

// Advanced indexing, shared by take, index and index_put.

/// Where the extents of the indices stand: in place of adjacent axes, else in front.
int place_of_indices(std::span<const int64_t> axes);

/// The shape of x indexed at `axes` by tensors broadcast to `index`.
Shape indexed_shape(const Shape& x, std::span<const int64_t> axes, const Shape& index);
/// The same for known extents.
Dims indexed_dims(const Dims& x, std::span<const int64_t> axes, const Dims& index);

/// The elements of x that index tensors pick, beside a tensor of the shape of indexed_shape.
///
/// The picked tensor's axes are before, picks, after; the axes before and after are those of x that
/// have no index.
struct Picks {
  Dims before, after;
  Dims x_before, x_after, y_before, y_after;  ///< strides of x and of the picked tensor
  int64_t picks = 0;
  int64_t* x_offsets = nullptr;  ///< [picks], in elements
  int64_t* y_offsets = nullptr;  ///< [picks], in elements
};

/// The extents that tensors of known, compatible extents broadcast to.
Dims broadcast_dims(std::span<const Tensor> tensors);

/// Bytes that make_picks wants for indices broadcast to `index`.
size_t picks_workspace(const Dims& index);

/// Reads the indices. `index` is the shape they broadcast to, y_strides those of the picked tensor.
/// Throws invalid_argument, naming `op`, the index and the extent, for an index outside x.
Picks make_picks(std::string_view op, const Tensor& x, std::span<const int64_t> axes,
                 std::span<const Tensor> indices, const Dims& index, const Dims& y_strides,
                 void* workspace);

/// Calls `f(T{})` with the type of an index tensor: int64_t or int32_t.
template <class F>
void with_index(DType dtype, F&& f) {
  if (dtype == DType::i64)
    f(int64_t{});
  else
    f(int32_t{});
}

/// The index counted from the front, or -1 when it is outside [-extent, extent).
inline int64_t wrap_index(int64_t index, int64_t extent) {
  const int64_t wrapped = index < 0 ? index + extent : index;
  return wrapped < extent ? std::max<int64_t>(wrapped, -1) : -1;
}

/// Throws the error of an index outside an axis.
[[noreturn]] void fail_index(std::string_view op, int64_t index, int64_t axis, int64_t extent);

/// Calls row as for_each_pick does for picks [first, last) of a piece: `before` and `after` are its
/// extents, x and y its first elements.
template <class F>
void visit_picks(const Picks& p, const Dims& before, const Dims& after, int64_t first, int64_t last,
                 int64_t x, int64_t y, const F& row) {
  const std::array<Dims, 2> outer{p.x_before, p.y_before}, inner{p.x_after, p.y_after};
  for_each_offset(before, outer, [&](const auto& o) {
    for (int64_t i = first; i < last; ++i) {
      const int64_t x_pick = x + o[0] + p.x_offsets[i], y_pick = y + o[1] + p.y_offsets[i];
      if (after.empty()) {
        row(x_pick, y_pick, int64_t{1}, int64_t{1}, int64_t{1});
        continue;
      }
      for_each_row(after, inner, [&](const auto& at, int64_t n, const auto& steps) {
        row(x_pick + at[0], y_pick + at[1], n, steps[0], steps[1]);
      });
    }
  });
}

/// Calls row(x, y, n, x_step, y_step) with element offsets for rows that together visit every
/// picked element; picks stay in order for one place before and after them. `ordered` when rows of
/// different picks must not run at the same time.
template <class F>
void for_each_pick(cpu::Pool& pool, const Picks& p, bool ordered, const F& row) {
  Dims shape = p.before;
  std::array<Dims, 2> strides{p.x_before, p.y_before};
  const int middle = shape.rank();
  shape.push_back(p.picks);
  for (Dims& s : strides) s.push_back(0);
  for (int axis = 0; axis < p.after.rank(); ++axis) {
    shape.push_back(p.after[axis]);
    strides[0].push_back(p.x_after[axis]);
    strides[1].push_back(p.y_after[axis]);
  }
  // A piece along the picks begins at pick start[2].
  Dims pick = Dims::filled(shape.rank(), 0);
  pick[middle] = 1;
  const std::array<Dims, 3> all{strides[0], strides[1], pick};
  parallel_pieces(
      pool, shape, all, ordered ? middle : -1, [&](const Dims& part, const auto& start) {
        Dims before, after;
        for (int axis = 0; axis < part.rank(); ++axis)
          if (axis != middle) (axis < middle ? before : after).push_back(part[axis]);
        visit_picks(p, before, after, start[2], start[2] + part[middle], start[0], start[1], row);
      });
}

}  // namespace tutti
