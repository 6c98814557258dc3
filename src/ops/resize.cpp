// SPDX-License-Identifier: Apache-2.0
#include "ops/resize.h"

#include <cmath>

#include "ops/infer.h"
#include "ops/loops.h"

namespace tutti {
namespace {

constexpr size_t kSpace = 3;

// An element of x that an element of y is made of, along one axis.
template <class Real>
struct Tap {
  int64_t offset;  // from the start of the axis, in elements
  Real weight;
};

int taps_of(std::string_view mode) { return mode == "cubic" ? 4 : mode == "linear" ? 2 : 1; }

// One axis: extents, stride of x, and the factor the caller gave or 0.
struct Axis {
  int64_t in, out, stride;
  double scale;
  bool align_corners;
};

// Distance between the places in x of neighbouring elements of y; PyTorch computes places in the
// type of the arithmetic.
template <class Real>
Real step_of(const Axis& a) {
  if (a.align_corners) return a.out > 1 ? Real(a.in - 1) / Real(a.out - 1) : Real(0);
  return a.scale > 0 ? static_cast<Real>(1 / a.scale) : Real(a.in) / Real(a.out);
}

template <class Real>
Real place_of(const Axis& a, Real step, int64_t o) {
  return a.align_corners ? step * Real(o) : step * (Real(o) + Real(0.5)) - Real(0.5);
}

template <class Real>
void nearest_taps(const Axis& a, bool exact, Tap<Real>* taps) {
  const Real step = step_of<Real>(a);
  for (int64_t o = 0; o < a.out; ++o) {
    const Real place = exact ? std::max(place_of(a, step, o), Real(0)) + Real(0.5) : step * Real(o);
    const auto index = static_cast<int64_t>(std::floor(static_cast<float>(place)));
    taps[o] = {std::min(index, a.in - 1) * a.stride, 1};
  }
}

template <class Real>
void linear_taps(const Axis& a, Tap<Real>* taps) {
  const Real step = step_of<Real>(a);
  for (int64_t o = 0; o < a.out; ++o) {
    const Real place = a.in == a.out ? Real(o) : std::max(place_of(a, step, o), Real(0));
    const int64_t first = std::min(static_cast<int64_t>(place), a.in - 1);
    const Real rest = std::min(place - Real(first), Real(1));
    taps[2 * o] = {first * a.stride, 1 - rest};
    taps[2 * o + 1] = {std::min(first + 1, a.in - 1) * a.stride, rest};
  }
}

// The convolution kernel of Keys with a = -0.75, at distances below 1 and from 1 to 2.
template <class Real>
Real near_weight(Real x) {
  constexpr Real kA(-0.75);
  return ((kA + 2) * x - (kA + 3)) * x * x + 1;
}
template <class Real>
Real far_weight(Real x) {
  constexpr Real kA(-0.75);
  return ((kA * x - 5 * kA) * x + 8 * kA) * x - 4 * kA;
}

template <class Real>
void cubic_taps(const Axis& a, Tap<Real>* taps) {
  const Real step = step_of<Real>(a);
  for (int64_t o = 0; o < a.out; ++o) {
    const Real place = place_of(a, step, o);
    const int64_t first = std::min(static_cast<int64_t>(std::floor(place)), a.in - 1);
    const Real rest = std::clamp(place - Real(first), Real(0), Real(1));
    const Real weights[4] = {far_weight(rest + 1), near_weight(rest), near_weight(1 - rest),
                             far_weight(1 - rest + 1)};
    for (int64_t i = 0; i < 4; ++i)
      taps[4 * o + i] = {std::clamp<int64_t>(first - 1 + i, 0, a.in - 1) * a.stride, weights[i]};
  }
}

// Weighted elements, the first axis outermost; taps[i] are those of axis i.
template <int kAxes, int kTaps, class T, class Real>
inline Real sample(const T* x, const Tap<Real>* const* taps) {
  if constexpr (kAxes == 0) {
    return static_cast<Real>(*x);
  } else {
    Real sum = sample<kAxes - 1, kTaps>(x + taps[0][0].offset, taps + 1) * taps[0][0].weight;
    for (int i = 1; i < kTaps; ++i)
      sum += sample<kAxes - 1, kTaps>(x + taps[0][i].offset, taps + 1) * taps[0][i].weight;
    return sum;
  }
}

// Planes of x and y: all leading axes but that of the lanes, which is contiguous in both.
struct Planes {
  Dims lead, x_lead, y_lead;
  int64_t lanes = 1;
};

Planes make_planes(const Tensor& x, const Tensor& y) {
  Planes planes;
  int lanes = -1;
  for (int axis = 0; axis < 2; ++axis)
    if (x.shape[axis] > 1 && x.strides[axis] == 1 && y.strides[axis] == 1) lanes = axis;
  if (lanes >= 0) planes.lanes = x.shape[lanes];
  for (int axis = 0; axis < 2; ++axis) {
    if (axis == lanes) continue;
    planes.lead.push_back(x.shape[axis]);
    planes.x_lead.push_back(x.strides[axis]);
    planes.y_lead.push_back(y.strides[axis]);
  }
  return planes;
}

// Calls row(x offset of the plane, y offset of the row, taps of the axes but the last) for each row
// of y: places that differ in the last axis only.
template <int kTaps, class Real, class F>
void for_each_line(cpu::Pool& pool, const Tensor& y, const Planes& planes,
                   const std::array<const Tap<Real>*, kSpace>& tables, const F& row) {
  Dims shape, strides;
  for (int axis = 2; axis + 1 < y.rank(); ++axis) {
    shape.push_back(y.shape[axis]);
    strides.push_back(y.strides[axis]);
  }
  const int64_t lines = elements(shape), work = y.shape.back() * kTaps * planes.lanes;
  parallel_ranges(pool, elements(planes.lead) * lines, 4096 / std::max<int64_t>(work, 1),
                  [&](int64_t begin, int64_t end) {
                    for (int64_t i = begin; i < end; ++i) {
                      const Tap<Real>* taps[kSpace] = {};
                      int64_t line = i % lines;
                      for (int axis = shape.rank() - 1; axis >= 0; line /= shape[axis--])
                        taps[axis] = tables[static_cast<size_t>(axis)] + line % shape[axis] * kTaps;
                      row(offset_at(i / lines, planes.lead, planes.x_lead),
                          offset_at(i / lines, planes.lead, planes.y_lead) +
                              offset_at(i % lines, shape, strides),
                          taps);
                    }
                  });
}

template <class T, class Real, int kAxes, int kTaps>
void interpolate(const KernelArgs& args, const std::array<const Tap<Real>*, kSpace>& tables) {
  const Tensor &x = args.in[0], &y = args.out[0];
  const Planes planes = make_planes(x, y);
  const int64_t width = y.shape.back(), step = y.strides[y.rank() - 1];
  for_each_line<kTaps>(
      args.pool, y, planes, tables, [&](int64_t from, int64_t to, const Tap<Real>* const* line) {
        const Tap<Real>* taps[kSpace] = {line[0], line[1], line[2]};
        taps[kAxes - 1] = tables[kAxes - 1];
        T* out = y.as<T>() + to;
        for (int64_t o = 0; o < width; ++o, taps[kAxes - 1] += kTaps, out += step) {
          const T* in = x.as<const T>() + from;
          for (int64_t lane = 0; lane < planes.lanes; ++lane)
            out[lane] = static_cast<T>(sample<kAxes, kTaps>(in + lane, taps));
        }
      });
}

// One row of y, picked from `in`: every element once, twice where the row doubles that of x, or all
// lanes of each.
template <class Word, class Real>
void pick_row(const Word* in, const Tap<Real>* columns, int64_t width, int64_t lanes, bool doubled,
              Word* out, int64_t step) {
  if (doubled && step == 1) {
    for (int64_t i = 0; i < width / 2; ++i) out[2 * i] = out[2 * i + 1] = in[columns[2 * i].offset];
  } else if (lanes == 1) {
    for (int64_t o = 0; o < width; ++o) out[o * step] = in[columns[o].offset];
  } else {
    for (int64_t o = 0; o < width; ++o) std::copy_n(in + columns[o].offset, lanes, out + o * step);
  }
}

template <class Real>
void pick_nearest(const KernelArgs& args, const std::array<const Tap<Real>*, kSpace>& tables) {
  const Tensor &x = args.in[0], &y = args.out[0];
  const Planes planes = make_planes(x, y);
  const int last = y.rank() - 1;
  const int64_t width = y.shape[last];
  const auto* columns = tables[static_cast<size_t>(last - 2)];
  bool doubled = planes.lanes == 1 && width % 2 == 0;
  for (int64_t o = 0; o + 1 < width; o += 2)
    doubled = doubled && columns[o].offset == columns[o + 1].offset;
  with_word(x.dtype, [&](auto word) {
    using Word = decltype(word);
    for_each_line<1>(
        args.pool, y, planes, tables, [&](int64_t from, int64_t to, const Tap<Real>* const* line) {
          const Word* in = x.as<const Word>() + from;
          for (int axis = 0; axis + 2 < last; ++axis) in += line[axis]->offset;
          pick_row(in, columns, width, planes.lanes, doubled, y.as<Word>() + to, y.strides[last]);
        });
  });
}

template <class Real>
std::array<const Tap<Real>*, kSpace> make_tables(const Resize& op, const KernelArgs& args) {
  const Tensor &x = args.in[0], &y = args.out[0];
  std::array<const Tap<Real>*, kSpace> tables{};
  auto* taps = static_cast<Tap<Real>*>(args.workspace);
  for (int axis = 2; axis < x.rank(); ++axis) {
    const auto i = static_cast<size_t>(axis - 2);
    const Axis a{x.shape[axis], y.shape[axis], x.strides[axis], op.scale.empty() ? 0 : op.scale[i],
                 op.align_corners};
    if (op.mode == "cubic")
      cubic_taps(a, taps);
    else if (op.mode == "linear")
      linear_taps(a, taps);
    else
      nearest_taps(a, op.mode == "nearest_exact", taps);
    tables[i] = taps;
    taps += a.out * taps_of(op.mode);
  }
  return tables;
}

template <class Real>
void resize(const Resize& op, const KernelArgs& args) {
  const auto tables = make_tables<Real>(op, args);
  if (taps_of(op.mode) == 1) {
    pick_nearest(args, tables);
    return;
  }
  with_dtype(args.out[0].dtype, [&](auto zero) {
    using T = decltype(zero);
    if constexpr (!std::is_integral_v<T> && std::is_same_v<Real, ComputeType<T>>) {
      if (op.mode == "cubic")
        interpolate<T, Real, 2, 4>(args, tables);
      else if (op.size.size() == 1)
        interpolate<T, Real, 1, 2>(args, tables);
      else if (op.size.size() == 2)
        interpolate<T, Real, 2, 2>(args, tables);
      else
        interpolate<T, Real, 3, 2>(args, tables);
    }
  });
}

}  // namespace

std::vector<TensorType> Resize::infer(Types in) const {
  require_operands(in, 1, 1);
  const TensorType& x = in[0];
  const bool nearest = mode == "nearest" || mode == "nearest_exact";
  require_argument(nearest || mode == "linear" || mode == "cubic", "mode is ", mode,
                   "; nearest, nearest_exact, linear or cubic is wanted");
  require_argument(size.size() >= 1 && size.size() <= kSpace, "size is ", size, "; 1 to ", kSpace,
                   " extents are wanted");
  require_argument(mode != "cubic" || size.size() == 2, "size is ", size,
                   "; 2 extents are wanted for cubic");
  require_argument(!nearest || !align_corners, "align_corners is true; false is wanted for ", mode);
  require_argument(scale.empty() || scale.size() == size.size(), "scale is [", join_list(scale),
                   "]; ", size.size(), " factors are wanted");
  if (!nearest) require_float("x", x);
  const int rank = static_cast<int>(size.size()) + 2;
  require_rank("x", x, rank, rank);
  TensorType y{x.dtype, {x.shape[0], x.shape[1]}};
  for (size_t i = 0; i < size.size(); ++i) {
    const Dim& extent = x.shape[2 + i];
    require_argument(!extent.is_constant() || extent.value() >= 1, "x is ", x,
                     "; extents of at least 1 are wanted");
    require_argument(!size[i].is_constant() || size[i].value() >= 1, "size is ", size,
                     "; extents of at least 1 are wanted");
    y.shape.push_back(size[i]);
  }
  return {y};
}

size_t Resize::workspace(Types) const {
  int64_t n = 0;
  for (const Dim& extent : size) n += extent.value();
  return static_cast<size_t>(n * taps_of(mode)) * sizeof(Tap<double>);
}

void Resize::cpu(const KernelArgs& args) const {
  if (args.out[0].elements() == 0) return;
  if (args.out[0].dtype == DType::f64)
    resize<double>(*this, args);
  else
    resize<float>(*this, args);
}

}  // namespace tutti
