// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cmath>
#include <limits>
#include <tuple>
#include <type_traits>

#include "ops/elementwise.h"

namespace tutti {

// The table of elementwise functions, in the order of enum Elementwise. A row computes in f32 (for
// f32 and smaller floats), f64, i64 (for all integers; the store wraps) or bool.

namespace elementwise {

/// Which element types a function takes.
enum Takes : unsigned { kFloat = 1, kInteger = 2, kBoolean = 4, kNumber = 3, kBits = 6, kAny = 7 };

template <int kArityOf, unsigned kTakesOf, class F>
struct Row {
  static constexpr int kArity = kArityOf;
  static constexpr unsigned kTakes = kTakesOf;
  Elementwise fn;
  std::string_view name, doc;
  F compute;
};

template <unsigned kTakes, class F>
constexpr Row<1, kTakes, F> unary(Elementwise fn, std::string_view name, std::string_view doc,
                                  F compute) {
  return {fn, name, doc, compute};
}
template <unsigned kTakes, class F>
constexpr Row<2, kTakes, F> binary(Elementwise fn, std::string_view name, std::string_view doc,
                                   F compute) {
  return {fn, name, doc, compute};
}
template <unsigned kTakes, class F>
constexpr Row<3, kTakes, F> ternary(Elementwise fn, std::string_view name, std::string_view doc,
                                    F compute) {
  return {fn, name, doc, compute};
}

template <class T>
inline constexpr bool kIsBool = std::is_same_v<T, bool>;
template <class T>
inline constexpr bool kIsInteger = std::is_integral_v<T> && !kIsBool<T>;

/// Applies `f` to the bits of integers as unsigned numbers: overflow wraps.
template <class F, class... T>
int64_t wrap(F f, T... values) {
  return static_cast<int64_t>(f(static_cast<uint64_t>(values)...));
}

/// What a rounding function gives for an integer: the integer.
template <class T, class F>
T rounded(T x, F f) {
  if constexpr (std::is_integral_v<T>)
    return x;
  else
    return f(x);
}

template <class T>
T add(T a, T b) {
  if constexpr (kIsBool<T>)
    return a || b;
  else if constexpr (kIsInteger<T>)
    return wrap([](auto x, auto y) { return x + y; }, a, b);
  else
    return a + b;
}

template <class T>
T sub(T a, T b) {
  if constexpr (kIsInteger<T>)
    return wrap([](auto x, auto y) { return x - y; }, a, b);
  else
    return a - b;
}

template <class T>
T neg(T x) {
  if constexpr (kIsInteger<T>)
    return sub(T{0}, x);
  else
    return -x;
}

template <class T>
T mul(T a, T b) {
  if constexpr (kIsBool<T>)
    return a && b;
  else if constexpr (kIsInteger<T>)
    return wrap([](auto x, auto y) { return x * y; }, a, b);
  else
    return a * b;
}

template <class T>
T abs(T x) {
  if constexpr (kIsInteger<T>)
    return x < 0 ? neg(x) : x;
  else
    return std::abs(x);
}

template <class T>
T sign(T x) {
  if constexpr (kIsBool<T>)
    return x;
  else
    return static_cast<T>((x > 0) - (x < 0));
}

template <class T>
T fmod(T a, T b) {
  if constexpr (kIsInteger<T>)
    return b == 0 || b == -1 ? 0 : a % b;
  else
    return std::fmod(a, b);
}

template <class T>
T remainder(T a, T b) {
  const T rest = fmod(a, b);
  return rest != 0 && (b < 0) != (rest < 0) ? rest + b : rest;
}

template <class T>
T div_trunc(T a, T b) {
  if constexpr (kIsInteger<T>)
    return b == 0 ? 0 : b == -1 ? neg(a) : a / b;
  else
    return std::trunc(a / b);
}

template <class T>
T div_floor(T a, T b) {
  if constexpr (kIsInteger<T>) {
    if (b == 0) return 0;
    const T quotient = div_trunc(a, b);
    return fmod(a, b) != 0 && (a < 0) != (b < 0) ? quotient - 1 : quotient;
  } else {
    // floor(a / b) is off by one where the quotient rounds up to an integer; as Python does.
    if (b == 0) return a / b;
    const T rest = std::fmod(a, b);
    T quotient = (a - rest) / b;
    if (rest != 0 && (b < 0) != (rest < 0)) quotient -= 1;
    if (quotient == 0) return std::copysign(T{0}, a / b);
    const T floor = std::floor(quotient);
    return quotient - floor > T(0.5) ? floor + 1 : floor;
  }
}

/// Integers: wraps; a negative exponent gives 1 / a^-b towards zero, and 0 for a = 0.
template <class T>
T pow(T a, T b) {
  if constexpr (kIsInteger<T>) {
    if (b < 0) return a == 1 ? 1 : a == -1 ? (b % 2 == 0 ? 1 : -1) : 0;
    T power = 1;
    for (T square = a; b != 0; b /= 2, square = mul(square, square))
      if (b % 2 != 0) power = mul(power, square);
    return power;
  } else {
    return std::pow(a, b);
  }
}

template <class T>
T minimum(T a, T b) {
  if (a != a || b != b) return std::numeric_limits<T>::quiet_NaN();
  return b < a ? b : a;
}

template <class T>
T maximum(T a, T b) {
  if (a != a || b != b) return std::numeric_limits<T>::quiet_NaN();
  return a < b ? b : a;
}

/// Shifts by less than nothing or more than all bits: 0.
inline int64_t shift_left(int64_t a, int64_t b) {
  return b < 0 || b > 63 ? 0 : wrap([](uint64_t x, uint64_t y) { return x << y; }, a, b);
}
/// Shifts by less than nothing or more than all bits: the sign everywhere.
inline int64_t shift_right(int64_t a, int64_t b) { return a >> (b < 0 || b > 63 ? 63 : b); }

template <class T>
T sigmoid(T x) {
  return 1 / (1 + std::exp(-x));
}

template <class T>
T gelu(T x) {
  return x * T(0.5) * (1 + std::erf(x * T(0.70710678118654752440)));
}

template <class T>
T gelu_tanh(T x) {
  const T inner = T(0.79788456080286535588) * (x + T(0.044715) * x * x * x);
  return T(0.5) * x * (1 + std::tanh(inner));
}

template <class T>
T softplus(T x) {
  return x > 20 ? x : std::log1p(std::exp(x));
}

template <class T>
bool is_nan(T x) {
  return x != x;
}
template <class T>
bool is_inf(T x) {
  if constexpr (std::is_integral_v<T>)
    return false;
  else
    return std::isinf(x);
}

using E = Elementwise;

// clang-format off: one row, one function
inline constexpr std::tuple kTable{
    unary<kFloat>(E::exp, "exp", "e^x", [](auto x) { return std::exp(x); }),
    unary<kFloat>(E::exp2, "exp2", "2^x", [](auto x) { return std::exp2(x); }),
    unary<kFloat>(E::expm1, "expm1", "e^x - 1", [](auto x) { return std::expm1(x); }),
    unary<kFloat>(E::log, "log", "natural logarithm", [](auto x) { return std::log(x); }),
    unary<kFloat>(E::log2, "log2", "logarithm to base 2", [](auto x) { return std::log2(x); }),
    unary<kFloat>(E::log1p, "log1p", "log(1 + x)", [](auto x) { return std::log1p(x); }),
    unary<kFloat>(E::sqrt, "sqrt", "square root", [](auto x) { return std::sqrt(x); }),
    unary<kFloat>(E::rsqrt, "rsqrt", "1 / sqrt(x)", [](auto x) { return 1 / std::sqrt(x); }),
    unary<kFloat>(E::sin, "sin", "sine", [](auto x) { return std::sin(x); }),
    unary<kFloat>(E::cos, "cos", "cosine", [](auto x) { return std::cos(x); }),
    unary<kFloat>(E::tan, "tan", "tangent", [](auto x) { return std::tan(x); }),
    unary<kFloat>(E::asin, "asin", "inverse sine", [](auto x) { return std::asin(x); }),
    unary<kFloat>(E::acos, "acos", "inverse cosine", [](auto x) { return std::acos(x); }),
    unary<kFloat>(E::atan, "atan", "inverse tangent", [](auto x) { return std::atan(x); }),
    unary<kFloat>(E::sinh, "sinh", "hyperbolic sine", [](auto x) { return std::sinh(x); }),
    unary<kFloat>(E::cosh, "cosh", "hyperbolic cosine", [](auto x) { return std::cosh(x); }),
    unary<kFloat>(E::tanh, "tanh", "hyperbolic tangent", [](auto x) { return std::tanh(x); }),
    unary<kFloat>(E::erf, "erf", "error function", [](auto x) { return std::erf(x); }),
    unary<kFloat>(E::erfc, "erfc", "1 - erf(x)", [](auto x) { return std::erfc(x); }),
    unary<kFloat>(E::sigmoid, "sigmoid", "1 / (1 + e^-x)", [](auto x) { return sigmoid(x); }),
    unary<kFloat>(E::silu, "silu", "x * sigmoid(x)", [](auto x) { return x / (1 + std::exp(-x)); }),
    unary<kFloat>(E::gelu, "gelu", "x/2 * (1 + erf(x / sqrt(2)))", [](auto x) { return gelu(x); }),
    unary<kFloat>(E::gelu_tanh, "gelu_tanh", "x/2 * (1 + tanh(sqrt(2/pi) * (x + 0.044715 x^3)))",
                  [](auto x) { return gelu_tanh(x); }),
    unary<kFloat>(E::softplus, "softplus", "log(1 + e^x); x where x > 20",
                  [](auto x) { return softplus(x); }),
    unary<kFloat>(E::reciprocal, "reciprocal", "1 / x", [](auto x) { return 1 / x; }),

    unary<kNumber>(E::neg, "neg", "-x", [](auto x) { return neg(x); }),
    unary<kNumber>(E::abs, "abs", "absolute value", [](auto x) { return abs(x); }),
    unary<kAny>(E::sign, "sign", "-1, 0 or 1; 0 for NaN", [](auto x) { return sign(x); }),
    unary<kNumber>(E::relu, "relu", "0 where x < 0, else x",
                   [](auto x) { return x < 0 ? decltype(x)(0) : x; }),
    unary<kNumber>(E::floor, "floor", "rounded down",
                   [](auto x) { return rounded(x, [](auto v) { return std::floor(v); }); }),
    unary<kNumber>(E::ceil, "ceil", "rounded up",
                   [](auto x) { return rounded(x, [](auto v) { return std::ceil(v); }); }),
    unary<kNumber>(E::round, "round", "rounded to the nearest integer, ties to even",
                   [](auto x) { return rounded(x, [](auto v) { return std::nearbyint(v); }); }),
    unary<kNumber>(E::trunc, "trunc", "rounded towards zero",
                   [](auto x) { return rounded(x, [](auto v) { return std::trunc(v); }); }),

    unary<kAny>(E::is_nan, "is_nan", "x is NaN", [](auto x) { return is_nan(x); }),
    unary<kAny>(E::is_inf, "is_inf", "x is infinite", [](auto x) { return is_inf(x); }),
    unary<kAny>(E::is_finite, "is_finite", "x is neither infinite nor NaN",
                [](auto x) { return !is_inf(x) && !is_nan(x); }),
    unary<kAny>(E::logical_not, "logical_not", "x == 0", [](auto x) { return x == 0; }),
    unary<kBits>(E::bitwise_not, "bitwise_not", "all bits inverted",
                 [](auto x) { return decltype(x)(kIsBool<decltype(x)> ? x == 0 : -x - 1); }),

    binary<kAny>(E::add, "add", "a + b; or for booleans", [](auto a, auto b) { return add(a, b); }),
    binary<kNumber>(E::sub, "sub", "a - b", [](auto a, auto b) { return sub(a, b); }),
    binary<kAny>(E::mul, "mul", "a * b; and for booleans",
                 [](auto a, auto b) { return mul(a, b); }),
    binary<kFloat>(E::div, "div", "a / b", [](auto a, auto b) { return a / b; }),
    binary<kNumber>(E::div_trunc, "div_trunc", "a / b rounded towards zero; 0 for integers / 0",
                    [](auto a, auto b) { return div_trunc(a, b); }),
    binary<kNumber>(E::div_floor, "div_floor", "a / b rounded down; 0 for integers / 0",
                    [](auto a, auto b) { return div_floor(a, b); }),
    binary<kNumber>(E::remainder, "remainder", "a - b * floor(a / b); 0 for integers and b = 0",
                    [](auto a, auto b) { return remainder(a, b); }),
    binary<kNumber>(E::fmod, "fmod", "a - b * trunc(a / b); 0 for integers and b = 0",
                    [](auto a, auto b) { return fmod(a, b); }),
    binary<kNumber>(E::pow, "pow", "a^b", [](auto a, auto b) { return pow(a, b); }),
    binary<kAny>(E::minimum, "minimum", "the smaller; NaN if any is",
                 [](auto a, auto b) { return minimum(a, b); }),
    binary<kAny>(E::maximum, "maximum", "the larger; NaN if any is",
                 [](auto a, auto b) { return maximum(a, b); }),
    binary<kFloat>(E::atan2, "atan2", "angle of the point (b, a)",
                   [](auto a, auto b) { return std::atan2(a, b); }),
    binary<kBits>(E::bitwise_and, "bitwise_and", "a & b",
                  [](auto a, auto b) { return decltype(a)(a & b); }),
    binary<kBits>(E::bitwise_or, "bitwise_or", "a | b",
                  [](auto a, auto b) { return decltype(a)(a | b); }),
    binary<kBits>(E::bitwise_xor, "bitwise_xor", "a ^ b",
                  [](auto a, auto b) { return decltype(a)(a ^ b); }),
    binary<kInteger>(E::shift_left, "shift_left", "a << b; 0 unless 0 <= b < bits",
                     [](auto a, auto b) { return shift_left(a, b); }),
    binary<kInteger>(E::shift_right, "shift_right", "a >> b; all sign unless 0 <= b < bits",
                     [](auto a, auto b) { return shift_right(a, b); }),

    binary<kAny>(E::equal, "equal", "a == b", [](auto a, auto b) { return a == b; }),
    binary<kAny>(E::not_equal, "not_equal", "a != b", [](auto a, auto b) { return a != b; }),
    binary<kAny>(E::less, "less", "a < b", [](auto a, auto b) { return a < b; }),
    binary<kAny>(E::less_equal, "less_equal", "a <= b", [](auto a, auto b) { return a <= b; }),
    binary<kAny>(E::greater, "greater", "a > b", [](auto a, auto b) { return a > b; }),
    binary<kAny>(E::greater_equal, "greater_equal", "a >= b",
                 [](auto a, auto b) { return a >= b; }),
    binary<kAny>(E::logical_and, "logical_and", "a and b are not 0",
                 [](auto a, auto b) { return a != 0 && b != 0; }),
    binary<kAny>(E::logical_or, "logical_or", "a or b is not 0",
                 [](auto a, auto b) { return a != 0 || b != 0; }),
    binary<kAny>(E::logical_xor, "logical_xor", "one of a and b is not 0",
                 [](auto a, auto b) { return (a != 0) != (b != 0); }),

    ternary<kAny>(E::select, "select", "a where the condition holds, else b",
                  [](bool condition, auto a, auto b) { return condition ? a : b; }),
};
// clang-format on

inline constexpr int kCount = static_cast<int>(std::tuple_size_v<decltype(kTable)>);

}  // namespace elementwise
}  // namespace tutti
