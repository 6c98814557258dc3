// SPDX-License-Identifier: Apache-2.0
#include "ops/view_layout.h"

namespace tutti {

bool is_view(const Op& op) {
  return op.as<Reshape>() || op.as<Permute>() || op.as<Expand>() || op.as<Slice>() ||
         op.as<Unfold>();
}

std::optional<Dims> reshape_strides(const Dims& shape, const Dims& strides, const Dims& to) {
  Dims result = Dims::filled(to.rank(), 0);
  if (elements(to) == 0) return contiguous_strides(to);
  int from_axis = shape.rank() - 1;
  int64_t chunk = 1;   // elements of the run of input axes that share one stride pattern
  int64_t stride = 1;  // stride of that run's innermost axis
  int64_t used = 1;    // elements of it already given to output axes
  for (int axis = to.rank() - 1; axis >= 0; --axis) {
    if (to[axis] == 1) continue;
    if (used == chunk) {
      while (from_axis >= 0 && shape[from_axis] == 1) --from_axis;
      if (from_axis < 0) return std::nullopt;
      chunk = shape[from_axis];
      stride = strides[from_axis];
      used = 1;
      for (--from_axis; from_axis >= 0; --from_axis) {
        if (shape[from_axis] == 1) continue;
        if (strides[from_axis] != stride * chunk) break;
        chunk *= shape[from_axis];
      }
    }
    result[axis] = stride * used;
    used *= to[axis];
    if (chunk % used != 0) return std::nullopt;
  }
  return result;
}

ViewLayout view_layout(const Permute& op, const Dims& shape, const Dims& strides) {
  ViewLayout out;
  for (int64_t axis : op.axes) {
    out.shape.push_back(shape[static_cast<int>(axis)]);
    out.strides.push_back(strides[static_cast<int>(axis)]);
  }
  return out;
}

ViewLayout view_layout(const Expand& op, const Dims& shape, const Dims& strides) {
  ViewLayout out;
  out.shape = constant_dims(op.shape);
  const int added = out.shape.rank() - shape.rank();
  for (int axis = 0; axis < out.shape.rank(); ++axis) {
    const bool repeats = axis < added || shape[axis - added] != out.shape[axis];
    out.strides.push_back(repeats ? 0 : strides[axis - added]);
  }
  return out;
}

ViewLayout view_layout(const Slice& op, const Dims& shape, const Dims& strides) {
  ViewLayout out{shape, strides};
  const int axis = static_cast<int>(op.axis);
  out.shape[axis] = op.size.value();
  out.strides[axis] = strides[axis] * op.step;
  out.offset = out.shape[axis] == 0 ? 0 : op.start.value() * strides[axis];
  return out;
}

ViewLayout view_layout(const Unfold& op, const Dims& shape, const Dims& strides) {
  ViewLayout out{shape, strides};
  const int axis = static_cast<int>(op.axis);
  out.shape[axis] = (shape[axis] - op.size) / op.step + 1;
  out.strides[axis] = strides[axis] * op.step;
  out.shape.push_back(op.size);
  out.strides.push_back(strides[axis]);
  return out;
}

std::optional<ViewLayout> view_layout(const Op& op, const Dims& shape, const Dims& strides) {
  if (const auto* permute = op.as<Permute>()) return view_layout(*permute, shape, strides);
  if (const auto* expand = op.as<Expand>()) return view_layout(*expand, shape, strides);
  if (const auto* slice = op.as<Slice>()) return view_layout(*slice, shape, strides);
  if (const auto* unfold = op.as<Unfold>()) return view_layout(*unfold, shape, strides);
  const auto* reshape = op.as<Reshape>();
  if (reshape == nullptr) return std::nullopt;
  ViewLayout out;
  out.shape = constant_dims(reshape->shape);
  const auto found = reshape_strides(shape, strides, out.shape);
  if (!found) return std::nullopt;
  out.strides = *found;
  return out;
}

}  // namespace tutti
