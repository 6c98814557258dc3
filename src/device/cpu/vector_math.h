// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <type_traits>

#if defined(__AVX512F__)
#include <immintrin.h>
#endif

/// Branch-free f32 functions. `V` is float (loops over it vectorise) or a GCC vector of floats of
/// any width. Errors are in units in the last place (ulp) against the exact result, with and
/// without fused multiply-add. NaN gives NaN. All are always_inline, so files compiled for
/// different instruction sets may share them.
namespace tutti::cpu::math {

namespace detail {

template <class V>
struct IntOf {
  using type = decltype(V{} < V{});
};
template <>
struct IntOf<float> {
  using type = int32_t;
};

}  // namespace detail

/// The vector of i32 as long as V; int32_t for float.
template <class V>
using Int = typename detail::IntOf<V>::type;

template <class V>
[[gnu::always_inline]] inline V splat(float value) {
  if constexpr (std::is_same_v<V, float>) {
    return value;
  } else {
    return value - V{};  // unlike V{} + value, exact for -0, so nothing is left to compute
  }
}

template <class V>
[[gnu::always_inline]] inline Int<V> bits_of(V x) {
  return __builtin_bit_cast(Int<V>, x);
}

template <class V>
[[gnu::always_inline]] inline V from_bits(Int<V> bits) {
  return __builtin_bit_cast(V, bits);
}

template <class V>
[[gnu::always_inline]] inline V to_float(Int<V> n) {
  if constexpr (std::is_same_v<V, float>) {
    return static_cast<float>(n);
  } else {
    return __builtin_convertvector(n, V);
  }
}

/// The smaller; x when either is NaN.
template <class V>
[[gnu::always_inline]] inline V min(V x, V y) {
  return y < x ? y : x;
}

/// The larger; x when either is NaN.
template <class V>
[[gnu::always_inline]] inline V max(V x, V y) {
  return y > x ? y : x;
}

template <class V>
[[gnu::always_inline]] inline V abs(V x) {
  return from_bits<V>(bits_of(x) & 0x7fffffff);
}

/// The magnitude of x with the sign of y.
template <class V>
[[gnu::always_inline]] inline V copysign(V x, V y) {
  return from_bits<V>((bits_of(x) & 0x7fffffff) | (bits_of(y) & ~0x7fffffff));
}

/// c0 + c1 x + c2 x^2 + ...
template <class V>
[[gnu::always_inline]] inline V polynomial(V, float c0) {
  return splat<V>(c0);
}
template <class V, class... C>
[[gnu::always_inline]] inline V polynomial(V x, float c0, C... rest) {
  return polynomial(x, rest...) * x + c0;
}

namespace detail {

inline constexpr float kRoundMagic = 0x1.8p23f;  // x + kRoundMagic rounds x to an integer
inline constexpr int32_t kRoundMagicBits = 0x4b400000;

}  // namespace detail

/// e^x, within 1.5 ulp, subnormal results too; inf above 88.73, 0 below -103.98.
template <class V>
[[gnu::always_inline]] inline V exp(V x) {
  x = min(x, splat<V>(89.0f));
  x = max(x, splat<V>(-104.0f));
  const V shifted = x * 0x1.715476p+0f + detail::kRoundMagic;
  const V n = shifted - detail::kRoundMagic;
  const V r = (x - n * 0x1.62e4p-1f) - n * 0x1.7f7d1cp-20f;
  const V q =
      polynomial(r, 0.5000000097f, 0.1666651708f, 0.04166620086f, 0.008369099349f, 0.001395081791f);
  const V p = (r * r * q + r) + 1.0f;
  const Int<V> exponent = bits_of(shifted) - detail::kRoundMagicBits;
  const Int<V> half = exponent >> 1;
  const V scale = from_bits<V>((half + 127) << 23);
  return p * scale * from_bits<V>((exponent - half + 127) << 23);
}

/// Natural logarithm, within 2 ulp, subnormals too; -inf of 0, NaN below.
template <class V>
[[gnu::always_inline]] inline V log(V x) {
  const auto tiny = x < splat<V>(0x1p-126f);
  const V scaled = tiny ? x * 0x1p23f : x;
  const Int<V> bits = bits_of(scaled) & 0x7fffffff;
  const Int<V> exponent = (bits - 0x3f3504f3) >> 23;
  const V f = from_bits<V>(bits - exponent * (1 << 23)) - 1.0f;
  const V e = to_float<V>(exponent) - (tiny ? splat<V>(23.0f) : splat<V>(0.0f));
  const V q = polynomial(f, 0.3333333174f, -0.2500082138f, 0.2000122352f, -0.1662334381f,
                         0.1420182967f, -0.1316038225f, 0.1276114876f, -0.07633436643f);
  const V ff = f * f;
  const V small = e * 0x1.7f7d1cp-20f + (ff * f * q - ff * 0.5f);
  V y = e * 0x1.62e4p-1f + (f + small);
  const V inf = splat<V>(__builtin_inff());
  y = x == inf ? inf : y;
  y = x == splat<V>(0.0f) ? -inf : y;
  return x >= splat<V>(0.0f) ? y : splat<V>(__builtin_nanf(""));
}

namespace detail {

/// e^x for |x| <= 80, within 1.5 ulp; beyond that e^80 or e^-80.
template <class V>
[[gnu::always_inline]] inline V exp_clamped(V x) {
  x = min(x, splat<V>(80.0f));
  x = max(x, splat<V>(-80.0f));
  const V shifted = x * 0x1.715476p+0f + kRoundMagic;
  const V n = shifted - kRoundMagic;
  const V r = (x - n * 0x1.62e4p-1f) - n * 0x1.7f7d1cp-20f;
  const V q =
      polynomial(r, 0.5000000097f, 0.1666651708f, 0.04166620086f, 0.008369099349f, 0.001395081791f);
  const V p = (r * r * q + r) + 1.0f;
  return from_bits<V>(bits_of(p) + (bits_of(shifted) << 23));
}

/// 1 / x for 1 <= x <= 2^126, within 1 ulp.
template <class V>
[[gnu::always_inline]] inline V reciprocal(V x) {
#if defined(__AVX512F__)
  if constexpr (sizeof(V) == 64) {
    // Division takes as long as all of e^x.
    const V guess =
        __builtin_bit_cast(V, _mm512_maskz_rcp14_ps(0xffff, __builtin_bit_cast(__m512, x)));
    return guess + guess * (1.0f - x * guess);
  }
#endif
  return 1.0f / x;
}

}  // namespace detail

/// 1 / (1 + e^-x), within 2.5 ulp.
template <class V>
[[gnu::always_inline]] inline V sigmoid(V x) {
  return 1.0f / (1.0f + exp(-x));
}

/// Hyperbolic tangent, within 2 ulp.
template <class V>
[[gnu::always_inline]] inline V tanh(V x) {
  const V a = abs(x);
  const V u = x * x;
  const V q = polynomial(u, -0.3333327829f, 0.133313283f, -0.05372918298f, 0.02060187299f,
                         -0.005660654546f);
  const V large = 1.0f - 2.0f * detail::reciprocal(detail::exp_clamped(a + a) + 1.0f);
  return copysign(a < splat<V>(0.625f) ? a * u * q + a : large, x);
}

namespace detail {

/// 1 - erf(t) for t >= 0, absolute error below 1e-7.
template <class V>
[[gnu::always_inline]] inline V erfc_positive(V t) {
  t = min(t, splat<V>(6.0f));
  const V p =
      polynomial(t, -1.128379743f, -0.6366089863f, -0.1028396438f, 0.01932499397f, -9.648283558e-5f,
                 -0.001449506872f, 0.000528809651f, -9.157497723e-5f, 6.607216838e-6f);
  return exp_clamped(p * t);
}

}  // namespace detail

/// Error function, within 2 ulp.
template <class V>
[[gnu::always_inline]] inline V erf(V x) {
  const V a = abs(x);
  const V u = x * x;
  const V q = polynomial(u, 0.1283791659f, -0.3761262713f, 0.1128360015f, -0.02685444361f,
                         0.005189533465f, -0.0008020824698f, 7.889064423e-5f);
  const V large = 1.0f - detail::erfc_positive(a);
  return copysign(a < splat<V>(1.0f) ? a * q + a : large, x);
}

/// x * (1 + erf(x / sqrt(2))) / 2, within 1e-7 * |x|; 0 below -8.4, NaN of -inf.
template <class V>
[[gnu::always_inline]] inline V gelu_erf(V x) {
  const V half_tail = 0.5f * detail::erfc_positive(abs(x) * 0.70710678118f);
  const V factor = x < splat<V>(0.0f) ? half_tail : 1.0f - half_tail;
  return x * (x < splat<V>(-8.4f) ? splat<V>(0.0f) : factor);
}

/// x * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 x^3))) / 2, within 1e-6 relative above x = -5 and
/// 1e-7 * |x|; 0 below -20, NaN of -inf.
template <class V>
[[gnu::always_inline]] inline V gelu_tanh(V x) {
  // Without the limits x * inf - x * inf of large x would be NaN.
  const V t = max(min(x, splat<V>(20.0f)), splat<V>(-20.0f));
  const V e = detail::exp_clamped(t * (t * t * -0.0713548162726f - 1.5957691216057f));
  const V factor = detail::reciprocal(e + 1.0f);
  return x * (x < splat<V>(-20.0f) ? splat<V>(0.0f) : factor);
}

/// x * sigmoid(x), within 3 ulp above x = -80; 0 below, NaN of -inf.
template <class V>
[[gnu::always_inline]] inline V silu(V x) {
  const V factor = detail::reciprocal(detail::exp_clamped(-x) + 1.0f);
  return x * (x < splat<V>(-80.0f) ? splat<V>(0.0f) : factor);
}

/// x * sigmoid(1.702 x); 0 below -47, NaN of -inf.
template <class V>
[[gnu::always_inline]] inline V quick_gelu(V x) {
  const V factor = detail::reciprocal(detail::exp_clamped(x * -1.702f) + 1.0f);
  return x * (x < splat<V>(-47.0f) ? splat<V>(0.0f) : factor);
}

inline constexpr float kSineLimit = 1e5f;

namespace detail {

/// sin(x + quarter_turns * pi / 2).
template <class V>
[[gnu::always_inline]] inline V sine(V x, int quarter_turns) {
  const V shifted = x * 0x1.45f306p-1f + kRoundMagic;
  const V n = shifted - kRoundMagic;
  // pi / 2 in pieces of 8 bits, so that n * piece is exact for |n| < 2^16.
  V r = ((x - n * 0x1.92p+0f) - n * 0x1.fap-12f) - n * 0x1.54p-20f;
  r = (r - n * 0x1.10p-30f) - n * 0x1.68c234p-39f;
  const V u = r * r;
  const V s = r * u * polynomial(u, -0.1666665459f, 0.008332154901f, -0.0001951406853f) + r;
  const V c =
      u * u * polynomial(u, 0.04166664626f, -0.001388733679f, 2.44348171e-5f) + (1.0f - 0.5f * u);
  const Int<V> quadrant = bits_of(shifted) + quarter_turns;
  const V y = (quadrant & 1) != 0 ? c : s;
  return from_bits<V>(bits_of(y) ^ ((quadrant & 2) << 30));
}

}  // namespace detail

/// Sine, absolute error below 1.2e-7 for |x| <= kSineLimit; meaningless above 4e6.
template <class V>
[[gnu::always_inline]] inline V sin(V x) {
  return detail::sine(x, 0);
}

/// Cosine, absolute error below 1.2e-7 for |x| <= kSineLimit; meaningless above 4e6.
template <class V>
[[gnu::always_inline]] inline V cos(V x) {
  return detail::sine(x, 1);
}

}  // namespace tutti::cpu::math
