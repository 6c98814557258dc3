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
  const int64_t reach = (a.kernel - 1) * a.dilation;
  if (start >= 0 && start + reach < a.in) return {start, a.kernel, a.dilation, a.kernel};
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
  // Elements of y are computed together along one of the leading axes where that is contiguous in
  // x and y (lanes), else along width (columns).
  bool lanes_are_columns = false;
  int64_t lanes = 1, index_lane = 0;
  bool count_padding = true;
  int64_t divisor = 0;
};

// The operands of one place of the leading axes.
template <class T>
struct Plane {
  const T* x;
  T* y;
  int64_t* index;  // null but for max
};

// The window of one place of y: what it covers of depth, height and width.
using WindowTaps = std::array<Taps, kSpace>;

template <class Value>
Value mean_of(const Windows& w, Value sum, int64_t depth, int64_t height, int64_t width) {
  if (w.axes[2].adaptive)  // divided by one extent after the other, as PyTorch does
    return sum / static_cast<Value>(depth) / static_cast<Value>(height) / static_cast<Value>(width);
  const int64_t n = w.divisor != 0 ? w.divisor : depth * height * width;
  return n == 0 ? Value(0) : sum / static_cast<Value>(n);
}

// The running largest of some elements of y and their places. Without branches, which random data
// would mispredict; a NaN is only noticed.
template <class T>
struct Largest {
  using Value = ComputeType<T>;
  Value value[kLanes];
  int64_t index[kLanes];
  bool has_nan = false;

  void begin(int64_t lane, int64_t place) {
    using Limits = std::numeric_limits<Value>;
    value[lane] = Limits::has_infinity ? -Limits::infinity() : Limits::lowest();
    index[lane] = place;
  }
  // Takes in x[i * step], which stands at place + i * place_step, for lane begin + i.
  void add(const T* x, int64_t step, int64_t begin, int64_t end, int64_t place,
           int64_t place_step) {
    for (int64_t i = begin; i < end; ++i, x += step, place += place_step) {
      const auto found = static_cast<Value>(*x);
      const bool larger = found > value[i];
      value[i] = larger ? found : value[i];
      index[i] += (place - index[i]) & -static_cast<int64_t>(larger);
      has_nan |= found != found;
    }
  }
};

// A second pass over windows with NaNs: they win, the last of several.
template <class T>
struct LargestNan : Largest<T> {
  void add(const T* x, int64_t step, int64_t begin, int64_t end, int64_t place,
           int64_t place_step) {
    for (int64_t i = begin; i < end; ++i, x += step, place += place_step) {
      const auto found = static_cast<ComputeType<T>>(*x);
      if (found == found) continue;
      this->value[i] = found;
      this->index[i] = place;
    }
  }
};

template <class T>
struct Sum {
  ComputeType<T> value[kLanes];

  void add(const T* x, int64_t step, int64_t begin, int64_t end, int64_t, int64_t) {
    for (int64_t i = begin; i < end; ++i, x += step) value[i] += static_cast<ComputeType<T>>(*x);
  }
};

// Up to kLanes elements of y that differ in the column, or in the lane at column `first`.
struct Tile {
  int64_t first, n;
  WindowTaps taps;  // of column `first`
};

// Adds the elements of one row of x under the windows of a tile, from left to right.
template <class State, class T>
void add_row(const Windows& w, const Tile& tile, const T* x, int64_t place, State& state) {
  const Axis& width = w.axes[2];
  if (!w.lanes_are_columns) {
    const Taps& c = tile.taps[2];
    for (int64_t k = 0; k < c.count; ++k) {
      const int64_t column = c.first + k * c.step;
      state.add(x + column * width.x_stride, 1, 0, tile.n, place + column, 0);
    }
    return;
  }
  for (int64_t k = 0; k < width.kernel; ++k) {
    const int64_t shift = k * width.dilation - width.padding;
    const int64_t begin = std::max(tile.first, ceil_div(-shift, width.stride));
    const int64_t end = std::min(tile.first + tile.n, ceil_div(width.in - shift, width.stride));
    const int64_t column = begin * width.stride + shift;
    if (begin < end)
      state.add(x + column * width.x_stride, width.stride * width.x_stride, begin - tile.first,
                end - tile.first, place + column, width.stride);
  }
}

template <class State, class T>
void add_tile(const Windows& w, const Tile& tile, const T* x, State& state) {
  const auto& [d, h, c] = tile.taps;
  for (int64_t i = 0; i < d.count; ++i) {
    for (int64_t j = 0; j < h.count; ++j) {
      const int64_t z = d.first + i * d.step, row = h.first + j * h.step;
      add_row(w, tile, x + z * w.axes[0].x_stride + row * w.axes[1].x_stride,
              (z * w.axes[1].in + row) * w.axes[2].in, state);
    }
  }
}

