// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cmath>

#include "import/arithmetic.h"
#include "ops/concat.h"
#include "ops/conv.h"
#include "ops/pool.h"
#include "ops/resize.h"
#include "ops/views.h"

namespace tutti::pt2 {
namespace {

using Numbers = std::vector<int64_t>;

// A tensor without its batch axis gets one of extent 1 for `f`, which goes away again.
template <class F>
ValueId in_batch(Lowering& l, ValueId x, int space, F&& f) {
  if (l.e.rank(x) == space + 2) return f(x);
  require_argument(l.e.rank(x) == space + 1, "x has ", l.e.rank(x), " axes; ", space + 1, " or ",
                   space + 2, " are wanted");
  return l.e.squeeze(f(l.e.unsqueeze(x, 0)), 0);
}

ValueId conv_of(Lowering& l, const Conv& conv, ValueId x, ValueId weight, ValueId bias) {
  return in_batch(l, x, l.e.rank(weight) - 2, [&](ValueId batch) {
    if (bias == kNone) return l.e.op(conv, {batch, weight});
    return l.e.op(conv, {batch, weight, bias});
  });
}

// "same" puts the odd element behind.
void set_padding(Lowering& l, const Args& a, ValueId weight, Conv& conv) {
  const size_t space = conv.stride.size();
  if (a.text("padding") == "valid") {
    conv.padding_before = conv.padding_after = Numbers(space, 0);
    return;
  }
  require_argument(a.text("padding") == "same", "padding is ", a.text("padding"),
                   "; valid or same is wanted");
  for (size_t i = 0; i < space; ++i) {
    const int64_t kernel = l.e.extent(weight, static_cast<int64_t>(i) + 2).value();
    const int64_t total = conv.dilation[i] * (kernel - 1);
    conv.padding_before.push_back(total / 2);
    conv.padding_after.push_back(total - total / 2);
  }
}

template <bool named_padding>
Results convolve(Lowering& l, const Args& a) {
  const ValueId weight = a.value("weight");
  const auto space = static_cast<size_t>(l.e.rank(weight)) - 2;
  Conv conv;
  conv.stride = a.integers("stride", space);
  conv.dilation = a.integers("dilation", space);
  conv.groups = a.integer("groups");
  conv.output_padding = Numbers(space, 0);
  if (named_padding)
    set_padding(l, a, weight, conv);
  else
    conv.padding_before = conv.padding_after = a.integers("padding", space);
  return conv_of(l, conv, a.value("input"), weight, a.value_or_none("bias"));
}

Results convolve_any(Lowering& l, const Args& a) {
  const ValueId weight = a.value("weight");
  const auto space = static_cast<size_t>(l.e.rank(weight)) - 2;
  Conv conv;
  conv.stride = a.integers("stride", space);
  conv.padding_before = conv.padding_after = a.integers("padding", space);
  conv.dilation = a.integers("dilation", space);
  conv.groups = a.integer("groups");
  conv.transposed = a.flag("transposed");
  conv.output_padding = a.integers("output_padding", space);
  return conv_of(l, conv, a.value("input"), weight, a.value_or_none("bias"));
}

template <int space>
Results max_pool_both(Lowering& l, const Args& a) {
  Pool pool;
  pool.fn = "max";
  pool.kernel = a.integers("kernel_size", space);
  pool.stride = a.numbers("stride").empty() ? pool.kernel : a.integers("stride", space);
  pool.padding = a.integers("padding", space);
  pool.dilation = a.integers("dilation", space);
  pool.ceil = a.flag("ceil_mode");
  return l.e.ops(pool, {a.value("self")});
}

template <int space>
Results max_pool(Lowering& l, const Args& a) {
  Results both = max_pool_both<space>(l, a);
  both.items.pop_back();
  return both;
}

template <int space>
Results average_pool(Lowering& l, const Args& a) {
  Pool pool;
  pool.fn = "avg";
  pool.kernel = a.integers("kernel_size", space);
  pool.stride = a.numbers("stride").empty() ? pool.kernel : a.integers("stride", space);
  pool.padding = a.integers("padding", space);
  pool.dilation = Numbers(space, 1);
  pool.ceil = a.flag("ceil_mode");
  pool.count_padding = a.flag("count_include_pad");
  pool.divisor = a.has("divisor_override") ? a.integer("divisor_override") : 0;
  return l.e.ops(pool, {a.value("self")});
}

// -1 in a size keeps the extent.
AdaptivePool adaptive(Lowering& l, const Args& a, std::string_view fn, int space) {
  AdaptivePool pool{std::string(fn), a.dims("output_size")};
  if (pool.size.size() == 1 && space > 1)
    pool.size.assign(static_cast<size_t>(space), pool.size[0]);
  const Shape shape = l.shape(a.ref("self"));
  for (size_t i = 0; i < pool.size.size(); ++i)
    if (pool.size[i] == Dim(-1)) pool.size[i] = shape[shape.size() - pool.size.size() + i];
  return pool;
}

template <int space>
Results adaptive_average(Lowering& l, const Args& a) {
  return l.e.ops(adaptive(l, a, "avg", space), {a.value("self")});
}

template <int space>
Results adaptive_max(Lowering& l, const Args& a) {
  return l.e.ops(adaptive(l, a, "max", space), {a.value("self")});
}

// floor(extent * scale), exactly where the scale is a whole number.
Dim scaled(const Dim& extent, double scale) {
  if (scale == std::floor(scale)) return extent * static_cast<int64_t>(scale);
  const double inverse = 1 / scale;
  if (inverse == std::floor(inverse)) return floor_div(extent, static_cast<int64_t>(inverse));
  require(extent.is_constant(), Errc::unsupported, "a scale of ", scale,
          " for a symbolic extent is not supported");
  return static_cast<int64_t>(std::floor(static_cast<double>(extent.value()) * scale));
}

// The overloads with sizes and one scale for each axis.
template <const char* const* scales>
Results resize_sized(Lowering& l, const Args& a, std::string_view mode, bool align_corners) {
  Resize resize{std::string(mode), a.dims("output_size"), {}, align_corners};
  for (size_t i = 0; i < resize.size.size(); ++i)
    resize.scale.push_back(a.has(scales[i]) ? a.real(scales[i]) : 0);
  return l.e.op(std::move(resize), {a.value("self")});
}

constexpr const char* kScale1[] = {"scales"};
constexpr const char* kScale2[] = {"scales_h", "scales_w"};
constexpr const char* kScale3[] = {"scales_d", "scales_h", "scales_w"};

enum class Mode { nearest, nearest_exact, linear, cubic };
constexpr std::string_view name_of(Mode mode) {
  constexpr std::string_view kNames[] = {"nearest", "nearest_exact", "linear", "cubic"};
  return kNames[static_cast<int>(mode)];
}
constexpr bool has_corners(Mode mode) { return mode == Mode::linear || mode == Mode::cubic; }

template <Mode mode, const char* const* scales>
Results resize(Lowering& l, const Args& a) {
  return resize_sized<scales>(l, a, name_of(mode), has_corners(mode) && a.flag("align_corners"));
}

// The overloads with either sizes or scales.
template <Mode mode>
Results resize_vec(Lowering& l, const Args& a) {
  const ValueId x = a.value("input");
  Resize resize{std::string(name_of(mode)), {}, {}, has_corners(mode) && a.flag("align_corners")};
  const Shape shape = l.e.shape(x);
  if (a.has("output_size")) {
    resize.size = a.dims("output_size");
    resize.scale.assign(resize.size.size(), 0);
  } else {
    for (const Number& scale : a.numbers("scale_factors")) {
      const Dim& extent = shape[resize.scale.size() + 2];
      resize.scale.push_back(scale.as_real());
      resize.size.push_back(scaled(extent, resize.scale.back()));
    }
  }
  return l.e.op(std::move(resize), {x});
}

// Windows of the last two axes as columns: [b, c, h, w] -> [b, c kh kw, windows].
Results image_to_columns(Lowering& l, const Args& a) {
  return in_batch(l, a.value("self"), 2, [&](ValueId x) {
    const Numbers kernel = a.integers("kernel_size", 2), dilation = a.integers("dilation", 2);
    const Numbers padding = a.integers("padding", 2), stride = a.integers("stride", 2);
    const Numbers border = {0, 0, padding[0], padding[1]};
    if (padding[0] != 0 || padding[1] != 0) x = l.e.op(Pad{border, border, "constant", 0}, {x});
    for (size_t i = 0; i < 2; ++i) {
      const int64_t reach = dilation[i] * (kernel[i] - 1) + 1;
      x = l.e.op(Unfold{static_cast<int64_t>(i) + 2, reach, stride[i]}, {x});
      x = l.e.slice(x, l.e.rank(x) - 1, 0, kernel[i], dilation[i]);
    }
    const Shape s = l.e.shape(x);  // [b, c, rows, columns, kh, kw]
    const ValueId moved = l.e.permute(x, {0, 1, 4, 5, 2, 3});
    return l.e.reshape(moved, {s[0], s[1] * (kernel[0] * kernel[1]), s[2] * s[3]});
  });
}

ValueId fold_batch(Lowering& l, const Args& a, ValueId x) {
  const Numbers to = a.integers("output_size", 2), kernel = a.integers("kernel_size", 2);
  Conv conv{a.integers("stride", 2), a.integers("padding", 2), a.integers("padding", 2),
            a.integers("dilation", 2)};
  conv.transposed = true;
  const int64_t cells = kernel[0] * kernel[1];
  Shape windows = {l.e.extent(x, 0), l.e.extent(x, 1)};
  for (size_t i = 0; i < 2; ++i) {
    const int64_t reach = conv.dilation[i] * (kernel[i] - 1) + 1;
    const int64_t steps = (to[i] + 2 * conv.padding_before[i] - reach) / conv.stride[i];
    windows.push_back(steps + 1);
    conv.output_padding.push_back(to[i] -
                                  (steps * conv.stride[i] - 2 * conv.padding_before[i] + reach));
  }
  conv.groups = floor_div(windows[1], cells).value();
  const ValueId rows = l.e.unsqueeze(l.e.iota(cells), 1);
  const ValueId single =
      l.e.cast(l.e.binary(Elementwise::equal, rows, l.e.iota(cells)), l.e.dtype(x));
  const ValueId kernels = l.e.expand(l.e.unsqueeze(single, 0), {conv.groups, cells, cells});
  const ValueId weight = l.e.reshape(kernels, {windows[1], 1, kernel[0], kernel[1]});
  return l.e.op(conv, {l.e.reshape(x, windows), weight});
}

// The inverse of image_to_columns, adding up where windows overlap: a transposed convolution in
// which each column has a kernel of one element.
Results columns_to_image(Lowering& l, const Args& a) {
  const ValueId x = a.value("self");
  if (l.e.rank(x) == 2) return l.e.squeeze(fold_batch(l, a, l.e.unsqueeze(x, 0)), 0);
  return fold_batch(l, a, x);
}

constexpr Row kRows[] = {
    {"conv1d conv2d conv3d", "input, weight, bias=None, stride=1, padding=0, dilation=1, groups=1",
     convolve<false>},
    {"conv1d.padding conv2d.padding conv3d.padding",
     "input, weight, bias=None, stride=1, padding='valid', dilation=1, groups=1", convolve<true>},
    {"_convolution_mode", "input, weight, bias, stride, padding, dilation, groups", convolve<true>},
    {"conv_transpose1d conv_transpose2d.input conv_transpose3d.input",
     "input, weight, bias=None, stride=1, padding=0, output_padding=0, groups=1, dilation=1, "
     "transposed=True",
     convolve_any},
    {"convolution convolution_overrideable",
     "input, weight, bias, stride, padding, dilation, transposed, output_padding, groups",
     convolve_any},
    {"_convolution _convolution.deprecated",
     "input, weight, bias, stride, padding, dilation, transposed, output_padding, groups, "
     "benchmark=False, deterministic=False, cudnn_enabled=True, allow_tf32=True",
     convolve_any},
    {"max_pool1d", "self, kernel_size, stride=[], padding=0, dilation=1, ceil_mode=False",
     max_pool<1>},
    {"max_pool2d", "self, kernel_size, stride=[], padding=0, dilation=1, ceil_mode=False",
     max_pool<2>},
    {"max_pool3d", "self, kernel_size, stride=[], padding=0, dilation=1, ceil_mode=False",
     max_pool<3>},
    {"max_pool1d_with_indices",
     "self, kernel_size, stride=[], padding=0, dilation=1, ceil_mode=False", max_pool_both<1>},
    {"max_pool2d_with_indices",
     "self, kernel_size, stride=[], padding=0, dilation=1, ceil_mode=False", max_pool_both<2>},
    {"max_pool3d_with_indices",
     "self, kernel_size, stride=[], padding=0, dilation=1, ceil_mode=False", max_pool_both<3>},
    {"avg_pool1d",
     "self, kernel_size, stride=[], padding=0, ceil_mode=False, count_include_pad=True, "
     "divisor_override=None",
     average_pool<1>},
    {"avg_pool2d",
     "self, kernel_size, stride=[], padding=0, ceil_mode=False, count_include_pad=True, "
     "divisor_override=None",
     average_pool<2>},
    {"avg_pool3d",
     "self, kernel_size, stride=[], padding=0, ceil_mode=False, count_include_pad=True, "
     "divisor_override=None",
     average_pool<3>},
    {"adaptive_avg_pool1d", "self, output_size", adaptive_average<1>},
    {"adaptive_avg_pool2d _adaptive_avg_pool2d", "self, output_size", adaptive_average<2>},
    {"adaptive_avg_pool3d _adaptive_avg_pool3d", "self, output_size", adaptive_average<3>},
    {"adaptive_max_pool1d", "self, output_size", adaptive_max<1>},
    {"adaptive_max_pool2d", "self, output_size", adaptive_max<2>},
    {"adaptive_max_pool3d", "self, output_size", adaptive_max<3>},
    {"upsample_nearest1d", "self, output_size, scales=None", resize<Mode::nearest, kScale1>},
    {"upsample_nearest2d", "self, output_size, scales_h=None, scales_w=None",
     resize<Mode::nearest, kScale2>},
    {"upsample_nearest3d", "self, output_size, scales_d=None, scales_h=None, scales_w=None",
     resize<Mode::nearest, kScale3>},
    {"_upsample_nearest_exact1d", "self, output_size, scales=None",
     resize<Mode::nearest_exact, kScale1>},
    {"_upsample_nearest_exact2d", "self, output_size, scales_h=None, scales_w=None",
     resize<Mode::nearest_exact, kScale2>},
    {"_upsample_nearest_exact3d", "self, output_size, scales_d=None, scales_h=None, scales_w=None",
     resize<Mode::nearest_exact, kScale3>},
    {"upsample_linear1d", "self, output_size, align_corners, scales=None",
     resize<Mode::linear, kScale1>},
    {"upsample_bilinear2d", "self, output_size, align_corners, scales_h=None, scales_w=None",
     resize<Mode::linear, kScale2>},
    {"upsample_trilinear3d",
     "self, output_size, align_corners, scales_d=None, scales_h=None, scales_w=None",
     resize<Mode::linear, kScale3>},
    {"upsample_bicubic2d", "self, output_size, align_corners, scales_h=None, scales_w=None",
     resize<Mode::cubic, kScale2>},
    {"upsample_nearest1d.vec upsample_nearest2d.vec upsample_nearest3d.vec",
     "input, output_size, scale_factors", resize_vec<Mode::nearest>},
    {"_upsample_nearest_exact1d.vec _upsample_nearest_exact2d.vec _upsample_nearest_exact3d.vec",
     "input, output_size, scale_factors", resize_vec<Mode::nearest_exact>},
    {"upsample_linear1d.vec upsample_bilinear2d.vec upsample_trilinear3d.vec",
     "input, output_size, align_corners, scale_factors", resize_vec<Mode::linear>},
    {"upsample_bicubic2d.vec", "input, output_size, align_corners, scale_factors",
     resize_vec<Mode::cubic>},
    {"col2im", "self, output_size, kernel_size, dilation, padding, stride", columns_to_image},
    {"im2col", "self, kernel_size, dilation, padding, stride", image_to_columns},
};

}  // namespace

std::span<const Row> conv_rows() { return kRows; }

}  // namespace tutti::pt2
