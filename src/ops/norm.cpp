// SPDX-License-Identifier: Apache-2.0
#include "ops/norm.h"

#include "ops/infer.h"
#include "ops/loops.h"

namespace tutti {
namespace {

/// What is normalized together: for every index of `outer` all of `inner`. Strides of x, y, weight
/// and bias; 0 where an operand does not vary or is absent.
struct Parts {
  Dims outer, inner;
  std::array<Dims, 4> outer_strides, inner_strides;
};

struct Moments {
  double mean = 0;   // or 0 when it is not taken off
  double scale = 1;  // 1 / sqrt(variance + eps)
};

template <class T>
Moments moments(const T* x, const Parts& parts, double eps, bool centered) {
  const std::array<Dims, 1> strides{parts.inner_strides[0]};
  const auto count = static_cast<double>(elements(parts.inner));
  const auto sum = [&](const auto& term) {
    double total = 0;
    for_each_row(parts.inner, strides, [&](const auto& at, int64_t n, const auto& steps) {
      const T* row = x + at[0];
      for (int64_t i = 0; i < n; ++i)
        total += term(static_cast<double>(static_cast<ComputeType<T>>(row[i * steps[0]])));
    });
    return total;
  };
  Moments result;
  if (centered) result.mean = sum([](double v) { return v; }) / count;
  const double mean = result.mean;
  const double variance = sum([mean](double v) { return (v - mean) * (v - mean); }) / count;
  result.scale = 1 / std::sqrt(variance + eps);
  return result;
}

template <class T>
void normalize(const KernelArgs& args, const Parts& parts, double eps, bool centered) {
  const T kOne(1), kZero(0);
  const T* weight = args.in.size() > 1 ? args.in[1].as<const T>() : &kOne;
  const T* bias = args.in.size() > 2 ? args.in[2].as<const T>() : &kZero;
  parallel_offsets(
      args.pool, parts.outer, parts.outer_strides, elements(parts.inner), [&](const auto& start) {
        const T* x = args.in[0].as<const T>() + start[0];
        T* y = args.out[0].as<T>() + start[1];
        const auto [mean, scale] = moments(x, parts, eps, centered);
        for_each_row(
            parts.inner, parts.inner_strides,
            [&, mean = mean, scale = scale](auto at, int64_t n, const auto& steps) {
              at[2] += start[2];
              at[3] += start[3];
              for (int64_t i = 0; i < n; ++i) {
                const auto value =
                    static_cast<double>(static_cast<ComputeType<T>>(x[at[0] + i * steps[0]]));
                const auto w = static_cast<ComputeType<T>>(weight[at[2] + i * steps[2]]);
                const auto b = static_cast<ComputeType<T>>(bias[at[3] + i * steps[3]]);
                y[at[1] + i * steps[1]] =
                    static_cast<T>(static_cast<ComputeType<T>>((value - mean) * scale * w + b));
              }
            });
      });
}

void normalize(const KernelArgs& args, const Parts& parts, double eps, bool centered) {
  with_dtype(args.in[0].dtype, [&](auto element) {
    using T = decltype(element);
    if constexpr (!std::is_integral_v<T>) normalize<T>(args, parts, eps, centered);
  });
}

/// x, y, weight and bias; null where absent.
std::array<const Tensor*, 4> operands(const KernelArgs& args) {
  return {&args.in[0], &args.out[0], args.in.size() > 1 ? &args.in[1] : nullptr,
          args.in.size() > 2 ? &args.in[2] : nullptr};
}

/// Cuts `axes` last axes off.
void split_axes(const Dims& all, int axes, Dims& first, Dims& last) {
  for (int i = 0; i < all.rank(); ++i) (i < all.rank() - axes ? first : last).push_back(all[i]);
}

Parts last_axes(const KernelArgs& args, int64_t axes) {
  Parts parts;
  const auto tensors = operands(args);
  const int count = static_cast<int>(axes);
  split_axes(tensors[0]->shape, count, parts.outer, parts.inner);
  for (size_t k = 0; k < 2; ++k)
    split_axes(tensors[k]->strides, count, parts.outer_strides[k], parts.inner_strides[k]);
  for (size_t k = 2; k < 4; ++k) {
    parts.outer_strides[k] = Dims::filled(parts.outer.rank(), 0);
    parts.inner_strides[k] = tensors[k] ? tensors[k]->strides : Dims::filled(count, 0);
  }
  return parts;
}

Parts channel_groups(const KernelArgs& args, int64_t groups) {
  Parts parts;
  const auto tensors = operands(args);
  const int64_t channels = tensors[0]->shape[1] / groups;
  parts.outer = {tensors[0]->shape[0], groups};
  parts.inner = tensors[0]->shape;
  parts.inner.erase(0);
  parts.inner[0] = channels;
  for (size_t k = 0; k < 2; ++k) {
    const Dims& strides = tensors[k]->strides;
    parts.outer_strides[k] = {strides[0], channels * strides[1]};
    parts.inner_strides[k] = strides;
    parts.inner_strides[k].erase(0);
  }
  for (size_t k = 2; k < 4; ++k) {
    const int64_t stride = tensors[k] ? tensors[k]->strides[0] : 0;
    parts.outer_strides[k] = {0, channels * stride};
    parts.inner_strides[k] = Dims::filled(parts.inner.rank(), 0);
    parts.inner_strides[k][0] = stride;
  }
  return parts;
}

constexpr std::string_view kNames[] = {"x", "weight", "bias"};

std::vector<TensorType> infer_last_axes(Types in, size_t most, int64_t axes) {
  require_operands(in, 1, most);
  const TensorType& x = in[0];
  require_float("x", x);
  require_argument(axes >= 1 && axes <= x.rank(), "axes is ", axes, " and x is ", x, "; 1 to ",
                   x.rank(), " axes are wanted");
  const int first = x.rank() - static_cast<int>(axes);
  for (size_t k = 1; k < in.size(); ++k) {
    require_dtype(kNames[k], in[k], x.dtype);
    require_rank(kNames[k], in[k], static_cast<int>(axes), static_cast<int>(axes));
    for (int axis = 0; axis < in[k].rank(); ++axis)
      same_extent(x.shape[static_cast<size_t>(first + axis)], kNames[k], in[k], axis);
  }
  return {x};
}

}  // namespace

std::vector<TensorType> LayerNorm::infer(Types in) const { return infer_last_axes(in, 3, axes); }

void LayerNorm::cpu(const KernelArgs& args) const {
  normalize(args, last_axes(args, axes), eps, true);
}

std::vector<TensorType> RmsNorm::infer(Types in) const { return infer_last_axes(in, 2, axes); }

void RmsNorm::cpu(const KernelArgs& args) const {
  normalize(args, last_axes(args, axes), eps, false);
}

std::vector<TensorType> GroupNorm::infer(Types in) const {
  require_operands(in, 1, 3);
  const TensorType& x = in[0];
  require_float("x", x);
  require_rank("x", x, 2);
  const Dim& channels = x.shape[1];
  require_argument(groups >= 1 && (!channels.is_constant() || channels.value() % groups == 0),
                   "groups is ", groups, " and x is ", x, "; a divisor of ", channels,
                   " channels is wanted");
  for (size_t k = 1; k < in.size(); ++k) {
    require_dtype(kNames[k], in[k], x.dtype);
    require_rank(kNames[k], in[k], 1, 1);
    same_extent(channels, kNames[k], in[k], 0);
  }
  return {x};
}

void GroupNorm::cpu(const KernelArgs& args) const {
  normalize(args, channel_groups(args, groups), eps, true);
}

}  // namespace tutti
