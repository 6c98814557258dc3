// SPDX-License-Identifier: Apache-2.0
#include "ops/reduce.h"

#include "ops/infer.h"
#include "ops/loops.h"

namespace tutti {
namespace {

template <class Names>
void require_one_of(std::string_view fn, const Names& names) {
  for (std::string_view name : names)
    if (name == fn) return;
  fail(Errc::invalid_argument, "fn is ", fn, "; one of ", join_list(names), " is wanted");
}

constexpr std::string_view kReductions[] = {"sum", "mean", "prod", "max", "min", "any", "all"};
constexpr std::string_view kExtremes[] = {"max", "min"};
constexpr std::string_view kScans[] = {"sum", "prod"};

/// `type` without the axes, or with extent 1 there.
TensorType reduced(TensorType type, std::span<const int64_t> axes, bool keep) {
  for (size_t i = axes.size(); i-- > 0;) {
    const auto axis = static_cast<ptrdiff_t>(axes[i]);
    if (keep)
      type.shape[static_cast<size_t>(axis)] = 1;
    else
      type.shape.erase(type.shape.begin() + axis);
  }
  return type;
}

void require_element(const TensorType& x, int64_t axis, std::string_view fn) {
  require_argument(x.shape[static_cast<size_t>(axis)] != Dim(0), "x is ", x,
                   "; an extent of at least 1 of axis ", axis, " is wanted for ", fn);
}

/// Where integers add and multiply: their bits as unsigned numbers, which wrap.
template <class T>
using Accumulator = std::conditional_t<std::is_integral_v<T>, uint64_t, double>;

/// Folds the elements of each reduced part: value = step(value, element); result = finish(value).
template <class T, class Result, class Value, class Step, class Finish>
void fold(const Reduce& op, const KernelArgs& args, Value init, const Step& step,
          const Finish& finish) {
  const Tensor& x = args.in[0];
  const Tensor& y = args.out[0];
  Dims kept, kept_x, kept_y, parts;
  std::array<Dims, 1> part_strides;
  size_t next = 0;
  for (int axis = 0, y_axis = 0; axis < x.rank(); ++axis) {
    if (next < op.axes.size() && op.axes[next] == axis) {
      ++next;
      parts.push_back(x.shape[axis]);
      part_strides[0].push_back(x.strides[axis]);
      if (op.keep) ++y_axis;
      continue;
    }
    kept.push_back(x.shape[axis]);
    kept_x.push_back(x.strides[axis]);
    kept_y.push_back(y.strides[y_axis++]);
  }
  const int64_t count = elements(parts);
  collapse(parts, part_strides);
  parallel_offsets<2>(args.pool, kept, {kept_x, kept_y}, count, [&](const auto& at) {
    Value value = init;
    const T* first = x.as<const T>() + at[0];
    for_each_row(parts, part_strides, [&](const auto& start, int64_t n, const auto& steps) {
      const T* row = first + start[0];
      for (int64_t i = 0; i < n; ++i)
        value = step(value, static_cast<ComputeType<T>>(row[i * steps[0]]));
    });
    y.as<Result>()[at[1]] = static_cast<Result>(finish(value, count));
  });
}

template <class T>
void fold_numbers(const Reduce& op, const KernelArgs& args) {
  using Sum = Accumulator<T>;
  const auto same = [](Sum sum, int64_t) { return static_cast<ComputeType<T>>(sum); };
  if (op.fn == "sum") {
    fold<T, T>(
        op, args, Sum{0}, [](Sum a, auto v) { return a + static_cast<Sum>(v); }, same);
  } else if (op.fn == "prod") {
    fold<T, T>(
        op, args, Sum{1}, [](Sum a, auto v) { return a * static_cast<Sum>(v); }, same);
  } else {
    fold<T, T>(
        op, args, 0.0, [](double a, auto v) { return a + static_cast<double>(v); },
        [](double sum, int64_t count) {
          return static_cast<ComputeType<T>>(sum / static_cast<double>(count));
        });
  }
}

template <class T>
void fold_extreme(const Reduce& op, const KernelArgs& args) {
  using Value = ComputeType<T>;
  using Limits = std::numeric_limits<Value>;
  const Value high = Limits::has_infinity ? Limits::infinity() : Limits::max();
  const Value low = Limits::has_infinity ? -Limits::infinity() : Limits::lowest();
  const auto same = [](Value value, int64_t) { return value; };
  // NaN is taken, and nothing is larger or smaller than it afterwards.
  if (op.fn == "max")
    fold<T, T>(
        op, args, low, [](Value a, Value v) { return v > a || v != v ? v : a; }, same);
  else
    fold<T, T>(
        op, args, high, [](Value a, Value v) { return v < a || v != v ? v : a; }, same);
}

template <class T>
void fold_truth(const Reduce& op, const KernelArgs& args) {
  const auto same = [](bool value, int64_t) { return value; };
  if (op.fn == "any")
    fold<T, bool>(
        op, args, false, [](bool a, auto v) { return a || v != 0; }, same);
  else
    fold<T, bool>(
        op, args, true, [](bool a, auto v) { return a && v != 0; }, same);
}

bool is_truth(std::string_view fn) { return fn == "any" || fn == "all"; }
bool is_extreme(std::string_view fn) { return fn == "max" || fn == "min"; }

/// The strides of a tensor whose axis was removed, with 0 in its place.
Dims with_axis(const Tensor& y, int axis, bool keep) {
  Dims strides = y.strides;
  if (!keep) strides.insert(axis, 0);
  return strides;
}

template <class T>
int64_t find_extreme(const T* x, int64_t step, int64_t n, bool largest) {
  auto best = static_cast<ComputeType<T>>(*x);
  int64_t index = 0;
  for (int64_t i = 1; i < n && best == best; ++i) {
    const auto value = static_cast<ComputeType<T>>(x[i * step]);
    if (value == value && !(largest ? value > best : value < best)) continue;
    best = value;
    index = i;
  }
  return index;
}

template <class T>
void scan_line(const T* x, int64_t x_step, T* y, int64_t y_step, int64_t n, bool product) {
  // PyTorch accumulates f16 and bf16 in f32, and f32 in f64.
  using Value = std::conditional_t<std::is_arithmetic_v<T>, Accumulator<T>, float>;
  Value value = product ? 1 : 0;
  for (int64_t i = 0; i < n; ++i) {
    const auto element = static_cast<Value>(static_cast<ComputeType<T>>(x[i * x_step]));
    value = product ? value * element : value + element;
    y[i * y_step] = static_cast<T>(value);
  }
}

}  // namespace

std::vector<TensorType> Reduce::infer(Types in) const {
  require_operands(in, 1, 1);
  require_one_of(fn, kReductions);
  const TensorType& x = in[0];
  require_axes(axes, "x", x);
  if (fn == "mean") require_float("x", x);
  if (fn == "sum" || fn == "prod")
    require_argument(is_float(x.dtype) || x.dtype == DType::i64, "x is ", x,
                     "; a float type or i64 is wanted for ", fn);
  TensorType out = reduced(x, axes, keep);
  if (is_truth(fn)) out.dtype = DType::boolean;
  if (is_extreme(fn))
    for (int64_t axis : axes) require_element(x, axis, fn);
  return {out};
}

void Reduce::cpu(const KernelArgs& args) const {
  with_dtype(args.in[0].dtype, [&](auto element) {
    using T = decltype(element);
    if (is_truth(fn))
      fold_truth<T>(*this, args);
    else if (is_extreme(fn))
      fold_extreme<T>(*this, args);
    else if constexpr (!std::is_integral_v<T> || std::is_same_v<T, int64_t>)
      fold_numbers<T>(*this, args);
  });
}

std::vector<TensorType> ArgReduce::infer(Types in) const {
  require_operands(in, 1, 1);
  require_one_of(fn, kExtremes);
  require_axis(axis, "x", in[0]);
  require_element(in[0], axis, fn);
  TensorType out = reduced(in[0], {&axis, 1}, keep);
  out.dtype = DType::i64;
  return {out};
}

void ArgReduce::cpu(const KernelArgs& args) const {
  const Tensor& x = args.in[0];
  const Tensor& y = args.out[0];
  const int at = static_cast<int>(axis);
  const int64_t n = x.shape[at], step = x.strides[at];
  Dims lines = x.shape;
  lines[at] = 1;
  with_dtype(x.dtype, [&](auto element) {
    using T = decltype(element);
    parallel_offsets<2>(args.pool, lines, {x.strides, with_axis(y, at, keep)}, n,
                        [&](const auto& start) {
                          y.as<int64_t>()[start[1]] =
                              find_extreme(x.as<const T>() + start[0], step, n, fn == "max");
                        });
  });
}

std::vector<TensorType> Scan::infer(Types in) const {
  require_operands(in, 1, 1);
  require_one_of(fn, kScans);
  require_number("x", in[0]);
  require_axis(axis, "x", in[0]);
  return {in[0]};
}

void Scan::cpu(const KernelArgs& args) const {
  const Tensor& x = args.in[0];
  const Tensor& y = args.out[0];
  const int at = static_cast<int>(axis);
  Dims lines = x.shape;
  lines[at] = std::min<int64_t>(lines[at], 1);
  with_dtype(x.dtype, [&](auto element) {
    using T = decltype(element);
    parallel_offsets<2>(args.pool, lines, {x.strides, y.strides}, x.shape[at], [&](const auto& to) {
      scan_line(x.as<const T>() + to[0], x.strides[at], y.as<T>() + to[1], y.strides[at],
                x.shape[at], fn == "prod");
    });
  });
}

}  // namespace tutti
