// SPDX-License-Identifier: Apache-2.0
#include "ops/conv.h"

#include "ops/infer.h"
#include "ops/loops.h"
#include "ops/sums.h"

namespace tutti {
namespace {

constexpr int kSpace = 3;
constexpr int64_t kColumns = 64;

// One convolution over depth, height and width; absent axes have extent 1. Arrays hold depth,
// height, width; strides in elements.
struct Window {
  std::array<int64_t, kSpace> in, out, kernel, stride, padding, dilation;
  std::array<int64_t, kSpace> x_stride, w_stride, y_stride;
  bool transposed;

  // The input index that kernel element k brings to output o, or -1.
  int64_t source(int axis, int64_t o, int64_t k) const {
    const auto a = static_cast<size_t>(axis);
    int64_t i = transposed ? o + padding[a] - k * dilation[a]
                           : o * stride[a] - padding[a] + k * dilation[a];
    if (transposed) {
      if (i < 0 || i % stride[a] != 0) return -1;
      i /= stride[a];
    }
    return i >= 0 && i < in[a] ? i : -1;
  }
};

int64_t ceil_div(int64_t a, int64_t b) { return a / b + (a % b > 0); }

// Adds one row of x times one weight to columns [begin, begin + n) of y.
template <class T>
void add_row(const Window& w, const T* x, SumType<T> weight, int64_t k, int64_t begin, int64_t n,
             SumType<T>* sums) {
  constexpr int kWidth = kSpace - 1;
  const int64_t shift = k * w.dilation[kWidth] - w.padding[kWidth], stride = w.stride[kWidth];
  const int64_t in = w.in[kWidth], step = w.x_stride[kWidth];
  if (w.transposed) {
    const int64_t first = std::max<int64_t>(0, ceil_div(begin - shift, stride));
    const int64_t last = std::min(in, ceil_div(begin + n - shift, stride));
    for (int64_t i = first; i < last; ++i)
      sums[i * stride + shift - begin] += weight * to_sum(x[i * step]);
    return;
  }
  const int64_t first = std::max(begin, ceil_div(-shift, stride));
  const int64_t last = std::min(begin + n, ceil_div(in - shift, stride));
  for (int64_t o = first; o < last; ++o)
    sums[o - begin] += weight * to_sum(x[(o * stride + shift) * step]);
}

// Operands of one row of y: one batch element and output channel, depth and height o.
template <class T>
struct Row {
  const T *x, *w;
  T* y;
  int64_t channels, x_channel, w_channel;
  int64_t depth, height;
  SumType<T> bias;
};

template <class T>
void convolve_row(const Window& w, const Row<T>& row) {
  for (int64_t begin = 0; begin < w.out[2]; begin += kColumns) {
    const int64_t n = std::min(kColumns, w.out[2] - begin);
    SumType<T> sums[kColumns] = {};
    for (int64_t c = 0; c < row.channels; ++c) {
      for (int64_t kd = 0; kd < w.kernel[0]; ++kd) {
        const int64_t d = w.source(0, row.depth, kd);
        if (d < 0) continue;
        for (int64_t kh = 0; kh < w.kernel[1]; ++kh) {
          const int64_t h = w.source(1, row.height, kh);
          if (h < 0) continue;
          const T* x = row.x + c * row.x_channel + d * w.x_stride[0] + h * w.x_stride[1];
          const T* weights = row.w + c * row.w_channel + kd * w.w_stride[0] + kh * w.w_stride[1];
          for (int64_t kw = 0; kw < w.kernel[2]; ++kw)
            add_row(w, x, to_sum(weights[kw * w.w_stride[2]]), kw, begin, n, sums);
        }
      }
    }
    for (int64_t i = 0; i < n; ++i)
      row.y[(begin + i) * w.y_stride[2]] = from_sum<T>(sums[i] + row.bias);
  }
}

Window make_window(const Conv& op, const Tensor& x, const Tensor& w, const Tensor& y) {
  Window window{{1, 1, 1}, {1, 1, 1}, {1, 1, 1}, {1, 1, 1}, {},
                {1, 1, 1}, {},        {},        {},        op.transposed};
  const int axes = x.rank() - 2;
  for (int i = 0; i < axes; ++i) {
    const auto to = static_cast<size_t>(kSpace - axes + i), from = static_cast<size_t>(i);
    window.in[to] = x.shape[2 + i];
    window.out[to] = y.shape[2 + i];
    window.kernel[to] = w.shape[2 + i];
    window.stride[to] = op.stride[from];
    window.padding[to] = op.padding_before[from];
    window.dilation[to] = op.dilation[from];
    window.x_stride[to] = x.strides[2 + i];
    window.w_stride[to] = w.strides[2 + i];
    window.y_stride[to] = y.strides[2 + i];
  }
  return window;
}

template <class T>
void convolve(const Conv& op, const KernelArgs& args) {
  const Tensor &x = args.in[0], &w = args.in[1], &y = args.out[0];
  const Window window = make_window(op, x, w, y);
  const int64_t outputs = y.shape[1], outputs_in_group = outputs / op.groups;
  const int64_t channels = x.shape[1] / op.groups;
  const int64_t rows = y.shape[0] * outputs * window.out[0] * window.out[1];
  parallel_ranges(args.pool, rows, 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const int64_t height = i % window.out[1], depth = i / window.out[1] % window.out[0];
      const int64_t o = i / (window.out[0] * window.out[1]) % outputs;
      const int64_t b = i / (window.out[0] * window.out[1] * outputs);
      const int64_t group = o / outputs_in_group, first = group * channels;
      const int64_t weights = op.transposed
                                  ? first * w.strides[0] + o % outputs_in_group * w.strides[1]
                                  : o * w.strides[0];
      convolve_row(
          window,
          Row<T>{x.as<const T>() + b * x.strides[0] + first * x.strides[1],
                 w.as<const T>() + weights,
                 y.as<T>() + b * y.strides[0] + o * y.strides[1] + depth * window.y_stride[0] +
                     height * window.y_stride[1],
                 channels, x.strides[1], op.transposed ? w.strides[0] : w.strides[1], depth, height,
                 args.in.size() < 3 ? SumType<T>{}
                                    : to_sum(args.in[2].as<const T>()[o * args.in[2].strides[0]])});
    }
  });
}

}  // namespace

