// SPDX-License-Identifier: Apache-2.0
#include "ops/concat.h"

#include "ops/infer.h"
#include "ops/loops.h"

namespace tutti {
namespace {

enum class Border { constant, reflect, replicate, circular };

Border border_of(std::string_view mode) {
  constexpr std::string_view kNames[] = {"constant", "reflect", "replicate", "circular"};
  for (size_t i = 0; i < std::size(kNames); ++i)
    if (kNames[i] == mode) return static_cast<Border>(i);
  fail(Errc::invalid_argument, "mode is ", mode, "; one of ", join_list(kNames), " is wanted");
}

/// An axis of x, what is added to its ends, and the part of it that negative numbers leave.
struct Padded {
  Padded(int64_t extent, int64_t before, int64_t after)
      : extent(extent),
        before(before),
        first(std::max<int64_t>(-before, 0)),
        last(extent + std::min<int64_t>(after, 0)) {}
  int64_t extent, before, first, last;
};

/// Which element of x stands at index i of y's axis, or -1 for none.
int64_t source_index(Border border, const Padded& axis, int64_t i) {
  i -= axis.before;
  if (i >= 0 && i < axis.extent) return i;
  switch (border) {
    case Border::constant:
      return -1;
    case Border::reflect:
      return i < 0 ? -i : 2 * (axis.extent - 1) - i;
    case Border::replicate:
      return i < 0 ? 0 : axis.extent - 1;
    default: {
      // As PyTorch, what is cut off does not come back at the other end.
      const int64_t period = axis.last - axis.first;
      return axis.first + ((i - axis.first) % period + period) % period;
    }
  }
}

/// Elements beyond the ends of an axis that a border may ask for.
void require_enough(Border border, std::string_view mode, const TensorType& x, int axis,
                    int64_t before, int64_t after) {
  const Dim& extent = x.shape[static_cast<size_t>(axis)];
  const int64_t most = std::max(before, after), cut = std::min<int64_t>(std::min(before, after), 0);
  if (!extent.is_constant() || most <= 0 || border == Border::constant) return;
  const int64_t least = border == Border::reflect    ? most + 1
                        : border == Border::circular ? most - cut
                                                     : 1;
  require_argument(extent.value() >= least, "x is ", x, "; an extent of at least ", least,
                   " of axis ", axis, " is wanted for ", mode, " of ", before, " before and ",
                   after, " behind");
}

/// Writes one row of y along the last axis; a null x is a row of border.
template <class T>
void pad_row(Border border, const Padded& axis, const T* x, int64_t x_step, T value, T* y,
             int64_t y_step, int64_t n) {
  const int64_t first = x ? std::clamp<int64_t>(axis.before, 0, n) : n;
  const int64_t last = x ? std::clamp<int64_t>(axis.before + axis.extent, first, n) : n;
  const auto edge = [&](int64_t i) {
    const int64_t from = x ? source_index(border, axis, i) : -1;
    y[i * y_step] = from < 0 ? value : x[from * x_step];
  };
  for (int64_t i = 0; i < first; ++i) edge(i);
  if (first < last)
    copy_row(x + (first - axis.before) * x_step, x_step, y + first * y_step, y_step, last - first);
  for (int64_t i = last; i < n; ++i) edge(i);
}

template <class T>
void pad(const Pad& op, const KernelArgs& args) {
  const Border border = border_of(op.mode);
  const Tensor& x = args.in[0];
  const Tensor& y = args.out[0];
  const T value = convert<T>(op.value);
  if (y.rank() == 0) {
    *y.as<T>() = *x.as<const T>();
    return;
  }
  const auto border_at = [&](int axis) {
    const auto k = static_cast<size_t>(axis);
    return Padded(x.shape[axis], op.before[k], op.after[k]);
  };
  const int last = y.rank() - 1;
  Dims outer = y.shape;
  outer.erase(last);
  const int64_t n = y.shape[last];
  const int64_t grain = 8192 / std::max<int64_t>(n, 1);
  parallel_ranges(args.pool, elements(outer), grain, [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      const T* from = x.as<const T>();
      T* to = y.as<T>();
      int64_t rest = row;
      for (int axis = last - 1; axis >= 0; --axis) {
        const int64_t i = rest % outer[axis];
        rest /= outer[axis];
        to += i * y.strides[axis];
        const int64_t at = source_index(border, border_at(axis), i);
        from = from == nullptr || at < 0 ? nullptr : from + at * x.strides[axis];
      }
      pad_row(border, border_at(last), from, x.strides[last], value, to, y.strides[last], n);
    }
  });
}

}  // namespace

std::vector<TensorType> Concat::infer(Types in) const {
  require_operands(in, 1, SIZE_MAX);
  TensorType out = in[0];
  require_axis(axis, "input 0", out);
  for (size_t i = 1; i < in.size(); ++i) {
    const std::string name = join("input ", i);
    require_dtype(name, in[i], out.dtype);
    require_rank(name, in[i], out.rank(), out.rank());
    for (int k = 0; k < out.rank(); ++k) {
      Dim& extent = out.shape[static_cast<size_t>(k)];
      extent = k == axis ? extent + in[i].shape[static_cast<size_t>(k)]
                         : same_extent(extent, name, in[i], k);
    }
  }
  return {out};
}

void Concat::cpu(const KernelArgs& args) const {
  const int at = static_cast<int>(axis);
  Tensor part = args.out[0];
  const auto step = part.strides[at] * static_cast<int64_t>(size_of(part.dtype));
  for (const Tensor& x : args.in) {
    part.shape[at] = x.shape[at];
    copy_tensor(args.pool, x, part);
    part.data = part.as<std::byte>() + step * x.shape[at];
  }
}

std::vector<TensorType> Pad::infer(Types in) const {
  require_operands(in, 1, 1);
  const Border border = border_of(mode);
  TensorType out = in[0];
  require_list("before", before, out.rank(), INT64_MIN);
  require_list("after", after, out.rank(), INT64_MIN);
  for (int axis = 0; axis < out.rank(); ++axis) {
    const auto k = static_cast<size_t>(axis);
    require_enough(border, mode, in[0], axis, before[k], after[k]);
    Dim& extent = out.shape[k];
    extent = extent + before[k] + after[k];
    require_argument(!extent.is_constant() || extent.value() >= 0, "x is ", in[0], " and axis ",
                     axis, " is padded by ", before[k], " before and ", after[k],
                     " behind; an extent of at least 0 is wanted");
  }
  return {out};
}

void Pad::cpu(const KernelArgs& args) const {
  with_dtype(args.in[0].dtype, [&](auto element) { pad<decltype(element)>(*this, args); });
}

}  // namespace tutti
