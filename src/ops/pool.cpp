// SPDX-License-Identifier: Apache-2.0
#include "ops/pool.h"

#include <limits>

#include "ops/infer.h"
#include "ops/loops.h"

namespace tutti {
namespace {

constexpr int kSpace = 3;
constexpr int64_t kLanes = 64;

int64_t ceil_div(int64_t a, int64_t b) { return a / b + (a % b > 0); }

// One axis of space: extents, window and strides in elements.
struct Axis {
  int64_t in = 1, out = 1;
  int64_t kernel = 1, stride = 1, padding = 0, dilation = 1;
  bool adaptive = false;
  int64_t x_stride = 0, y_stride = 0, index_stride = 0;
};

// The elements of x under a window along one axis, and the extent that a mean divides by.
struct Taps {
  int64_t first, count, step, extent;
};

Taps taps_of(const Axis& a, int64_t o, bool count_padding) {
  if (a.adaptive) {
    const int64_t first = o * a.in / a.out;
    const int64_t count = ceil_div((o + 1) * a.in, a.out) - first;
    return {first, count, 1, count};
  }
  const int64_t start = o * a.stride - a.padding;
  const int64_t skipped = std::max<int64_t>(0, ceil_div(-start, a.dilation));
  const int64_t count =
      std::max<int64_t>(0, std::min(a.kernel, ceil_div(a.in - start, a.dilation)) - skipped);
  const int64_t extent = count_padding ? std::min(a.kernel, a.in + a.padding - start) : count;
  return {start + skipped * a.dilation, count, a.dilation, extent};
}

// Pooling of one tensor: depth, height and width, and all axes before them.
struct Windows {
  std::array<Axis, kSpace> axes;
  Dims lead, x_lead, y_lead, index_lead;
  // Lanes computed together lie along width, or along one of the leading axes where that is
  // contiguous.
  bool lanes_are_columns = false;
  int64_t lanes = 1, x_lane = 0, y_lane = 0, index_lane = 0;
  bool count_padding = true;
  int64_t divisor = 0;
};

// The running result of up to kLanes elements of y.
template <class T>
struct Largest {
  using Value = ComputeType<T>;
  Value value[kLanes];
  int64_t index[kLanes];

  void begin(int64_t n) {
    using Limits = std::numeric_limits<Value>;
    std::fill_n(value, n, Limits::has_infinity ? -Limits::infinity() : Limits::lowest());
    std::fill_n(index, n, -1);
  }
  // Takes in x[i * step], which stands at place + i * place_step, for lanes begin + i.
  void add(const T* x, int64_t step, int64_t begin, int64_t end, int64_t place,
           int64_t place_step) {
    for (int64_t i = begin; i < end; ++i, x += step, place += place_step) {
      const auto found = static_cast<Value>(*x);
      if (!(found > value[i] || found != found || index[i] < 0)) continue;
      value[i] = found;
      index[i] = place;
    }
  }
};

template <class T>
struct Mean {
  using Value = ComputeType<T>;
  Value value[kLanes];

