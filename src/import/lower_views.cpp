// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <numeric>

#include "import/lowering.h"
#include "ops/views.h"

namespace tutti::pt2 {
namespace {

// Names of reshape's parameter differ: size, shape.
template <bool may_copy>
Ref reshape_to(Lowering& l, Ref x, const std::vector<Dim>& wanted) {
  const Shape to = complete_shape(l.shape(x), wanted);
  return may_copy ? l.reshape_or_copy(x, to) : l.reshape(x, to);
}

Results view(Lowering& l, const Args& a) {
  return reshape_to<false>(l, a.ref("self"), a.dims("size"));
}
Results reshape(Lowering& l, const Args& a) {
  return reshape_to<true>(l, a.ref("self"), a.dims("shape"));
}
Results view_as(Lowering& l, const Args& a) {
  return l.reshape(a.ref("self"), l.shape(a.ref("other")));
}
Results reshape_as(Lowering& l, const Args& a) {
  return l.reshape_or_copy(a.ref("self"), l.shape(a.ref("other")));
}
Results ravel(Lowering& l, const Args& a) { return reshape_to<true>(l, a.ref("self"), {Dim(-1)}); }

Results flatten(Lowering& l, const Args& a) {
  const Ref x = a.ref("self");
  const Shape shape = l.shape(x);
  if (shape.empty()) return l.reshape(x, {1});
  const int64_t first = a.axis("start_dim", l.rank(x)), last = a.axis("end_dim", l.rank(x));
  require_argument(first <= last, "flatten from axis ", first, " to ", last);
  Shape to(shape.begin(), shape.begin() + first);
  to.push_back(elements(Shape(shape.begin() + first, shape.begin() + last + 1)));
  to.insert(to.end(), shape.begin() + last + 1, shape.end());
  return l.reshape_or_copy(x, to);
}

Results unflatten(Lowering& l, const Args& a) {
  const Ref x = a.ref("self");
  Shape to = l.shape(x);
  const int64_t axis = a.axis("dim", l.rank(x));
  const Shape parts = complete_shape({to[static_cast<size_t>(axis)]}, a.dims("sizes"));
  to.erase(to.begin() + axis);
  to.insert(to.begin() + axis, parts.begin(), parts.end());
  return l.reshape(x, to);
}

Results squeeze(Lowering& l, const Args& a) {
  const Ref x = a.ref("self");
  const Shape from = l.shape(x);
  std::vector<int64_t> axes(from.size());
  std::iota(axes.begin(), axes.end(), 0);
  if (a.has("dim")) axes = a.numbers("dim").empty() ? axes : a.axes("dim", l.rank(x));
  Shape to;
  for (size_t i = 0; i < from.size(); ++i) {
    const bool named = std::find(axes.begin(), axes.end(), static_cast<int64_t>(i)) != axes.end();
    if (!named || !(from[i] == Dim(1))) to.push_back(from[i]);
  }
  return l.reshape(x, to);
}

Results unsqueeze(Lowering& l, const Args& a) {
  const Ref x = a.ref("self");
  return l.unsqueeze(x, a.axis("dim", l.rank(x) + 1));
}

template <int rank>
Results at_least(Lowering& l, const Args& a) {
  Ref x = a.ref("self");
  // [n] -> [1, n] -> [1, n, 1]
  while (l.rank(x) < rank) x = l.unsqueeze(x, l.rank(x) == 2 ? 2 : 0);
  return x;
}

Results transpose(Lowering& l, const Args& a) {
  const Ref x = a.ref("self");
  return l.transpose(x, a.axis("dim0", l.rank(x)), a.axis("dim1", l.rank(x)));
}
Results swap_axes(Lowering& l, const Args& a) {
  const Ref x = a.ref("self");
  return l.transpose(x, a.axis("axis0", l.rank(x)), a.axis("axis1", l.rank(x)));
}
template <bool conjugates>
Results last_transposed(Lowering& l, const Args& a) {
  const Ref x = a.ref("self");
  if (l.rank(x) < 2) return x;
  require(!conjugates || !l.type(x).is_complex, Errc::unsupported,
          "complex numbers are not supported here");
  return l.transpose(x, l.rank(x) - 2, l.rank(x) - 1);
}
Results reversed_axes(Lowering& l, const Args& a) {
  const Ref x = a.ref("self");
  std::vector<int64_t> axes(static_cast<size_t>(l.rank(x)));
  std::iota(axes.rbegin(), axes.rend(), 0);
  return l.permute(x, axes);
}

Results permute(Lowering& l, const Args& a) {
  const Ref x = a.ref("self");
  std::vector<int64_t> axes;
  for (int64_t axis : a.integers("dims")) axes.push_back(normal_axis(axis, l.rank(x)));
  return l.permute(x, axes);
}

Results move_axes(Lowering& l, const Args& a) {
  const Ref x = a.ref("self");
  const std::vector<int64_t> from = a.integers("source"), to = a.integers("destination");
  require_argument(from.size() == to.size(), "movedim of ", from.size(), " axes to ", to.size());
  std::vector<int64_t> axes(static_cast<size_t>(l.rank(x)), -1);
  std::vector<bool> moved(axes.size());
  for (size_t i = 0; i < from.size(); ++i) {
    const int64_t axis = normal_axis(from[i], l.rank(x));
    axes[static_cast<size_t>(normal_axis(to[i], l.rank(x)))] = axis;
    moved[static_cast<size_t>(axis)] = true;
  }
  int64_t next = 0;
  for (int64_t& axis : axes) {
    if (axis >= 0) continue;
    while (moved[static_cast<size_t>(next)]) ++next;
    axis = next++;
  }
  return l.permute(x, axes);
}

// -1 keeps an extent.
Ref expand_to(Lowering& l, Ref x, Shape to) {
  const Shape from = l.shape(x);
  require_argument(to.size() >= from.size(), "a tensor of shape ", from, " does not expand to ",
                   to);
  const size_t added = to.size() - from.size();
  for (size_t i = 0; i < to.size(); ++i)
    if (to[i] == Dim(-1) && i >= added) to[i] = from[i - added];
  return l.expand(x, to);
}
Results expand(Lowering& l, const Args& a) { return expand_to(l, a.ref("self"), a.dims("size")); }
Results expand_as(Lowering& l, const Args& a) {
  return l.expand(a.ref("self"), l.shape(a.ref("other")));
}

Results broadcast_all(Lowering& l, const Args& a) {
  Shape shape;
  for (const Ref x : a.refs("tensors")) shape = broadcast(shape, l.shape(x));
  std::vector<Ref> views;
  for (const Ref x : a.refs("tensors")) views.push_back(l.expand(x, shape));
  return views;
}

Results mesh_grid(Lowering& l, const Args& a) {
  const std::vector<Ref>& tensors = a.refs("tensors");
  Shape shape;
  for (const Ref x : tensors) shape.push_back(elements(l.shape(x)));
  const bool swap = a.text("indexing") == "xy" && tensors.size() >= 2;
  std::vector<Ref> grids;
  for (size_t i = 0; i < tensors.size(); ++i) {
    Shape row(tensors.size(), 1);
    row[i] = shape[i];
    const Ref grid = l.expand(l.reshape(tensors[i], row), shape);
    grids.push_back(swap ? l.transpose(grid, 0, 1) : grid);
  }
  return grids;
}

Results as_complex(Lowering& l, const Args& a) { return l.as_complex(a.ref("self")); }
Results as_real(Lowering& l, const Args& a) { return l.as_real(a.ref("self")); }

template <int part>
Results part_of_complex(Lowering& l, const Args& a) {
  const Ref x = a.ref("self");
  if (!l.type(x).is_complex) return x;
  return l.select(l.as_real(x), l.rank(x), part);
}

constexpr Row kRows[] = {
    {"view _unsafe_view", "self, size", view},
    {"_reshape_alias", "self, size, stride", view},
    {"reshape", "self, shape", reshape},
    {"_reshape", "self, size", view},
    {"view_as", "self, other", view_as},
    {"reshape_as", "self, other", reshape_as},
    {"ravel", "self", ravel},
    {"flatten.using_ints", "self, start_dim=0, end_dim=-1", flatten},
    {"unflatten.int", "self, dim, sizes", unflatten},
    {"squeeze squeeze.dim squeeze.dims", "self, dim=None", squeeze},
    {"unsqueeze", "self, dim", unsqueeze},
    {"atleast_1d", "self", at_least<1>},
    {"atleast_2d", "self", at_least<2>},
    {"atleast_3d", "self", at_least<3>},
    {"transpose.int transpose swapdims", "self, dim0, dim1", transpose},
    {"swapaxes", "self, axis0, axis1", swap_axes},
    {"t mT", "self", last_transposed<false>},
    {"adjoint mH matrix_H", "self", last_transposed<true>},
    {"numpy_T", "self", reversed_axes},
    {"permute", "self, dims", permute},
    {"movedim.int movedim.intlist moveaxis.int moveaxis.intlist", "self, source, destination",
     move_axes},
    {"expand broadcast_to", "self, size, implicit=False", expand},
    {"expand_as", "self, other", expand_as},
    {"broadcast_tensors", "tensors", broadcast_all},
    {"meshgrid meshgrid.indexing", "tensors, indexing='ij'", mesh_grid},
    {"view_as_complex", "self", as_complex},
    {"view_as_real", "self", as_real},
    {"real", "self", part_of_complex<0>},
    {"imag", "self", part_of_complex<1>},
};

}  // namespace

std::span<const Row> view_rows() { return kRows; }

}  // namespace tutti::pt2
