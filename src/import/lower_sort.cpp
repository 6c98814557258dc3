// SPDX-License-Identifier: Apache-2.0
#include <cmath>
#include <limits>

#include "import/arithmetic.h"
#include "ops/gather.h"
#include "ops/reduce.h"
#include "ops/sort.h"

namespace tutti::pt2 {
namespace {

using Fn = Elementwise;

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

// The lower of two middle elements; a NaN anywhere wins.
std::vector<ValueId> median_along(Lowering& l, ValueId x, int64_t axis, bool keep) {
  const Dim n = l.e.extent(x, axis);
  std::vector<ValueId> both = sorted(l, x, axis, false);
  for (ValueId& value : both) value = l.e.slice(value, axis, floor_div(n - 1, 2), 1);
  if (is_float(l.e.dtype(x))) {
    const ValueId place = l.e.op(ArgReduce{"max", axis, true}, {x});
    const ValueId top = l.e.op(Gather{axis}, {x, place});
    const ValueId is_nan = l.e.unary(Fn::is_nan, top);
    both = {l.e.choose(is_nan, top, both[0]), l.e.choose(is_nan, place, both[1])};
  }
  if (!keep)
    for (ValueId& value : both) value = l.e.squeeze(value, axis);
  return both;
}

Results median(Lowering& l, const Args& a) {
  const ValueId x = a.value("self");
  if (l.e.rank(x) == 0) return x;
  return median_along(l, l.e.reshape(x, {elements(l.e.shape(x))}), 0, false)[0];
}

Results median_dim(Lowering& l, const Args& a) {
  const ValueId x = a.value("self");
  if (l.e.rank(x) == 0) return std::vector<ValueId>{x, l.e.scalar(0, DType::i64)};
  return median_along(l, x, a.axis("dim", l.e.rank(x)), a.flag("keepdim"));
}

// x [..., n] as [..., n, n]: row i holds the elements up to i, the last first, then `filler`.
ValueId prefixes(Lowering& l, ValueId x, double filler) {
  const int64_t axis = l.e.rank(x) - 1;
  const Dim n = l.e.extent(x, axis);
  const ValueId last = l.e.slice(x, axis, n - 1, n, -1);
  const ValueId column = l.e.iota(n), row = l.e.unsqueeze(column, 1);
  const ValueId place = l.e.binary(Fn::sub, l.e.integer(n - 1, DType::i64), column);
  const ValueId inside = l.e.binary(Fn::less_equal, place, row);
  return l.e.choose(inside, l.e.unsqueeze(last, axis), l.e.scalar(filler, l.e.dtype(x)));
}

double lowest(DType type) {
  if (is_float(type)) return -std::numeric_limits<double>::infinity();
  return type == DType::u8 || type == DType::boolean
             ? 0
             : -std::ldexp(1, 8 * static_cast<int>(size_of(type)) - 1);
}

// Running maximum and where it stands, the last of equals. n^2 elements on the way.
template <bool is_max>
Results running_extremum(Lowering& l, const Args& a) {
  const ValueId given = a.value("self");
  if (l.e.rank(given) == 0) return std::vector<ValueId>{given, l.e.scalar(0, DType::i64)};
  const int64_t axis = a.axis("dim", l.e.rank(given)), end = l.e.rank(given) - 1;
  const ValueId x = l.e.transpose(given, axis, end);
  const DType type = l.e.dtype(x);
  const double filler = is_max ? lowest(type) : is_float(type) ? -lowest(type) : -1 - lowest(type);
  const ValueId rows = prefixes(l, x, filler);
  const std::string fn = is_max ? "max" : "min";
  const ValueId value = l.e.reduce(fn, rows, {end + 1}, false);
  const ValueId from_last = l.e.op(ArgReduce{fn, end + 1, false}, {rows});
  const ValueId place =
      l.e.binary(Fn::sub, l.e.integer(l.e.extent(x, end) - 1, DType::i64), from_last);
  return std::vector<ValueId>{l.e.transpose(value, axis, end), l.e.transpose(place, axis, end)};
}

// log of the running sum of exponentials. n^2 elements on the way.
Results running_log_sum(Lowering& l, const Args& a) {
  const ValueId given = a.value("self");
  if (l.e.rank(given) == 0) return given;
  const int64_t axis = a.axis("dim", l.e.rank(given)), end = l.e.rank(given) - 1;
  const ValueId x = widen(l, l.e.transpose(given, axis, end));
  const ValueId rows = prefixes(l, x, lowest(DType::f32));
  const ValueId largest = l.e.reduce("max", rows, {end + 1}, true);
  const ValueId shift =
      l.e.choose(l.e.unary(Fn::is_finite, largest), largest, l.e.scalar(0, l.e.dtype(x)));
  const ValueId powers = l.e.unary(Fn::exp, l.e.binary(Fn::sub, rows, shift));
  const ValueId sum = l.e.unary(Fn::log, l.e.reduce("sum", powers, {end + 1}, true));
  const ValueId y = l.e.squeeze(l.e.binary(Fn::add, sum, shift), end + 1);
  return l.e.cast(l.e.transpose(y, axis, end), l.e.dtype(given));
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

constexpr Row kRows[] = {
    {"topk", "self, k, dim=-1, largest=True, sorted=True", top_k},
    {"sort sort.stable", "self, dim=-1, descending=False, stable=False", sort},
    {"argsort argsort.stable", "self, dim=-1, descending=False, stable=False", arg_sort},
    {"msort", "self", first_sort},
    {"kthvalue", "self, k, dim=-1, keepdim=False", kth_value},
    {"bucketize.Tensor bucketize.Scalar", "self, boundaries, out_int32=False, right=False",
     bucketize},
    {"searchsorted.Tensor searchsorted.Scalar",
     "sorted_sequence, self, out_int32=False, right=False, side=None, sorter=None", search_sorted},
    {"median", "self", median},
    {"median.dim", "self, dim, keepdim=False", median_dim},
    {"cummax", "self, dim", running_extremum<true>},
    {"cummin", "self, dim", running_extremum<false>},
    {"logcumsumexp", "self, dim", running_log_sum},
};

}  // namespace

std::span<const Row> sort_rows() { return kRows; }

}  // namespace tutti::pt2
