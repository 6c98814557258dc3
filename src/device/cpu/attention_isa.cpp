// SPDX-License-Identifier: Apache-2.0
#include "device/cpu/attention_vector.h"

// The wide kernel: lanes are rows (queries). Scores are computed transposed, [keys, rows], so that
// maxima, sums and rescaling are plain vector operations, and so that k and v are read as scalars
// from where they lie; only q and the result are transposed.
namespace tutti::cpu::TUTTI_ISA {

extern const AttentionKernels kAttention;

namespace {

#if defined(__AVX512F__)
constexpr int kTileRows = 8;
constexpr int kPanelVectors = 3;
#elif defined(__AVX2__)
constexpr int kTileRows = 4;
constexpr int kPanelVectors = 3;
#else
constexpr int kTileRows = 4;
constexpr int kPanelVectors = 2;
#endif

/// A task at work.
struct Wide {
  const AttentionPlan& plan;
  const AttentionArgs& args;
  TaskPlace place;
  float* space;
};

/// Rows [row, row + kVecs * kLanes) of the task.
template <int kVecs>
struct Panel {
  static constexpr int kRows = kVecs * kLanes;
  int64_t row;
  int64_t valid;  // rows that exist
  float* q;       // [d, kRows]
  float* o;       // [dv, kRows]
  float* max;
  float* sum;
  const int32_t* begin;  // keys that a row sees
  const int32_t* end;
};

/// Scores of kKeys keys: to[key][row] = q k + mask; raises max.
template <int kKeys, int kVecs>
[[gnu::always_inline]] inline void score_tile(const float* k, int64_t k_stride, const float* q,
                                              int64_t d, const float* mask, float* to, VecF* max) {
  VecF score[kKeys * kVecs] = {};
  for (int64_t i = 0; i < d; ++i, q += kVecs * kLanes, ++k) {
    VecF query[kVecs];
    unroll<kVecs>([&]<int kVec>()
                      __attribute__((always_inline)) { query[kVec] = load(q + kVec * kLanes); });
    unroll<kKeys>([&]<int kKey>() __attribute__((always_inline)) {
      const float key = k[kKey * k_stride];
      unroll<kVecs>([&]<int kVec>() __attribute__((always_inline)) {
        score[kKey * kVecs + kVec] += query[kVec] * key;
      });
    });
  }
  unroll<kKeys * kVecs>([&]<int kIndex>() __attribute__((always_inline)) {
    if (mask) score[kIndex] += load(mask + kIndex * kLanes);
    store(to + kIndex * kLanes, score[kIndex]);
    max[kIndex % kVecs] = math::max(max[kIndex % kVecs], score[kIndex]);
  });
}

/// o[column][row] = o * decay + sum over keys of p[key][row] v[key][column], for kColumns columns.
template <int kColumns, int kVecs>
[[gnu::always_inline]] inline void value_tile(const float* v, int64_t v_stride, const float* p,
                                              int64_t keys, const VecF* decay, float* o) {
  VecF sum[kColumns * kVecs];
  unroll<kColumns * kVecs>([&]<int kIndex>() __attribute__((always_inline)) {
    sum[kIndex] = load(o + kIndex * kLanes) * decay[kIndex % kVecs];
  });
  for (int64_t key = 0; key < keys; ++key, p += kVecs * kLanes, v += v_stride) {
    VecF weight[kVecs];
    unroll<kVecs>([&]<int kVec>()
                      __attribute__((always_inline)) { weight[kVec] = load(p + kVec * kLanes); });
    unroll<kColumns>([&]<int kColumn>() __attribute__((always_inline)) {
      const float value = v[kColumn];
      unroll<kVecs>([&]<int kVec>() __attribute__((always_inline)) {
        sum[kColumn * kVecs + kVec] += weight[kVec] * value;
      });
    });
  }
  unroll<kColumns * kVecs>([&]<int kIndex>() __attribute__((always_inline)) {
    store(o + kIndex * kLanes, sum[kIndex]);
  });
}

/// Calls body.operator()<n>(first) for pieces of kTileRows and powers of two that cover `count`.
template <int kSize = kTileRows, class Body>
[[gnu::always_inline]] inline void for_each_tile(int64_t count, int64_t first, const Body& body) {
  for (; first + kSize <= count; first += kSize) body.template operator()<kSize>(first);
  if constexpr (kSize > 1) for_each_tile<kSize / 2>(count, first, body);
}

/// Turns scores into 2^(score - max), updates max and sum; decay is what came before is worth now.
template <int kVecs>
[[gnu::always_inline]] inline void weigh(const Panel<kVecs>& panel, const VecF* block_max,
                                         int64_t keys, float* scores, VecF* decay) {
  VecF max[kVecs], sum[kVecs];
  unroll<kVecs>([&]<int kVec>() __attribute__((always_inline)) {
    const VecF before = load(panel.max + kVec * kLanes);
    const VecF now = math::max(before, block_max[kVec]);
    store(panel.max + kVec * kLanes, now);
    max[kVec] = finite_max(now);
    decay[kVec] = exp2(before - max[kVec]);
    sum[kVec] = load(panel.sum + kVec * kLanes) * decay[kVec];
  });
  for (int64_t key = 0; key < keys; ++key, scores += panel.kRows) {
    unroll<kVecs>([&]<int kVec>() __attribute__((always_inline)) {
      const VecF weight = exp2(load(scores + kVec * kLanes) - max[kVec]);
      store(scores + kVec * kLanes, weight);
      sum[kVec] += weight;
    });
  }
  unroll<kVecs>([&]<int kVec>() __attribute__((always_inline)) {
    store(panel.sum + kVec * kLanes, sum[kVec]);
  });
}

/// Brings the panel's part of the mask, transposed to [keys, kRows]; false when it hides all.
template <int kVecs>
bool load_panel_mask(const Wide& wide, const Panel<kVecs>& panel, int64_t key, int64_t keys) {
  const AttentionPlan& plan = wide.plan;
  const AttentionStrides& strides = plan.mask.strides;
  float* const mask = wide.space + plan.space.mask;
  float* const lines = wide.space + plan.space.lines;
  const auto load_line = [&](int64_t row, float* to) {
    const int64_t offset = row_offset(plan, wide.place, strides, row) + key * strides.column;
    return load_mask(plan.mask.dtype, wide.args.mask, offset, strides.column, keys, to);
  };
  if (strides.row == 0 && (strides.n == 0 || plan.group == 1)) {
    if (!load_line(panel.row, lines)) return false;
    for (int64_t i = 0; i < keys; ++i) {
      for (int vec = 0; vec < kVecs; ++vec)
        store(mask + i * panel.kRows + vec * kLanes, broadcast(lines[i]));
    }
    return true;
  }
  const int64_t padded = (keys + kLanes - 1) / kLanes * kLanes;
  bool any = false;
  for (int vec = 0; vec < kVecs; ++vec) {
    for (int lane = 0; lane < kLanes; ++lane) {
      const int64_t row = vec * kLanes + lane;
      float* const line = lines + lane * kAttentionKeys;
      if (row < panel.valid) {
        any |= load_line(panel.row + row, line);
      } else {
        for (int64_t i = 0; i < padded; i += kLanes) store(line + i, broadcast(kMinusInf));
      }
    }
    transpose_rows(lines, kAttentionKeys, padded, mask + vec * kLanes, panel.kRows);
  }
  return any;
}

/// Hides keys outside of the band.
template <int kVecs>
void hide_keys(const Wide& wide, const Panel<kVecs>& panel, int64_t key, int64_t keys) {
  float* const mask = wide.space + wide.plan.space.mask;
  for (int vec = 0; vec < kVecs; ++vec) {
    const VecI begin = load_bytes<VecI>(panel.begin + vec * kLanes);
    const VecI end = load_bytes<VecI>(panel.end + vec * kLanes);
    for (int64_t i = 0; i < keys; ++i) {
      float* const to = mask + i * panel.kRows + vec * kLanes;
      const VecF before = wide.plan.masked ? load(to) : VecF{};
      const VecI at = VecI{} + static_cast<int32_t>(key + i);
      store(to, (at >= end) | (at < begin) ? broadcast(kMinusInf) : before);
    }
  }
}

/// Attends a panel to a block of keys.
template <int kVecs>
void attend(const Wide& wide, const Panel<kVecs>& panel, int64_t key, int64_t keys, Rows k,
            Rows v) {
  const AttentionPlan& plan = wide.plan;
  const float* mask = nullptr;
  // The first row of a panel sees the first keys, the last row the last.
  const int64_t last = panel.valid - 1;
  const int64_t hidden = panel.begin[0] > key ? panel.begin[0] - key : 0;
  if (keys > panel.end[last] - key) keys = panel.end[last] - key;
  keys -= hidden;
  if (keys <= 0) return;
  key += hidden;
  k.data += hidden * k.stride;
  v.data += hidden * v.stride;
  const bool edge = key + keys > panel.end[0] || key < panel.begin[last];
  if (plan.masked && !load_panel_mask(wide, panel, key, keys)) return;
  if (edge) hide_keys(wide, panel, key, keys);
  if (plan.masked || edge) mask = wide.space + plan.space.mask;

  float* const scores = wide.space + plan.space.scores;
  VecF max[kVecs], decay[kVecs];
  for (VecF& m : max) m = broadcast(kMinusInf);
  for_each_tile(
      keys, 0, [&]<int kKeys>(int64_t i) __attribute__((always_inline)) {
        score_tile<kKeys, kVecs>(k.data + i * k.stride, k.stride, panel.q, plan.spec.d,
                                 mask ? mask + i * panel.kRows : nullptr, scores + i * panel.kRows,
                                 max);
      });
  weigh(panel, max, keys, scores, decay);
  for_each_tile(
      plan.spec.dv, 0, [&]<int kColumns>(int64_t i) __attribute__((always_inline)) {
        value_tile<kColumns, kVecs>(v.data + i, v.stride, scores, keys, decay,
                                    panel.o + i * panel.kRows);
      });
}

/// Transposes the panel's queries into place and empties its results.
template <int kVecs>
void open_panel(const Wide& wide, const Panel<kVecs>& panel) {
  const AttentionPlan& plan = wide.plan;
  float* const lines = wide.space + plan.space.lines;
  for (int vec = 0; vec < kVecs; ++vec) {
    for (int lane = 0; lane < kLanes; ++lane) {
      const int64_t row = vec * kLanes + lane;
      float* const line = lines + lane * plan.d_padded;
      if (row < panel.valid) {
        load_query(plan, wide.place, wide.args.q, panel.row + row, line);
      } else {
        for (int64_t i = 0; i < plan.d_padded; i += kLanes) store(line + i, VecF{});
      }
    }
    transpose_rows(lines, plan.d_padded, plan.d_padded, panel.q + vec * kLanes, panel.kRows);
    store(panel.max + vec * kLanes, broadcast(kMinusInf));
    store(panel.sum + vec * kLanes, VecF{});
  }
  for (int64_t i = 0; i < plan.spec.dv * panel.kRows; i += kLanes) store(panel.o + i, VecF{});
}

template <int kVecs>
void close_panel(const Wide& wide, const Panel<kVecs>& panel, float* partial) {
  const AttentionPlan& plan = wide.plan;
  float* const lines = wide.space + plan.space.lines;
  for (int vec = 0; vec < kVecs; ++vec) {
    for (int64_t column = 0; column < plan.dv_padded; column += kLanes) {
      transpose_rows(panel.o + column * panel.kRows + vec * kLanes, panel.kRows, kLanes,
                     lines + column, plan.dv_padded);
    }
    for (int lane = 0; lane < kLanes; ++lane) {
      const int64_t row = vec * kLanes + lane;
      if (row >= panel.valid) return;
      finish_row(plan, wide.args, wide.place, panel.row + row, panel.max[row], panel.sum[row],
                 lines + lane * plan.dv_padded, partial);
    }
  }
}

/// Calls body(panel) for the task's panels: as many vectors as fit, but 2 + 2 rather than 3 + 1.
template <class Body>
[[gnu::always_inline]] inline void for_each_panel(const Wide& wide, const Body& body) {
  const AttentionPlan& plan = wide.plan;
  const auto visit = [&]<int kVecs>(int64_t row) __attribute__((always_inline)) {
    const int64_t left = wide.place.rows - row;
    body(Panel<kVecs>{row, left < kVecs * kLanes ? left : kVecs * kLanes,
                      wide.space + plan.space.q + row * plan.d_padded,
                      wide.space + plan.space.o + row * plan.dv_padded,
                      wide.space + plan.space.max + row, wide.space + plan.space.sum + row,
                      reinterpret_cast<const int32_t*>(wide.space + plan.space.begin) + row,
                      reinterpret_cast<const int32_t*>(wide.space + plan.space.end) + row});
    return kVecs * kLanes;
  };
  for (int64_t row = 0; row < wide.place.rows;) {
    const int64_t vectors = (wide.place.rows - row + kLanes - 1) / kLanes;
    if (kPanelVectors >= 3 && vectors >= 3 && vectors != 4) {
      row += visit.template operator()<kPanelVectors>(row);
    } else if (vectors >= 2) {
      row += visit.template operator()<2>(row);
    } else {
      row += visit.template operator()<1>(row);
    }
  }
}

void run_wide(const AttentionPlan& plan, const AttentionArgs& args, int64_t task, float* space,
              float* partials) {
  const Wide wide{plan, args, locate(plan, task), space};
  const TaskPlace& place = wide.place;
  int32_t* const begin = reinterpret_cast<int32_t*>(space + plan.space.begin);
  int32_t* const end = reinterpret_cast<int32_t*>(space + plan.space.end);
  for (int64_t row = 0; row < plan.padded_rows; ++row) {
    const int64_t query = (place.row + row) / plan.group;
    const SeenKeys seen = seen_keys(plan, query, query);
    begin[row] = static_cast<int32_t>(seen.begin);
    end[row] = static_cast<int32_t>(seen.end);
  }
  for_each_panel(wide, [&](const auto& panel) { open_panel(wide, panel); });
  for (int64_t key = place.key; key < place.key_end; key += kAttentionKeys) {
    int64_t keys = place.key_end - key;
    if (keys > kAttentionKeys) keys = kAttentionKeys;
    const Rows k = stage(plan, place, keys_of(plan, args, space), key, keys);
    const Rows v = stage(plan, place, values_of(plan, args, space), key, keys);
    for_each_panel(wide, [&](const auto& panel) { attend(wide, panel, key, keys, k, v); });
  }
  float* const partial = partials ? partials + task * plan.partial_floats : nullptr;
  for_each_panel(wide, [&](const auto& panel) { close_panel(wide, panel, partial); });
}

}  // namespace

void run_narrow(const AttentionPlan& plan, const AttentionArgs& args, int64_t task, float* space,
                float* partials);
void run_merge(const AttentionPlan& plan, const AttentionArgs& args, int64_t block, float* space,
               float* partials);

const AttentionKernels kAttention = {kLanes, kPanelVectors* kLanes, run_wide, run_narrow,
                                     run_merge};

}  // namespace tutti::cpu::TUTTI_ISA
