// SPDX-License-Identifier: Apache-2.0
#include <cmath>

#include "import/arithmetic.h"

namespace tutti::pt2 {
namespace {

// Python arithmetic on numbers and extents. A float may have one symbolic factor.

bool is_real(const Number& x) { return x.kind == Number::Kind::real; }

// A float's constant factor; integers have 1.
double factor(const Number& x) { return is_real(x) ? x.real : 1; }

Number in_graph(Lowering& l, Elementwise fn, const Number& a, const Number& b) {
  const bool is_whole = !is_real(a) && !is_real(b) && fn != Elementwise::div;
  return Number::of_value(l.e.binary(fn, float_value(l, a), float_value(l, b)),
                          is_whole ? Number::Kind::integer : Number::Kind::real);
}

bool is_value(const Number& x) { return x.value != kNone; }

Number product(Lowering& l, const Number& a, const Number& b) {
  if (is_value(a) || is_value(b)) return in_graph(l, Elementwise::mul, a, b);
  if (!is_real(a) && !is_real(b)) return Number::of_dim(a.as_dim() * b.as_dim());
  return Number::of_real(factor(a) * factor(b), a.integer * b.integer);
}

Number sum(Lowering& l, const Number& a, const Number& b) {
  if (is_value(a) || is_value(b)) return in_graph(l, Elementwise::add, a, b);
  if (!is_real(a) && !is_real(b)) return Number::of_dim(a.as_dim() + b.as_dim());
  if (a.is_constant() && b.is_constant()) return Number::of_real(a.as_real() + b.as_real());
  return in_graph(l, Elementwise::add, a, b);
}

Number negative(Lowering& l, const Number& x) { return product(l, x, Number::of_dim(-1)); }
Number difference(Lowering& l, const Number& a, const Number& b) {
  return sum(l, a, negative(l, b));
}

Number quotient(Lowering& l, const Number& a, const Number& b) {
  if (is_value(a) || !b.is_constant()) return in_graph(l, Elementwise::div, a, b);
  const double divisor = b.as_real();
  require_argument(divisor != 0, "a division by zero");
  return Number::of_real(factor(a) / divisor, a.integer);
}

// The largest integer that is not above x, or the smallest not below.
Number to_integer(const Number& x, bool up) {
  if (!is_real(x)) return x;
  const auto whole = [](double d) { return Number::of_dim(static_cast<int64_t>(d)); };
  if (x.is_constant()) return whole(up ? std::ceil(x.as_real()) : std::floor(x.as_real()));
  if (!is_value(x) && x.real == std::floor(x.real))
    return Number::of_dim(x.integer * static_cast<int64_t>(x.real));
  const double divisor = std::round(1 / x.real);
  require(!is_value(x) && divisor > 1 && std::abs(divisor * x.real - 1) < 1e-12, Errc::unsupported,
          "rounding a symbolic float is not supported");
  const auto k = static_cast<int64_t>(divisor);
  return Number::of_dim(floor_div(up ? x.integer + (k - 1) : x.integer, k));
}

Number floor_quotient(Lowering&, const Number& a, const Number& b) {
  if (is_real(a) || is_real(b)) return Number::of_real(std::floor(a.as_real() / b.as_real()));
  return Number::of_dim(floor_div(a.as_dim(), b.as_dim()));
}

Number remainder(Lowering&, const Number& a, const Number& b) {
  if (!is_real(a) && !is_real(b)) return Number::of_dim(mod(a.as_dim(), b.as_dim()));
  const double x = a.as_real(), y = b.as_real();
  return Number::of_real(x - y * std::floor(x / y));
}

Number power(Lowering& l, const Number& a, const Number& b) {
  if (a.is_constant() && b.is_constant() && (is_real(a) || is_real(b) || b.as_real() < 0))
    return Number::of_real(std::pow(a.as_real(), b.as_real()));
  if (is_real(a) || is_real(b) || !b.is_constant() || b.as_real() < 0)
    return in_graph(l, Elementwise::pow, a, b);
  Dim y = 1;
  for (int64_t i = 0; i < b.integer.value(); ++i) y = y * a.as_dim();
  return Number::of_dim(y);
}

template <Number (*f)(Lowering&, const Number&, const Number&)>
Results binary(Lowering& l, const Args& a) {
  return f(l, a.number("a"), a.number("b"));
}
template <Number (*f)(Lowering&, const Number&)>
Results unary(Lowering& l, const Args& a) {
  return f(l, a.number("a"));
}

Number positive(Lowering&, const Number& x) { return x; }
Number rounded_down(Lowering&, const Number& x) { return to_integer(x, false); }
Number rounded_up(Lowering&, const Number& x) { return to_integer(x, true); }
Number truncated(Lowering&, const Number& x) {
  return to_integer(x, is_real(x) && x.is_constant() && x.as_real() < 0);
}
Number as_float(Lowering&, const Number& x) {
  return is_real(x) ? x : Number::of_real(1, x.as_dim());
}
Number square_root(Lowering& l, const Number& x) { return power(l, x, Number::of_real(0.5)); }

template <bool is_max>
Results extremum(Lowering& l, const Args& args) {
  const Number &a = args.number("a"), &b = args.number("b");
  if (is_real(a) || is_real(b))
    return Number::of_real(is_max ? std::max(a.as_real(), b.as_real())
                                  : std::min(a.as_real(), b.as_real()));
  const Dim &x = a.as_dim(), &y = b.as_dim();
  if (!is_max) return Number::of_dim(l.smaller(x, y));
  return Number::of_dim(l.at_most(x, y) ? y : l.at_most(y, x) ? x : max(x, y));
}

Number unknown() {
  Number x = Number::of_bool(false);
  x.is_known = false;
  return x;
}

// yes, no, or unknown where the ranges of symbols cannot tell
Number at_most(const Lowering& l, const Number& a, const Number& b) {
  if (!a.is_known || !b.is_known || is_value(a) || is_value(b)) return unknown();
  if (a.is_constant() && b.is_constant()) return Number::of_bool(a.as_real() <= b.as_real());
  if (is_real(a) || is_real(b)) return unknown();
  if (l.at_most(a.integer, b.integer)) return Number::of_bool(true);
  return l.at_most(b.integer + 1, a.integer) ? Number::of_bool(false) : unknown();
}

Number opposite(const Number& x) { return x.is_known ? Number::of_bool(x.integer == Dim(0)) : x; }
Number negated(Lowering&, const Number& x) { return opposite(x); }

Number both_of(const Number& a, const Number& b) {
  if (a.is_known && a.integer == Dim(0)) return a;
  return b.is_known && b.integer == Dim(0) ? b : a.is_known ? b : a;
}
Number both(Lowering&, const Number& a, const Number& b) { return both_of(a, b); }
Number either(Lowering&, const Number& a, const Number& b) {
  return opposite(both_of(opposite(a), opposite(b)));
}

Results less_equal(Lowering& l, const Args& a) { return at_most(l, a.number("a"), a.number("b")); }
Results greater_equal(Lowering& l, const Args& a) {
  return at_most(l, a.number("b"), a.number("a"));
}
Results less(Lowering& l, const Args& a) {
  return opposite(at_most(l, a.number("b"), a.number("a")));
}
Results greater(Lowering& l, const Args& a) {
  return opposite(at_most(l, a.number("a"), a.number("b")));
}
Results equal(Lowering& l, const Args& a) {
  return both_of(at_most(l, a.number("a"), a.number("b")),
                 at_most(l, a.number("b"), a.number("a")));
}
Results not_equal(Lowering& l, const Args& a) {
  return opposite(
      both_of(at_most(l, a.number("a"), a.number("b")), at_most(l, a.number("b"), a.number("a"))));
}

// The one element of a tensor as a number.
Results item(Lowering& l, const Args& a) {
  const ValueId x = l.e.reshape(a.value("self"), {});
  return Number::of_value(l.e.cast(x, DType::f64),
                          is_float(l.e.dtype(x)) ? Number::Kind::real : Number::Kind::integer);
}

Results if_then_else(Lowering&, const Args& a) {
  const Number& condition = a.number("b");
  require(condition.is_known, Errc::unsupported,
          "a choice by a condition on symbolic extents is not supported");
  return condition.integer == Dim(0) ? a.number("f") : a.number("t");
}

Results sum_of_list(Lowering& l, const Args& a) {
  Number total = Number::of_dim(0);
  for (const Number& number : a.numbers("args")) total = sum(l, total, number);
  return total;
}

Results size(Lowering& l, const Args& a) {
  const Ref x = a.ref("self");
  return Number::of_dim(l.shape(x)[static_cast<size_t>(a.axis("dim", l.rank(x)))]);
}
Results stride(Lowering& l, const Args& a) {
  const Ref x = a.ref("self");
  require(l.is_row_major(x), Errc::unsupported,
          "the stride of a tensor that is not contiguous is not supported");
  const Shape shape = l.shape(x);
  return Number::of_dim(elements(Shape(shape.begin() + a.axis("dim", l.rank(x)) + 1, shape.end())));
}
Results count(Lowering& l, const Args& a) {
  return Number::of_dim(elements(l.shape(a.ref("self"))));
}

constexpr Row kRows[] = {
    {"sym_size.int", "self, dim", size},
    {"sym_stride.int", "self, dim", stride},
    {"sym_numel", "self", count},
    {"item _local_scalar_dense", "self", item},
    {"_operator.add", "a, b", binary<sum>},
    {"_operator.sub", "a, b", binary<difference>},
    {"_operator.mul", "a, b", binary<product>},
    {"_operator.truediv torch.sym_truediv", "a, b", binary<quotient>},
    {"_operator.floordiv", "a, b", binary<floor_quotient>},
    {"_operator.mod", "a, b", binary<remainder>},
    {"_operator.pow", "a, b", binary<power>},
    {"_operator.neg", "a", unary<negative>},
    {"_operator.pos", "a", unary<positive>},
    {"torch.sym_int", "a", unary<truncated>},
    {"_operator.and_", "a, b", binary<both>},
    {"_operator.or_", "a, b", binary<either>},
    {"_operator.not_ torch.sym_not", "a", unary<negated>},
    {"_operator.le", "a, b", less_equal},
    {"_operator.lt", "a, b", less},
    {"_operator.ge", "a, b", greater_equal},
    {"_operator.gt", "a, b", greater},
    {"_operator.eq", "a, b", equal},
    {"_operator.ne", "a, b", not_equal},
    {"math.floor", "a", unary<rounded_down>},
    {"math.ceil", "a", unary<rounded_up>},
    {"math.trunc", "a", unary<truncated>},
    {"math.sqrt torch._sym_sqrt", "a", unary<square_root>},
    {"torch.sym_float", "a", unary<as_float>},
    {"torch.sym_max", "a, b", extremum<true>},
    {"torch.sym_min", "a, b", extremum<false>},
    {"torch.sym_ite", "b, t, f", if_then_else},
    {"torch.sym_sum", "args", sum_of_list},
};

}  // namespace

std::span<const Row> symbolic_rows() { return kRows; }

}  // namespace tutti::pt2
