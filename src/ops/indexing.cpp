// SPDX-License-Identifier: Apache-2.0
#include "ops/indexing.h"

#include "core/error.h"

namespace tutti {
namespace {

bool has(std::span<const int64_t> axes, int64_t axis) {
  return std::find(axes.begin(), axes.end(), axis) != axes.end();
}

}  // namespace

int place_of_indices(std::span<const int64_t> axes) {
  const bool adjacent = axes.back() - axes.front() + 1 == static_cast<int64_t>(axes.size());
  return adjacent ? static_cast<int>(axes.front()) : 0;
}

Shape indexed_shape(const Shape& x, std::span<const int64_t> axes, const Shape& index) {
  Shape shape;
  for (size_t axis = 0; axis < x.size(); ++axis)
    if (!has(axes, static_cast<int64_t>(axis))) shape.push_back(x[axis]);
  shape.insert(shape.begin() + place_of_indices(axes), index.begin(), index.end());
  return shape;
}

Dims indexed_dims(const Dims& x, std::span<const int64_t> axes, const Dims& index) {
  Dims dims;
  for (int axis = 0; axis < x.rank(); ++axis)
    if (!has(axes, axis)) dims.push_back(x[axis]);
  const int place = place_of_indices(axes);
  for (int axis = 0; axis < index.rank(); ++axis) dims.insert(place + axis, index[axis]);
  return dims;
}

Dims broadcast_dims(std::span<const Tensor> tensors) {
  Dims dims;
  for (const Tensor& t : tensors) {
    while (dims.rank() < t.rank()) dims.insert(0, 1);
    for (int axis = 0; axis < t.rank(); ++axis)
      if (t.shape[axis] != 1) dims[dims.rank() - t.rank() + axis] = t.shape[axis];
  }
  return dims;
}

size_t picks_workspace(const Dims& index) {
  return static_cast<size_t>(elements(index)) * 2 * sizeof(int64_t);
}

void fail_index(std::string_view op, int64_t index, int64_t axis, int64_t extent) {
  fail(Errc::invalid_argument, op, ": index ", index, " is outside axis ", axis, " of extent ",
       extent, "; ", -extent, " to ", extent - 1, " is wanted");
}

Picks make_picks(std::string_view op, const Tensor& x, std::span<const int64_t> axes,
                 std::span<const Tensor> indices, const Dims& index, const Dims& y_strides,
                 void* workspace) {
  Picks p;
  p.picks = elements(index);
  p.x_offsets = static_cast<int64_t*>(workspace);
  p.y_offsets = p.x_offsets + p.picks;

  const int place = place_of_indices(axes);
  Dims index_strides;
  for (int axis = 0; axis < index.rank(); ++axis) index_strides.push_back(y_strides[place + axis]);
  int free = 0;
  for (int axis = 0; axis < x.rank(); ++axis) {
    if (has(axes, axis)) continue;
    const bool in_front = free < place;
    (in_front ? p.before : p.after).push_back(x.shape[axis]);
    (in_front ? p.x_before : p.x_after).push_back(x.strides[axis]);
    (in_front ? p.y_before : p.y_after).push_back(y_strides[in_front ? free : free + index.rank()]);
    ++free;
  }
  std::array<Dims, 2> before{p.x_before, p.y_before}, after{p.x_after, p.y_after};
  collapse(p.before, before);
  collapse(p.after, after);
  p.x_before = before[0], p.y_before = before[1], p.x_after = after[0], p.y_after = after[1];

  int64_t i = 0;
  for_each_offset<1>(index, {index_strides}, [&](const auto& at) {
    p.x_offsets[i] = 0;
    p.y_offsets[i++] = at[0];
  });
  for (size_t k = 0; k < axes.size(); ++k) {
    const int axis = static_cast<int>(axes[k]);
    const int64_t extent = x.shape[axis], stride = x.strides[axis];
    with_index(indices[k].dtype, [&](auto zero) {
      const auto* values = indices[k].as<const decltype(zero)>();
      int64_t* offset = p.x_offsets;
      for_each_offset<1>(index, {broadcast_strides(indices[k], index)}, [&](const auto& at) {
        const int64_t found = values[at[0]];
        const int64_t wrapped = wrap_index(found, extent);
        if (wrapped < 0) fail_index(op, found, axis, extent);
        *offset++ += wrapped * stride;
      });
    });
  }
  return p;
}

}  // namespace tutti
