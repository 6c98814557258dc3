// SPDX-License-Identifier: Apache-2.0
#include <cmath>
#include <limits>
#include <type_traits>

#include "device/cpu/unary_isa.h"
#include "device/cpu/vector.h"
#include "ops/region_loops.h"

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

template <class From, class To>
void convert_loop(void* y, const void* x, int64_t n) {
  auto* out = static_cast<To*>(y);
  const auto* in = static_cast<const From*>(x);
  for (int64_t i = 0; i < n; ++i) {
    if constexpr (std::is_same_v<To, uint8_t>)
      out[i] = in[i] != 0;
    else if constexpr (std::is_integral_v<To> && !std::is_integral_v<From>)
      out[i] = in[i] >= From(-0x1p63) && in[i] < From(0x1p63) ? static_cast<To>(in[i]) : INT64_MIN;
    else
      out[i] = static_cast<To>(in[i]);
  }
}

template <class From>
RegionConvert convert_from(Lane to) {
  if (to == Lane::f32) return convert_loop<From, float>;
  if (to == Lane::f64) return convert_loop<From, double>;
  return to == Lane::i64 ? convert_loop<From, int64_t> : convert_loop<From, uint8_t>;
}

RegionConvert find_convert(Lane from, Lane to) {
  if (from == Lane::f32) return convert_from<float>(to);
  if (from == Lane::f64) return convert_from<double>(to);
  return from == Lane::i64 ? convert_from<int64_t>(to) : convert_from<uint8_t>(to);
}

template <class T>
void round_small(void* y, const void* x, int64_t n) {
  const auto* in = static_cast<const float*>(x);
  auto* out = static_cast<float*>(y);
  auto rounded = [](VecF v) {
    if constexpr (std::is_same_v<T, bf16>)
      return from_bf16(to_bf16(v));
    else
      return from_f16(to_f16(v));
  };
  int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) store(out + i, rounded(load(in + i)));
  const int rest = static_cast<int>(n - i);
  if (rest > 0) store_first(out + i, rounded(load_first(in + i, rest)), rest);
}

template <class T>
void wrap_loop(void* y, const void* x, int64_t n) {
  const auto* in = static_cast<const int64_t*>(x);
  auto* out = static_cast<int64_t*>(y);
  for (int64_t i = 0; i < n; ++i) out[i] = static_cast<T>(in[i]);
}

RegionConvert find_round(DType dtype) {
  switch (dtype) {
    case DType::f16:
      return round_small<f16>;
    case DType::bf16:
      return round_small<bf16>;
    case DType::i32:
      return wrap_loop<int32_t>;
    case DType::i16:
      return wrap_loop<int16_t>;
    case DType::i8:
      return wrap_loop<int8_t>;
    case DType::u8:
      return wrap_loop<uint8_t>;
    default:
      return nullptr;
  }
}

// One vector step of a fold over f32; NaN wins in max and min.
template <RegionFold kFold, class V>
[[gnu::always_inline]] inline V step(V a, V x) {
  if constexpr (kFold == RegionFold::sum) return a + x;
  if constexpr (kFold == RegionFold::prod) return a * x;
  if constexpr (kFold == RegionFold::max) return (x > a) | (x != x) ? x : a;
  if constexpr (kFold == RegionFold::min) return (x < a) | (x != x) ? x : a;
  if constexpr (kFold == RegionFold::any) return a | x;
  if constexpr (kFold == RegionFold::all) return a & x;
}

template <RegionFold kFold>
void reduce_f32(void* y, const void* x, int64_t rows, int64_t lanes, bool more) {
  auto* out = static_cast<float*>(y);
  const auto* in = static_cast<const float*>(x);
  for (int64_t r = 0; r < rows; ++r, in += lanes) {
    float total = in[0];
    int64_t i = 1;
    if (lanes >= 2 * kLanes) {
      VecF a = load(in), b = load(in + kLanes);
      for (i = 2 * kLanes; i + 2 * kLanes <= lanes; i += 2 * kLanes) {
        a = step<kFold>(a, load(in + i));
        b = step<kFold>(b, load(in + i + kLanes));
      }
      a = step<kFold>(a, b);
      total = a[0];
      for (int l = 1; l < kLanes; ++l) total = step<kFold>(total, a[l]);
    }
    for (; i < lanes; ++i) total = step<kFold>(total, in[i]);
    out[r] = more ? step<kFold>(out[r], total) : total;
  }
}

template <RegionFold kFold, class T>
void reduce_plain(void* y, const void* x, int64_t rows, int64_t lanes, bool more) {
  auto* out = static_cast<T*>(y);
  const auto* in = static_cast<const T*>(x);
  for (int64_t r = 0; r < rows; ++r, in += lanes) {
    T total = in[0];
    for (int64_t i = 1; i < lanes; ++i) total = static_cast<T>(step<kFold>(total, in[i]));
    out[r] = more ? static_cast<T>(step<kFold>(out[r], total)) : total;
  }
}

template <RegionFold kFold>
RegionReduce reduce_of(Lane lane) {
  if constexpr (kFold == RegionFold::any || kFold == RegionFold::all) {
    return lane == Lane::b8 ? reduce_plain<kFold, uint8_t> : nullptr;
  } else {
    if (lane == Lane::f32) return reduce_f32<kFold>;
    if (lane == Lane::f64) return reduce_plain<kFold, double>;
    return lane == Lane::i64 ? reduce_plain<kFold, int64_t> : nullptr;
  }
}

