// SPDX-License-Identifier: Apache-2.0
#include "device/cpu/attention_vector.h"

// The narrow kernel, for few rows (one query at a time, mostly): lanes run along d and dv. And what
// both kernels share.
namespace tutti::cpu::TUTTI_ISA {

namespace {

/// Converts one type of addend; a finite mask stays finite in base-2 logarithms.
[[gnu::always_inline]] inline void scale_mask(int64_t keys, float* to) {
  constexpr float kLowest = -__FLT_MAX__;
  for (int64_t i = 0; i < keys; i += kLanes) {
    const VecF natural = load(to + i);
    const VecF scaled = natural * kLog2E;
    store(to + i, scaled < kLowest ? (natural < kLowest ? scaled : broadcast(kLowest)) : scaled);
  }
}

/// The largest lane, NaN ignored; the sum of all lanes.
[[gnu::always_inline]] inline float max_of(VecF v) {
  float max = kMinusInf;
  for (int lane = 0; lane < kLanes; ++lane) max = v[lane] > max ? v[lane] : max;
  return max;
}

[[gnu::always_inline]] inline float sum_of(VecF v) {
  float lane[kLanes];
  store(lane, v);
  for (int half = kLanes / 2; half > 0; half /= 2)
    for (int i = 0; i < half; ++i) lane[i] += lane[i + half];
  return lane[0];
}

#if defined(__AVX512F__)
constexpr int kSharedVectors = 4;  // of o, when rows share what is read of v
#else
constexpr int kSharedVectors = 2;
#endif

constexpr int64_t kStagedKeys = 32;

/// A block of keys and what the rows of the task make of it.
struct Block {
  int64_t key, keys;
  float* scores;  // [rows, kAttentionKeys]
};

/// Scores of kLanes keys from `key` on, of which those behind the block's last mean nothing.
[[gnu::always_inline]] inline VecF score_keys(const float* q, int64_t d, const float* const* line) {
  VecF sum[kLanes] = {};
  for (int64_t i = 0; i < d; i += kLanes) {
    const VecF query = load(q + i);
    unroll<kLanes>([&]<int kKey>() __attribute__((always_inline)) {
      sum[kKey] += query * load(line[kKey] + i);
    });
  }
  return lane_sums(sum);
}

/// scores[row][key] = q k, rounded up to kLanes keys; k is read once.
void score_rows(const AttentionPlan& plan, const AttentionArgs& args, const TaskPlace& place,
                const Block& block, float* space) {
  const Source source = keys_of(plan, args, space);
  for (int64_t key = 0; key < block.keys; key += kLanes) {
    const int64_t keys = block.keys - key < kLanes ? block.keys - key : kLanes;
    const Rows k = stage(plan, place, source, block.key + key, keys);
    const float* line[kLanes];
    for (int i = 0; i < kLanes; ++i) line[i] = k.data + (i < keys ? i : keys - 1) * k.stride;
    for (int64_t row = 0; row < place.rows; ++row) {
      store(block.scores + row * kAttentionKeys + key,
            score_keys(space + plan.space.q + row * plan.d_padded, plan.d_padded, line));
    }
  }
}

/// Adds the mask to a row's scores and hides what lies outside of its band or behind the last key.
void mask_row(const AttentionPlan& plan, const AttentionArgs& args, const TaskPlace& place,
              int64_t row, const Block& block, float* mask) {
  float* const scores = block.scores + row * kAttentionKeys;
  if (plan.masked) {
    const AttentionStrides& strides = plan.mask.strides;
    const int64_t offset = row_offset(plan, place, strides, row) + block.key * strides.column;
    load_mask(plan.mask.dtype, args.mask, offset, strides.column, block.keys, mask);
    for (int64_t i = 0; i < block.keys; i += kLanes)
      store(scores + i, load(scores + i) + load(mask + i));
  }
  const int64_t query = (place.row + row) / plan.group;
  const SeenKeys seen = seen_keys(plan, query, query);
  const int64_t begin = seen.begin - block.key, end = seen.end - block.key;
  const int64_t padded = (block.keys + kLanes - 1) / kLanes * kLanes;
  for (int64_t i = 0; i < begin && i < padded; ++i) scores[i] = kMinusInf;
  for (int64_t i = end < 0 ? 0 : end; i < padded; ++i) scores[i] = kMinusInf;
}

/// Turns a row's scores into weights 2^(score - max); returns what earlier sums are worth now.
float weigh_row(int64_t keys, float* scores, float* row_max, float* row_sum) {
  const int64_t padded = (keys + kLanes - 1) / kLanes * kLanes;
  VecF max = broadcast(*row_max);
  for (int64_t i = 0; i < padded; i += kLanes) max = math::max(max, load(scores + i));
  const float now = max_of(max);
  const VecF finite = finite_max(broadcast(now));
  const float decay = exp2(broadcast(*row_max) - finite)[0];
  VecF sum = {};
  for (int64_t i = 0; i < padded; i += kLanes) {
    const VecF weight = exp2(load(scores + i) - finite);
    store(scores + i, weight);
    sum += weight;
  }
  *row_max = now;
  *row_sum = *row_sum * decay + sum_of(sum);
  return decay;
}

/// o[row][column] = o * decay + sum over keys of p[row][key] v[key][column], for kRows rows and
/// kVecs vectors of columns.
template <int kRows, int kVecs>
[[gnu::always_inline]] inline void add_values(const float* p, const float* v, int64_t v_stride,
                                              int64_t keys, const float* decay, float* o,
                                              int64_t o_stride) {
  VecF sum[kRows * kVecs];
  unroll<kRows * kVecs>([&]<int kIndex>() __attribute__((always_inline)) {
    constexpr int kRow = kIndex / kVecs, kVec = kIndex % kVecs;
    sum[kIndex] = load(o + kRow * o_stride + kVec * kLanes) * decay[kRow];
  });
  for (int64_t key = 0; key < keys; ++key, ++p, v += v_stride) {
    VecF value[kVecs];
    unroll<kVecs>([&]<int kVec>()
                      __attribute__((always_inline)) { value[kVec] = load(v + kVec * kLanes); });
    unroll<kRows>([&]<int kRow>() __attribute__((always_inline)) {
      const float weight = p[kRow * kAttentionKeys];
      unroll<kVecs>([&]<int kVec>() __attribute__((always_inline)) {
        sum[kRow * kVecs + kVec] += value[kVec] * weight;
      });
    });
  }
  unroll<kRows * kVecs>([&]<int kIndex>() __attribute__((always_inline)) {
    constexpr int kRow = kIndex / kVecs, kVec = kIndex % kVecs;
    store(o + kRow * o_stride + kVec * kLanes, sum[kIndex]);
  });
}

/// add_values for all columns of kRows rows.
template <int kRows, int kVecs>
void add_columns(const AttentionPlan& plan, const float* p, Rows v, int64_t keys,
                 const float* decay, float* o, int64_t column = 0) {
  constexpr int kWidth = kVecs * kLanes;
  for (; column + kWidth <= plan.dv_padded; column += kWidth)
    add_values<kRows, kVecs>(p, v.data + column, v.stride, keys, decay, o + column, plan.dv_padded);
  if constexpr (kVecs > 1) add_columns<kRows, kVecs / 2>(plan, p, v, keys, decay, o, column);
}

/// Adds the block's values to all rows; v is read once for up to four rows.
void add_rows(const AttentionPlan& plan, const AttentionArgs& args, const TaskPlace& place,
              const Block& block, float* decay, float* space) {
  const Source source = values_of(plan, args, space);
  // What is converted should still be in the first cache when it is used.
  const int64_t most = is_plain(plan, source) ? block.keys : kStagedKeys;
  float* const o = space + plan.space.o;
  for (int64_t key = 0; key < block.keys; key += most) {
    const int64_t keys = block.keys - key < most ? block.keys - key : most;
    const Rows v = stage(plan, place, source, block.key + key, keys);
    const auto add = [&]<int kRows, int kVecs>(int64_t row) __attribute__((always_inline)) {
      add_columns<kRows, kVecs>(plan, block.scores + row * kAttentionKeys + key, v, keys,
                                decay + row, o + row * plan.dv_padded);
      return kRows;
    };
    int64_t row = 0;
    while (row + 4 <= place.rows) row += add.template operator()<4, kSharedVectors>(row);
    while (row + 2 <= place.rows) row += add.template operator()<2, 4>(row);
    while (row < place.rows) row += add.template operator()<1, 8>(row);
    for (int64_t i = 0; i < place.rows; ++i) decay[i] = 1;
  }
}

/// Attends all rows of the task to a block of keys.
void attend_rows(const AttentionPlan& plan, const AttentionArgs& args, const TaskPlace& place,
                 const Block& block, float* space) {
  score_rows(plan, args, place, block, space);
  float decay[kLanes];
  for (int64_t row = 0; row < place.rows; ++row) {
    mask_row(plan, args, place, row, block, space + plan.space.mask);
    decay[row] = weigh_row(block.keys, block.scores + row * kAttentionKeys,
                           space + plan.space.max + row, space + plan.space.sum + row);
  }
  add_rows(plan, args, place, block, decay, space);
}

}  // namespace

bool load_mask(DType dtype, const void* mask, int64_t offset, int64_t column, int64_t keys,
               float* to) {
  if (dtype == DType::boolean) {
    const uint8_t* const from = static_cast<const uint8_t*>(mask) + offset;
    if (column == 1) {
      for (int64_t i = 0; i < keys; ++i) to[i] = from[i] ? 0.0f : kMinusInf;
    } else {
      for (int64_t i = 0; i < keys; ++i) to[i] = from[i * column] ? 0.0f : kMinusInf;
    }
  } else {
    with_float(dtype, [&](auto type) {
      copy_row(static_cast<decltype(type)>(mask) + offset, column, keys, to);
    });
    scale_mask(keys, to);
  }
  const int64_t padded = (keys + kLanes - 1) / kLanes * kLanes;
  for (int64_t i = keys; i < padded; ++i) to[i] = kMinusInf;
  VecI seen = {};
  for (int64_t i = 0; i < padded; i += kLanes) seen |= load(to + i) != kMinusInf;
  int32_t any = 0;
  for (int lane = 0; lane < kLanes; ++lane) any |= seen[lane];
  return any != 0;
}

void finish_row(const AttentionPlan& plan, const AttentionArgs& args, const TaskPlace& place,
                int64_t row, float max, float sum, float* o, float* partial) {
  if (partial) {
    partial[row] = max;
    partial[plan.padded_rows + row] = sum;
    float* const to = partial + 2 * plan.padded_rows + row * plan.dv_padded;
    for (int64_t i = 0; i < plan.dv_padded; i += kLanes) store(to + i, load(o + i));
    return;
  }
  if (sum == 0) {
    for (int64_t i = 0; i < plan.dv_padded; i += kLanes) store(o + i, VecF{});
  } else {
    const float factor = 1.0f / sum;
    for (int64_t i = 0; i < plan.dv_padded; i += kLanes) store(o + i, load(o + i) * factor);
  }
  const int64_t offset = row_offset(plan, place, plan.spec.out, row);
  with_float(plan.spec.dtype, [&](auto type) {
    using T = std::remove_const_t<std::remove_pointer_t<decltype(type)>>;
    write_row(o, static_cast<T*>(args.out) + offset, plan.spec.out.column, plan.spec.dv);
  });
  if (!args.lse) return;
  const AttentionStrides dense{plan.spec.n * plan.spec.s, plan.spec.s, 1, 0};
  static_cast<float*>(args.lse)[row_offset(plan, place, dense, row)] = max * kLn2 + math::log(sum);
}

void run_narrow(const AttentionPlan& plan, const AttentionArgs& args, int64_t task, float* space,
                float* partials) {
  const TaskPlace place = locate(plan, task);
  float* const max = space + plan.space.max;
  float* const sum = space + plan.space.sum;
  float* const o = space + plan.space.o;
  for (int64_t row = 0; row < place.rows; ++row) {
    load_query(plan, place, args.q, row, space + plan.space.q + row * plan.d_padded);
    max[row] = kMinusInf;
    sum[row] = 0;
  }
  for (int64_t i = 0; i < place.rows * plan.dv_padded; i += kLanes) store(o + i, VecF{});
  for (int64_t key = place.key; key < place.key_end; key += kAttentionKeys) {
    int64_t keys = place.key_end - key;
    if (keys > kAttentionKeys) keys = kAttentionKeys;
    attend_rows(plan, args, place, {key, keys, space + plan.space.scores}, space);
  }
  float* const partial = partials ? partials + task * plan.partial_floats : nullptr;
  for (int64_t row = 0; row < place.rows; ++row)
    finish_row(plan, args, place, row, max[row], sum[row], o + row * plan.dv_padded, partial);
}

void run_merge(const AttentionPlan& plan, const AttentionArgs& args, int64_t block, float* space,
               float* partials) {
  const TaskPlace place = locate(plan, block * plan.splits);
  const float* const parts = partials + block * plan.splits * plan.partial_floats;
  float* const o = space + plan.space.lines;
  for (int64_t row = 0; row < place.rows; ++row) {
    float max = kMinusInf;
    for (int64_t split = 0; split < plan.splits; ++split) {
      const float part = parts[split * plan.partial_floats + row];
      if (part > max) max = part;
    }
    const VecF finite = finite_max(broadcast(max));
    float sum = 0;
    for (int64_t i = 0; i < plan.dv_padded; i += kLanes) store(o + i, VecF{});
    for (int64_t split = 0; split < plan.splits; ++split) {
      const float* const part = parts + split * plan.partial_floats;
      const float weight = exp2(broadcast(part[row]) - finite)[0];
      sum += part[plan.padded_rows + row] * weight;
      const float* const from = part + 2 * plan.padded_rows + row * plan.dv_padded;
      for (int64_t i = 0; i < plan.dv_padded; i += kLanes)
        store(o + i, load(o + i) + load(from + i) * weight);
    }
    finish_row(plan, args, place, row, max, sum, o, nullptr);
  }
}

}  // namespace tutti::cpu::TUTTI_ISA
