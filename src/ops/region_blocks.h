// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>

#include "tutti/tensor.h"

namespace tutti {

/// A strided box of memory with its axes merged where strides allow; the last axis runs fastest.
struct Box {
  Dims shape, strides;

  /// One run without gaps.
  bool contiguous() const { return shape.rank() == 0 || (shape.rank() == 1 && strides[0] == 1); }
};

/// The box of these extents and strides.
inline Box make_box(const Dims& shape, const Dims& strides) {
  Box box;
  for (int k = 0; k < shape.rank(); ++k) {
    if (shape[k] == 1) continue;
    const int last = box.shape.rank() - 1;
    if (last >= 0 && box.strides[last] == strides[k] * shape[k]) {
      box.shape[last] *= shape[k];
      box.strides[last] = strides[k];
    } else {
      box.shape.push_back(shape[k]);
      box.strides.push_back(strides[k]);
    }
  }
  return box;
}

/// The last two axes of a box.
struct BoxRows {
  int64_t rows = 1, row_stride = 0;
  int64_t n = 1, stride = 1;
};

/// Calls run(element, offset, rows) for every pair of last axes of a box: its elements begin at
/// memory offset `offset`, `element` is how many came before.
template <class F>
void for_each_rows(const Box& box, F&& run) {
  const int last = box.shape.rank() - 1;
  BoxRows rows;
  if (last >= 0) rows.n = box.shape[last], rows.stride = box.strides[last];
  if (last >= 1) rows.rows = box.shape[last - 1], rows.row_stride = box.strides[last - 1];
  if (last <= 1) return run(int64_t{0}, int64_t{0}, rows);
  Dims index = Dims::filled(last - 1, 0);
  for (int64_t element = 0, offset = 0;; element += rows.rows * rows.n) {
    run(element, offset, rows);
    int axis = last - 2;
    for (; axis >= 0; --axis) {
      offset += box.strides[axis];
      if (++index[axis] < box.shape[axis]) break;
      offset -= box.strides[axis] * box.shape[axis];
      index[axis] = 0;
    }
    if (axis < 0) return;
  }
}

/// Cuts the axes [first, end) of a space into pieces of at most about `wanted` positions: a range
/// of one axis times all axes behind it.
struct Cutter {
  int first = 0, end = 0;
  int axis = 0;        ///< the axis that is cut; end when there is only one piece of one position
  int64_t range = 1;   ///< positions of it in a piece; the last of a row of pieces may have fewer
  int64_t inner = 1;   ///< positions of the axes behind it
  int64_t ranges = 1;  ///< pieces along the axis
  int64_t pieces = 1;

  Cutter() = default;
  Cutter(const Dims& space, int first_axis, int end_axis, int64_t wanted)
      : first(first_axis), end(end_axis), axis(end_axis) {
    bool whole = true;
    while (axis > first && whole) {
      --axis;
      whole = inner * space[axis] <= wanted;
      if (whole) inner *= space[axis];
    }
    if (axis == end) return;
    if (whole) {
      inner /= space[axis];
      range = space[axis];
    } else {
      range = std::clamp<int64_t>(wanted / inner, 1, space[axis]);
    }
    ranges = (space[axis] + range - 1) / range;
    pieces = ranges * elements(space, first, axis);
  }

  /// Positions in a piece of full size.
  int64_t size() const { return range * inner; }
  /// Positions along the cut axis in piece `piece`.
  int64_t range_of(const Dims& space, int64_t piece) const {
    return axis == end ? 1 : std::min(range, space[axis] - piece % ranges * range);
  }
  /// Where piece `piece` begins: positions on the axes from `first` to the cut one.
  Dims position(const Dims& space, int64_t piece) const {
    if (axis == end) return {};
    Dims at = Dims::filled(axis - first + 1, 0);
    if (piece == 0) return at;
    at[axis - first] = piece % ranges * range;
    int64_t rest = piece / ranges;
    for (int k = axis - 1; k >= first && rest > 0; --k) {
      at[k - first] = rest % space[k];
      rest /= space[k];
    }
    return at;
  }
  /// The offset of a position under these strides.
  int64_t offset(const Dims& position, const Dims& strides) const {
    int64_t sum = 0;
    for (int k = 0; k < position.rank(); ++k) sum += position[k] * strides[first + k];
    return sum;
  }

 private:
  static int64_t elements(const Dims& space, int from, int to) {
    int64_t n = 1;
    for (int k = from; k < to; ++k) n *= space[k];
    return n;
  }
};

}  // namespace tutti
