// SPDX-License-Identifier: Apache-2.0
#include <cmath>
#include <limits>

#include "import/arithmetic.h"

namespace tutti::pt2 {
namespace {

using Fn = Elementwise;

// Functions of floats; integers and booleans become f32 first.
template <Fn fn>
Results of_float(Lowering& l, const Args& a) {
  return l.e.unary(fn, to_float(l, a.value("self")));
}

// Functions that keep the type and do nothing to integers.
template <Fn fn>
Results round_with(Lowering& l, const Args& a) {
  const ValueId x = a.value("self");
  return is_float(l.e.dtype(x)) ? l.e.unary(fn, x) : x;
}

template <Fn fn>
Results of_any(Lowering& l, const Args& a) {
  return l.e.unary(fn, a.value("self"));
}

// A composition that PyTorch computes in one step: small floats are rounded once.
template <class F>
ValueId in_float(Lowering& l, ValueId x, F&& f) {
  const ValueId whole = to_float(l, x);
  return l.e.cast(f(widen(l, whole)), l.e.dtype(whole));
}

Results negate(Lowering& l, const Args& a) {
  const Array x = a.array("self");
  return Array{l.e.unary(Fn::neg, x.id), x.is_complex};
}

ValueId times(Lowering& l, ValueId x, ValueId y) { return l.e.binary(Fn::mul, x, y); }

Results absolute(Lowering& l, const Args& a) {
  const Array x = a.array("self");
  if (!x.is_complex) return l.e.unary(Fn::abs, x.id);
  const ValueId re = real_part(l, x), im = imaginary_part(l, x);
  return l.e.unary(Fn::sqrt, l.e.binary(Fn::add, times(l, re, re), times(l, im, im)));
}

Results angle(Lowering& l, const Args& a) {
  const Array x = a.array("self");
  if (x.is_complex) return l.e.binary(Fn::atan2, imaginary_part(l, x), real_part(l, x));
  const ValueId real = to_float(l, x.id);
  return l.e.binary(Fn::atan2, l.e.with_number(Fn::mul, real, 0), real);
}

Results conjugate(Lowering& l, const Args& a) {
  const Array x = a.array("self");
  if (!x.is_complex) return x;
  return make_complex(l, real_part(l, x), l.e.unary(Fn::neg, imaginary_part(l, x)));
}

Results complex_of(Lowering& l, const Args& a) {
  return make_complex(l, a.value("real"), a.value("imag"));
}

Results polar(Lowering& l, const Args& a) {
  const ValueId length = a.value("abs"), angle = a.value("angle");
  return make_complex(l, times(l, length, l.e.unary(Fn::cos, angle)),
                      times(l, length, l.e.unary(Fn::sin, angle)));
}

Results logarithm10(Lowering& l, const Args& a) {
  return in_float(l, a.value("self"), [&](ValueId x) {
    return l.e.with_number(Fn::mul, l.e.unary(Fn::log, x), 1 / std::log(10.0));
  });
}

Results degrees(Lowering& l, const Args& a) {
  return in_float(l, a.value("self"),
                  [&](ValueId x) { return l.e.with_number(Fn::mul, x, 180 / M_PI); });
}

Results radians(Lowering& l, const Args& a) {
  return in_float(l, a.value("self"),
                  [&](ValueId x) { return l.e.with_number(Fn::mul, x, M_PI / 180); });
}

// asinh(x) = sign(x) log(|x| + sqrt(x^2 + 1)), through log1p where |x| is small.
Results asinh(Lowering& l, const Args& a) {
  return in_float(l, a.value("self"), [&](ValueId x) {
    const ValueId size = l.e.unary(Fn::abs, x), square = times(l, x, x);
    const ValueId root = l.e.unary(Fn::sqrt, l.e.with_number(Fn::add, square, 1));
    const ValueId rest = l.e.binary(Fn::div, square, l.e.with_number(Fn::add, root, 1));
    return times(l, l.e.unary(Fn::sign, x), l.e.unary(Fn::log1p, l.e.binary(Fn::add, size, rest)));
  });
}

Results acosh(Lowering& l, const Args& a) {
  return in_float(l, a.value("self"), [&](ValueId x) {
    const ValueId t = l.e.with_number(Fn::sub, x, 1);
    const ValueId root = l.e.unary(Fn::sqrt, times(l, t, l.e.with_number(Fn::add, x, 1)));
    return l.e.unary(Fn::log1p, l.e.binary(Fn::add, t, root));
  });
}

Results atanh(Lowering& l, const Args& a) {
  return in_float(l, a.value("self"), [&](ValueId x) {
    const ValueId difference =
        l.e.binary(Fn::sub, l.e.unary(Fn::log1p, x), l.e.unary(Fn::log1p, l.e.unary(Fn::neg, x)));
    return l.e.with_number(Fn::mul, difference, 0.5);
  });
}

Results logit(Lowering& l, const Args& a) {
  return in_float(l, a.value("self"), [&](ValueId x) {
    if (a.has("eps")) {
      x = l.e.with_number(Fn::maximum, x, a.real("eps"));
      x = l.e.with_number(Fn::minimum, x, 1 - a.real("eps"));
    }
    const ValueId rest = l.e.binary(Fn::sub, l.e.scalar(1, l.e.dtype(x)), x);
    return l.e.unary(Fn::log, l.e.binary(Fn::div, x, rest));
  });
}

Results fraction(Lowering& l, const Args& a) {
  const ValueId x = a.value("self");
  return l.e.binary(Fn::sub, x, l.e.unary(Fn::trunc, x));
}

Results square(Lowering& l, const Args& a) {
  return power(l, a.operand("self"), Number::of_dim(2));
}

Results rounded(Lowering& l, const Args& a) {
  const int64_t decimals = a.integer("decimals");
  const ValueId x = a.value("self");
  if (decimals == 0 || !is_float(l.e.dtype(x))) return round_with<Fn::round>(l, a);
  return in_float(l, x, [&](ValueId wide) {
    const double ten = std::pow(10.0, static_cast<double>(std::abs(decimals)));
    const Fn there = decimals > 0 ? Fn::mul : Fn::div, back = decimals > 0 ? Fn::div : Fn::mul;
    return l.e.with_number(back, l.e.unary(Fn::round, l.e.with_number(there, wide, ten)), ten);
  });
}

Results is_infinity(Lowering& l, const Args& a, double sign) {
  const ValueId x = to_float(l, a.value("self"));
  return l.e.with_number(Fn::equal, x, sign * std::numeric_limits<double>::infinity());
}
Results is_positive_infinity(Lowering& l, const Args& a) { return is_infinity(l, a, 1); }
Results is_negative_infinity(Lowering& l, const Args& a) { return is_infinity(l, a, -1); }

Results nan_to_num(Lowering& l, const Args& a) {
  ValueId x = a.value("self");
  const DType dtype = l.e.dtype(x);
  if (!is_float(dtype)) return x;
  const double largest = dtype == DType::f64    ? std::numeric_limits<double>::max()
                         : dtype == DType::f16  ? 65504
                         : dtype == DType::bf16 ? 0x1.fep127
                                                : std::numeric_limits<float>::max();
  const double inf = std::numeric_limits<double>::infinity();
  const auto replace = [&](ValueId where, std::string_view with, double otherwise) {
    x = l.e.choose(where, l.e.scalar(a.has(with) ? a.real(with) : otherwise, dtype), x);
  };
  const ValueId given = x;
  replace(l.e.unary(Fn::is_nan, given), "nan", 0);
  replace(l.e.with_number(Fn::equal, given, inf), "posinf", largest);
  replace(l.e.with_number(Fn::equal, given, -inf), "neginf", -largest);
  return x;
}

Results logical_not(Lowering& l, const Args& a) {
  return l.e.unary(Fn::logical_not, to_boolean(l, a.value("self")));
}

Results bitwise_not(Lowering& l, const Args& a) {
  const ValueId x = a.value("self");
  return l.e.unary(l.e.dtype(x) == DType::boolean ? Fn::logical_not : Fn::bitwise_not, x);
}

constexpr Row kRows[] = {
    {"exp special_exp", "self", of_float<Fn::exp>},
    {"exp2 special_exp2", "self", of_float<Fn::exp2>},
    {"expm1 special_expm1", "self", of_float<Fn::expm1>},
    {"log", "self", of_float<Fn::log>},
    {"log2", "self", of_float<Fn::log2>},
    {"log10", "self", logarithm10},
    {"log1p special_log1p", "self", of_float<Fn::log1p>},
    {"sqrt", "self", of_float<Fn::sqrt>},
    {"rsqrt", "self", of_float<Fn::rsqrt>},
    {"reciprocal", "self", of_float<Fn::reciprocal>},
    {"sin", "self", of_float<Fn::sin>},
    {"cos", "self", of_float<Fn::cos>},
    {"tan", "self", of_float<Fn::tan>},
    {"asin arcsin", "self", of_float<Fn::asin>},
    {"acos arccos", "self", of_float<Fn::acos>},
    {"atan arctan", "self", of_float<Fn::atan>},
    {"sinh", "self", of_float<Fn::sinh>},
    {"cosh", "self", of_float<Fn::cosh>},
    {"tanh", "self", of_float<Fn::tanh>},
    {"asinh arcsinh", "self", asinh},
    {"acosh arccosh", "self", acosh},
    {"atanh arctanh", "self", atanh},
    {"erf special_erf", "self", of_float<Fn::erf>},
    {"erfc special_erfc", "self", of_float<Fn::erfc>},
    {"sigmoid special_expit", "self", of_float<Fn::sigmoid>},
    {"logit special_logit", "self, eps=None", logit},
    {"rad2deg", "self", degrees},
    {"deg2rad", "self", radians},
    {"neg negative", "self", negate},
    {"abs absolute", "self", absolute},
    {"angle", "self", angle},
    {"conj conj_physical _conj _conj_physical", "self", conjugate},
    {"complex", "real, imag", complex_of},
    {"polar", "abs, angle", polar},
    {"sign sgn", "self", of_any<Fn::sign>},
    {"square", "self", square},
    {"frac", "self", fraction},
    {"floor", "self", round_with<Fn::floor>},
    {"ceil", "self", round_with<Fn::ceil>},
    {"trunc fix", "self", round_with<Fn::trunc>},
    {"round round.decimals", "self, decimals=0", rounded},
    {"isnan", "self", of_float<Fn::is_nan>},
    {"isinf", "self", of_float<Fn::is_inf>},
    {"isfinite", "self", of_float<Fn::is_finite>},
    {"isposinf", "self", is_positive_infinity},
    {"isneginf", "self", is_negative_infinity},
    {"nan_to_num", "self, nan=None, posinf=None, neginf=None", nan_to_num},
    {"logical_not", "self", logical_not},
    {"bitwise_not", "self", bitwise_not},
};

}  // namespace

std::span<const Row> elementwise_rows() { return kRows; }

}  // namespace tutti::pt2
