// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cmath>
#include <limits>

#include "core/small_float.h"
#include "device/cpu/attention_plan.h"

namespace tutti::cpu {

namespace {

constexpr double kMinusInf = -std::numeric_limits<double>::infinity();

/// What a mask adds to a score.
double mask_at(DType dtype, const void* mask, int64_t offset) {
  switch (dtype) {
    case DType::boolean:
      return static_cast<const bool*>(mask)[offset] ? 0.0 : kMinusInf;
    case DType::f32:
      return static_cast<const float*>(mask)[offset];
    case DType::bf16:
      return static_cast<const bf16*>(mask)[offset];
    case DType::f16:
      return static_cast<const f16*>(mask)[offset];
    default:
      return static_cast<const double*>(mask)[offset];
  }
}

int64_t at(const AttentionStrides& strides, int64_t b, int64_t n, int64_t row) {
  return b * strides.b + n * strides.n + row * strides.row;
}

struct Query {
  int64_t b, head, kv_head, query;
};

/// scores[i] = scale q k + mask for keys [key, key + keys); returns their maximum.
double score(const AttentionPlan& plan, const AttentionArgs& args, const Query& at_query,
             int64_t key, int64_t keys, double* scores) {
  const AttentionSpec& spec = plan.spec;
  const auto [b, head, kv_head, query] = at_query;
  const double* const q = static_cast<const double*>(args.q) + at(spec.q, b, head, query);
  double max = kMinusInf;
  for (int64_t i = 0; i < keys; ++i) {
    const double* const k = static_cast<const double*>(args.k) + at(spec.k, b, kv_head, key + i);
    double sum = 0;
    for (int64_t c = 0; c < spec.d; ++c) sum += q[c * spec.q.column] * k[c * spec.k.column];
    scores[i] = sum * spec.scale;
    if (plan.masked) {
      const int64_t offset =
          at(plan.mask.strides, b, head, query) + (key + i) * plan.mask.strides.column;
      scores[i] += mask_at(plan.mask.dtype, args.mask, offset);
    }
    max = std::max(max, scores[i]);
  }
  return max;
}

void attend_query(const AttentionPlan& plan, const AttentionArgs& args, const Query& at_query,
                  double* space) {
  const AttentionSpec& spec = plan.spec;
  const auto [b, head, kv_head, query] = at_query;
  double* const scores = space;
  double* const o = space + kAttentionKeys;
  double max = kMinusInf, sum = 0;
  std::fill(o, o + spec.dv, 0.0);
  const auto [key_begin, key_end] = spec.band.keys(query, 1, spec.t);
  for (int64_t key = key_begin; key < key_end; key += kAttentionKeys) {
    const int64_t keys = std::min(kAttentionKeys, key_end - key);
    const double now = std::max(max, score(plan, args, at_query, key, keys, scores));
    const double finite = now == kMinusInf ? 0.0 : now;
    const double decay = std::exp(max - finite);
    max = now;
    sum *= decay;
    for (int64_t c = 0; c < spec.dv; ++c) o[c] *= decay;
    for (int64_t i = 0; i < keys; ++i) {
      const double* const v = static_cast<const double*>(args.v) + at(spec.v, b, kv_head, key + i);
      const double weight = std::exp(scores[i] - finite);
      sum += weight;
      for (int64_t c = 0; c < spec.dv; ++c) o[c] += weight * v[c * spec.v.column];
    }
  }
  double* const out = static_cast<double*>(args.out) + at(spec.out, b, head, query);
  for (int64_t c = 0; c < spec.dv; ++c) out[c * spec.out.column] = sum == 0 ? 0.0 : o[c] / sum;
  if (args.lse)
    static_cast<double*>(args.lse)[(b * spec.n + head) * spec.s + query] = max + std::log(sum);
}

}  // namespace

void attend_f64(const AttentionPlan& plan, const AttentionArgs& args, int64_t task, double* space) {
  const int64_t head = task / plan.row_blocks;
  const int64_t row = task % plan.row_blocks * plan.block_rows;
  const int64_t row_end = std::min(plan.rows, row + plan.block_rows);
  for (int64_t r = row; r < row_end; ++r) {
    const int64_t kv_head = head % plan.spec.n_kv;
    attend_query(
        plan, args,
        {head / plan.spec.n_kv, kv_head * plan.group + r % plan.group, kv_head, r / plan.group},
        space);
  }
}

}  // namespace tutti::cpu
