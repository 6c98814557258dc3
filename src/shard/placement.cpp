// SPDX-License-Identifier: Apache-2.0
#include "shard/placement.h"

#include <algorithm>

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
