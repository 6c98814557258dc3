// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "import/lower_index.h"
#include "import/lower_slices.h"
#include "ops/constant.h"
#include "ops/gather.h"
#include "ops/reduce.h"
#include "ops/scatter.h"

namespace tutti::pt2 {
namespace {

using Fn = Elementwise;

// A boolean index chooses between what was and a value for all.
ValueId put_where(Lowering& l, ValueId mask, ValueId x, ValueId value, bool accumulate) {
  require(elements(l.e.shape(value)) == Dim(1), Errc::unsupported,
          "several values for the true elements of a boolean index are not supported");
  Shape shape = l.e.shape(mask);
  shape.resize(static_cast<size_t>(l.e.rank(x)), Dim(1));
  value = l.e.reshape(value, {});
  if (accumulate) value = l.e.binary(Fn::add, x, value);
  return l.e.choose(l.e.reshape(mask, shape), value, x);
}

Results index_put(Lowering& l, const Args& a) {
  const Indices indices = indices_of(l, a);
  const ValueId x = a.value("self"), values = l.e.cast(a.value("values"), l.e.dtype(x));
  const bool accumulate = a.flag("accumulate");
  if (indices.mask != kNone) return put_where(l, indices.mask, x, values, accumulate);
  std::vector<ValueId> inputs = {x, values};
  inputs.insert(inputs.end(), indices.values.begin(), indices.values.end());
  return l.e.op(IndexPut{indices.axes, accumulate}, inputs);
}

// What lies outside the index's extents takes no part.
ValueId scatter_of(Lowering& l, Scatter scatter, ValueId x, ValueId index, ValueId source) {
  const Shape to = l.e.shape(x);
  index = at_least_1d(l, index);
  source = l.e.cast(at_least_1d(l, source), l.e.dtype(x));
  for (int64_t i = 0; i < l.e.rank(index); ++i)
    source = l.e.slice(source, i, 0, l.e.extent(index, i));
  return l.e.reshape(l.e.op(std::move(scatter), {at_least_1d(l, x), index, source}), to);
}

std::string reduction_name(const std::string& torch) {
  for (const auto& [name, ours] : {std::pair{"add", "sum"},
                                   {"multiply", "prod"},
                                   {"sum", "sum"},
                                   {"prod", "prod"},
                                   {"mean", "mean"},
                                   {"amax", "max"},
                                   {"amin", "min"}})
    if (torch == name) return ours;
  fail(Errc::unsupported, "reduction ", torch, " is not supported");
}

ValueId source_of(Lowering& l, const Args& a, std::string_view name, ValueId x, ValueId index) {
  const Operand source = a.operand(name);
  if (!source.number) return source.array.id;
  return l.e.expand(convert(l, source, l.e.dtype(x)), l.e.shape(index));
}

template <const char* source_name>
Results scatter(Lowering& l, const Args& a) {
  const ValueId x = a.value("self"), index = a.value("index");
  const std::string reduce = a.has("reduce") ? reduction_name(a.text("reduce")) : "none";
  return scatter_of(l, {a.axis("dim", l.e.rank(x)), reduce, a.flag("include_self")}, x, index,
                    source_of(l, a, source_name, x, index));
}
constexpr char kSource[] = "src";
constexpr char kValue[] = "value";

Results scatter_add(Lowering& l, const Args& a) {
  const ValueId x = a.value("self");
  return scatter_of(l, {a.axis("dim", l.e.rank(x)), "sum", true}, x, a.value("index"),
                    a.value("src"));
}

// Slices of one axis put or added at the places that index names.
ValueId put_slices(Lowering& l, const Args& a, ValueId source, bool accumulate) {
  const ValueId x = a.value("self"), index = at_least_1d(l, a.value("index"));
  if (l.e.rank(x) == 0) {
    const ValueId one = l.e.reshape(source, {});
    return accumulate ? l.e.binary(Fn::add, x, one) : one;
  }
  const int64_t axis = a.axis("dim", l.e.rank(x));
  source = l.e.cast(source, l.e.dtype(x));
  if (l.e.rank(source) < l.e.rank(x)) source = l.e.unsqueeze(source, axis);
  return l.e.op(IndexPut{{axis}, accumulate}, {x, source, index});
}

Results index_copy(Lowering& l, const Args& a) {
  return put_slices(l, a, a.value("source"), false);
}

Results index_add(Lowering& l, const Args& a) {
  const ValueId source = a.value("source");
  const Number& alpha = a.number("alpha");
  const bool plain = alpha.is_constant() && alpha.as_real() == 1;
  const ValueId scaled = plain ? source : binary(l, Fn::mul, source, alpha).id;
  return put_slices(l, a, scaled, true);
}

Results index_fill(Lowering& l, const Args& a) {
  const ValueId x = a.value("self"), index = at_least_1d(l, a.value("index"));
  const ValueId value = convert(l, a.operand("value"), l.e.dtype(x));
  if (l.e.rank(x) == 0) return value;
  return l.e.op(IndexPut{{a.axis("dim", l.e.rank(x))}, false}, {x, value, index});
}

Results masked_fill(Lowering& l, const Args& a) {
  const Array x = a.array("self");
  ValueId mask = to_boolean(l, a.value("mask"));
  const Array value = convert(l, a.operand("value"), l.type(x));
  if (x.is_complex) mask = l.e.unsqueeze(mask, l.e.rank(mask));
  return Array{l.e.choose(mask, value.id, x.id), x.is_complex};
}

// The scatter forms of views: a copy of x is written through the view.
template <Ref (*view)(Lowering&, Ref, const Args&)>
Results put_view(Lowering& l, const Args& a) {
  const Ref copy = l.fresh(a.array("self"));
  const Ref part = view(l, copy, a);
  const ValueId source = l.e.cast(a.value("src"), l.type(part).dtype);
  l.write(part, l.e.expand(source, l.shape(part)));
  return copy;
}

// The elements at offset + sum of index * stride, of x in row-major order, replaced.
Results put_strided(Lowering& l, const Args& a) {
  const Ref given = a.ref("self");
  require(l.is_row_major(given), Errc::unsupported,
          "as_strided_scatter into a tensor that is not contiguous is not supported");
  const ValueId x = l.value(given), source = l.e.cast(a.value("src"), l.e.dtype(x));
  const std::vector<int64_t> sizes = a.integers("size"), strides = a.integers("stride");
  std::vector<int64_t> places = {a.has("storage_offset") ? a.integer("storage_offset") : 0};
  for (size_t i = 0; i < sizes.size(); ++i) {
    std::vector<int64_t> next;
    for (const int64_t place : places)
      for (int64_t k = 0; k < sizes[i]; ++k) next.push_back(place + k * strides[i]);
    places = std::move(next);
  }
  const auto count = static_cast<int64_t>(places.size());
  const Tensor index = Tensor::zeros(DType::i64, {count});
  std::copy(places.begin(), places.end(), index.as<int64_t>());
  const ValueId flat = l.e.reshape(x, {elements(l.e.shape(x))});
  const ValueId y = l.e.op(IndexPut{{0}, false},
                           {flat, l.e.reshape(source, {count}), l.e.op(Constant{index}, {})});
  return l.e.reshape(y, l.e.shape(x));
}

// Like index_copy with a reduction: the index names a slice of x for each slice of source.
Results index_reduce(Lowering& l, const Args& a) {
  const ValueId x = a.value("self"), source = a.value("source");
  const int64_t axis = a.axis("dim", l.e.rank(x));
  Shape row(static_cast<size_t>(l.e.rank(x)), 1);
  row[static_cast<size_t>(axis)] = l.e.extent(source, axis);
  const ValueId index = l.e.expand(l.e.reshape(a.value("index"), row), l.e.shape(source));
  const Scatter scatter{axis, reduction_name(a.text("reduce")), a.flag("include_self")};
  return scatter_of(l, scatter, x, index, source);
}

// The true places of the mask take the elements of source in order.
Results masked_scatter(Lowering& l, const Args& a) {
  ValueId x = a.value("self"), mask = to_boolean(l, a.value("mask"));
  const Shape to = broadcast(l.e.shape(x), l.e.shape(mask));
  x = l.e.expand(x, to);
  mask = l.e.expand(mask, to);
  const ValueId source = l.e.cast(a.value("source"), l.e.dtype(x));
  const auto flat = [&](ValueId v) { return l.e.reshape(v, {elements(l.e.shape(v))}); };
  const ValueId count = l.e.op(Scan{"sum", 0}, {l.e.cast(flat(mask), DType::i64)});
  const ValueId place = l.e.with_number(Fn::maximum, l.e.with_number(Fn::sub, count, 1), 0);
  const ValueId taken = l.e.op(Take{0}, {flat(source), place});
  return l.e.choose(mask, l.e.reshape(taken, to), x);
}

// Sums, means or maxima (mode 0, 1, 2) of the rows of each bag; a bag begins at each offset.
Results embedding_bag(Lowering& l, const Args& a) {
  const ValueId weight = a.value("weight"), offsets = a.value("offsets");
  const bool unpadded = !a.has("padding_idx") || a.integer("padding_idx") < 0;
  require(unpadded && !a.flag("include_last_offset"), Errc::unsupported,
          "embedding_bag with a padding index or a last offset is not supported");
  ValueId rows = l.e.op(Take{0}, {weight, a.value("indices")});
  const DType type = l.e.dtype(weight);
  rows = widen(l, rows);
  if (a.has("per_sample_weights"))
    rows = l.e.binary(Fn::mul, rows, l.e.unsqueeze(widen(l, a.value("per_sample_weights")), 1));
  const Dim count = l.e.extent(rows, 0), bags = l.e.extent(offsets, 0);
  const ValueId begun =
      l.e.binary(Fn::less_equal, l.e.cast(offsets, DType::i64), l.e.unsqueeze(l.e.iota(count), 1));
  const ValueId number = l.e.reduce("sum", l.e.cast(begun, DType::i64), {1}, false);
  const ValueId bag = l.e.unsqueeze(l.e.with_number(Fn::sub, number, 1), 1);
  const std::string fns[] = {"sum", "mean", "max"};
  const Scatter scatter{0, fns[a.integer("mode")], false};
  const ValueId zeros = l.e.full(0, l.e.dtype(rows), {bags, l.e.extent(weight, 1)});
  const ValueId y = l.e.op(scatter, {zeros, l.e.expand(bag, l.e.shape(rows)), rows});
  return std::vector<ValueId>{l.e.cast(y, type), kNone, kNone, kNone};
}

Results fill_diagonal(Lowering& l, const Args& a) {
  const ValueId x = a.value("self");
  require(!a.flag("wrap") && l.e.rank(x) == 2, Errc::unsupported,
          "fill_diagonal of other than a matrix, or wrapped, is not supported");
  const ValueId rows = l.e.unsqueeze(l.e.iota(l.e.extent(x, 0)), 1);
  const ValueId on_diagonal = l.e.binary(Fn::equal, rows, l.e.iota(l.e.extent(x, 1)));
  return l.e.choose(on_diagonal, convert(l, a.operand("fill_value"), l.e.dtype(x)), x);
}

constexpr Row kRows[] = {
    {"index_put _unsafe_index_put _index_put_impl",
     "self, indices, values, accumulate=False, unsafe=False", index_put},
    {"scatter.src scatter.reduce scatter_reduce.two",
     "self, dim, index, src, reduce=None, include_self=True", scatter<kSource>},
    {"scatter.value scatter.value_reduce",
     "self, dim, index, value, reduce=None, include_self=True", scatter<kValue>},
    {"scatter_add", "self, dim, index, src", scatter_add},
    {"index_copy", "self, dim, index, source", index_copy},
    {"index_add", "self, dim, index, source, alpha=1", index_add},
    {"index_fill.int_Scalar index_fill.int_Tensor", "self, dim, index, value", index_fill},
    {"masked_fill.Scalar masked_fill.Tensor", "self, mask, value", masked_fill},
    {"slice_scatter", "self, src, dim=0, start=None, end=None, step=1", put_view<slice_view>},
    {"select_scatter", "self, src, dim, index", put_view<select_view>},
    {"diagonal_scatter", "self, src, offset=0, dim1=0, dim2=1", put_view<diagonal_view>},
    {"as_strided_scatter", "self, src, size, stride, storage_offset=None", put_strided},
    {"index_reduce", "self, dim, index, source, reduce, include_self=True", index_reduce},
    {"masked_scatter", "self, mask, source", masked_scatter},
    {"embedding_bag embedding_bag.padding_idx _embedding_bag_forward_only _embedding_bag",
     "weight, indices, offsets, scale_grad_by_freq=False, mode=0, sparse=False, "
     "per_sample_weights=None, include_last_offset=False, padding_idx=None",
     embedding_bag},
    {"fill_diagonal", "self, fill_value, wrap=False", fill_diagonal},
};

}  // namespace

std::span<const Row> scatter_rows() { return kRows; }

}  // namespace tutti::pt2
