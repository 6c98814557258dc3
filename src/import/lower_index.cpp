// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "import/arithmetic.h"
#include "import/lower_views.h"
#include "ops/concat.h"
#include "ops/gather.h"
#include "ops/scatter.h"
#include "ops/sort.h"

namespace tutti::pt2 {
namespace {

using Fn = Elementwise;

// A scalar as one element.
ValueId at_least_1d(Lowering& l, ValueId x) { return l.e.rank(x) == 0 ? l.e.reshape(x, {1}) : x; }

struct Indices {
  std::vector<int64_t> axes;
  std::vector<ValueId> values;
  ValueId mask = kNone;  // a boolean index instead, over the first axes
};

Indices indices_of(Lowering& l, const Args& a) {
  Indices indices;
  const std::vector<Ref>& list = a.refs("indices");
  for (size_t i = 0; i < list.size(); ++i) {
    if (list[i].index < 0) continue;
    const ValueId index = l.value(list[i]);
    const bool is_mask = l.e.dtype(index) == DType::boolean || l.e.dtype(index) == DType::u8;
    if (is_mask && i == 0 && list.size() == 1) {
      indices.mask = to_boolean(l, index);
      continue;
    }
    require(!is_mask, Errc::unsupported,
            "indexing by a boolean tensor gives a shape that depends on values");
    indices.axes.push_back(static_cast<int64_t>(i));
    indices.values.push_back(index);
  }
  return indices;
}

Results index(Lowering& l, const Args& a) {
  const Indices indices = indices_of(l, a);
  require(indices.mask == kNone, Errc::unsupported,
          "indexing by a boolean tensor gives a shape that depends on values");
  const Array x = a.array("self");
  std::vector<ValueId> inputs = {x.id};
  inputs.insert(inputs.end(), indices.values.begin(), indices.values.end());
  if (indices.axes.empty()) return x;
  return Array{l.e.op(Index{indices.axes}, inputs), x.is_complex};
}

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

Results embedding(Lowering& l, const Args& a) {
  return l.e.op(Take{0}, {a.value("weight"), a.value("indices")});
}

Results index_select(Lowering& l, const Args& a) {
  const Array x = a.array("self");
  if (l.rank(x) == 0) return x;
  const ValueId index = at_least_1d(l, a.value("index"));
  return Array{l.e.op(Take{a.axis("dim", l.rank(x))}, {x.id, index}), x.is_complex};
}

ValueId gather_of(Lowering& l, ValueId x, ValueId index, int64_t axis) {
  const Shape to = l.e.shape(index);
  return l.e.reshape(l.e.op(Gather{axis}, {at_least_1d(l, x), at_least_1d(l, index)}), to);
}

Results gather(Lowering& l, const Args& a) {
  const ValueId x = a.value("self");
  return gather_of(l, x, a.value("index"), a.axis("dim", l.e.rank(x)));
}

Results take_along(Lowering& l, const Args& a) {
  ValueId x = a.value("self"), index = a.value("indices");
  if (!a.has("dim")) {
    const auto flat = [&](ValueId v) { return l.e.reshape(v, {elements(l.e.shape(v))}); };
    return gather_of(l, flat(x), flat(index), 0);
  }
  const int64_t axis = a.axis("dim", l.e.rank(x));
  Shape xs = l.e.shape(x), is = l.e.shape(index);
  const Dim n = xs[static_cast<size_t>(axis)], k = is[static_cast<size_t>(axis)];
  xs[static_cast<size_t>(axis)] = is[static_cast<size_t>(axis)] = 1;
  Shape both = broadcast(xs, is);
  both[static_cast<size_t>(axis)] = n;
  x = l.e.expand(x, both);
  both[static_cast<size_t>(axis)] = k;
  return gather_of(l, x, l.e.expand(index, both), axis);
}

Results take(Lowering& l, const Args& a) {
  const ValueId x = a.value("self");
  return l.e.op(Take{0}, {l.e.reshape(x, {elements(l.e.shape(x))}), a.value("index")});
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
  if (l.e.rank(source) < l.e.rank(x)) source = l.e.unsqueeze(source, axis);
  return l.e.op(IndexPut{{axis}, accumulate}, {x, source, index});
}

Results index_copy(Lowering& l, const Args& a) {
  return put_slices(l, a, a.value("source"), false);
}

Results index_add(Lowering& l, const Args& a) {
  const ValueId source = a.value("source");
  const Number& alpha = a.number("alpha");
  const bool plain = alpha.integer.is_constant() && alpha.as_real() == 1;
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

template <bool lower>
Results triangle(Lowering& l, const Args& a) {
  const ValueId x = a.value("self");
  const int64_t rank = l.e.rank(x);
  const ValueId row = l.e.unsqueeze(l.e.iota(l.e.extent(x, rank - 2)), 1);
  const ValueId column = l.e.iota(l.e.extent(x, rank - 1));
  const ValueId edge =
      convert(l, add(l, Fn::add, row, a.number("diagonal"), Number::of_dim(1)), DType::i64);
  const ValueId kept = l.e.binary(lower ? Fn::less_equal : Fn::greater_equal, column, edge);
  return l.e.choose(kept, x, l.e.scalar(0, l.e.dtype(x)));
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

Results top_k(Lowering& l, const Args& a) {
  const ValueId x = a.value("self");
  if (l.e.rank(x) == 0) return std::vector<ValueId>{x, l.e.scalar(0, DType::i64)};
  return l.e.ops(TopK{a.axis("dim", l.e.rank(x)), a.dim("k"), a.flag("largest")}, {x});
}

std::vector<ValueId> sorted(Lowering& l, ValueId x, int64_t axis, bool descending) {
  if (l.e.rank(x) == 0) return {x, l.e.scalar(0, DType::i64)};
  return l.e.ops(TopK{axis, l.e.extent(x, axis), descending}, {x});
}

Results sort(Lowering& l, const Args& a) {
  const ValueId x = a.value("self");
  return sorted(l, x, a.axis("dim", l.e.rank(x)), a.flag("descending"));
}

Results arg_sort(Lowering& l, const Args& a) {
  const ValueId x = a.value("self");
  return sorted(l, x, a.axis("dim", l.e.rank(x)), a.flag("descending"))[1];
}

Results first_sort(Lowering& l, const Args& a) { return sorted(l, a.value("self"), 0, false)[0]; }

Results kth_value(Lowering& l, const Args& a) {
  const ValueId x = a.value("self");
  const int64_t axis = a.axis("dim", l.e.rank(x));
  const Dim k = a.dim("k");
  std::vector<ValueId> both = l.e.ops(TopK{axis, k, false}, {x});
  for (ValueId& value : both) {
    value = l.e.slice(value, axis, k - 1, 1);
    if (!a.flag("keepdim")) value = l.e.squeeze(value, axis);
  }
  return both;
}

Results one_hot(Lowering& l, const Args& a) {
  const ValueId x = a.value("self");
  require(!(a.dim("num_classes") == Dim(-1)), Errc::unsupported,
          "one_hot without num_classes gives a shape that depends on values");
  const ValueId classes = l.e.iota(a.dim("num_classes"));
  return l.e.cast(l.e.binary(Fn::equal, l.e.unsqueeze(x, l.e.rank(x)), classes), DType::i64);
}

// How many bounds lie below each element, or not above it.
ValueId count_bounds(Lowering& l, const Args& a, ValueId bounds, const Operand& x, bool right) {
  const Operand operands[] = {bounds, x};
  const DType type = common_type(l, operands).dtype;
  const ValueId element = convert(l, x, type);
  ValueId edges = l.e.cast(bounds, type);
  if (l.e.rank(edges) > 1) edges = l.e.unsqueeze(edges, l.e.rank(edges) - 1);
  const ValueId below = l.e.binary(right ? Fn::less_equal : Fn::less, edges,
                                   l.e.unsqueeze(element, l.e.rank(element)));
  const ValueId count =
      l.e.reduce("sum", l.e.cast(below, DType::i64), {l.e.rank(below) - 1}, false);
  return l.e.cast(count, a.flag("out_int32") ? DType::i32 : DType::i64);
}

Results bucketize(Lowering& l, const Args& a) {
  return count_bounds(l, a, a.value("boundaries"), a.operand("self"), a.flag("right"));
}

Results search_sorted(Lowering& l, const Args& a) {
  require(!a.has("sorter"), Errc::unsupported, "a sorter is not supported");
  const bool right = a.flag("right") || (a.has("side") && a.text("side") == "right");
  return count_bounds(l, a, a.value("sorted_sequence"), a.operand("self"), right);
}

template <const char* test_name>
Results is_in(Lowering& l, const Args& a) {
  const ValueId x = a.value("elements");
  const Operand tests = a.operand(test_name);
  ValueId list = tests.number ? convert(l, tests, l.e.dtype(x)) : tests.array.id;
  list = l.e.reshape(list, {elements(l.e.shape(list))});
  const ValueId same = compare(l, Fn::equal, l.e.unsqueeze(x, l.e.rank(x)), list);
  const ValueId found = l.e.reduce("any", same, {l.e.rank(same) - 1}, false);
  return a.flag("invert") ? l.e.unary(Fn::logical_not, found) : found;
}

constexpr char kTests[] = "test_elements";
constexpr char kTest[] = "test_element";

// x along the diagonal `offset` of the last two axes, zeros elsewhere.
ValueId matrix_with_diagonal(Lowering& l, ValueId x, int64_t offset) {
  const int64_t axis = l.e.rank(x) - 1, border = std::abs(offset);
  const ValueId rows = l.e.unsqueeze(l.e.iota(l.e.extent(x, axis) + border), 1);
  const ValueId columns = l.e.iota(l.e.extent(x, axis) + border);
  const ValueId place = l.e.binary(Fn::sub, columns, rows);
  if (border != 0) {
    Pad pad{std::vector<int64_t>(static_cast<size_t>(axis) + 1), {}, "constant", 0};
    pad.after = pad.before;
    (offset < 0 ? pad.before : pad.after).back() = border;
    x = l.e.op(pad, {x});
  }
  const ValueId on_diagonal =
      l.e.binary(Fn::equal, place, l.e.scalar(static_cast<double>(offset), DType::i64));
  return l.e.choose(on_diagonal, l.e.unsqueeze(x, l.e.rank(x)), l.e.scalar(0, l.e.dtype(x)));
}

Results diagonal_matrix(Lowering& l, const Args& a) {
  const ValueId x = a.value("self");
  const ValueId y = matrix_with_diagonal(l, x, a.integer("offset"));
  const int rank = l.e.rank(y);
  require(a.axis("dim1", rank) == rank - 2 && a.axis("dim2", rank) == rank - 1, Errc::unsupported,
          "diag_embed into other than the last two axes is not supported");
  return y;
}

constexpr Row kRows[] = {
    {"index.Tensor _unsafe_index.Tensor", "self, indices", index},
    {"index_put _unsafe_index_put _index_put_impl",
     "self, indices, values, accumulate=False, unsafe=False", index_put},
    {"embedding", "weight, indices, padding_idx=-1, scale_grad_by_freq=False, sparse=False",
     embedding},
    {"index_select", "self, dim, index", index_select},
    {"gather", "self, dim, index, sparse_grad=False", gather},
    {"take_along_dim", "self, indices, dim=None", take_along},
    {"take", "self, index", take},
    {"scatter.src scatter.reduce scatter_reduce.two",
     "self, dim, index, src, reduce=None, include_self=True", scatter<kSource>},
    {"scatter.value scatter.value_reduce",
     "self, dim, index, value, reduce=None, include_self=True", scatter<kValue>},
    {"scatter_add", "self, dim, index, src", scatter_add},
    {"index_copy", "self, dim, index, source", index_copy},
    {"index_add", "self, dim, index, source, alpha=1", index_add},
    {"index_fill.int_Scalar index_fill.int_Tensor", "self, dim, index, value", index_fill},
    {"masked_fill.Scalar masked_fill.Tensor", "self, mask, value", masked_fill},
    {"tril", "self, diagonal=0", triangle<true>},
    {"triu", "self, diagonal=0", triangle<false>},
    {"slice_scatter", "self, src, dim=0, start=None, end=None, step=1", put_view<slice_view>},
    {"select_scatter", "self, src, dim, index", put_view<select_view>},
    {"diagonal_scatter", "self, src, offset=0, dim1=0, dim2=1", put_view<diagonal_view>},
    {"topk", "self, k, dim=-1, largest=True, sorted=True", top_k},
    {"sort sort.stable", "self, dim=-1, descending=False, stable=False", sort},
    {"argsort argsort.stable", "self, dim=-1, descending=False, stable=False", arg_sort},
    {"msort", "self", first_sort},
    {"kthvalue", "self, k, dim=-1, keepdim=False", kth_value},
    {"one_hot", "self, num_classes=-1", one_hot},
    {"bucketize.Tensor bucketize.Scalar", "self, boundaries, out_int32=False, right=False",
     bucketize},
    {"searchsorted.Tensor searchsorted.Scalar",
     "sorted_sequence, self, out_int32=False, right=False, side=None, sorter=None", search_sorted},
    {"isin.Tensor_Tensor", "elements, test_elements, assume_unique=False, invert=False",
     is_in<kTests>},
    {"isin.Tensor_Scalar", "elements, test_element, assume_unique=False, invert=False",
     is_in<kTest>},
    {"diag_embed", "self, offset=0, dim1=-2, dim2=-1", diagonal_matrix},
};

}  // namespace

std::span<const Row> index_rows() { return kRows; }

}  // namespace tutti::pt2
