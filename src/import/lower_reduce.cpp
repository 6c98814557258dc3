// SPDX-License-Identifier: Apache-2.0
#include <cmath>
#include <limits>

#include "import/arithmetic.h"
#include "ops/reduce.h"

namespace tutti::pt2 {
namespace {

using Fn = Elementwise;
using Axes = std::vector<int64_t>;

ValueId times(Lowering& l, ValueId x, ValueId y) { return l.e.binary(Fn::mul, x, y); }

Axes axes_of(Lowering& l, const Args& a) { return a.axes("dim", l.rank(a.ref("self"))); }

// The axes' extents multiplied: how many elements each result is made of.
Dim count_of(const Lowering& l, ValueId x, const Axes& axes) {
  Dim count = 1;
  for (int64_t axis : axes) count = count * l.e.extent(x, axis);
  return count;
}

// Of complex numbers: of their real and imaginary parts.
Results of_parts(Lowering& l, const Args& a, std::string_view fn) {
  const Ref x = a.ref("self");
  const auto wanted = a.type("dtype");
  require(!wanted || *wanted == l.type(x), Errc::unsupported,
          "complex numbers are not supported here");
  return Array{l.e.reduce(fn, l.read(x).id, axes_of(l, a), a.flag("keepdim")), true};
}

// Integers and booleans add and multiply as i64.
template <char kind>
Results accumulated(Lowering& l, const Args& a) {
  if (kind == '+' && l.type(a.ref("self")).is_complex) return of_parts(l, a, "sum");
  ValueId x = a.value("self");
  const DType natural = is_float(l.e.dtype(x)) ? l.e.dtype(x) : DType::i64;
  const auto wanted = a.type("dtype");
  const DType type = wanted ? wanted->dtype : natural;
  x = l.e.cast(x, is_float(type) ? type : DType::i64);
  const std::string_view fn = kind == '+' ? "sum" : "prod";
  return l.e.cast(l.e.reduce(fn, x, axes_of(l, a), a.flag("keepdim")), type);
}

ValueId to_type(Lowering& l, const Args& a) {
  const ValueId x = a.value("self");
  const auto wanted = a.type("dtype");
  return wanted ? l.e.cast(x, wanted->dtype) : to_float(l, x);
}

Results mean(Lowering& l, const Args& a) {
  if (l.type(a.ref("self")).is_complex) return of_parts(l, a, "mean");
  return l.e.reduce("mean", to_type(l, a), axes_of(l, a), a.flag("keepdim"));
}

Results nan_sum(Lowering& l, const Args& a) {
  const ValueId x = to_type(l, a);
  const ValueId numbers = l.e.choose(l.e.unary(Fn::is_nan, x), l.e.scalar(0, l.e.dtype(x)), x);
  return l.e.reduce("sum", numbers, axes_of(l, a), a.flag("keepdim"));
}

Results nan_mean(Lowering& l, const Args& a) {
  const ValueId x = to_type(l, a), wide = widen(l, x);
  const ValueId is_nan = l.e.unary(Fn::is_nan, wide);
  const Axes axes = axes_of(l, a);
  const bool keep = a.flag("keepdim");
  const ValueId numbers = l.e.choose(is_nan, l.e.scalar(0, l.e.dtype(wide)), wide);
  const ValueId present = l.e.cast(l.e.unary(Fn::logical_not, is_nan), l.e.dtype(wide));
  return l.e.cast(l.e.binary(Fn::div, l.e.reduce("sum", numbers, axes, keep),
                             l.e.reduce("sum", present, axes, keep)),
                  l.e.dtype(x));
}

ValueId extremum_of(Lowering& l, std::string_view fn, ValueId x, const Axes& axes, bool keep) {
  if (l.e.dtype(x) == DType::boolean) fn = fn == "max" ? "any" : "all";
  return l.e.reduce(fn, x, axes, keep);
}

template <bool is_max>
Results extremum(Lowering& l, const Args& a) {
  return extremum_of(l, is_max ? "max" : "min", a.value("self"), axes_of(l, a), a.flag("keepdim"));
}

Results extrema(Lowering& l, const Args& a) {
  const ValueId x = a.value("self");
  const Axes axes = axes_of(l, a);
  const bool keep = a.flag("keepdim");
  return std::vector<ValueId>{extremum_of(l, "min", x, axes, keep),
                              extremum_of(l, "max", x, axes, keep)};
}

// Where the largest or smallest element of an axis is; a scalar has it at 0.
ValueId place_of(Lowering& l, std::string_view fn, ValueId x, int64_t axis, bool keep) {
  if (l.e.rank(x) == 0) return l.e.scalar(0, DType::i64);
  if (l.e.dtype(x) == DType::boolean) x = l.e.cast(x, DType::u8);
  return l.e.op(ArgReduce{std::string(fn), axis, keep}, {x});
}

template <bool is_max>
Results extremum_and_place(Lowering& l, const Args& a) {
  const ValueId x = a.value("self");
  const std::string_view fn = is_max ? "max" : "min";
  const Axes axes = axes_of(l, a);
  const bool keep = a.flag("keepdim");
  return std::vector<ValueId>{extremum_of(l, fn, x, axes, keep),
                              place_of(l, fn, x, axes.empty() ? 0 : axes[0], keep)};
}

template <bool is_max>
Results place(Lowering& l, const Args& a) {
  const ValueId x = a.value("self");
  const std::string_view fn = is_max ? "max" : "min";
  const bool keep = a.flag("keepdim");
  if (a.has("dim")) return place_of(l, fn, x, a.axis("dim", l.e.rank(x)), keep);
  const ValueId index = place_of(l, fn, l.e.reshape(x, {elements(l.e.shape(x))}), 0, false);
  return keep ? l.e.reshape(index, Shape(static_cast<size_t>(l.e.rank(x)), 1)) : index;
}

// u8 stays u8, everything else becomes boolean.
template <bool is_any>
Results truth(Lowering& l, const Args& a) {
  const ValueId x = a.value("self");
  const ValueId y =
      l.e.reduce(is_any ? "any" : "all", to_boolean(l, x), axes_of(l, a), a.flag("keepdim"));
  return l.e.dtype(x) == DType::u8 ? l.e.cast(y, DType::u8) : y;
}

Results count_nonzero(Lowering& l, const Args& a) {
  const ValueId x = l.e.cast(to_boolean(l, a.value("self")), DType::i64);
  return l.e.reduce("sum", x, axes_of(l, a), false);
}

struct Moments {
  ValueId variance, mean;
};

// In two passes: the mean, then the squares of what differs from it.
Moments moments(Lowering& l, const Args& a) {
  const ValueId x = widen(l, a.value("self"));
  const Axes axes = axes_of(l, a);
  const double correction =
      a.has("correction") ? a.real("correction") : (a.flag("unbiased") ? 1 : 0);
  const ValueId mean = l.e.reduce("mean", x, axes, true);
  const ValueId rest = l.e.binary(Fn::sub, x, mean);
  const bool keep = a.flag("keepdim");
  const ValueId squares = l.e.reduce("sum", times(l, rest, rest), axes, keep);
  const Dim count = count_of(l, x, axes);
  const ValueId divisor =
      count.is_constant()
          ? l.e.scalar(std::max(0.0, static_cast<double>(count.value()) - correction), l.e.dtype(x))
          : l.e.with_number(Fn::sub, l.e.integer(count, l.e.dtype(x)), correction);
  return {l.e.binary(Fn::div, squares, divisor), l.e.reshape(mean, l.e.shape(squares))};
}

template <bool with_root, bool with_mean>
Results variance(Lowering& l, const Args& a) {
  const DType type = l.e.dtype(a.value("self"));
  Moments m = moments(l, a);
  if (with_root) m.variance = l.e.unary(Fn::sqrt, m.variance);
  if (!with_mean) return l.e.cast(m.variance, type);
  return std::vector<ValueId>{l.e.cast(m.variance, type), l.e.cast(m.mean, type)};
}

ValueId norm_of(Lowering& l, ValueId x, double p, const Axes& axes, bool keep) {
  const DType type = l.e.dtype(x);
  x = widen(l, x);
  const auto reduce = [&](std::string_view fn, ValueId v) {
    return l.e.cast(l.e.reduce(fn, v, axes, keep), type);
  };
  const ValueId size = l.e.unary(Fn::abs, x);
  if (p == std::numeric_limits<double>::infinity()) return reduce("max", size);
  if (p == -std::numeric_limits<double>::infinity()) return reduce("min", size);
  if (p == 1) return reduce("sum", size);
  if (p == 0) return reduce("sum", l.e.cast(l.e.with_number(Fn::not_equal, x, 0), l.e.dtype(x)));
  if (p == 2)
    return l.e.cast(l.e.unary(Fn::sqrt, l.e.reduce("sum", times(l, x, x), axes, keep)), type);
  const ValueId sum = l.e.reduce("sum", l.e.with_number(Fn::pow, size, p), axes, keep);
  return l.e.cast(l.e.with_number(Fn::pow, sum, 1 / p), type);
}

Results norm(Lowering& l, const Args& a) {
  return norm_of(l, to_type(l, a), a.has("p") ? a.real("p") : 2, axes_of(l, a), a.flag("keepdim"));
}

Results vector_norm(Lowering& l, const Args& a) {
  return norm_of(l, to_type(l, a), a.real("ord"), axes_of(l, a), a.flag("keepdim"));
}

// The norm of a vector or, without an order, of everything; matrices have others.
Results any_norm(Lowering& l, const Args& a) {
  const Axes axes = axes_of(l, a);
  require(!a.has("ord") || axes.size() == 1, Errc::unsupported,
          "a matrix norm of a given order is not supported");
  return norm_of(l, to_type(l, a), a.has("ord") ? a.real("ord") : 2, axes, a.flag("keepdim"));
}

Results distance(Lowering& l, const Args& a) {
  const Array difference = binary(l, Fn::sub, a.operand("self"), a.operand("other"));
  const ValueId x = difference.id;
  Axes axes;
  for (int64_t i = 0; i < l.e.rank(x); ++i) axes.push_back(i);
  return norm_of(l, x, a.real("p"), axes, false);
}

Results log_sum_exp(Lowering& l, const Args& a) {
  const ValueId given = to_float(l, a.value("self")), x = widen(l, given);
  const Axes axes = axes_of(l, a);
  if (elements(l.e.shape(x)) == Dim(0))  // whose maximum has no value
    return l.e.cast(l.e.unary(Fn::log, l.e.reduce("sum", x, axes, a.flag("keepdim"))),
                    l.e.dtype(given));
  const ValueId largest = l.e.reduce("max", x, axes, true);
  const ValueId finite = l.e.unary(Fn::is_finite, largest);
  const ValueId shift = l.e.choose(finite, largest, l.e.scalar(0, l.e.dtype(x)));
  const ValueId powers = l.e.unary(Fn::exp, l.e.binary(Fn::sub, x, shift));
  const ValueId sum = l.e.unary(Fn::log, l.e.reduce("sum", powers, axes, a.flag("keepdim")));
  return l.e.cast(l.e.binary(Fn::add, sum, l.e.reshape(shift, l.e.shape(sum))), l.e.dtype(given));
}

template <bool is_sum>
Results scan(Lowering& l, const Args& a) {
  ValueId x = a.value("self");
  const auto wanted = a.type("dtype");
  const DType natural = is_float(l.e.dtype(x)) ? l.e.dtype(x) : DType::i64;
  x = l.e.cast(x, wanted ? wanted->dtype : natural);
  if (l.e.rank(x) == 0) return x;
  return l.e.op(Scan{is_sum ? "sum" : "prod", a.axis("dim", l.e.rank(x))}, {x});
}

Results trace(Lowering& l, const Args& a) {
  const ValueId x = a.value("self");
  const ValueId row = l.e.unsqueeze(l.e.iota(l.e.extent(x, 0)), 1),
                column = l.e.iota(l.e.extent(x, 1));
  const DType type = is_float(l.e.dtype(x)) ? l.e.dtype(x) : DType::i64;
  const ValueId kept =
      l.e.choose(l.e.binary(Fn::equal, row, column), l.e.cast(x, type), l.e.scalar(0, type));
  return l.e.reduce("sum", kept, {0, 1}, false);
}

constexpr Row kRows[] = {
    {"sum sum.dim_IntList", "self, dim=None, keepdim=False, dtype=None", accumulated<'+'>},
    {"prod prod.dim_int", "self, dim=None, keepdim=False, dtype=None", accumulated<'*'>},
    {"mean mean.dim", "self, dim=None, keepdim=False, dtype=None", mean},
    {"nanmean", "self, dim=None, keepdim=False, dtype=None", nan_mean},
    {"nansum", "self, dim=None, keepdim=False, dtype=None", nan_sum},
    {"amax", "self, dim=[], keepdim=False", extremum<true>},
    {"amin", "self, dim=[], keepdim=False", extremum<false>},
    {"max", "self, dim=None, keepdim=False", extremum<true>},
    {"min", "self, dim=None, keepdim=False", extremum<false>},
    {"max.dim", "self, dim, keepdim=False", extremum_and_place<true>},
    {"min.dim", "self, dim, keepdim=False", extremum_and_place<false>},
    {"aminmax", "self, dim=None, keepdim=False", extrema},
    {"argmax", "self, dim=None, keepdim=False", place<true>},
    {"argmin", "self, dim=None, keepdim=False", place<false>},
    {"any any.dim any.dims", "self, dim=None, keepdim=False", truth<true>},
    {"all all.dim all.dims", "self, dim=None, keepdim=False", truth<false>},
    {"count_nonzero count_nonzero.dim_IntList", "self, dim=None", count_nonzero},
    {"var var.dim var.correction", "self, dim=None, unbiased=True, keepdim=False, correction=None",
     variance<false, false>},
    {"std std.dim std.correction", "self, dim=None, unbiased=True, keepdim=False, correction=None",
     variance<true, false>},
    {"var_mean var_mean.dim var_mean.correction",
     "self, dim=None, unbiased=True, keepdim=False, correction=None", variance<false, true>},
    {"std_mean std_mean.dim std_mean.correction",
     "self, dim=None, unbiased=True, keepdim=False, correction=None", variance<true, true>},
    {"norm.Scalar norm.ScalarOpt_dim norm.ScalarOpt_dtype norm.ScalarOpt_dim_dtype "
     "frobenius_norm.dim",
     "self, p=2, dim=None, keepdim=False, dtype=None", norm},
    {"linalg_vector_norm", "self, ord=2, dim=None, keepdim=False, dtype=None", vector_norm},
    {"linalg_norm", "self, ord=None, dim=None, keepdim=False, dtype=None", any_norm},
    {"dist", "self, other, p=2", distance},
    {"logsumexp special_logsumexp", "self, dim, keepdim=False", log_sum_exp},
    {"cumsum", "self, dim, dtype=None", scan<true>},
    {"cumprod", "self, dim, dtype=None", scan<false>},
    {"trace", "self", trace},
};

}  // namespace

std::span<const Row> reduce_rows() { return kRows; }

}  // namespace tutti::pt2
