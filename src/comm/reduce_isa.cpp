// SPDX-License-Identifier: Apache-2.0
#include <cstring>

#include "comm/reduce_kernel.h"
#include "device/cpu/vector.h"

namespace tutti::comm::TUTTI_ISA {
namespace {

namespace vec = cpu::TUTTI_ISA;

// Vectors in which elements of a stored type are combined, with their loads and stores.
template <class T>
struct Lanes {
  using Vec [[gnu::vector_size(vec::kVectorBytes)]] = T;
  static constexpr int kCount = vec::kVectorBytes / static_cast<int>(sizeof(T));
  [[gnu::always_inline]] static Vec load(const T* from) { return vec::load_bytes<Vec>(from); }
  [[gnu::always_inline]] static void store(T* to, Vec v) { std::memcpy(to, &v, sizeof v); }
};
template <class T>
struct SmallLanes {
  using Vec = vec::VecF;
  static constexpr int kCount = vec::kLanes;
  [[gnu::always_inline]] static Vec load(const T* from) { return vec::load(from); }
  [[gnu::always_inline]] static void store(T* to, Vec v) { vec::store(to, v); }
};
/// 8-bit floats; small_float.h has the same for one at a time.
template <class T, int kExponent, int kMantissa, bool kHasInf>
struct TinyLanes {
  using Vec = vec::VecF;
  using Bits = vec::VecU;
  using Bytes [[gnu::vector_size(vec::kLanes)]] = uint8_t;
  static constexpr int kCount = vec::kLanes;
  static constexpr int kShift = 23 - kMantissa;
  static constexpr uint32_t kOffset = 128 - (1u << (kExponent - 1));  // of the exponent from f32's
  static constexpr uint32_t kTop = ((1u << kExponent) - 1) << kMantissa;
  static constexpr uint32_t kNan = kHasInf ? kTop | (1u << (kMantissa - 1)) : 0x7f;
  static constexpr uint32_t kMost = kHasInf ? kTop - 1 : 0x7e;

  [[gnu::always_inline]] static Vec load(const T* from) {
    const Bits wide = __builtin_convertvector(vec::load_bytes<Bytes>(from), Bits);
    const Bits magnitude = wide & 0x7fu;
    const Bits scale = Bits{} + ((127 + kOffset) << 23);
    const Vec value = __builtin_bit_cast(Vec, magnitude << kShift) * __builtin_bit_cast(Vec, scale);
    const Bits bits = __builtin_bit_cast(Bits, value);
    const Bits special = bits | 0x7f800000u | (magnitude << kShift);
    return __builtin_bit_cast(
        Vec, (magnitude > (kHasInf ? kTop - 1 : kMost) ? special : bits) | (wide & 0x80u) << 24);
  }

