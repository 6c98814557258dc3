// SPDX-License-Identifier: Apache-2.0
#include <type_traits>

#include "device/cpu/vector.h"
#include "ops/region_compute.h"

namespace tutti::cpu::TUTTI_ISA {
namespace {

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
    if (lane != Lane::i64) return nullptr;
    constexpr bool kWraps = kFold == RegionFold::sum || kFold == RegionFold::prod;
    return reduce_plain<kFold, std::conditional_t<kWraps, uint64_t, int64_t>>;
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

// Calls row(register, memory) for the first element of every row.
template <class Register, class Memory, class F>
[[gnu::always_inline]] inline void each_row(Register* reg, Memory* memory, const BoxRows& rows,
                                            F&& row) {
  for (int64_t r = 0; r < rows.rows; ++r, reg += rows.n, memory += rows.row_stride)
    row(reg, memory);
}

template <class Memory, class Register>
void load_loop(void* y, const void* x, const BoxRows& rows) {
  const int64_t n = rows.n, stride = rows.stride;
  auto load_rows = [&](auto one) {
    each_row(static_cast<Register*>(y), static_cast<const Memory*>(x), rows,
             [&](Register* out, const Memory* in) {
               for (int64_t i = 0; i < n; ++i) out[i] = static_cast<Register>(one(in, i));
             });
  };
  if (stride == 1)
    load_rows([](const Memory* in, int64_t i) { return in[i]; });
  else if (stride == 0)
    load_rows([](const Memory* in, int64_t) { return in[0]; });
  else if (stride == 2)
    load_rows([](const Memory* in, int64_t i) { return in[2 * i]; });
  else
    load_rows([&](const Memory* in, int64_t i) { return in[i * stride]; });
}

template <class Memory, class Register>
void store_loop(void* y, const void* x, const BoxRows& rows) {
  const int64_t n = rows.n, stride = rows.stride;
  each_row(static_cast<const Register*>(x), static_cast<Memory*>(y), rows,
           [&](const Register* in, Memory* out) {
             if (stride == 1) {
               for (int64_t i = 0; i < n; ++i) out[i] = static_cast<Memory>(in[i]);
             } else if (stride == 2) {
               for (int64_t i = 0; i < n; ++i) out[2 * i] = static_cast<Memory>(in[i]);
             } else {
               for (int64_t i = 0; i < n; ++i) out[i * stride] = static_cast<Memory>(in[i]);
             }
           });
}

// f32 rows without gaps, short ones too, by whole vectors.
void load_f32(void* y, const void* x, const BoxRows& rows) {
  if (rows.stride != 1) return load_loop<float, float>(y, x, rows);
  const int rest = static_cast<int>(rows.n % kLanes);
  each_row(static_cast<float*>(y), static_cast<const float*>(x), rows,
           [&](float* out, const float* in) {
             int64_t i = 0;
             for (; i + kLanes <= rows.n; i += kLanes) store(out + i, load(in + i));
             if (rest > 0) store_first(out + i, load_first(in + i, rest), rest);
           });
}

void store_f32(void* y, const void* x, const BoxRows& rows) {
  if (rows.stride != 1) return store_loop<float, float>(y, x, rows);
  const int rest = static_cast<int>(rows.n % kLanes);
  each_row(static_cast<const float*>(x), static_cast<float*>(y), rows,
           [&](const float* in, float* out) {
             int64_t i = 0;
             for (; i + kLanes <= rows.n; i += kLanes) store(out + i, load(in + i));
             if (rest > 0) store_first(out + i, load_first(in + i, rest), rest);
           });
}

void stream_f32(void* y, const void* x, const BoxRows& rows) {
  if (rows.stride != 1) return store_loop<float, float>(y, x, rows);
  each_row(static_cast<const float*>(x), static_cast<float*>(y), rows,
           [&](const float* in, float* out) {
             int64_t i = 0;
             for (; i < rows.n && reinterpret_cast<uintptr_t>(out + i) % 64 != 0; ++i)
               out[i] = in[i];
             for (; i + kLanes <= rows.n; i += kLanes) stream(out + i, load(in + i));
             for (; i < rows.n; ++i) out[i] = in[i];
           });
}

template <class T>
void load_small(void* y, const void* x, const BoxRows& rows) {
  const int64_t n = rows.n, stride = rows.stride;
  each_row(static_cast<float*>(y), static_cast<const T*>(x), rows, [&](float* out, const T* in) {
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
  });
}

template <class T>
void store_small(void* y, const void* x, const BoxRows& rows) {
  const int64_t n = rows.n, stride = rows.stride;
  each_row(static_cast<const float*>(x), static_cast<T*>(y), rows, [&](const float* in, T* out) {
    T scattered[kLanes];
    for (int64_t i = 0; i < n; i += kLanes) {
      const int count = static_cast<int>(std::min<int64_t>(kLanes, n - i));
      const VecF value = count == kLanes ? load(in + i) : load_first(in + i, count);
      if (stride == 1 && count == kLanes) {
        store(out + i, value);
        continue;
      }
      store(scattered, value);
      for (int l = 0; l < count; ++l) out[(i + l) * stride].bits = scattered[l].bits;
    }
  });
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
      return kLoad ? load_f32 : store_f32;
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
const RegionLoops kRegionLoops = {find_compute,     find_convert, find_round,
                                  find_reduce,      find_spread,  find_move<true>,
                                  find_move<false>, stream_f32,   [] { end_streams(); }};

}  // namespace tutti::cpu::TUTTI_ISA
