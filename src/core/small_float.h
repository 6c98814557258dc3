// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>

namespace tutti {

// Storage types of 8 and 16 bits. Each converts to f32 exactly and from f32 by rounding to the
// nearest, ties to even; f8_e4m3 has no infinity: what is too large becomes the largest number.

namespace detail {

/// Rounds an f32 to a float of `kExponent` and `kMantissa` bits; `kHasInf` as in IEEE 754.
template <int kExponent, int kMantissa, bool kHasInf>
constexpr uint32_t pack_float(float value) {
  constexpr int kBias = (1 << (kExponent - 1)) - 1;
  constexpr uint32_t kExponentMask = (1u << kExponent) - 1;
  constexpr uint32_t kInf = kExponentMask << kMantissa;
  constexpr uint32_t kNan =
      kHasInf ? kInf | (1u << (kMantissa - 1)) : kInf | ((1u << kMantissa) - 1);
  constexpr uint32_t kMax = kHasInf ? kInf - 1 : kNan - 1;
  const uint32_t bits = std::bit_cast<uint32_t>(value);
  const uint32_t sign = (bits >> 31) << (kExponent + kMantissa);
  const uint32_t magnitude = bits & 0x7fffffffu;
  if (magnitude > 0x7f800000u) return sign | kNan;
  if (magnitude == 0x7f800000u) return sign | (kHasInf ? kInf : kMax);
  const int exponent = std::max(static_cast<int>(magnitude >> 23), 1) - 127 + kBias;
  uint32_t mantissa = (magnitude & 0x7fffffu) | (magnitude >= 0x800000u ? 0x800000u : 0u);
  int shift = 23 - kMantissa;
  if (exponent <= 0) shift += 1 - exponent;
  if (shift > 25) return sign;
  const uint32_t half = 1u << (shift - 1);
  uint32_t rounded = mantissa >> shift;
  const uint32_t rest = mantissa & ((1u << shift) - 1);
  if (rest > half || (rest == half && (rounded & 1u))) ++rounded;
  const uint32_t packed =
      exponent <= 0 ? rounded : (static_cast<uint32_t>(exponent - 1) << kMantissa) + rounded;
  if (packed > kMax) return sign | (kHasInf ? kInf : kMax);
  return sign | packed;
}

template <int kExponent, int kMantissa, bool kHasInf>
constexpr float unpack_float(uint32_t bits) {
  constexpr int kBias = (1 << (kExponent - 1)) - 1;
  constexpr uint32_t kExponentMask = (1u << kExponent) - 1;
  const uint32_t sign = (bits >> (kExponent + kMantissa)) << 31;
  const uint32_t exponent = (bits >> kMantissa) & kExponentMask;
  const uint32_t mantissa = bits & ((1u << kMantissa) - 1);
  if (exponent == kExponentMask && (kHasInf || mantissa == (1u << kMantissa) - 1)) {
    return std::bit_cast<float>(sign | 0x7f800000u | (mantissa << (23 - kMantissa)));
  }
  if (exponent == 0 && kBias == 127)
    return std::bit_cast<float>(sign | (mantissa << (23 - kMantissa)));
  if (exponent == 0) {
    const float value =
        static_cast<float>(mantissa) *
        std::bit_cast<float>(static_cast<uint32_t>((127 + 1 - kBias - kMantissa) & 255) << 23);
    return std::bit_cast<float>(std::bit_cast<uint32_t>(value) | sign);
  }
  return std::bit_cast<float>(sign | ((exponent + 127 - kBias) << 23) |
                              (mantissa << (23 - kMantissa)));
}

}  // namespace detail

/// A float stored in `kExponent + kMantissa + 1` bits.
template <class Bits, int kExponent, int kMantissa, bool kHasInf>
struct SmallFloat {
  Bits bits = 0;

  SmallFloat() = default;
  constexpr explicit SmallFloat(float value)
      : bits(static_cast<Bits>(detail::pack_float<kExponent, kMantissa, kHasInf>(value))) {}
  constexpr operator float() const {
    return detail::unpack_float<kExponent, kMantissa, kHasInf>(bits);
  }
};

using f16 = SmallFloat<uint16_t, 5, 10, true>;
using bf16 = SmallFloat<uint16_t, 8, 7, true>;
using f8_e4m3 = SmallFloat<uint8_t, 4, 3, false>;
using f8_e5m2 = SmallFloat<uint8_t, 5, 2, true>;

}  // namespace tutti