// Along width, the taps of one element of a tile.
Taps columns_of(const Windows& w, const Tile& tile, int64_t i) {
  return w.lanes_are_columns ? taps_of(w.axes[2], tile.first + i, w.count_padding) : tile.taps[2];
}

// plane: x at lane 0 of the tile; y at its first element.
template <class T>
void mean_tile(const Windows& w, const Tile& tile, const Plane<T>& plane) {
  const int64_t y_step = w.lanes_are_columns ? w.axes[2].y_stride : 1;
  const int64_t depth = tile.taps[0].extent, height = tile.taps[1].extent;
  Sum<T> sums;
  std::fill_n(sums.value, tile.n, ComputeType<T>(0));
  add_tile(w, tile, plane.x, sums);
  for (int64_t i = 0; i < tile.n; ++i) {
    const int64_t width = columns_of(w, tile, i).extent;
    plane.y[i * y_step] = static_cast<T>(mean_of(w, sums.value[i], depth, height, width));
  }
}

// The same, and index at its first element.
template <class T>
void max_tile(const Windows& w, const Tile& tile, const Plane<T>& plane) {
  const int64_t y_step = w.lanes_are_columns ? w.axes[2].y_stride : 1;
  const int64_t index_step = w.lanes_are_columns ? w.axes[2].index_stride : w.index_lane;
  const Taps &d = tile.taps[0], &h = tile.taps[1];
  const int64_t row = (d.first * w.axes[1].in + h.first) * w.axes[2].in;
  LargestNan<T> state;
  for (int64_t i = 0; i < tile.n; ++i) {
    const Taps c = columns_of(w, tile, i);
    state.begin(i, d.count * h.count * c.count == 0 ? -1 : row + c.first);
  }
  add_tile(w, tile, plane.x, static_cast<Largest<T>&>(state));
  if (state.has_nan) add_tile(w, tile, plane.x, state);
  for (int64_t i = 0; i < tile.n; ++i) {
    plane.y[i * y_step] = static_cast<T>(state.value[i]);
    plane.index[i * index_step] = state.index[i];
  }
}

// All columns and lanes of y at one depth and height.
template <class T>
void pool_line(const Windows& w, const Plane<T>& plane, int64_t depth, int64_t height) {
  const Axis &d = w.axes[0], &h = w.axes[1], &c = w.axes[2];
  Tile tile{0, 1, {taps_of(d, depth, w.count_padding), taps_of(h, height, w.count_padding), {}}};
  for (int64_t& column = tile.first; column < c.out; column += w.lanes_are_columns ? kLanes : 1) {
    tile.taps[2] = taps_of(c, column, w.count_padding);
    for (int64_t lane = 0; lane < w.lanes; lane += kLanes) {
      tile.n = std::min(kLanes, w.lanes_are_columns ? c.out - column : w.lanes - lane);
      Plane<T> at = plane;
      at.x += lane;
      at.y += depth * d.y_stride + height * h.y_stride + column * c.y_stride + lane;
      if (at.index)
        at.index += depth * d.index_stride + height * h.index_stride + column * c.index_stride +
                    lane * w.index_lane;
      if (at.index)
        max_tile(w, tile, at);
      else
        mean_tile(w, tile, at);
    }
  }
}

template <class T>
void pool_windows(const Windows& w, const KernelArgs& args) {
  const int64_t depths = w.axes[0].out, heights = w.axes[1].out;
  const int64_t n = elements(w.lead) * depths * heights;
  const int64_t work =
      w.axes[2].out * w.axes[0].kernel * w.axes[1].kernel * w.axes[2].kernel * w.lanes;
  parallel_ranges(
      args.pool, n, 8192 / std::max<int64_t>(work, 1), [&](int64_t first, int64_t last) {
        for (int64_t i = first; i < last; ++i) {
          const int64_t lead = i / (depths * heights);
          const Plane<T> plane{args.in[0].as<const T>() + offset_at(lead, w.lead, w.x_lead),
                               args.out[0].as<T>() + offset_at(lead, w.lead, w.y_lead),
                               args.out.size() > 1 ? args.out[1].as<int64_t>() +
                                                         offset_at(lead, w.lead, w.index_lead)
                                                   : nullptr};
          pool_line(w, plane, i / heights % depths, i % heights);
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
    w.index_lane = index.strides[lanes];
  }
  return w;
}

void pool(const Windows& w, const KernelArgs& args) {
  with_dtype(args.in[0].dtype, [&](auto zero) { pool_windows<decltype(zero)>(w, args); });
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
  w.lanes_are_columns = w.lanes == 1;
  w.count_padding = count_padding;
  w.divisor = divisor;
  pool(w, args);
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
  pool(w, args);
}

}  // namespace tutti