RegionReduce find_reduce(RegionFold fold, Lane lane) {
  switch (fold) {
    case RegionFold::sum:
      return reduce_of<RegionFold::sum>(lane);
    case RegionFold::prod:
      return reduce_of<RegionFold::prod>(lane);
    case RegionFold::max:
      return reduce_of<RegionFold::max>(lane);
    case RegionFold::min:
      return reduce_of<RegionFold::min>(lane);
    case RegionFold::any:
      return reduce_of<RegionFold::any>(lane);
    case RegionFold::all:
      return reduce_of<RegionFold::all>(lane);
  }
  return nullptr;
}

template <class T>
void spread_loop(void* y, const void* x, int64_t rows, int64_t lanes) {
  auto* out = static_cast<T*>(y);
  for (int64_t r = 0; r < rows; ++r, out += lanes) {
    const T value = static_cast<const T*>(x)[r];
    for (int64_t i = 0; i < lanes; ++i) out[i] = value;
  }
}

RegionSpread find_spread(Lane lane) {
  if (lane == Lane::f32) return spread_loop<uint32_t>;
  return lane == Lane::b8 ? spread_loop<uint8_t> : spread_loop<uint64_t>;
}

template <class Memory, class Register>
void load_loop(void* y, const void* x, int64_t n, int64_t stride) {
  auto* out = static_cast<Register*>(y);
  const auto* in = static_cast<const Memory*>(x);
  if (stride == 1) {
    for (int64_t i = 0; i < n; ++i) out[i] = static_cast<Register>(in[i]);
  } else if (stride == 0) {
    const auto value = static_cast<Register>(in[0]);
    for (int64_t i = 0; i < n; ++i) out[i] = value;
  } else if (stride == 2) {
    for (int64_t i = 0; i < n; ++i) out[i] = static_cast<Register>(in[2 * i]);
  } else {
    for (int64_t i = 0; i < n; ++i) out[i] = static_cast<Register>(in[i * stride]);
  }
}

template <class Memory, class Register>
void store_loop(void* y, const void* x, int64_t n, int64_t stride) {
  auto* out = static_cast<Memory*>(y);
  const auto* in = static_cast<const Register*>(x);
  if (stride == 1) {
    for (int64_t i = 0; i < n; ++i) out[i] = static_cast<Memory>(in[i]);
  } else if (stride == 2) {
    for (int64_t i = 0; i < n; ++i) out[2 * i] = static_cast<Memory>(in[i]);
  } else {
    for (int64_t i = 0; i < n; ++i) out[i * stride] = static_cast<Memory>(in[i]);
  }
}

template <class T>
void load_small(void* y, const void* x, int64_t n, int64_t stride) {
  auto* out = static_cast<float*>(y);
  const auto* in = static_cast<const T*>(x);
  T gathered[kLanes] = {};
  int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) {
    if (stride == 1) {
      store(out + i, load(in + i));
      continue;
    }
    for (int l = 0; l < kLanes; ++l) gathered[l].bits = in[(i + l) * stride].bits;
    store(out + i, load(gathered));
  }
  const int rest = static_cast<int>(n - i);
  for (int l = 0; l < rest; ++l) gathered[l].bits = in[(i + l) * stride].bits;
  if (rest > 0) store_first(out + i, load(gathered), rest);
}

template <class T>
void store_small(void* y, const void* x, int64_t n, int64_t stride) {
  auto* out = static_cast<T*>(y);
  const auto* in = static_cast<const float*>(x);
  T scattered[kLanes];
  int64_t i = 0;
  for (; i < n; i += kLanes) {
    const int count = static_cast<int>(std::min<int64_t>(kLanes, n - i));
    const VecF value = count == kLanes ? load(in + i) : load_first(in + i, count);
    if (stride == 1 && count == kLanes) {
      store(out + i, value);
      continue;
    }
    store(scattered, value);
    for (int l = 0; l < count; ++l) out[(i + l) * stride].bits = scattered[l].bits;
  }
}

template <bool kLoad, class Memory, class Register>
RegionMove mover() {
  return kLoad ? load_loop<Memory, Register> : store_loop<Memory, Register>;
}

template <bool kLoad>
RegionMove find_move(DType dtype) {
  switch (dtype) {
    case DType::f64:
      return mover<kLoad, double, double>();
    case DType::f32:
      return mover<kLoad, float, float>();
    case DType::f16:
      return kLoad ? load_small<f16> : store_small<f16>;
    case DType::bf16:
      return kLoad ? load_small<bf16> : store_small<bf16>;
    case DType::i64:
      return mover<kLoad, int64_t, int64_t>();
    case DType::i32:
      return mover<kLoad, int32_t, int64_t>();
    case DType::i16:
      return mover<kLoad, int16_t, int64_t>();
    case DType::i8:
      return mover<kLoad, int8_t, int64_t>();
    case DType::u8:
      return mover<kLoad, uint8_t, int64_t>();
    case DType::boolean:
      return mover<kLoad, uint8_t, uint8_t>();
    default:
      return nullptr;  // f8: left to the plain implementation
  }
}

}  // namespace

extern const RegionLoops kRegionLoops;
const RegionLoops kRegionLoops = {find_compute, find_convert,    find_round,      find_reduce,
                                  find_spread,  find_move<true>, find_move<false>};

}  // namespace tutti::cpu::TUTTI_ISA
