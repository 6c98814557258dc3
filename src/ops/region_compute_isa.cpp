// SPDX-License-Identifier: Apache-2.0
#include <cmath>
#include <limits>
#include <type_traits>

#include "device/cpu/unary_isa.h"
#include "device/cpu/vector.h"
#include "ops/region_compute.h"

namespace tutti::cpu::TUTTI_ISA {
namespace {

template <class T, class R, class F>
RegionCompute unary(F) {
  return [](void* y, const void* a, const void*, const void*, int64_t n) {
    auto* out = static_cast<R*>(y);
    const auto* x = static_cast<const T*>(a);
#pragma GCC ivdep
    for (int64_t i = 0; i < n; ++i) out[i] = static_cast<R>(F{}(x[i]));
  };
}

template <class T, class R, class F>
RegionCompute binary(F) {
  return [](void* y, const void* a, const void* b, const void*, int64_t n) {
    auto* out = static_cast<R*>(y);
    const auto *l = static_cast<const T*>(a), *r = static_cast<const T*>(b);
#pragma GCC ivdep
    for (int64_t i = 0; i < n; ++i) out[i] = static_cast<R>(F{}(l[i], r[i]));
  };
}

template <class T>
void select_loop(void* y, const void* a, const void* b, const void* c, int64_t n) {
  auto* out = static_cast<T*>(y);
  const auto* which = static_cast<const uint8_t*>(a);
  const auto *l = static_cast<const T*>(b), *r = static_cast<const T*>(c);
#pragma GCC ivdep
  for (int64_t i = 0; i < n; ++i) out[i] = which[i] ? l[i] : r[i];
}

// f32 functions with vectors of their own.
template <Unary kFunction>
void math_loop(void* y, const void* a, const void*, const void*, int64_t n) {
  const auto* x = static_cast<const float*>(a);
  auto* out = static_cast<float*>(y);
  with_unary(kFunction, [=](auto function) {
    int64_t i = 0;
    for (; i + kLanes <= n; i += kLanes) store(out + i, function(load(x + i)));
    const int rest = static_cast<int>(n - i);
    if (rest > 0) store_first(out + i, function(load_first(x + i, rest)), rest);
  });
}

RegionCompute f32_math(Elementwise fn) {
  switch (fn) {
    case Elementwise::exp:
      return math_loop<Unary::exp>;
    case Elementwise::log:
      return math_loop<Unary::log>;
    case Elementwise::sin:
      return math_loop<Unary::sin>;
    case Elementwise::cos:
      return math_loop<Unary::cos>;
    case Elementwise::tanh:
      return math_loop<Unary::tanh>;
    case Elementwise::erf:
      return math_loop<Unary::erf>;
    case Elementwise::sigmoid:
      return math_loop<Unary::sigmoid>;
    case Elementwise::silu:
      return math_loop<Unary::silu>;
    case Elementwise::gelu:
      return math_loop<Unary::gelu_erf>;
    case Elementwise::gelu_tanh:
      return math_loop<Unary::gelu_tanh>;
    default:
      return nullptr;
  }
}

// What rounds nothing: signs, whole numbers, kinds of numbers.
template <class T>
RegionCompute exact_float_unary(Elementwise fn) {
  switch (fn) {
    case Elementwise::sign:
      return unary<T, T>([](T x) { return static_cast<T>((x > T(0)) - (x < T(0))); });
    case Elementwise::relu:
      return unary<T, T>([](T x) { return x < T(0) ? T(0) : x; });
    case Elementwise::floor:
      return unary<T, T>([](T x) { return std::floor(x); });
    case Elementwise::ceil:
      return unary<T, T>([](T x) { return std::ceil(x); });
    case Elementwise::round:
      return unary<T, T>([](T x) { return std::nearbyint(x); });
    case Elementwise::trunc:
      return unary<T, T>([](T x) { return std::trunc(x); });
    case Elementwise::neg:
      return unary<T, T>([](T x) { return -x; });
    case Elementwise::abs:
      return unary<T, T>([](T x) { return std::abs(x); });
    case Elementwise::is_nan:
      return unary<T, uint8_t>([](T x) { return x != x; });
    case Elementwise::is_inf:
      return unary<T, uint8_t>(
          [](T x) { return std::abs(x) == std::numeric_limits<T>::infinity(); });
    case Elementwise::is_finite:
      return unary<T, uint8_t>(
          [](T x) { return std::abs(x) < std::numeric_limits<T>::infinity(); });
    default:
      return nullptr;
  }
}

template <class T>
RegionCompute float_unary(Elementwise fn) {
  switch (fn) {
    case Elementwise::exp:
      return unary<T, T>([](T x) { return std::exp(x); });
    case Elementwise::exp2:
      return unary<T, T>([](T x) { return std::exp2(x); });
    case Elementwise::expm1:
      return unary<T, T>([](T x) { return std::expm1(x); });
    case Elementwise::log:
      return unary<T, T>([](T x) { return std::log(x); });
    case Elementwise::log2:
      return unary<T, T>([](T x) { return std::log2(x); });
    case Elementwise::log1p:
      return unary<T, T>([](T x) { return std::log1p(x); });
    case Elementwise::sqrt:
      return unary<T, T>([](T x) { return std::sqrt(x); });
    case Elementwise::rsqrt:
      return unary<T, T>([](T x) { return T(1) / std::sqrt(x); });
    case Elementwise::sin:
      return unary<T, T>([](T x) { return std::sin(x); });
    case Elementwise::cos:
      return unary<T, T>([](T x) { return std::cos(x); });
    case Elementwise::tan:
      return unary<T, T>([](T x) { return std::tan(x); });
    case Elementwise::asin:
      return unary<T, T>([](T x) { return std::asin(x); });
    case Elementwise::acos:
      return unary<T, T>([](T x) { return std::acos(x); });
    case Elementwise::atan:
      return unary<T, T>([](T x) { return std::atan(x); });
    case Elementwise::sinh:
      return unary<T, T>([](T x) { return std::sinh(x); });
    case Elementwise::cosh:
      return unary<T, T>([](T x) { return std::cosh(x); });
    case Elementwise::tanh:
      return unary<T, T>([](T x) { return std::tanh(x); });
    case Elementwise::erf:
      return unary<T, T>([](T x) { return std::erf(x); });
    case Elementwise::erfc:
      return unary<T, T>([](T x) { return std::erfc(x); });
    case Elementwise::sigmoid:
      return unary<T, T>([](T x) { return T(1) / (T(1) + std::exp(-x)); });
    case Elementwise::silu:
      return unary<T, T>([](T x) { return x / (T(1) + std::exp(-x)); });
    case Elementwise::gelu:
      return unary<T, T>([](T x) { return x * T(0.5) * (T(1) + std::erf(x * T(M_SQRT1_2))); });
    case Elementwise::gelu_tanh:
      return unary<T, T>([](T x) {
        const T inner = T(M_SQRT2 * M_2_SQRTPI * 0.5) * (x + T(0.044715) * x * x * x);
        return T(0.5) * x * (T(1) + std::tanh(inner));
      });
    case Elementwise::softplus:
      return unary<T, T>([](T x) { return x > T(20) ? x : std::log1p(std::exp(x)); });
    case Elementwise::reciprocal:
      return unary<T, T>([](T x) { return T(1) / x; });
    default:
      return exact_float_unary<T>(fn);
  }
}

template <class T>
T floor_mod(T a, T b) {
  const T m = std::fmod(a, b);
  return m != 0 && ((b < 0) != (m < 0)) ? m + b : m;
}

template <class T>
T floor_quotient(T a, T b) {
  if (b == 0) return a / b;
  const T m = std::fmod(a, b);
  T quotient = (a - m) / b;
  if (m != 0 && ((b < 0) != (m < 0))) quotient -= 1;
  if (quotient == 0) return std::copysign(T(0), a / b);
  const T floored = std::floor(quotient);
  return quotient - floored > T(0.5) ? floored + 1 : floored;
}

template <class T>
RegionCompute float_binary(Elementwise fn) {
  switch (fn) {
    case Elementwise::div:
      return binary<T, T>([](T a, T b) { return a / b; });
    case Elementwise::div_trunc:
      return binary<T, T>([](T a, T b) { return std::trunc(a / b); });
    case Elementwise::div_floor:
      return binary<T, T>([](T a, T b) { return floor_quotient(a, b); });
    case Elementwise::remainder:
      return binary<T, T>([](T a, T b) { return floor_mod(a, b); });
    case Elementwise::fmod:
      return binary<T, T>([](T a, T b) { return std::fmod(a, b); });
    case Elementwise::pow:
      return binary<T, T>([](T a, T b) { return std::pow(a, b); });
    case Elementwise::atan2:
      return binary<T, T>([](T a, T b) { return std::atan2(a, b); });
    case Elementwise::maximum:
      return binary<T, T>([](T a, T b) { return (a > b) | (a != a) ? a : b; });
    case Elementwise::minimum:
      return binary<T, T>([](T a, T b) { return (a < b) | (a != a) ? a : b; });
    default:
      return nullptr;
  }
}

// What every lane has: arithmetic that wraps, comparisons, logic.
template <class T>
RegionCompute any_binary(Elementwise fn) {
  using U = std::conditional_t<std::is_integral_v<T>, std::make_unsigned<T>, std::type_identity<T>>;
  using W = typename U::type;
  switch (fn) {
    case Elementwise::add:
      return binary<W, W>([](W a, W b) { return W(a + b); });
    case Elementwise::sub:
      return binary<W, W>([](W a, W b) { return W(a - b); });
    case Elementwise::mul:
      return binary<W, W>([](W a, W b) { return W(a * b); });
    case Elementwise::equal:
      return binary<T, uint8_t>([](T a, T b) { return a == b; });
    case Elementwise::not_equal:
      return binary<T, uint8_t>([](T a, T b) { return a != b; });
    case Elementwise::less:
      return binary<T, uint8_t>([](T a, T b) { return a < b; });
    case Elementwise::less_equal:
      return binary<T, uint8_t>([](T a, T b) { return a <= b; });
    case Elementwise::greater:
      return binary<T, uint8_t>([](T a, T b) { return a > b; });
    case Elementwise::greater_equal:
      return binary<T, uint8_t>([](T a, T b) { return a >= b; });
    case Elementwise::logical_and:
      return binary<T, uint8_t>([](T a, T b) { return (a != 0) & (b != 0); });
    case Elementwise::logical_or:
      return binary<T, uint8_t>([](T a, T b) { return (a != 0) | (b != 0); });
    case Elementwise::logical_xor:
      return binary<T, uint8_t>([](T a, T b) { return (a != 0) != (b != 0); });
    case Elementwise::logical_not:
      return unary<T, uint8_t>([](T a) { return a == 0; });
    case Elementwise::select:
      return select_loop<T>;
    default:
      return nullptr;
  }
}

RegionCompute byte_function(Elementwise fn) {
  using T = uint8_t;
  switch (fn) {
    case Elementwise::add:
    case Elementwise::maximum:
    case Elementwise::bitwise_or:
      return binary<T, T>([](T a, T b) { return T(a | b); });
    case Elementwise::mul:
    case Elementwise::minimum:
    case Elementwise::bitwise_and:
      return binary<T, T>([](T a, T b) { return T(a & b); });
    case Elementwise::bitwise_xor:
      return binary<T, T>([](T a, T b) { return T(a ^ b); });
    case Elementwise::bitwise_not:
      return unary<T, T>([](T a) { return T(a ^ 1); });
    case Elementwise::sub:
      return nullptr;
    default:
      return any_binary<T>(fn);
  }
}

RegionCompute int_function(Elementwise fn) {
  using T = int64_t;
  switch (fn) {
    case Elementwise::neg:
      return unary<uint64_t, uint64_t>([](uint64_t a) { return 0 - a; });
    case Elementwise::abs:
      return unary<T, T>(
          [](T a) { return a < 0 ? static_cast<T>(0 - static_cast<uint64_t>(a)) : a; });
    case Elementwise::sign:
      return unary<T, T>([](T a) { return T((a > 0) - (a < 0)); });
    case Elementwise::relu:
      return unary<T, T>([](T a) { return a > 0 ? a : T(0); });
    case Elementwise::bitwise_not:
      return unary<T, T>([](T a) { return ~a; });
    case Elementwise::bitwise_and:
      return binary<T, T>([](T a, T b) { return a & b; });
    case Elementwise::bitwise_or:
      return binary<T, T>([](T a, T b) { return a | b; });
    case Elementwise::bitwise_xor:
      return binary<T, T>([](T a, T b) { return a ^ b; });
    case Elementwise::maximum:
      return binary<T, T>([](T a, T b) { return a > b ? a : b; });
    case Elementwise::minimum:
      return binary<T, T>([](T a, T b) { return a < b ? a : b; });
    default:
      return any_binary<T>(fn);
  }
}

}  // namespace

RegionCompute find_compute(Elementwise fn, Lane lane) {
  if (lane == Lane::b8) return byte_function(fn);
  if (lane == Lane::i64) return int_function(fn);
  if (lane == Lane::f32) {
    if (auto found = f32_math(fn)) return found;
    if (auto found = float_unary<float>(fn)) return found;
    if (auto found = float_binary<float>(fn)) return found;
    return any_binary<float>(fn);
  }
  if (auto found = float_unary<double>(fn)) return found;
  if (auto found = float_binary<double>(fn)) return found;
  return any_binary<double>(fn);
}

}  // namespace tutti::cpu::TUTTI_ISA
