// SPDX-License-Identifier: Apache-2.0
#include "shard/placement.h"

#include <algorithm>

#include "core/strided.h"

namespace tutti::shard {

AxisSet Placement::split_axes() const {
  AxisSet axes = 0;
  for (const auto& table : dims)
    if (table) axes |= table->axes();
  return axes;
}

bool Placement::is_whole() const {
  return partial == 0 &&
         std::none_of(dims.begin(), dims.end(), [](const auto& t) { return t.has_value(); });
}

Ranges held(const Placement& placement, int dim, int64_t extent, int rank) {
  const auto& table = placement.dims[static_cast<size_t>(dim)];
  return table ? table->on(rank) : Ranges{{0, extent}};
}

Dims local_shape(const Placement& placement, const Dims& shape, int rank) {
  Dims local = shape;
  for (int d = 0; d < shape.rank(); ++d) local[d] = held(placement, d, shape[d], rank).size();
  return local;
}

namespace {

// Copies a dimension range by range, the dimensions after it within each.
void copy_part(const Placement& placement, const Tensor& from, const Tensor& to, int dim,
               int rank) {
  if (dim == from.rank()) {
    copy_strided(to.shape, from.data, from.dtype, from.strides, to.data, to.dtype, to.strides);
    return;
  }
  const auto step = static_cast<int64_t>(size_of(from.dtype));
  const Ranges own = held(placement, dim, from.shape[dim], rank);
  int64_t position = 0;
  for (const Range& r : own.list()) {
    Tensor source = from, target = to;
    source.data = from.as<char>() + r.begin * from.strides[dim] * step;
    target.data = to.as<char>() + position * to.strides[dim] * step;
    source.shape[dim] = target.shape[dim] = r.size();
    copy_part(placement, source, target, dim + 1, rank);
    position += r.size();
  }
}

}  // namespace

Tensor local_part(const Placement& placement, const Tensor& whole, int rank) {
  Tensor part = Tensor::zeros(whole.dtype, local_shape(placement, whole.shape, rank));
  copy_part(placement, whole, part, 0, rank);
  return part;
}

std::string to_string(const Placement& placement, const Mesh& mesh) {
  std::string text = "[";
  for (size_t d = 0; d < placement.dims.size(); ++d) {
    const auto& table = placement.dims[d];
    text += d ? ", " : "";
    text += table ? join(mesh.text(table->axes()), " ", table->text(mesh)) : "whole";
  }
  text += "]";
  if (placement.partial != 0) text += join(" sum over ", mesh.text(placement.partial));
  return text;
}

}  // namespace tutti::shard