  [[gnu::always_inline]] static void store(T* to, Vec v) {
    const Bits all = __builtin_bit_cast(Bits, v);
    const Bits bits = all & 0x7fffffffu;
    const Bits odd = (bits >> kShift) & 1u;
    const Bits normal =
        ((bits + ((1u << (kShift - 1)) - 1) + odd) >> kShift) - (kOffset << kMantissa);
    // Adding a number whose last bit is that of subnormals rounds to them.
    const Bits magic = Bits{} + ((kOffset + 1 + kShift) << 23);
    const Vec aligned = __builtin_bit_cast(Vec, bits) + __builtin_bit_cast(Vec, magic);
    const Bits subnormal = __builtin_bit_cast(Bits, aligned) - magic;
    Bits packed = bits < Bits{} + ((kOffset + 1) << 23) ? subnormal : normal;
    packed = packed > Bits{} + kMost ? Bits{} + (kHasInf ? kTop : kMost) : packed;
    packed = bits > Bits{} + 0x7f800000u ? Bits{} + kNan : packed;
    const Bytes bytes = __builtin_convertvector(packed | (all >> 24 & 0x80u), Bytes);
    std::memcpy(static_cast<void*>(to), &bytes, sizeof bytes);
  }
};

template <>
struct Lanes<f8_e4m3> : TinyLanes<f8_e4m3, 4, 3, false> {};
template <>
struct Lanes<f8_e5m2> : TinyLanes<f8_e5m2, 5, 2, true> {};
template <>
struct Lanes<f16> : SmallLanes<f16> {};
template <>
struct Lanes<bf16> : SmallLanes<bf16> {};

struct Sum {
  template <class V>
  [[gnu::always_inline]] static V combine(V a, V b) {
    return a + b;
  }
};
struct Average : Sum {};
struct Product {
  template <class V>
  [[gnu::always_inline]] static V combine(V a, V b) {
    return a * b;
  }
};
struct Largest {
  template <class V>
  [[gnu::always_inline]] static V combine(V a, V b) {
    return ((a > b) | (a != a)) ? a : b;
  }
};
struct Smallest {
  template <class V>
  [[gnu::always_inline]] static V combine(V a, V b) {
    return ((a < b) | (a != a)) ? a : b;
  }
};

/// Elements [i, i + kCount) of `count` inputs; kInputs is count where it is known, else 0. An
/// average divides by `ranks`.
template <class T, class Op, int kInputs>
[[gnu::always_inline]] inline typename Lanes<T>::Vec fold(const void* const* ins, size_t count,
                                                          int64_t i, size_t ranks) {
  auto sum = Lanes<T>::load(static_cast<const T*>(ins[0]) + i);
  const size_t inputs = kInputs != 0 ? kInputs : count;
  for (size_t k = 1; k < inputs; ++k)
    sum = Op::combine(sum, Lanes<T>::load(static_cast<const T*>(ins[k]) + i));
  if constexpr (std::is_same_v<Op, Average>) {
    using Element = std::remove_reference_t<decltype(sum[0])>;
    sum = sum / (decltype(sum){} + static_cast<Element>(ranks));
  }
  return sum;
}

/// From elements of type T to To, which is computed in the same.
template <class T, class To, class Op, int kInputs>
void fold_all(const void* const* ins, size_t count, void* out, int64_t n, size_t ranks) {
  constexpr int kCount = Lanes<T>::kCount;
  int64_t i = 0;
  for (; i + kCount <= n; i += kCount)
    Lanes<To>::store(static_cast<To*>(out) + i, fold<T, Op, kInputs>(ins, count, i, ranks));
  if (i == n) return;
  // What is left goes through vectors as well: one rounding for all, whatever the length.
  T rest[kMostRanks][kCount] = {};
  const void* lines[kMostRanks] = {};
  const auto left = static_cast<size_t>(n - i);
  for (size_t k = 0; k < count; ++k) {
    std::memcpy(static_cast<void*>(rest[k]), static_cast<const T*>(ins[k]) + i, left * sizeof(T));
    lines[k] = rest[k];
  }
  To last[kCount];
  Lanes<To>::store(last, fold<T, Op, kInputs>(lines, count, 0, ranks));
  std::memcpy(static_cast<void*>(static_cast<To*>(out) + i), last, left * sizeof(To));
}

template <class T, class Op>
void reduce(const void* const* ins, size_t count, void* out, int64_t n, size_t ranks) {
  if (count == 2) return fold_all<T, T, Op, 2>(ins, count, out, n, ranks);
  if (count == 4) return fold_all<T, T, Op, 4>(ins, count, out, n, ranks);
  fold_all<T, T, Op, 0>(ins, count, out, n, ranks);
}

template <bool kAnd>
void reduce_bool(const void* const* ins, size_t count, void* out, int64_t n, size_t) {
  for (int64_t i = 0; i < n; ++i) {
    bool all = kAnd;
    for (size_t k = 0; k < count; ++k) {
      const bool one = static_cast<const uint8_t*>(ins[k])[i] != 0;
      all = kAnd ? all & one : all | one;
    }
    static_cast<uint8_t*>(out)[i] = all;
  }
}

void stream(void* to, const void* from, size_t bytes) {
  constexpr size_t kBytes = vec::kVectorBytes;
  char* t = static_cast<char*>(to);
  const char* f = static_cast<const char*>(from);
  const size_t head = (kBytes - reinterpret_cast<uintptr_t>(t) % kBytes) % kBytes;
  if (bytes < head + 4 * kBytes || head % sizeof(float) != 0) {
    std::memcpy(t, f, bytes);
    return;
  }
  std::memcpy(t, f, head);
  size_t i = head;
  for (; i + kBytes <= bytes; i += kBytes)
    vec::stream(reinterpret_cast<float*>(t + i), vec::load_bytes<vec::VecF>(f + i));
  std::memcpy(t + i, f + i, bytes - i);
#if defined(__F16C__)
  _mm_sfence();
#endif
}

/// One row of the table; what is not there is refused before anybody asks.
template <class T>
void fill(Kernels& kernels, DType dtype) {
  auto& row = kernels.reduce[static_cast<int>(dtype)];
  // Sums and products of signed integers wrap as those of unsigned ones.
  using Wrapping = typename std::conditional_t<std::is_integral_v<T>, std::make_unsigned<T>,
                                               std::type_identity<T>>::type;
  row[static_cast<int>(Reduce::sum)] = reduce<Wrapping, Sum>;
  row[static_cast<int>(Reduce::prod)] = reduce<Wrapping, Product>;
  row[static_cast<int>(Reduce::max)] = reduce<T, Largest>;
  row[static_cast<int>(Reduce::min)] = reduce<T, Smallest>;
  if constexpr (!std::is_integral_v<T>) row[static_cast<int>(Reduce::avg)] = reduce<T, Average>;
}

/// A small float, with its partial results in f32.
template <class T>
void fill_small(Kernels& kernels, DType dtype) {
  fill<T>(kernels, dtype);
  const auto both = [&](Reduce op, auto combine) {
    using Op = decltype(combine);
    kernels.to_partial[static_cast<int>(dtype)][static_cast<int>(op)] = fold_all<T, float, Op, 0>;
    kernels.from_partial[static_cast<int>(dtype)][static_cast<int>(op)] = fold_all<float, T, Op, 0>;
  };
  both(Reduce::sum, Sum{});
  both(Reduce::prod, Product{});
  both(Reduce::max, Largest{});
  both(Reduce::min, Smallest{});
  kernels.from_partial[static_cast<int>(dtype)][static_cast<int>(Reduce::avg)] =
      fold_all<float, T, Average, 0>;
}

}  // namespace

const Kernels& kernels();
const Kernels& kernels() {
  static const Kernels kKernels = [] {
    Kernels k;
    fill<double>(k, DType::f64);
    fill<float>(k, DType::f32);
    fill_small<f16>(k, DType::f16);
    fill_small<bf16>(k, DType::bf16);
    fill_small<f8_e4m3>(k, DType::f8_e4m3);
    fill_small<f8_e5m2>(k, DType::f8_e5m2);
    fill<int64_t>(k, DType::i64);
    fill<int32_t>(k, DType::i32);
    fill<int16_t>(k, DType::i16);
    fill<int8_t>(k, DType::i8);
    fill<uint8_t>(k, DType::u8);
    auto& logical = k.reduce[static_cast<int>(DType::boolean)];
    logical[static_cast<int>(Reduce::max)] = reduce_bool<false>;
    logical[static_cast<int>(Reduce::min)] = reduce_bool<true>;
    k.stream = stream;
    return k;
  }();
  return kKernels;
}

}  // namespace tutti::comm::TUTTI_ISA
