// SPDX-License-Identifier: Apache-2.0
#include <cmath>
#include <limits>

#include "import/arithmetic.h"
#include "ops/attention.h"
#include "ops/softmax.h"

namespace tutti::pt2 {
namespace {

using Fn = Elementwise;

// The leading axes of a query, key or value in two: [..., s, d] -> [b, n, s, d].
ValueId in_heads(Lowering& l, ValueId x) {
  const Shape shape = l.e.shape(x);
  require_argument(shape.size() >= 2, "attention of a tensor of ", shape.size(), " axes");
  if (shape.size() == 4) return x;
  const Dim &s = shape[shape.size() - 2], &d = shape.back();
  if (shape.size() == 2) return l.e.reshape(x, {1, 1, s, d});
  if (shape.size() == 3) return l.e.reshape(x, {shape[0], 1, s, d});
  const Shape batch(shape.begin(), shape.end() - 3);
  return l.e.reshape(x, {elements(batch), shape[shape.size() - 3], s, d});
}

// A mask [..., s, t] for queries of `rank` axes, beside which it is broadcast.
ValueId mask_in_heads(Lowering& l, ValueId mask, int rank) {
  const int own = l.e.rank(mask);
  if (rank == 3 && own == 3) return l.e.unsqueeze(mask, 1);
  require(own <= 4 && rank <= 4, Errc::unsupported, "attention with a mask of ", own,
          " axes for queries of ", rank, " is not supported");
  return mask;
}

struct AttentionArgs {
  ValueId mask = kNone;
  bool causal = false;
};

// A batch of one key for many queries stands for all of them.
ValueId with_batch(Lowering& l, ValueId x, const Dim& batch) {
  Shape shape = l.e.shape(x);
  if (shape[0] == batch) return x;
  shape[0] = batch;
  return l.e.expand(x, shape);
}

ValueId attend(Lowering& l, const Args& a, const AttentionArgs& extra) {
  require(a.real("dropout_p") == 0, Errc::unsupported,
          "attention with dropout_p = ", a.real("dropout_p"),
          " is not supported; export the module in eval()");
  const ValueId query = a.value("query");
  const int rank = l.e.rank(query);
  Attention attention;
  if (extra.causal) attention.right = 0;
  const Dim width = l.e.shape(query).back();
  attention.scale =
      a.has("scale") ? a.real("scale") : 1 / std::sqrt(static_cast<double>(width.value()));
  const ValueId q = in_heads(l, query);
  const Dim batch = l.e.extent(q, 0);
  const ValueId k = with_batch(l, in_heads(l, a.value("key")), batch);
  const ValueId v = with_batch(l, in_heads(l, a.value("value")), batch);
  std::vector<ValueId> inputs = {q, k, v};
  if (extra.mask != kNone) {
    const bool is_boolean = l.e.dtype(extra.mask) == DType::boolean;
    const ValueId mask = is_boolean ? extra.mask : l.e.cast(extra.mask, l.e.dtype(q));
    inputs.push_back(mask_in_heads(l, mask, rank));
  }
  const ValueId y = l.e.op(attention, inputs);
  Shape to = l.e.shape(query);
  to.back() = l.e.shape(v).back();
  return l.e.reshape(y, to);
}

Results scaled_dot_product(Lowering& l, const Args& a) {
  return attend(l, a, {a.value_or_none("attn_mask"), a.flag("is_causal")});
}

// Forms chosen when exporting for a device; only the first result matters without gradients.
template <const char* mask_name, int results>
Results device_attention(Lowering& l, const Args& a) {
  std::vector<ValueId> values(results, kNone);
  values[0] = attend(l, a, {a.value_or_none(mask_name), a.flag("is_causal")});
  return values;
}
constexpr char kAttnMask[] = "attn_mask";
constexpr char kAttnBias[] = "attn_bias";

Results softmax_of(Lowering& l, const Args& a, bool log, std::optional<ElementType> type) {
  ValueId x = a.value("self");
  x = type ? l.e.cast(x, type->dtype) : to_float(l, x);
  if (l.e.rank(x) == 0) return l.e.full(log ? 0 : 1, l.e.dtype(x), {});
  return l.e.op(Softmax{a.axis("dim", l.e.rank(x)), log}, {x});
}

template <bool log>
Results softmax(Lowering& l, const Args& a) {
  return softmax_of(l, a, log, a.type("dtype"));
}

template <bool log>
Results softmax_decomposed(Lowering& l, const Args& a) {
  const bool widens = a.flag("half_to_float");
  return softmax_of(l, a, log, widens ? std::optional(ElementType{DType::f32}) : std::nullopt);
}

// A row of nothing but -inf gives 0.
Results safe_softmax(Lowering& l, const Args& a) {
  const Results plain = softmax_of(l, a, false, a.type("dtype"));
  const ValueId y = std::get<Array>(plain.items[0]).id, x = a.value("self");
  const int64_t axis = a.axis("dim", l.e.rank(x));
  const ValueId masked = l.e.with_number(Fn::equal, x, -std::numeric_limits<double>::infinity());
  return l.e.choose(l.e.reduce("all", masked, {axis}, true), l.e.scalar(0, l.e.dtype(y)), y);
}

constexpr Row kRows[] = {
    {"scaled_dot_product_attention",
     "query, key, value, attn_mask=None, dropout_p=0.0, is_causal=False, scale=None, "
     "enable_gqa=False",
     scaled_dot_product},
    {"_scaled_dot_product_flash_attention_for_cpu",
     "query, key, value, dropout_p=0.0, is_causal=False, attn_mask=None, scale=None",
     device_attention<kAttnMask, 2>},
    {"_scaled_dot_product_efficient_attention",
     "query, key, value, attn_bias, compute_log_sumexp, dropout_p=0.0, is_causal=False, "
     "scale=None",
     device_attention<kAttnBias, 4>},
    {"_scaled_dot_product_flash_attention",
     "query, key, value, dropout_p=0.0, is_causal=False, return_debug_mask=False, scale=None, "
     "attn_mask=None",
     device_attention<kAttnMask, 9>},
    {"_scaled_dot_product_cudnn_attention",
     "query, key, value, attn_bias, compute_log_sumexp, dropout_p=0.0, is_causal=False, "
     "return_debug_mask=False, scale=None",
     device_attention<kAttnBias, 9>},
    {"_scaled_dot_product_attention_math",
     "query, key, value, attn_mask=None, dropout_p=0.0, is_causal=False, dropout_mask=None, "
     "scale=None, enable_gqa=False",
     device_attention<kAttnMask, 2>},
    {"_scaled_dot_product_fused_attention_overrideable",
     "query, key, value, attn_bias=None, dropout_p=0.0, is_causal=False, return_debug_mask=False, "
     "scale=None",
     device_attention<kAttnBias, 9>},
    {"softmax.int special_softmax", "self, dim, dtype=None", softmax<false>},
    {"log_softmax.int special_log_softmax", "self, dim, dtype=None", softmax<true>},
    {"_softmax", "self, dim, half_to_float", softmax_decomposed<false>},
    {"_log_softmax", "self, dim, half_to_float", softmax_decomposed<true>},
    {"_safe_softmax", "self, dim, dtype=None", safe_softmax},
};

}  // namespace

std::span<const Row> attention_rows() { return kRows; }

}  // namespace tutti::pt2