std::vector<TensorType> Conv::infer(Types in) const {
  require_operands(in, 2, 3);
  const TensorType &x = in[0], &w = in[1];
  require_number("x", x);
  require_rank("x", x, 3, 5);
  require_rank("w", w, x.rank(), x.rank());
  require_dtype("w", w, x.dtype);
  const int axes = x.rank() - 2;
  require_list("stride", stride, axes, 1);
  require_list("dilation", dilation, axes, 1);
  require_list("padding_before", padding_before, axes, 0);
  require_list("padding_after", padding_after, axes, 0);
  if (!output_padding.empty()) require_list("output_padding", output_padding, axes, 0);
  require_argument(groups >= 1, "groups is ", groups, "; at least 1 is wanted");

  const Dim channels = transposed ? w.shape[0] : w.shape[1] * Dim(groups);
  const Dim outputs = transposed ? w.shape[1] * Dim(groups) : w.shape[0];
  const Dim& divided = w.shape[0];
  require_argument(!divided.is_constant() || divided.value() % groups == 0, "w is ", w,
                   "; a multiple of ", groups, " groups is wanted on axis 0");
  same_extent(channels, "x", x, 1);
  TensorType y{x.dtype, {x.shape[0], outputs}};
  if (in.size() == 3) {
    require_dtype("bias", in[2], x.dtype);
    require_rank("bias", in[2], 1, 1);
    y.shape[1] = same_extent(outputs, "bias", in[2], 0);
  }
  for (size_t i = 0; i < static_cast<size_t>(axes); ++i) {
    const int64_t extra = output_padding.empty() ? 0 : output_padding[i];
    const Dim reach = (w.shape[2 + i] - 1) * Dim(dilation[i]);
    const Dim& extent = x.shape[2 + i];
    const int64_t padding = padding_before[i] + padding_after[i];
    require_argument(transposed ? extra < std::max(stride[i], dilation[i]) : extra == 0,
                     "output_padding is [", join_list(output_padding), "]; ",
                     transposed ? "less than stride or dilation" : "0", " is wanted");
    const Dim out = transposed ? (extent - 1) * Dim(stride[i]) + reach + Dim(extra + 1 - padding)
                               : floor_div(extent + Dim(padding - 1) - reach, stride[i]) + 1;
    require_argument(!out.is_constant() || out.value() >= 1, "x is ", x, " and w is ", w,
                     "; y would have extent ", out, " on axis ", i + 2);
    y.shape.push_back(out);
  }
  return {y};
}

void Conv::cpu(const KernelArgs& args) const {
  with_dtype(args.out[0].dtype, [&](auto zero) { convolve<decltype(zero)>(*this, args); });
}

}  // namespace tutti
