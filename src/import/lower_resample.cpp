// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cmath>
#include <functional>

#include "import/arithmetic.h"
#include "ops/constant.h"
#include "ops/gather.h"
#include "ops/matmul.h"

namespace tutti::pt2 {
namespace {

using Fn = Elementwise;

// ---- resizing with antialiasing: a product with a matrix of weights for each axis

double triangle_filter(double x) { return std::max(0.0, 1 - std::abs(x)); }

double cubic_filter(double x) {
  constexpr double kA = -0.5;
  x = std::abs(x);
  if (x < 1) return ((kA + 2) * x - (kA + 3)) * x * x + 1;
  return x < 2 ? (((x - 5) * x + 8) * x - 4) * kA : 0;
}

// [to, from]: row i weighs the elements near the place of output i.
Tensor weights_of(int64_t from, int64_t to, bool cubic, bool align_corners, double scale_factor) {
  const double scale =
      align_corners ? (to > 1 ? static_cast<double>(from - 1) / static_cast<double>(to - 1) : 0)
      : scale_factor > 0 ? 1 / scale_factor
                         : static_cast<double>(from) / static_cast<double>(to);
  const double delta = align_corners ? 0.5 : 0, half_width = cubic ? 2 : 1;
  const double support = half_width * std::max(scale, 1.0), inverse = 1 / std::max(scale, 1.0);
  Tensor weights = Tensor::zeros(DType::f32, {to, from});
  for (int64_t i = 0; i < to; ++i) {
    const double center = scale * (static_cast<double>(i) + 0.5 - delta);
    const auto first = std::max<int64_t>(static_cast<int64_t>(center - support + 0.5 + delta), 0);
    const auto last = std::min(static_cast<int64_t>(center + support + 0.5 + delta), from);
    std::vector<double> row;
    double total = 0;
    for (int64_t k = first; k < last; ++k) {
      const double x = (static_cast<double>(k) - center + 0.5 - delta) * inverse;
      row.push_back(cubic ? cubic_filter(x) : triangle_filter(x));
      total += row.back();
    }
    for (int64_t k = first; k < last; ++k)
      weights.as<float>()[i * from + k] =
          static_cast<float>(row[static_cast<size_t>(k - first)] / (total == 0 ? 1 : total));
  }
  return weights;
}

template <bool cubic>
ValueId antialiased(Lowering& l, ValueId given, const std::vector<int64_t>& to, bool align_corners,
                    const std::vector<double>& factors) {
  const ValueId x = widen(l, given);
  const auto weights = [&](int64_t axis, size_t i) {
    return l.e.cast(l.e.op(Constant{weights_of(l.e.extent(x, axis).value(), to[i], cubic,
                                               align_corners, factors[i])},
                           {}),
                    l.e.dtype(x));
  };
  const ValueId rows = weights(2, 0), columns = weights(3, 1);
  const ValueId wide = l.e.op(Matmul{}, {x, l.e.transpose(columns, 0, 1)});
  return l.e.cast(l.e.op(Matmul{}, {rows, wide}), l.e.dtype(given));
}

template <bool cubic>
Results resize_antialiased(Lowering& l, const Args& a) {
  const auto factor = [&](std::string_view name) { return a.has(name) ? a.real(name) : 0; };
  return antialiased<cubic>(l, a.value("self"), a.integers("output_size"), a.flag("align_corners"),
                            {factor("scales_h"), factor("scales_w")});
}

template <bool cubic>
Results resize_antialiased_vec(Lowering& l, const Args& a) {
  const ValueId x = a.value("input");
  std::vector<double> factors = {0, 0};
  std::vector<int64_t> to;
  if (a.has("output_size")) {
    to = a.integers("output_size");
  } else {
    for (size_t i = 0; i < 2; ++i) {
      factors[i] = a.numbers("scale_factors").at(i).as_real();
      const auto extent = static_cast<double>(l.e.extent(x, static_cast<int64_t>(i) + 2).value());
      to.push_back(static_cast<int64_t>(extent * factors[i]));
    }
  }
  return antialiased<cubic>(l, x, to, a.flag("align_corners"), factors);
}

// ---- sampling at the points of a grid

enum class Border { zeros, border, reflection };

struct Axis {
  double size;
  Border border;
  bool align_corners;
};

ValueId clip(Lowering& l, ValueId x, double low, double high) {
  return l.e.with_number(Fn::minimum, l.e.with_number(Fn::maximum, x, low), high);
}

// -1 .. 1 as elements: the centers, or the edges, of the outer ones.
ValueId to_elements(Lowering& l, ValueId x, const Axis& axis) {
  const ValueId from_zero = l.e.with_number(Fn::add, x, 1);
  if (axis.align_corners) return l.e.with_number(Fn::mul, from_zero, (axis.size - 1) / 2);
  const ValueId scaled = l.e.with_number(Fn::mul, from_zero, axis.size);
  return l.e.with_number(Fn::div, l.e.with_number(Fn::sub, scaled, 1), 2);
}

// Mirrors at the first and last element, or at their outer edges.
ValueId reflect(Lowering& l, ValueId x, const Axis& axis) {
  const double low = axis.align_corners ? 0 : -0.5,
               span = axis.align_corners ? axis.size - 1 : axis.size;
  if (span == 0) return l.e.with_number(Fn::mul, x, 0);
  const ValueId distance = l.e.unary(Fn::abs, l.e.with_number(Fn::sub, x, low));
  const ValueId rest = l.e.with_number(Fn::fmod, distance, span);
  const ValueId turns = l.e.unary(Fn::floor, l.e.with_number(Fn::div, distance, span));
  const ValueId is_even = l.e.with_number(Fn::equal, l.e.with_number(Fn::fmod, turns, 2), 0);
  const ValueId forward = l.e.with_number(Fn::add, rest, low);
  const ValueId backward = l.e.binary(Fn::sub, l.e.scalar(span + low, l.e.dtype(x)), rest);
  return l.e.choose(is_even, forward, backward);
}

ValueId inside(Lowering& l, ValueId x, const Axis& axis) {
  if (axis.border == Border::zeros) return x;
  if (axis.border == Border::reflection) x = reflect(l, x, axis);
  return clip(l, x, 0, axis.size - 1);
}

// Elements of images [b, c, h, w] at whole places [b, p] of rows and columns; zero outside.
class Sampler {
 public:
  Sampler(Lowering& l, ValueId images, Axis rows, Axis columns)
      : l_(l), rows_(rows), columns_(columns) {
    const Shape s = l.e.shape(images);
    channels_ = s[1];
    flat_ = l.e.reshape(images, {s[0], s[1], s[2] * s[3]});
  }

