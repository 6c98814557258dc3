// SPDX-License-Identifier: Apache-2.0
#include "import/lower_views.h"

#include <algorithm>
#include <limits>
#include <numeric>

#include "ops/views.h"

namespace tutti::pt2 {
namespace {

// An index of an axis of extent n, negative ones from its end, cut to 0 .. n.
Dim bounded(const Lowering& l, Dim index, const Dim& n) {
  constexpr int64_t kOpenEnd = std::numeric_limits<int64_t>::max() / 2;
  if (index.is_constant() && index.value() >= kOpenEnd) return n;
  if (l.at_most(index, -1))
    index = index.is_constant() && index.value() < -kOpenEnd ? 0 : index + n;
  if (!l.at_most(0, index)) index = max(index, 0);
  return l.smaller(index, n);
}

Dim from_front(const Lowering& l, const Dim& index, const Dim& n) {
  return l.at_most(index, -1) ? index + n : index;
}

}  // namespace

Ref slice_view(Lowering& l, Ref x, const Args& a) {
  const int64_t axis = a.axis("dim", l.rank(x)), step = a.integer("step");
  require_argument(step > 0, "slice: step is ", step, "; a positive one is wanted");
  const Dim n = l.shape(x)[static_cast<size_t>(axis)];
  const Dim start = a.has("start") ? bounded(l, a.dim("start"), n) : Dim(0);
  const Dim end = a.has("end") ? bounded(l, a.dim("end"), n) : n;
  const Dim length = l.at_most(start, end) ? end - start : max(end - start, 0);
  return l.slice(x, axis, length == Dim(0) ? Dim(0) : start, floor_div(length + (step - 1), step),
                 step);
}

Ref select_view(Lowering& l, Ref x, const Args& a) {
  const int64_t axis = a.axis("dim", l.rank(x));
  return l.select(x, axis, from_front(l, a.dim("index"), l.shape(x)[static_cast<size_t>(axis)]));
}

// Rows of a matrix laid end to end: the diagonal is every (columns + 1)th element.
Ref diagonal_view(Lowering& l, Ref x, const Args& a) {
  const int64_t offset = a.integer("offset"), rank = l.rank(x);
  const int64_t row = a.axis("dim1", l.rank(x)), column = a.axis("dim2", l.rank(x));
  std::vector<int64_t> axes;
  for (int64_t i = 0; i < rank; ++i)
    if (i != row && i != column) axes.push_back(i);
  axes.push_back(row);
  axes.push_back(column);
  x = l.permute(x, axes);
  Shape shape = l.shape(x);
  const int64_t columns = shape.back().value();
  const Dim rows = shape[shape.size() - 2];
  const Dim size =
      offset >= 0 ? l.smaller(rows, columns - offset) : l.smaller(rows + offset, columns);
  shape.pop_back();
  shape.back() = rows * columns;
  const Dim start = offset >= 0 ? Dim(offset) : Dim(-offset * columns);
  return l.slice(l.reshape(x, shape), rank - 2, start, l.at_most(size, 0) ? Dim(0) : size,
                 columns + 1);
}

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
Results last_transposed(Lowering& l, const Args& a) {
  const Ref x = a.ref("self");
  if (l.rank(x) < 2) return x;
  require(!l.type(x).is_complex, Errc::unsupported, "complex numbers are not supported here");
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

Results slice(Lowering& l, const Args& a) { return slice_view(l, a.ref("self"), a); }

Results select(Lowering& l, const Args& a) { return select_view(l, a.ref("self"), a); }
Results narrow(Lowering& l, const Args& a) {
  const Ref x = a.ref("self");
  const int64_t axis = a.axis("dim", l.rank(x));
  const Dim start = from_front(l, a.dim("start"), l.shape(x)[static_cast<size_t>(axis)]);
  return l.slice(x, axis, start, a.dim("length"));
}

// Cuts an axis into `count` parts of `size`, the last one as long as what is left.
std::vector<Ref> cut(Lowering& l, Ref x, int64_t axis, const Dim& size, int64_t count) {
  const Dim n = l.shape(x)[static_cast<size_t>(axis)];
  std::vector<Ref> parts;
  for (int64_t i = 0; i < count; ++i) {
    const Dim start = size * i;
    parts.push_back(l.slice(x, axis, start, i + 1 < count ? size : n - start));
  }
  return parts;
}

int64_t parts_of(const Dim& n, const Dim& size, const Args& a) {
  if (!n.is_constant() || !size.is_constant()) return static_cast<int64_t>(a.list_size());
  if (size.value() == 0) return 1;
  return std::max<int64_t>(1, (n.value() + size.value() - 1) / size.value());
}

Results chunk(Lowering& l, const Args& a) {
  const Ref x = a.ref("self");
  const int64_t axis = a.axis("dim", l.rank(x));
  const Dim n = l.shape(x)[static_cast<size_t>(axis)];
  const Dim size = floor_div(n + (a.integer("chunks") - 1), a.integer("chunks"));
  return cut(l, x, axis, size, parts_of(n, size, a));
}

Results split(Lowering& l, const Args& a) {
  const Ref x = a.ref("self");
  const int64_t axis = a.axis("dim", l.rank(x));
  const Dim n = l.shape(x)[static_cast<size_t>(axis)], size = a.dim("split_size");
  return cut(l, x, axis, size, parts_of(n, size, a));
}

std::vector<Ref> split_at(Lowering& l, Ref x, int64_t axis, const std::vector<Dim>& sizes) {
  std::vector<Ref> parts;
  Dim start = 0;
  for (const Dim& size : sizes) {
    parts.push_back(l.slice(x, axis, start, size));
    start = start + size;
  }
  return parts;
}

Results split_sizes(Lowering& l, const Args& a) {
  const Ref x = a.ref("self");
  return split_at(l, x, a.axis("dim", l.rank(x)), a.dims("split_sizes"));
}
Results split_sizes_overload(Lowering& l, const Args& a) {
  const Ref x = a.ref("self");
  return split_at(l, x, a.axis("dim", l.rank(x)), a.dims("split_size"));
}

// The first n mod k parts have one element more than the others.
Results tensor_split_sections(Lowering& l, const Args& a) {
  const Ref x = a.ref("self");
  const int64_t axis = a.axis("dim", l.rank(x)), count = a.integer("sections");
  const Dim n = l.shape(x)[static_cast<size_t>(axis)];
  const Dim size = floor_div(n, count), rest = mod(n, count);
  std::vector<Dim> sizes;
  for (int64_t i = 0; i < count; ++i) sizes.push_back(i < rest.value() ? size + 1 : size);
  return split_at(l, x, axis, sizes);
}

Results tensor_split_indices(Lowering& l, const Args& a) {
  const Ref x = a.ref("self");
  const int64_t axis = a.axis("dim", l.rank(x));
  const Dim n = l.shape(x)[static_cast<size_t>(axis)];
  std::vector<Ref> parts;
  Dim start = 0;
  std::vector<Dim> ends = a.dims("indices");
  ends.push_back(n);
  for (const Dim& end : ends) {
    const Dim stop = bounded(l, end, n);
    parts.push_back(l.slice(x, axis, start, l.at_most(start, stop) ? stop - start : Dim(0)));
    start = stop;
  }
  return parts;
}

Results unbind(Lowering& l, const Args& a) {
  const Ref x = a.ref("self");
  const int64_t axis = a.axis("dim", l.rank(x));
  std::vector<Ref> parts;
  for (int64_t i = 0; i < l.shape(x)[static_cast<size_t>(axis)].value(); ++i)
    parts.push_back(l.select(x, axis, i));
  return parts;
}

Results diagonal(Lowering& l, const Args& a) { return diagonal_view(l, a.ref("self"), a); }

Results unfold(Lowering& l, const Args& a) {
  const Ref x = a.ref("self");
  require(!l.type(x).is_complex, Errc::unsupported, "complex numbers are not supported here");
  return l.view(x, Unfold{a.axis("dimension", l.rank(x)), a.integer("size"), a.integer("step")});
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
    {"transpose.int swapdims", "self, dim0, dim1", transpose},
    {"swapaxes", "self, axis0, axis1", swap_axes},
    {"t mT adjoint mH matrix_H", "self", last_transposed},
    {"numpy_T", "self", reversed_axes},
    {"permute", "self, dims", permute},
    {"movedim.int movedim.intlist moveaxis.int moveaxis.intlist", "self, source, destination",
     move_axes},
    {"expand broadcast_to", "self, size, implicit=False", expand},
    {"expand_as", "self, other", expand_as},
    {"broadcast_tensors", "tensors", broadcast_all},
    {"meshgrid meshgrid.indexing", "tensors, indexing='ij'", mesh_grid},
    {"slice.Tensor", "self, dim=0, start=None, end=None, step=1", slice},
    {"select.int", "self, dim, index", select},
    {"narrow", "self, dim, start, length", narrow},
    {"chunk unsafe_chunk", "self, chunks, dim=0", chunk},
    {"split.Tensor unsafe_split.Tensor", "self, split_size, dim=0", split},
    {"split.sizes", "self, split_size, dim=0", split_sizes_overload},
    {"split_with_sizes unsafe_split_with_sizes", "self, split_sizes, dim=0", split_sizes},
    {"tensor_split.sections", "self, sections, dim=0", tensor_split_sections},
    {"tensor_split.indices", "self, indices, dim=0", tensor_split_indices},
    {"unbind.int", "self, dim=0", unbind},
    {"diagonal", "self, offset=0, dim1=0, dim2=1", diagonal},
    {"unfold", "self, dimension, size, step", unfold},
    {"view_as_complex", "self", as_complex},
    {"view_as_real", "self", as_real},
    {"real", "self", part_of_complex<0>},
    {"imag", "self", part_of_complex<1>},
};

}  // namespace

std::span<const Row> view_rows() { return kRows; }

}  // namespace tutti::pt2
