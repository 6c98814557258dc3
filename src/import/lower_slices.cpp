// SPDX-License-Identifier: Apache-2.0
#include "import/lower_slices.h"

#include <algorithm>
#include <limits>

#include "ops/gather.h"
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
  const Dim n = l.shape(x)[static_cast<size_t>(axis)];
  const Number& index = a.number("index");
  if (index.value == kNone) return l.select(x, axis, from_front(l, index.as_dim(), n));
  const ValueId given = l.e.cast(index.value, DType::i64);
  const ValueId from_end = l.e.binary(Elementwise::add, given, l.e.integer(n, DType::i64));
  const ValueId is_negative = l.e.with_number(Elementwise::less, given, 0);
  const Array whole = l.read(x);
  return l.fresh(
      {l.e.op(Take{axis}, {whole.id, l.e.choose(is_negative, from_end, given)}), whole.is_complex});
}

// Rows of a matrix laid end to end: the diagonal is every (columns + 1)th element.
Ref diagonal_of(Lowering& l, Ref x, int64_t offset, int64_t row, int64_t column) {
  const int64_t rank = l.rank(x);
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

Ref diagonal_view(Lowering& l, Ref x, const Args& a) {
  const int rank = l.rank(x);
  return diagonal_of(l, x, a.integer("offset"), a.axis("dim1", rank), a.axis("dim2", rank));
}

namespace {

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
  return cut(l, x, axis, size, n == Dim(0) ? a.integer("chunks") : parts_of(n, size, a));
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
std::vector<Ref> even_split(Lowering& l, Ref x, int64_t axis, int64_t count) {
  const Dim n = l.shape(x)[static_cast<size_t>(axis)];
  const Dim size = floor_div(n, count), rest = mod(n, count);
  std::vector<Dim> sizes;
  for (int64_t i = 0; i < count; ++i) sizes.push_back(i < rest.value() ? size + 1 : size);
  return split_at(l, x, axis, sizes);
}

std::vector<Ref> split_before(Lowering& l, Ref x, int64_t axis, std::vector<Dim> ends) {
  const Dim n = l.shape(x)[static_cast<size_t>(axis)];
  std::vector<Ref> parts;
  Dim start = 0;
  ends.push_back(n);
  for (const Dim& end : ends) {
    const Dim stop = bounded(l, end, n);
    parts.push_back(l.slice(x, axis, start, l.at_most(start, stop) ? stop - start : Dim(0)));
    start = stop;
  }
  return parts;
}

Results tensor_split_sections(Lowering& l, const Args& a) {
  const Ref x = a.ref("self");
  return even_split(l, x, a.axis("dim", l.rank(x)), a.integer("sections"));
}
Results tensor_split_indices(Lowering& l, const Args& a) {
  const Ref x = a.ref("self");
  return split_before(l, x, a.axis("dim", l.rank(x)), a.dims("indices"));
}

// hsplit, vsplit, dsplit: axis 1 (0 of a vector), 0, 2.
template <int axis>
Results split_along(Lowering& l, const Args& a) {
  const Ref x = a.ref("self");
  const int64_t at = axis == 1 && l.rank(x) == 1 ? 0 : normal_axis(axis, l.rank(x));
  if (a.has("sections")) return even_split(l, x, at, a.integer("sections"));
  return split_before(l, x, at, a.dims("indices"));
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

// Windows in windows over the elements in row-major order: each stride is one level.
Results as_strided(Lowering& l, const Args& a) {
  Ref x = a.ref("self");
  require(l.is_row_major(x) && !l.type(x).is_complex, Errc::unsupported,
          "as_strided of a tensor that is not contiguous is not supported");
  const std::vector<int64_t> sizes = a.integers("size"), strides = a.integers("stride");
  int64_t span = 1;
  for (size_t i = 0; i < sizes.size(); ++i) span += (sizes[i] - 1) * strides[i];
  require(std::find(sizes.begin(), sizes.end(), 0) == sizes.end(), Errc::unsupported,
          "as_strided of no element is not supported");
  x = l.reshape(x, {elements(l.shape(x))});
  x = l.slice(x, 0, a.has("storage_offset") ? a.dim("storage_offset") : Dim(0), span);
  Shape to;
  for (size_t i = 0; i < sizes.size(); ++i) {
    const auto axis = static_cast<int64_t>(i);
    to.push_back(sizes[i]);
    span -= (sizes[i] - 1) * strides[i];
    if (strides[i] == 0) {
      x = l.unsqueeze(x, axis);
      Shape wide = l.shape(x);
      wide[i] = sizes[i];
      x = l.expand(x, wide);
    } else {
      x = l.view(x, Unfold{axis, span, strides[i]});
    }
  }
  return l.reshape(x, to);
}

constexpr Row kRows[] = {
    {"slice.Tensor", "self, dim=0, start=None, end=None, step=1", slice},
    {"select.int", "self, dim, index", select},
    {"narrow", "self, dim, start, length", narrow},
    {"chunk unsafe_chunk", "self, chunks, dim=0", chunk},
    {"split.Tensor unsafe_split.Tensor", "self, split_size, dim=0", split},
    {"split.sizes", "self, split_size, dim=0", split_sizes_overload},
    {"split_with_sizes unsafe_split_with_sizes", "self, split_sizes, dim=0", split_sizes},
    {"tensor_split.sections", "self, sections, dim=0", tensor_split_sections},
    {"tensor_split.indices", "self, indices, dim=0", tensor_split_indices},
    {"hsplit.int hsplit.array", "self, sections=None, indices=None", split_along<1>},
    {"vsplit.int vsplit.array", "self, sections=None, indices=None", split_along<0>},
    {"dsplit.int dsplit.array", "self, sections=None, indices=None", split_along<2>},
    {"unbind.int", "self, dim=0", unbind},
    {"diagonal", "self, offset=0, dim1=0, dim2=1", diagonal},
    {"unfold", "self, dimension, size, step", unfold},
    {"as_strided", "self, size, stride, storage_offset=None", as_strided},
};

}  // namespace

std::span<const Row> slice_rows() { return kRows; }

}  // namespace tutti::pt2