  ValueId at(ValueId row, ValueId column) const {
    const ValueId y = clip(l_, row, 0, rows_.size - 1), x = clip(l_, column, 0, columns_.size - 1);
    const ValueId place =
        l_.e.binary(Fn::add, l_.e.with_number(Fn::mul, l_.e.cast(y, DType::i64), columns_.size),
                    l_.e.cast(x, DType::i64));
    Shape index = {l_.e.extent(place, 0), channels_, l_.e.extent(place, 1)};
    const ValueId taken = l_.e.op(Gather{2}, {flat_, l_.e.expand(l_.e.unsqueeze(place, 1), index)});
    if (rows_.border != Border::zeros) return taken;
    const ValueId is_inside = l_.e.binary(Fn::logical_and, l_.e.binary(Fn::equal, y, row),
                                          l_.e.binary(Fn::equal, x, column));
    return l_.e.choose(l_.e.unsqueeze(is_inside, 1), taken, l_.e.scalar(0, l_.e.dtype(taken)));
  }

 private:
  Lowering& l_;
  Axis rows_, columns_;
  Dim channels_ = 1;
  ValueId flat_ = kNone;
};

// Weights [b, p] of the neighbours of a place that lies `t` behind the second of them.
std::vector<ValueId> cubic_weights(Lowering& l, ValueId t) {
  constexpr double kA = -0.75;
  const auto plus = [&](ValueId x, double n) { return l.e.with_number(Fn::add, x, n); };
  const auto scale = [&](ValueId x, double n) { return l.e.with_number(Fn::mul, x, n); };
  const auto times = [&](ValueId x, ValueId y) { return l.e.binary(Fn::mul, x, y); };
  const auto near = [&](ValueId x) {
    return plus(times(times(plus(scale(x, kA + 2), -(kA + 3)), x), x), 1);
  };
  const auto far = [&](ValueId x) {
    return plus(times(plus(times(plus(scale(x, kA), -5 * kA), x), 8 * kA), x), -4 * kA);
  };
  const ValueId back = l.e.binary(Fn::sub, l.e.scalar(1, l.e.dtype(t)), t);
  return {far(plus(t, 1)), near(t), near(back), far(plus(back, 1))};
}

struct Place {
  ValueId row, column;
};

ValueId weighted(Lowering& l, ValueId value, ValueId weight) {
  return l.e.binary(Fn::mul, value, l.e.unsqueeze(weight, 1));
}

ValueId sample_cubic(Lowering& l, const Sampler& sampler, const Axis& rows, const Axis& columns,
                     Place at) {
  const ValueId top = l.e.unary(Fn::floor, at.row), left = l.e.unary(Fn::floor, at.column);
  const auto across = cubic_weights(l, l.e.binary(Fn::sub, at.column, left));
  const auto down = cubic_weights(l, l.e.binary(Fn::sub, at.row, top));
  ValueId sum = kNone;
  for (int i = 0; i < 4; ++i) {
    const ValueId row = inside(l, l.e.with_number(Fn::add, top, i - 1), rows);
    ValueId line = kNone;
    for (int k = 0; k < 4; ++k) {
      const ValueId column = inside(l, l.e.with_number(Fn::add, left, k - 1), columns);
      const ValueId part = weighted(l, sampler.at(row, column), across[static_cast<size_t>(k)]);
      line = line == kNone ? part : l.e.binary(Fn::add, line, part);
    }
    const ValueId part = weighted(l, line, down[static_cast<size_t>(i)]);
    sum = sum == kNone ? part : l.e.binary(Fn::add, sum, part);
  }
  return sum;
}

ValueId sample_linear(Lowering& l, const Sampler& sampler, Place at) {
  const ValueId one = l.e.scalar(1, l.e.dtype(at.row));
  const ValueId top = l.e.unary(Fn::floor, at.row), left = l.e.unary(Fn::floor, at.column);
  const ValueId down = l.e.binary(Fn::sub, at.row, top);
  const ValueId across = l.e.binary(Fn::sub, at.column, left);
  const ValueId up = l.e.binary(Fn::sub, one, down), back = l.e.binary(Fn::sub, one, across);
  const ValueId bottom = l.e.binary(Fn::add, top, one), right = l.e.binary(Fn::add, left, one);
  const auto part = [&](ValueId row, ValueId column, ValueId v, ValueId w) {
    return weighted(l, sampler.at(row, column), l.e.binary(Fn::mul, v, w));
  };
  const ValueId first =
      l.e.binary(Fn::add, part(top, left, up, back), part(top, right, up, across));
  const ValueId second =
      l.e.binary(Fn::add, part(bottom, left, down, back), part(bottom, right, down, across));
  return l.e.binary(Fn::add, first, second);
}

Results grid_sample(Lowering& l, const Args& a) {
  const ValueId given = a.value("input");
  const ValueId images = widen(l, given), grid = widen(l, a.value("grid"));
  require(l.e.rank(images) == 4, Errc::unsupported, "grid_sampler of ", l.e.rank(images) - 2,
          " dimensions of space is not supported");
  const auto border = static_cast<Border>(a.integer("padding_mode"));
  const bool align = a.flag("align_corners");
  const auto size = [&](int64_t axis) {
    return static_cast<double>(l.e.extent(images, axis).value());
  };
  const Axis rows{size(2), border, align}, columns{size(3), border, align};
  const Shape s = l.e.shape(grid);  // [b, h, w, 2]
  const ValueId points = l.e.reshape(grid, {s[0], s[1] * s[2], 2});
  Place at{to_elements(l, l.e.select(points, 2, 1), rows),
           to_elements(l, l.e.select(points, 2, 0), columns)};
  const Sampler sampler(l, images, rows, columns);
  ValueId y;
  if (a.integer("interpolation_mode") == 2) {
    y = sample_cubic(l, sampler, rows, columns, at);
  } else {
    at = {inside(l, at.row, rows), inside(l, at.column, columns)};
    y = a.integer("interpolation_mode") == 0
            ? sample_linear(l, sampler, at)
            : sampler.at(l.e.unary(Fn::round, at.row), l.e.unary(Fn::round, at.column));
  }
  return l.e.cast(l.e.reshape(y, {s[0], l.e.extent(images, 1), s[1], s[2]}), l.e.dtype(given));
}

constexpr Row kRows[] = {
    {"_upsample_bilinear2d_aa", "self, output_size, align_corners, scales_h=None, scales_w=None",
     resize_antialiased<false>},
    {"_upsample_bicubic2d_aa", "self, output_size, align_corners, scales_h=None, scales_w=None",
     resize_antialiased<true>},
    {"_upsample_bilinear2d_aa.vec", "input, output_size, align_corners, scale_factors",
     resize_antialiased_vec<false>},
    {"_upsample_bicubic2d_aa.vec", "input, output_size, align_corners, scale_factors",
     resize_antialiased_vec<true>},
    {"grid_sampler grid_sampler_2d", "input, grid, interpolation_mode, padding_mode, align_corners",
     grid_sample},
};

}  // namespace

std::span<const Row> resample_rows() { return kRows; }

}  // namespace tutti::pt2
