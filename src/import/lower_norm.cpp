// SPDX-License-Identifier: Apache-2.0
#include <cmath>
#include <limits>

#include "import/arithmetic.h"
#include "ops/norm.h"

namespace tutti::pt2 {
namespace {

using Fn = Elementwise;

std::vector<ValueId> inputs_of(ValueId x, ValueId weight, ValueId bias) {
  std::vector<ValueId> inputs = {x};
  if (weight != kNone) inputs.push_back(weight);
  if (bias != kNone) inputs.push_back(bias);
  return inputs;
}

// A norm wants all of one type, and no bias without a weight.
template <class Norm>
ValueId normalize(Lowering& l, const Norm& norm, ValueId x, ValueId weight, ValueId bias) {
  const DType type = l.e.dtype(x);
  if (weight != kNone) weight = l.e.cast(weight, type);
  if (bias != kNone) bias = l.e.cast(bias, type);
  if (bias != kNone && weight == kNone) weight = l.e.full(1, type, l.e.shape(bias));
  return l.e.op(norm, inputs_of(x, weight, bias));
}

ValueId layer_norm_of(Lowering& l, const Args& a) {
  const auto axes = static_cast<int64_t>(a.dims("normalized_shape").size());
  return normalize(l, LayerNorm{axes, a.real("eps")}, a.value("input"), a.value_or_none("weight"),
                   a.value_or_none("bias"));
}

Results layer_norm(Lowering& l, const Args& a) { return layer_norm_of(l, a); }

struct Statistics {
  ValueId mean, inverse_deviation;
};

// Mean and 1 / sqrt(variance + eps) over the axes, which stay; unused ones go away as dead.
Statistics statistics(Lowering& l, ValueId x, const std::vector<int64_t>& axes, double eps) {
  const ValueId mean = l.e.reduce("mean", x, axes, true);
  const ValueId rest = l.e.binary(Fn::sub, x, mean);
  const ValueId variance = l.e.reduce("mean", l.e.binary(Fn::mul, rest, rest), axes, true);
  return {mean, l.e.unary(Fn::rsqrt, l.e.with_number(Fn::add, variance, eps))};
}

Results native_layer_norm(Lowering& l, const Args& a) {
  const ValueId x = widen(l, a.value("input"));
  std::vector<int64_t> axes;
  for (int64_t n = static_cast<int64_t>(a.dims("normalized_shape").size()); n > 0; --n)
    axes.push_back(l.e.rank(x) - n);
  const Statistics s = statistics(l, x, axes, a.real("eps"));
  return std::vector<ValueId>{layer_norm_of(l, a), s.mean, s.inverse_deviation};
}

double epsilon_of(DType type) {
  switch (type) {
    case DType::f64:
      return std::numeric_limits<double>::epsilon();
    case DType::f16:
      return 0x1p-10;
    case DType::bf16:
      return 0x1p-7;
    default:
      return std::numeric_limits<float>::epsilon();
  }
}

ValueId rms_norm_of(Lowering& l, const Args& a) {
  const ValueId x = a.value("input");
  const double eps = a.has("eps") ? a.real("eps") : epsilon_of(l.e.dtype(x));
  const auto axes = static_cast<int64_t>(a.dims("normalized_shape").size());
  return normalize(l, RmsNorm{axes, eps}, x, a.value_or_none("weight"), kNone);
}

Results rms_norm(Lowering& l, const Args& a) { return rms_norm_of(l, a); }

// The second result is for the gradient only.
Results fused_rms_norm(Lowering& l, const Args& a) {
  return std::vector<ValueId>{rms_norm_of(l, a), kNone};
}

Results group_norm(Lowering& l, const Args& a) {
  return normalize(l, GroupNorm{a.integer("num_groups"), a.real("eps")}, a.value("input"),
                   a.value_or_none("weight"), a.value_or_none("bias"));
}

Results native_group_norm(Lowering& l, const Args& a) {
  const ValueId given = a.value("input"), x = widen(l, given);
  const int64_t groups = a.integer("group");
  const Dim batch = l.e.extent(x, 0);
  const Dim rest = floor_div(elements(l.e.shape(x)), batch * groups);
  const ValueId parts = l.e.reshape(x, {batch, groups, rest});
  const Statistics s = statistics(l, parts, {2}, a.real("eps"));
  const auto flat = [&](ValueId v) { return l.e.reshape(v, {batch, groups}); };
  return std::vector<ValueId>{normalize(l, GroupNorm{groups, a.real("eps")}, given,
                                        a.value_or_none("weight"), a.value_or_none("bias")),
                              flat(s.mean), flat(s.inverse_deviation)};
}

// Numbers of the channels, which are axis 1 of x.
ValueId per_channel(Lowering& l, ValueId channels, ValueId x) {
  Shape shape(static_cast<size_t>(l.e.rank(x)), 1);
  shape[1] = l.e.extent(channels, 0);
  return l.e.reshape(widen(l, channels), shape);
}

// A scale and a shift for each channel, from these statistics.
ValueId scaled_by(Lowering& l, const Args& a, ValueId x, Statistics s) {
  const ValueId given = a.value("input");
  ValueId scale = s.inverse_deviation;
  if (a.has("weight")) scale = l.e.binary(Fn::mul, scale, per_channel(l, a.value("weight"), x));
  ValueId y = l.e.binary(Fn::mul, l.e.binary(Fn::sub, x, s.mean), scale);
  if (a.has("bias")) y = l.e.binary(Fn::add, y, per_channel(l, a.value("bias"), x));
  return l.e.cast(y, l.e.dtype(given));
}

// With the statistics of training.
ValueId batch_norm_of(Lowering& l, const Args& a) {
  const ValueId x = widen(l, a.value("input"));
  require(a.has("running_mean") && a.has("running_var"), Errc::unsupported,
          "batch_norm without running statistics is not supported");
  const ValueId variance = per_channel(l, a.value("running_var"), x);
  const ValueId sum = l.e.with_number(Fn::add, variance, a.real("eps"));
  return scaled_by(l, a, x,
                   {per_channel(l, a.value("running_mean"), x), l.e.unary(Fn::rsqrt, sum)});
}

// With those of the batch: over all axes but the channels'.
ValueId norm_of_batch(Lowering& l, const Args& a, Statistics& s) {
  const ValueId x = widen(l, a.value("input"));
  std::vector<int64_t> axes;
  for (int64_t i = 0; i < l.e.rank(x); ++i)
    if (i != 1) axes.push_back(i);
  s = statistics(l, x, axes, a.real("eps"));
  return scaled_by(l, a, x, s);
}

Results batch_norm_no_stats(Lowering& l, const Args& a) {
  Statistics s;
  const ValueId y = norm_of_batch(l, a, s);
  const auto flat = [&](ValueId v) { return l.e.reshape(v, {elements(l.e.shape(v))}); };
  return std::vector<ValueId>{y, flat(s.mean), flat(s.inverse_deviation)};
}

void refuse_training(const Args& a) {
  require(!a.flag("training"), Errc::unsupported,
          "batch_norm in training is not supported; export the module in eval()");
}

// Without running statistics those of the batch are meant, in evaluation too.
Results batch_norm(Lowering& l, const Args& a) {
  Statistics s;
  if (!a.has("running_mean") && !a.has("running_var")) return norm_of_batch(l, a, s);
  refuse_training(a);
  return batch_norm_of(l, a);
}

Results batch_norm_both(Lowering& l, const Args& a) {
  refuse_training(a);
  return std::vector<ValueId>{batch_norm_of(l, a), kNone, kNone};
}

// Each channel of each sample for itself: as many groups as channels.
Results instance_norm(Lowering& l, const Args& a) {
  if (!a.flag("use_input_stats")) return batch_norm_of(l, a);
  const ValueId x = a.value("input");
  return normalize(l, GroupNorm{l.e.extent(x, 1).value(), a.real("eps")}, x,
                   a.value_or_none("weight"), a.value_or_none("bias"));
}

ValueId length_of(Lowering& l, ValueId x, int64_t axis, double least) {
  const ValueId sum = l.e.reduce("sum", l.e.binary(Fn::mul, x, x), {axis}, true);
  return l.e.with_number(Fn::maximum, l.e.unary(Fn::sqrt, sum), least);
}

Results cosine_similarity(Lowering& l, const Args& a) {
  const Operand operands[] = {a.operand("x1"), a.operand("x2")};
  const DType type = float_type(common_type(l, operands)).dtype;
  ValueId x = widen(l, convert(l, operands[0], type));
  ValueId y = widen(l, convert(l, operands[1], type));
  const Shape shape = broadcast(l.e.shape(x), l.e.shape(y));
  x = l.e.expand(x, shape);
  y = l.e.expand(y, shape);
  const int64_t axis = a.axis("dim", l.e.rank(x));
  const double eps = a.real("eps");
  const ValueId left = l.e.binary(Fn::div, x, length_of(l, x, axis, eps));
  const ValueId right = l.e.binary(Fn::div, y, length_of(l, y, axis, eps));
  return l.e.cast(l.e.reduce("sum", l.e.binary(Fn::mul, left, right), {axis}, false), type);
}

constexpr Row kRows[] = {
    {"layer_norm", "input, normalized_shape, weight=None, bias=None, eps=1e-05", layer_norm},
    {"native_layer_norm", "input, normalized_shape, weight, bias, eps", native_layer_norm},
    {"rms_norm", "input, normalized_shape, weight=None, eps=None", rms_norm},
    {"_fused_rms_norm", "input, normalized_shape, weight, eps", fused_rms_norm},
    {"group_norm", "input, num_groups, weight=None, bias=None, eps=1e-05", group_norm},
    {"native_group_norm", "input, weight, bias, N, C, HxW, group, eps", native_group_norm},
    {"batch_norm", "input, weight, bias, running_mean, running_var, training, momentum, eps",
     batch_norm},
    {"_native_batch_norm_legit_no_training",
     "input, weight, bias, running_mean, running_var, momentum, eps, training=False",
     batch_norm_both},
    {"_native_batch_norm_legit.no_stats", "input, weight, bias, training, momentum, eps",
     batch_norm_no_stats},
    {"native_batch_norm _native_batch_norm_legit",
     "input, weight, bias, running_mean, running_var, training, momentum, eps", batch_norm_both},
    {"instance_norm",
     "input, weight, bias, running_mean, running_var, use_input_stats, momentum, eps",
     instance_norm},
    {"cosine_similarity", "x1, x2, dim=1, eps=1e-08", cosine_similarity},
};

}  // namespace

std::span<const Row> norm_rows() { return kRows; }

}  // namespace tutti::pt2
