// SPDX-License-Identifier: Apache-2.0
#include "ops/scatter.h"

#include <atomic>
#include <cmath>

#include "ops/elementwise.h"
#include "ops/indexing.h"
#include "ops/infer.h"
#include "ops/sums.h"

namespace tutti {
namespace {

bool same_memory(const Tensor& x, const Tensor& y) {
  return x.data == y.data && x.strides == y.strides;
}

template <class T>
T sum_of(T a, T b) {
  return from_sum<T>(to_sum(a) + to_sum(b));
}

struct Sum {
  template <class T>
  T operator()(T a, T b) const {
    return sum_of(a, b);
  }
};
struct Product {
  template <class T>
  T operator()(T a, T b) const {
    return from_sum<T>(to_sum(a) * to_sum(b));
  }
};
struct Largest {
  template <class T>
  T operator()(T a, T b) const {
    return b != b || a < b ? b : a;
  }
};
struct Smallest {
  template <class T>
  T operator()(T a, T b) const {
    return b != b || b < a ? b : a;
  }
};

template <class F>
void with_reduction(std::string_view reduce, F&& f) {
  if (reduce == "prod")
    f(Product{});
  else if (reduce == "max")
    f(Largest{});
  else if (reduce == "min")
    f(Smallest{});
  else
    f(Sum{});
}

bool is_small_float(DType dtype) { return is_float(dtype) && size_of(dtype) < 4; }

// Throws when an index lies outside the axis: before anything is written, since y may be x.
void check_indices(cpu::Pool& pool, const Tensor& index, int64_t axis, int64_t extent) {
  Dims shape = index.shape;
  std::array<Dims, 1> strides{index.strides};
  for (int i = 0; i < shape.rank(); ++i)
    if (strides[0][i] == 0) shape[i] = std::min<int64_t>(shape[i], 1);
  collapse(shape, strides);
  std::atomic<int64_t> outside{0};
  std::atomic<bool> failed{false};
  with_index(index.dtype, [&](auto zero) {
    parallel_pieces(pool, shape, strides, -1, [&](const Dims& part, const auto& start) {
      const auto* values = index.as<const decltype(zero)>() + start[0];
      for_each_row(part, strides, [&](const auto& at, int64_t n, const auto& steps) {
        for (int64_t i = 0; i < n; ++i) {
          const int64_t found = values[at[0] + i * steps[0]];
          if (wrap_index(found, extent) >= 0) continue;
          outside = found;
          failed = true;
        }
      });
    });
  });
  if (failed) fail_index(Scatter::kName, outside, axis, extent);
}

// Operands of a scatter as it walks the indices: the target, the number of elements that came to
// each of its places (or the target again), index and source.
struct Walk {
  Dims shape;
  std::array<Dims, 4> strides;
  int axis;
  int64_t extent, target_stride, count_stride;
};

Walk make_walk(const Tensor& target, const Tensor& index, const Tensor& source, int axis) {
  const Dims counts = contiguous_strides(target.shape);
  Walk walk{index.shape,
            {target.strides, counts, index.strides, source.strides},
            axis,
            target.shape[axis],
            target.strides[axis],
            counts[axis]};
  walk.strides[0][axis] = walk.strides[1][axis] = 0;
  return walk;
}

// Calls put(target offset, count offset, source offset) for each index; those that may meet in one
// place come one after the other, in order of the axis.
template <class F>
void walk_indices(cpu::Pool& pool, const Walk& walk, const Tensor& index, const F& put) {
  with_index(index.dtype, [&](auto zero) {
    const auto* indices = index.as<const decltype(zero)>();
    parallel_pieces(
        pool, walk.shape, walk.strides, walk.axis, [&](const Dims& part, const auto& start) {
          for_each_row(part, walk.strides, [&](const auto& at, int64_t n, const auto& steps) {
            const int64_t target = start[0] + at[0], count = start[1] + at[1];
            const int64_t place = start[2] + at[2], source = start[3] + at[3];
            for (int64_t i = 0; i < n; ++i) {
              const int64_t to = wrap_index(indices[place + i * steps[2]], walk.extent);
              put(target + i * steps[0] + to * walk.target_stride,
                  count + i * steps[1] + to * walk.count_stride, source + i * steps[3]);
            }
          });
        });
  });
}

// Sums in f32 for small floats; then counts.
size_t sums_bytes(DType dtype, int64_t n) {
  return is_small_float(dtype) ? static_cast<size_t>(n) * sizeof(float) : 0;
}

template <class T>
T divide(T sum, int64_t count) {
  if constexpr (std::is_integral_v<T>) {
    const auto wide = static_cast<int64_t>(sum);
    return static_cast<T>(wide / count - (wide % count < 0));
  } else {
    return sum / static_cast<T>(count);
  }
}

template <class T>
void reduce_into(const Scatter& op, const KernelArgs& args) {
  using Total = ComputeType<T>;
  const Tensor &x = args.in[0], &index = args.in[1], &source = args.in[2], &y = args.out[0];
  const bool mean = op.reduce == "mean", counted = mean || !op.include_self;
  Tensor total = y;
  if constexpr (!std::is_same_v<T, Total>) {
    total = Tensor::borrow(args.workspace, DType::f32, y.shape);
    copy_strided(x.shape, x.data, x.dtype, x.strides, total.data, total.dtype, total.strides);
  } else if (!same_memory(x, y)) {
    copy_tensor(args.pool, x, y);
  }
  auto* counts = reinterpret_cast<uint32_t*>(static_cast<char*>(args.workspace) +
                                             sums_bytes(y.dtype, y.elements()));
  if (counted) std::fill_n(counts, y.elements(), op.include_self ? 1u : 0u);
  const Walk walk = make_walk(total, index, source, static_cast<int>(op.axis));
  with_reduction(op.reduce, [&](auto reduction) {
    walk_indices(args.pool, walk, index, [&](int64_t to, int64_t count, int64_t from) {
      Total& place = total.as<Total>()[to];
      const auto value = static_cast<Total>(source.as<const T>()[from]);
      place = counted && counts[count] == 0 ? value : reduction(place, value);
      if (counted) ++counts[count];
    });
  });
  if (std::is_same_v<T, Total> && !mean) return;
  const std::array<Dims, 3> strides{total.strides, contiguous_strides(y.shape), y.strides};
  for_each_offset(y.shape, strides, [&](const auto& at) {
    const Total sum = total.as<const Total>()[at[0]];
    y.as<T>()[at[2]] = T(mean && counts[at[1]] > 1 ? divide(sum, counts[at[1]]) : sum);
  });
}

}  // namespace

std::vector<TensorType> IndexPut::infer(Types in) const {
  require_argument(!axes.empty(), "no axes are listed; at least one is wanted");
  require_operands(in, axes.size() + 2, axes.size() + 2);
  require_axes(axes, "x", in[0]);
  Shape index;
  for (const TensorType& type : in.subspan(2)) {
    require_index("index", type);
    index = broadcast(index, type.shape);
  }
  const TensorType picked{in[0].dtype, indexed_shape(in[0].shape, axes, index)};
  require_rank("x at the indices", picked, 0);
  require_dtype("values", in[1], in[0].dtype);
  broadcast_to(picked.shape, "values", in[1]);
  return {in[0]};
}

size_t IndexPut::workspace(Types in) const {
  Shape index;
  for (const TensorType& type : in.subspan(2)) index = broadcast(index, type.shape);
  return picks_workspace(constant_dims(index));
}

void IndexPut::cpu(const KernelArgs& args) const {
  const Tensor &x = args.in[0], &values = args.in[1], &y = args.out[0];
  const std::span<const Tensor> indices = args.in.subspan(2);
  const Dims index = broadcast_dims(indices);
  const Dims picked = indexed_dims(y.shape, axes, index);
  const Picks picks =
      make_picks(kName, y, axes, indices, index, broadcast_strides(values, picked), args.workspace);
  if (!same_memory(x, y)) copy_tensor(args.pool, x, y);
  if (accumulate) {
    with_dtype(y.dtype, [&](auto zero) {
      using T = decltype(zero);
      for_each_pick(args.pool, picks, true,
                    [to = y.as<T>(), from = values.as<const T>()](
                        int64_t at, int64_t value, int64_t n, int64_t step, int64_t value_step) {
                      for (int64_t i = 0; i < n; ++i) {
                        T& place = to[at + i * step];
                        place = sum_of(place, from[value + i * value_step]);
                      }
                    });
    });
    return;
  }
  with_word(y.dtype, [&](auto word) {
    using Word = decltype(word);
    for_each_pick(args.pool, picks, true,
                  [to = y.as<Word>(), from = values.as<const Word>()](
                      int64_t at, int64_t value, int64_t n, int64_t step, int64_t value_step) {
                    copy_row(from + value, value_step, to + at, step, n);
                  });
  });
}

std::vector<TensorType> Scatter::infer(Types in) const {
  require_operands(in, 3, 3);
  const TensorType &x = in[0], &index = in[1], &source = in[2];
  require_argument(reduce == "none" || reduce == "sum" || reduce == "prod" || reduce == "max" ||
                       reduce == "min" || reduce == "mean",
                   "reduce is ", reduce, "; none, sum, prod, max, min or mean is wanted");
  if (reduce == "mean") require_number("x", x);
  require_axis(axis, "x", x);
  require_index("index", index);
  require_rank("index", index, x.rank(), x.rank());
  require_rank("source", source, x.rank(), x.rank());
  require_dtype("source", source, x.dtype);
  const auto larger = [](const Dim& a, const Dim& b) {
    return a.is_constant() && b.is_constant() && a.value() > b.value();
  };
  for (size_t i = 0; i < x.shape.size(); ++i) {
    require_argument(!larger(index.shape[i], source.shape[i]), "index is ", index,
                     "; extents not larger than those of source, ", source, ", are wanted");
    require_argument(static_cast<int64_t>(i) == axis || !larger(index.shape[i], x.shape[i]),
                     "index is ", index, "; extents not larger than those of x, ", x,
                     ", are wanted but on axis ", axis);
  }
  return {x};
}

size_t Scatter::workspace(Types in) const {
  if (reduce == "none") return 0;
  const int64_t n = elements(in[0].shape).value();
  const bool counted = reduce == "mean" || !include_self;
  return sums_bytes(in[0].dtype, n) + (counted ? static_cast<size_t>(n) * sizeof(uint32_t) : 0);
}

void Scatter::cpu(const KernelArgs& args) const {
  const Tensor &x = args.in[0], &index = args.in[1], &source = args.in[2], &y = args.out[0];
  const int along = static_cast<int>(axis);
  check_indices(args.pool, index, axis, x.shape[along]);
  if (reduce != "none") {
    with_dtype(y.dtype, [&](auto zero) { reduce_into<decltype(zero)>(*this, args); });
    return;
  }
  if (!same_memory(x, y)) copy_tensor(args.pool, x, y);
  const Walk walk = make_walk(y, index, source, along);
  with_word(y.dtype, [&](auto word) {
    using Word = decltype(word);
    walk_indices(args.pool, walk, index,
                 [to = y.as<Word>(), from = source.as<const Word>()](
                     int64_t place, int64_t, int64_t value) { to[place] = from[value]; });
  });
}

std::vector<TensorType> SliceUpdate::infer(Types in) const {
  require_operands(in, 2, 2);
  const TensorType &x = in[0], &source = in[1];
  require_axis(axis, "x", x);
  require_argument(step != 0, "step is 0; another number is wanted");
  require_dtype("source", source, x.dtype);
  require_rank("source", source, x.rank(), x.rank());
  for (int i = 0; i < x.rank(); ++i)
    if (i != axis) same_extent(x.shape[static_cast<size_t>(i)], "source", source, i);
  const Dim &extent = x.shape[static_cast<size_t>(axis)],
            &size = source.shape[static_cast<size_t>(axis)];
  const Dim last = start + (size - 1) * Dim(step);
  const auto inside = [&](const Dim& index) {
    return !index.is_constant() ||
           (index.value() >= 0 && (!extent.is_constant() || index.value() < extent.value()));
  };
  require_argument(size == Dim(0) || (inside(start) && inside(last)), "source is ", source,
                   "; indices ", start, " to ", last, " of axis ", axis,
                   " lie outside x, which is ", x);
  return {x};
}

void SliceUpdate::cpu(const KernelArgs& args) const {
  const Tensor &x = args.in[0], &source = args.in[1], &y = args.out[0];
  if (!same_memory(x, y)) copy_tensor(args.pool, x, y);
  if (source.elements() == 0) return;
  const int along = static_cast<int>(axis);
  Tensor range = y;
  range.shape = source.shape;
  range.data =
      y.as<char>() + start.value() * y.strides[along] * static_cast<int64_t>(size_of(y.dtype));
  range.strides[along] *= step;
  copy_tensor(args.pool, source, range);
}

}  // namespace tutti
