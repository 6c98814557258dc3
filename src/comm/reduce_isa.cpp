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

/// Elements [i, i + kCount) of `count` inputs; kInputs is count where it is known, else 0.
template <class T, class Op, int kInputs>
[[gnu::always_inline]] inline typename Lanes<T>::Vec fold(const void* const* ins, size_t count,
                                                          int64_t i) {
  auto sum = Lanes<T>::load(static_cast<const T*>(ins[0]) + i);
  const size_t inputs = kInputs != 0 ? kInputs : count;
  for (size_t k = 1; k < inputs; ++k)
    sum = Op::combine(sum, Lanes<T>::load(static_cast<const T*>(ins[k]) + i));
  if constexpr (std::is_same_v<Op, Average>) {
    using Element = std::remove_reference_t<decltype(sum[0])>;
    sum = sum / (decltype(sum){} + static_cast<Element>(inputs));
  }
  return sum;
}

template <class T, class Op, int kInputs>
void fold_all(const void* const* ins, size_t count, void* out, int64_t n) {
  constexpr int kCount = Lanes<T>::kCount;
  int64_t i = 0;
  for (; i + kCount <= n; i += kCount)
    Lanes<T>::store(static_cast<T*>(out) + i, fold<T, Op, kInputs>(ins, count, i));
  if (i == n) return;
  // What is left goes through vectors as well: one rounding for all, whatever the length.
  T rest[kMostRanks][kCount] = {};
  const void* lines[kMostRanks] = {};
  const size_t bytes = static_cast<size_t>(n - i) * sizeof(T);
  for (size_t k = 0; k < count; ++k) {
    std::memcpy(static_cast<void*>(rest[k]), static_cast<const T*>(ins[k]) + i, bytes);
    lines[k] = rest[k];
  }
  T last[kCount];
  Lanes<T>::store(last, fold<T, Op, kInputs>(lines, count, 0));
  std::memcpy(static_cast<void*>(static_cast<T*>(out) + i), last, bytes);
}

template <class T, class Op>
void reduce(const void* const* ins, size_t count, void* out, int64_t n) {
  if (count == 2) return fold_all<T, Op, 2>(ins, count, out, n);
  if (count == 4) return fold_all<T, Op, 4>(ins, count, out, n);
  fold_all<T, Op, 0>(ins, count, out, n);
}

template <bool kAnd>
void reduce_bool(const void* const* ins, size_t count, void* out, int64_t n) {
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

}  // namespace

const Kernels& kernels();
const Kernels& kernels() {
  static const Kernels kKernels = [] {
    Kernels k;
    fill<double>(k, DType::f64);
    fill<float>(k, DType::f32);
    fill<f16>(k, DType::f16);
    fill<bf16>(k, DType::bf16);
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
