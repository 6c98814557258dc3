// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <utility>

#include "device/cpu/attention_plan.h"
#include "device/cpu/vector.h"
#include "device/cpu/vector_math.h"

// For x_isa.cpp files only: what the attention kernels share.
namespace tutti::cpu::TUTTI_ISA {

inline constexpr float kLog2E = 0x1.715476p+0f;
inline constexpr float kLn2 = 0x1.62e43p-1f;
inline constexpr float kMinusInf = -__builtin_inff();

/// Calls body.operator()<0>() to body.operator()<count - 1>(): loops that keep arrays in registers.
template <int kCount, class Body>
[[gnu::always_inline]] inline void unroll(const Body& body) {
  [&]<int... kIndex>(std::integer_sequence<int, kIndex...>) __attribute__((always_inline)) {
    (body.template operator()<kIndex>(), ...);
  }
  (std::make_integer_sequence<int, kCount>{});
}

[[gnu::always_inline]] inline VecF broadcast(float value) { return value - VecF{}; }

/// 2^x within 2 ulp for x <= 127; 0 below -126.
[[gnu::always_inline]] inline VecF exp2(VecF x) {
#if defined(__AVX512F__)
  const VecF n = __builtin_bit_cast(
      VecF, _mm512_maskz_roundscale_ps(0xffff, __builtin_bit_cast(__m512, x), 8));
#else
  const VecF shifted = math::max(x, broadcast(-126.0f)) + math::detail::kRoundMagic;
  const VecF n = shifted - math::detail::kRoundMagic;
#endif
  const VecF p = math::polynomial(x - n, 1.0f, 0.6931469776f, 0.2402224209f, 0.05550733743f,
                                  0.00967151264f, 0.001326472722f);
#if defined(__AVX512F__)
  const __mmask16 normal =
      _mm512_cmp_ps_mask(__builtin_bit_cast(__m512, x), _mm512_set1_ps(-126), _CMP_NLT_UQ);
  return __builtin_bit_cast(VecF, _mm512_maskz_scalef_ps(normal, __builtin_bit_cast(__m512, p),
                                                         __builtin_bit_cast(__m512, n)));
#else
  // The low bits of `shifted` are n. A product, since adding to the bits of NaN could lose it.
  const VecU power = (__builtin_bit_cast(VecU, shifted) << 23) + 0x3f800000u;
  return x < -126.0f ? VecF{} : p * __builtin_bit_cast(VecF, power);
#endif
}

/// A finite stand-in for -inf, so that (-inf) - m is -inf and never NaN.
[[gnu::always_inline]] inline VecF finite_max(VecF m) { return m == kMinusInf ? VecF{} : m; }

/// Swaps the off-diagonal blocks of `kHalf` lanes of a and b.
template <int kHalf>
[[gnu::always_inline]] inline void swap_blocks(VecF& a, VecF& b) {
  [&]<int... kLane>(std::integer_sequence<int, kLane...>) __attribute__((always_inline)) {
    const VecF low =
        __builtin_shufflevector(a, b, ((kLane & kHalf) ? kLane - kHalf + kLanes : kLane)...);
    const VecF high =
        __builtin_shufflevector(a, b, ((kLane & kHalf) ? kLane + kLanes : kLane + kHalf)...);
    a = low;
    b = high;
  }
  (std::make_integer_sequence<int, kLanes>{});
}

template <int kHalf>
[[gnu::always_inline]] inline void transpose_registers(VecF* row) {
  unroll<kLanes>([&]<int kRow>() __attribute__((always_inline)) {
    if constexpr ((kRow & kHalf) == 0) swap_blocks<kHalf>(row[kRow], row[kRow + kHalf]);
  });
  if constexpr (kHalf > 1) transpose_registers<kHalf / 2>(row);
}

/// to[column][row] = from[row][column] for kLanes rows and `columns` columns, a multiple of kLanes.
[[gnu::always_inline]] inline void transpose_rows(const float* from, int64_t from_stride,
                                                  int64_t columns, float* to, int64_t to_stride) {
  for (int64_t column = 0; column < columns; column += kLanes) {
    VecF row[kLanes];
    unroll<kLanes>([&]<int kRow>() __attribute__((always_inline)) {
      row[kRow] = load(from + kRow * from_stride + column);
    });
    transpose_registers<kLanes / 2>(row);
    unroll<kLanes>([&]<int kRow>() __attribute__((always_inline)) {
      store(to + (column + kRow) * to_stride, row[kRow]);
    });
  }
}

/// The sums of the lanes of kLanes vectors.
template <int kHalf = kLanes / 2>
[[gnu::always_inline]] inline VecF lane_sums(VecF* row) {
  unroll<kHalf>([&]<int kRow>() __attribute__((always_inline)) {
    VecF other = row[kRow + kHalf];
    swap_blocks<kHalf>(row[kRow], other);
    row[kRow] += other;
  });
  if constexpr (kHalf > 1) return lane_sums<kHalf / 2>(row);
  return row[0];
}

/// Copies elements `column` apart into f32; fills up with zeros to whole vectors.
template <class T>
[[gnu::always_inline]] inline void copy_row(const T* from, int64_t column, int64_t columns,
                                            float* to) {
  int64_t i = 0;
  if (column == 1) {
    for (; i + kLanes <= columns; i += kLanes) store(to + i, load(from + i));
    if (i < columns) store(to + i, load_first(from + i, static_cast<int>(columns - i)));
    return;
  }
  for (; i < columns; i += kLanes) {
    alignas(kVectorBytes) float lane[kLanes] = {};
    for (int l = 0; l < kLanes && i + l < columns; ++l) lane[l] = load_one(from + (i + l) * column);
    store(to + i, load(lane));
  }
}

/// The reverse of copy_row; nothing is written behind the last column.
template <class T>
[[gnu::always_inline]] inline void write_row(const float* from, T* to, int64_t column,
                                             int64_t columns) {
  int64_t i = 0;
  if (column == 1) {
    for (; i + kLanes <= columns; i += kLanes) store(to + i, load(from + i));
    if (i < columns) store_first(to + i, load(from + i), static_cast<int>(columns - i));
    return;
  }
  for (; i < columns; ++i) store_one(to + i * column, from[i]);
}

/// Calls body with a null pointer to the type of f32, bf16 or f16.
template <class Body>
[[gnu::always_inline]] inline void with_float(DType dtype, const Body& body) {
  switch (dtype) {
    case DType::bf16:
      return body(static_cast<const bf16*>(nullptr));
    case DType::f16:
      return body(static_cast<const f16*>(nullptr));
    default:
      return body(static_cast<const float*>(nullptr));
  }
}

/// One task's place in the problem.
struct TaskPlace {
  int64_t b, kv_head;
  int64_t row, rows;     // first row and number
  int64_t key, key_end;  // cut to those that rows see
};

/// Query i's keys, of those there are; end may be before begin.
struct SeenKeys {
  int64_t begin, end;
};

[[gnu::always_inline]] inline SeenKeys seen_keys(const AttentionPlan& plan, int64_t first_query,
                                                 int64_t last_query) {
  const int64_t begin = first_query + plan.first, end = last_query + plan.end;
  return {begin < 0 ? 0 : begin, end > plan.spec.t ? plan.spec.t : end};
}

[[gnu::always_inline]] inline TaskPlace locate(const AttentionPlan& plan, int64_t task) {
  const int64_t block = task / plan.splits;
  const int64_t head = block / plan.row_blocks;
  // Late blocks have most keys when causal: they start first.
  const int64_t row = (plan.row_blocks - 1 - block % plan.row_blocks) * plan.block_rows;
  TaskPlace place{head / plan.spec.n_kv, head % plan.spec.n_kv, row, plan.rows - row, 0, 0};
  if (place.rows > plan.block_rows) place.rows = plan.block_rows;
  const SeenKeys seen = seen_keys(plan, row / plan.group, (row + place.rows - 1) / plan.group);
  place.key = seen.begin + task % plan.splits * plan.split_keys;
  place.key_end = place.key + plan.split_keys;
  if (place.key_end > seen.end) place.key_end = seen.end;
  return place;
}

/// Elements from the base to the task's row `row`, for q, out and mask.
[[gnu::always_inline]] inline int64_t row_offset(const AttentionPlan& plan, const TaskPlace& place,
                                                 const AttentionStrides& strides, int64_t row) {
  const int64_t r = place.row + row;
  const int64_t query = plan.group == 1 ? r : r / plan.group;
  const int64_t head = place.kv_head * plan.group + (r - query * plan.group);
  return place.b * strides.b + head * strides.n + query * strides.row;
}

/// Brings a row of q, scaled, in f32.
[[gnu::always_inline]] inline void load_query(const AttentionPlan& plan, const TaskPlace& place,
                                              const void* q, int64_t row, float* to) {
  const int64_t offset = row_offset(plan, place, plan.spec.q, row);
  const float factor = static_cast<float>(plan.spec.scale) * kLog2E;
  with_float(plan.spec.dtype, [&](auto type) {
    copy_row(static_cast<decltype(type)>(q) + offset, plan.spec.q.column, plan.spec.d, to);
  });
  for (int64_t i = 0; i < plan.d_padded; i += kLanes) store(to + i, load(to + i) * factor);
}

/// A block of keys or values in f32, row by row.
struct Rows {
  const float* data;
  int64_t stride;
};

/// k or v of a task.
struct Source {
  const void* data;
  const AttentionStrides& strides;
  int64_t columns;
  int64_t padded;  // columns, rounded up
  float* space;    // for rows that cannot be read where they are
};

[[gnu::always_inline]] inline Source keys_of(const AttentionPlan& plan, const AttentionArgs& args,
                                             float* space) {
  return {args.k, plan.spec.k, plan.spec.d, plan.d_padded, space + plan.space.k};
}

[[gnu::always_inline]] inline Source values_of(const AttentionPlan& plan, const AttentionArgs& args,
                                               float* space) {
  return {args.v, plan.spec.v, plan.spec.dv, plan.dv_padded, space + plan.space.v};
}

/// Whether rows of k or v are f32 in a line. The narrow kernel reads whole vectors only.
[[gnu::always_inline]] inline bool is_plain(const AttentionPlan& plan, const Source& source) {
  return plan.spec.dtype == DType::f32 && source.strides.column == 1 &&
         (!plan.narrow || source.columns == source.padded);
}

/// Finds rows [row, row + rows) of k or v; brings them into source.space [rows, padded] with zeros
/// behind the last column, unless they are plain.
[[gnu::always_inline]] inline Rows stage(const AttentionPlan& plan, const TaskPlace& place,
                                         const Source& source, int64_t row, int64_t rows) {
  const AttentionStrides& strides = source.strides;
  const int64_t offset = place.b * strides.b + place.kv_head * strides.n + row * strides.row;
  if (is_plain(plan, source)) return {static_cast<const float*>(source.data) + offset, strides.row};
  with_float(plan.spec.dtype, [&](auto type) {
    const auto* from = static_cast<decltype(type)>(source.data) + offset;
    for (int64_t r = 0; r < rows; ++r) {
      copy_row(from + r * strides.row, strides.column, source.columns,
               source.space + r * source.padded);
    }
  });
  return {source.space, source.padded};
}

/// Brings `keys` elements of a mask as addends in base-2 logarithms, -inf for false; -inf up to a
/// multiple of kLanes. Returns whether any key is attended to.
bool load_mask(DType dtype, const void* mask, int64_t offset, int64_t column, int64_t keys,
               float* to);

/// Writes a finished row to out and lse, or to the task's part of `partials`; spoils `o`.
void finish_row(const AttentionPlan& plan, const AttentionArgs& args, const TaskPlace& place,
                int64_t row, float max, float sum, float* o, float* partial);

}  // namespace tutti::cpu::TUTTI_ISA