  void begin(int64_t n) { std::fill_n(value, n, Value(0)); }
  void add(const T* x, int64_t step, int64_t begin, int64_t end, int64_t, int64_t) {
    for (int64_t i = begin; i < end; ++i, x += step) value[i] += static_cast<Value>(*x);
  }
};

template <class Value>
Value mean_of(const Windows& w, Value sum, const Taps& d, const Taps& h, const Taps& width) {
  if (w.axes[2].adaptive)  // divided by one extent after the other, as PyTorch does
    return sum / static_cast<Value>(d.extent) / static_cast<Value>(h.extent) /
           static_cast<Value>(width.extent);
  const int64_t n = w.divisor != 0 ? w.divisor : d.extent * h.extent * width.extent;
  return n == 0 ? Value(0) : sum / static_cast<Value>(n);
}

// Where the results of one place of the leading axes go.
template <class T>
struct Plane {
  const T* x;
  T* y;
  int64_t* index;  // null but for max
};

// Elements of y at depth and height o and columns or lanes [begin, begin + n).
template <class T, template <class> class Reduction>
void pool_tile(const Windows& w, const Plane<T>& plane, const std::array<int64_t, kSpace>& o,
               int64_t begin, int64_t n) {
  const Axis &depth = w.axes[0], &height = w.axes[1], &width = w.axes[2];
  const Taps d = taps_of(depth, o[0], w.count_padding), h = taps_of(height, o[1], w.count_padding);
  const Taps column = taps_of(width, o[2], w.count_padding);
  Reduction<T> tile;
  tile.begin(n);
  for (int64_t i = 0; i < d.count; ++i) {
    for (int64_t j = 0; j < h.count; ++j) {
      const int64_t z = d.first + i * d.step, row = h.first + j * h.step;
      const T* x = plane.x + z * depth.x_stride + row * height.x_stride;
      const int64_t place = (z * height.in + row) * width.in;
      if (!w.lanes_are_columns) {
        for (int64_t k = 0; k < column.count; ++k) {
          const int64_t at = column.first + k * column.step;
          tile.add(x + at * width.x_stride + begin * w.x_lane, w.x_lane, 0, n, place + at, 0);
        }
        continue;
      }
      for (int64_t k = 0; k < width.kernel; ++k) {
        const int64_t shift = k * width.dilation - width.padding;
        const int64_t first = std::max(begin, ceil_div(-shift, width.stride));
        const int64_t last = std::min(begin + n, ceil_div(width.in - shift, width.stride));
        const int64_t at = first * width.stride + shift;
        if (first < last)
          tile.add(x + at * width.x_stride, width.stride * width.x_stride, first - begin,
                   last - begin, place + at, width.stride);
      }
    }
  }
  const int64_t y_step = w.lanes_are_columns ? width.y_stride : w.y_lane;
  const int64_t index_step = w.lanes_are_columns ? width.index_stride : w.index_lane;
  T* y = plane.y + o[0] * depth.y_stride + o[1] * height.y_stride + o[2] * width.y_stride;
  int64_t* index = plane.index;
  if (index)
    index += o[0] * depth.index_stride + o[1] * height.index_stride + o[2] * width.index_stride;
  for (int64_t i = 0; i < n; ++i) {
    const int64_t lane = w.lanes_are_columns ? i : begin + i;
    if constexpr (std::is_same_v<Reduction<T>, Largest<T>>) {
      y[lane * y_step] = static_cast<T>(tile.value[i]);
      index[lane * index_step] = tile.index[i];
    } else {
      const Taps across = w.lanes_are_columns ? taps_of(width, begin + i, w.count_padding) : column;
      y[lane * y_step] = static_cast<T>(mean_of(w, tile.value[i], d, h, across));
    }
  }
}

template <class T, template <class> class Reduction>
void pool_windows(const Windows& w, const KernelArgs& args) {
  const int64_t depths = w.axes[0].out, heights = w.axes[1].out, widths = w.axes[2].out;
  const int64_t n = elements(w.lead) * depths * heights;
  const int64_t work = widths * w.axes[0].kernel * w.axes[1].kernel * w.axes[2].kernel * w.lanes;
  parallel_ranges(
      args.pool, n, 8192 / std::max<int64_t>(work, 1), [&](int64_t first, int64_t last) {
        for (int64_t i = first; i < last; ++i) {
          const int64_t lead = i / (depths * heights);
          std::array<int64_t, kSpace> o{i / heights % depths, i % heights, 0};
          const Plane<T> plane{args.in[0].as<const T>() + offset_at(lead, w.lead, w.x_lead),
                               args.out[0].as<T>() + offset_at(lead, w.lead, w.y_lead),
                               args.out.size() > 1 ? args.out[1].as<int64_t>() +
                                                         offset_at(lead, w.lead, w.index_lead)
                                                   : nullptr};
          const int64_t across = w.lanes_are_columns ? kLanes : 1;
          for (o[2] = 0; o[2] < widths; o[2] += across) {
            if (w.lanes_are_columns)
              pool_tile<T, Reduction>(w, plane, o, o[2], std::min(kLanes, widths - o[2]));
            else
              for (int64_t lane = 0; lane < w.lanes; lane += kLanes)
                pool_tile<T, Reduction>(w, plane, o, lane, std::min(kLanes, w.lanes - lane));
          }
        }
      });
}

// Strides and extents, and which elements are computed together.
Windows make_windows(const KernelArgs& args, int space) {
  const Tensor &x = args.in[0], &y = args.out[0], &index = args.out.back();
  Windows w;
  const int lead = x.rank() - space;
  for (int i = 0; i < space; ++i) {
    Axis& axis = w.axes[static_cast<size_t>(kSpace - space + i)];
    axis.in = x.shape[lead + i];
    axis.out = y.shape[lead + i];
    axis.x_stride = x.strides[lead + i];
    axis.y_stride = y.strides[lead + i];
    axis.index_stride = index.strides[lead + i];
  }
  int lanes = -1;
  for (int i = 0; i < lead; ++i)
    if (x.shape[i] > 1 && x.strides[i] == 1 && y.strides[i] == 1) lanes = i;
  for (int i = 0; i < lead; ++i) {
    if (i == lanes) continue;
    w.lead.push_back(x.shape[i]);
    w.x_lead.push_back(x.strides[i]);
    w.y_lead.push_back(y.strides[i]);
    w.index_lead.push_back(index.strides[i]);
  }
  if (lanes >= 0) {
    w.lanes = x.shape[lanes];
    w.x_lane = w.y_lane = 1;
    w.index_lane = index.strides[lanes];
  }
  return w;
}

void pool(const Windows& w, bool max, const KernelArgs& args) {
  with_dtype(args.in[0].dtype, [&](auto zero) {
    using T = decltype(zero);
    if (max)
      pool_windows<T, Largest>(w, args);
    else
      pool_windows<T, Mean>(w, args);
  });
}

void require_poolable(const std::string& fn, const TensorType& x, size_t space) {
  require_argument(fn == "max" || fn == "avg", "fn is ", fn, "; max or avg is wanted");
  require_argument(space >= 1 && space <= kSpace, space, " axes of space; 1 to ", kSpace,
                   " are wanted");
  if (fn == "max")
    require_number("x", x);
  else
    require_float("x", x);
  require_rank("x", x, static_cast<int>(space));
}

std::vector<TensorType> with_indices(const std::string& fn, const TensorType& y) {
  if (fn == "avg") return {y};
  return {y, {DType::i64, y.shape}};
}

}  // namespace

std::vector<TensorType> Pool::infer(Types in) const {
  require_operands(in, 1, 1);
  const TensorType& x = in[0];
  require_poolable(fn, x, kernel.size());
  const int space = static_cast<int>(kernel.size());
  require_list("kernel", kernel, space, 1);
  require_list("stride", stride, space, 1);
  require_list("padding", padding, space, 0);
  require_list("dilation", dilation, space, 1);
  TensorType y = x;
  for (size_t i = 0; i < kernel.size(); ++i) {
    Dim& extent = y.shape[x.shape.size() - kernel.size() + i];
    const int64_t reach = dilation[i] * (kernel[i] - 1);
    require_argument(fn == "max" || dilation[i] == 1, "dilation is [", join_list(dilation),
                     "]; 1 is wanted for avg");
    require_argument(2 * padding[i] <= reach + 1, "padding is [", join_list(padding),
                     "]; at most half of the window [", join_list(kernel), "] is wanted");
    Dim out = floor_div(extent + Dim(2 * padding[i] - reach - 1 + (ceil ? stride[i] - 1 : 0)),
                        stride[i]) +
              1;
    // The last window begins inside x or the border in front of it.
    if (ceil) out = min(out, floor_div(extent + Dim(padding[i] - 1), stride[i]) + 1);
    require_argument(!out.is_constant() || out.value() >= 1, "x is ", x, "; a window of [",
                     join_list(kernel), "] gives extent ", out);
    extent = out;
  }
  return with_indices(fn, y);
}

void Pool::cpu(const KernelArgs& args) const {
  Windows w = make_windows(args, static_cast<int>(kernel.size()));
  for (size_t i = 0; i < kernel.size(); ++i) {
    Axis& axis = w.axes[kSpace - kernel.size() + i];
    axis.kernel = kernel[i];
    axis.stride = stride[i];
    axis.padding = padding[i];
    axis.dilation = dilation[i];
  }
  w.lanes_are_columns = w.x_lane == 0;
  w.count_padding = count_padding;
  w.divisor = divisor;
  pool(w, fn == "max", args);
}

std::vector<TensorType> AdaptivePool::infer(Types in) const {
  require_operands(in, 1, 1);
  const TensorType& x = in[0];
  require_poolable(fn, x, size.size());
  TensorType y = x;
  for (size_t i = 0; i < size.size(); ++i) {
    Dim& extent = y.shape[x.shape.size() - size.size() + i];
    require_argument(!size[i].is_constant() || size[i].value() >= 0, "size is ", size,
                     "; numbers of at least 0 are wanted");
    require_argument(!(extent == Dim(0)), "x is ", x, "; extents of at least 1 are wanted");
    extent = size[i];
  }
  return with_indices(fn, y);
}

void AdaptivePool::cpu(const KernelArgs& args) const {
  Windows w = make_windows(args, static_cast<int>(size.size()));
  for (size_t i = 0; i < size.size(); ++i) {
    Axis& axis = w.axes[kSpace - size.size() + i];
    axis.adaptive = true;
    axis.kernel = axis.out > 0 ? ceil_div(axis.in, axis.out) : 1;
  }
  for (Axis& axis : w.axes) axis.adaptive = true;
  pool(w, fn == "max", args);
}

}  // namespace tutti
