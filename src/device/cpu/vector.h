// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <cstring>
#include <type_traits>

#include "core/small_float.h"

#if defined(__F16C__)
#include <immintrin.h>
#endif

// For x_isa.cpp files only: vectors as wide as the instruction set at hand.
namespace tutti::cpu::TUTTI_ISA {

#if defined(__AVX512F__)
inline constexpr int kVectorBytes = 64;
#elif defined(__AVX2__)
inline constexpr int kVectorBytes = 32;
#else
inline constexpr int kVectorBytes = 16;
#endif

inline constexpr int kLanes = kVectorBytes / 4;  ///< f32 lanes of a vector
inline constexpr int kLanesF64 = kVectorBytes / 8;

using VecF [[gnu::vector_size(kVectorBytes)]] = float;
using VecI [[gnu::vector_size(kVectorBytes)]] = int32_t;
using VecD [[gnu::vector_size(kVectorBytes)]] = double;
using VecH [[gnu::vector_size(kVectorBytes / 2)]] = uint16_t;  ///< kLanes 16-bit floats
using VecU [[gnu::vector_size(kVectorBytes)]] = uint32_t;

/// Reads a vector from any address.
template <class V>
[[gnu::always_inline]] inline V load_bytes(const void* from) {
  V v;
  std::memcpy(&v, from, sizeof(V));
  return v;
}

/// Writes past the caches; `to` is aligned to kVectorBytes. Other threads see it only after
/// end_streams.
[[gnu::always_inline]] inline void stream(float* to, VecF v) {
#if defined(__AVX512F__)
  _mm512_stream_ps(to, __builtin_bit_cast(__m512, v));
#elif defined(__F16C__)
  _mm256_stream_ps(to, __builtin_bit_cast(__m256, v));
#else
  std::memcpy(to, &v, sizeof(v));
#endif
}

/// Orders what was streamed before what is written from now on.
[[gnu::always_inline]] inline void end_streams() {
#if defined(__F16C__)
  _mm_sfence();
#endif
}

/// 16-bit lanes as 32-bit lanes; GCC 12 by itself converts AVX-512 vectors in halves.
[[gnu::always_inline]] inline VecU widen(VecH half) {
#if defined(__AVX512F__)
  return __builtin_bit_cast(VecU,
                            _mm512_maskz_cvtepu16_epi32(0xffff, __builtin_bit_cast(__m256i, half)));
#else
  return __builtin_convertvector(half, VecU);
#endif
}

[[gnu::always_inline]] inline VecF from_bf16(VecH half) {
  return __builtin_bit_cast(VecF, widen(half) << 16);
}

[[gnu::always_inline]] inline VecF from_f16(VecH half) {
#if defined(__AVX512F__)
  return __builtin_bit_cast(VecF, _mm512_maskz_cvtph_ps(0xffff, __builtin_bit_cast(__m256i, half)));
#elif defined(__F16C__)
  return __builtin_bit_cast(VecF, _mm256_cvtph_ps(__builtin_bit_cast(__m128i, half)));
#else
  const VecU wide = __builtin_convertvector(half, VecU);
  const VecU sign = (wide & 0x8000u) << 16;
  const VecU magnitude = (wide & 0x7fffu) << 13;
  const VecF value = __builtin_bit_cast(VecF, magnitude) * 0x1p112f;
  const VecU bits = __builtin_bit_cast(VecU, value);
  return __builtin_bit_cast(VecF, (magnitude >= 0x0f800000u ? bits | 0x7f800000u : bits) | sign);
#endif
}

/// Rounds to the nearest, ties to even.
[[gnu::always_inline]] inline VecH to_bf16(VecF value) {
  const VecU bits = __builtin_bit_cast(VecU, value);
  const VecU rounded = (bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16;
  const VecU nan = ((bits >> 16) & 0x8000u) | 0x7fc0u;
  const VecU packed = (bits & 0x7fffffffu) > 0x7f800000u ? nan : rounded;
  return __builtin_convertvector(packed, VecH);
}

/// Rounds to the nearest, ties to even.
[[gnu::always_inline]] inline VecH to_f16(VecF value) {
#if defined(__AVX512F__)
  return __builtin_bit_cast(VecH,
                            _mm512_maskz_cvtps_ph(0xffff, __builtin_bit_cast(__m512, value), 0));
#elif defined(__F16C__)
  return __builtin_bit_cast(VecH, _mm256_cvtps_ph(__builtin_bit_cast(__m256, value), 0));
#else
  const VecU all = __builtin_bit_cast(VecU, value);
  const VecU sign = (all >> 16) & 0x8000u;
  const VecU bits = all & 0x7fffffffu;
  const VecU normal = (bits + 0xfffu + ((bits >> 13) & 1u) - 0x38000000u) >> 13;
  // Adding 0.5 aligns a subnormal's last bit with the last bit of the sum, which rounds it.
  const VecF aligned = __builtin_bit_cast(VecF, bits) + 0.5f;
  const VecU subnormal = __builtin_bit_cast(VecU, aligned) - 0x3f000000u;
  const VecU infinite = VecU{} + 0x7c00u;
  VecU packed = bits < 0x38800000u ? subnormal : normal;
  packed = bits >= 0x477ff000u ? infinite : packed;
  packed = bits > 0x7f800000u ? infinite | 0x0200u : packed;
  return __builtin_convertvector(packed | sign, VecH);
#endif
}

[[gnu::always_inline]] inline VecF load(const float* from) { return load_bytes<VecF>(from); }
[[gnu::always_inline]] inline VecF load(const bf16* from) {
  return from_bf16(load_bytes<VecH>(from));
}
[[gnu::always_inline]] inline VecF load(const f16* from) {
  return from_f16(load_bytes<VecH>(from));
}

[[gnu::always_inline]] inline void store(float* to, VecF v) { std::memcpy(to, &v, sizeof v); }
[[gnu::always_inline]] inline void store(bf16* to, VecF v) {
  const VecH half = to_bf16(v);
  std::memcpy(static_cast<void*>(to), &half, sizeof half);
}
[[gnu::always_inline]] inline void store(f16* to, VecF v) {
  const VecH half = to_f16(v);
  std::memcpy(static_cast<void*>(to), &half, sizeof half);
}

/// The first `count` < kLanes elements; the other lanes are 0.
template <class T>
[[gnu::always_inline]] inline VecF load_first(const T* from, int count) {
#if defined(__AVX512F__)
  const uint32_t mask = (1u << count) - 1;
  if constexpr (sizeof(T) == 4) {
    return __builtin_bit_cast(VecF, _mm512_maskz_loadu_ps(static_cast<__mmask16>(mask), from));
  } else {
    const __m256i bits = _mm256_maskz_loadu_epi16(static_cast<__mmask16>(mask), from);
    const VecH half = __builtin_bit_cast(VecH, bits);
    return std::is_same_v<T, bf16> ? from_bf16(half) : from_f16(half);
  }
#else
  alignas(kVectorBytes) T buffer[kLanes] = {};
  for (int i = 0; i < count; ++i) buffer[i] = from[i];
  return load(buffer);
#endif
}

/// Writes the first `count` < kLanes lanes.
template <class T>
[[gnu::always_inline]] inline void store_first(T* to, VecF v, int count) {
#if defined(__AVX512F__)
  const uint32_t mask = (1u << count) - 1;
  if constexpr (sizeof(T) == 4) {
    _mm512_mask_storeu_ps(to, static_cast<__mmask16>(mask), __builtin_bit_cast(__m512, v));
  } else {
    const VecH half = std::is_same_v<T, bf16> ? to_bf16(v) : to_f16(v);
    _mm256_mask_storeu_epi16(to, static_cast<__mmask16>(mask), __builtin_bit_cast(__m256i, half));
  }
#else
  alignas(kVectorBytes) T buffer[kLanes];
  store(buffer, v);
  for (int i = 0; i < count; ++i) to[i] = buffer[i];
#endif
}

// One element at a time, without the conversions of small_float.h: those are ordinary inline
// functions, of which the linker might keep the copy of another instruction set.
template <class T>
[[gnu::always_inline]] inline float load_one(const T* from) {
  if constexpr (sizeof(T) == 4) {
    return *from;
  } else if constexpr (std::is_same_v<T, bf16>) {
    return __builtin_bit_cast(float, static_cast<uint32_t>(from->bits) << 16);
  } else {
    return from_f16(VecH{} + from->bits)[0];
  }
}
template <class T>
[[gnu::always_inline]] inline void store_one(T* to, float value) {
  if constexpr (sizeof(T) == 4) {
    *to = value;
  } else if constexpr (std::is_same_v<T, bf16>) {
    to->bits = to_bf16(value - VecF{})[0];
  } else {
    to->bits = to_f16(value - VecF{})[0];
  }
}

}  // namespace tutti::cpu::TUTTI_ISA
