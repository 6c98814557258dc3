// SPDX-License-Identifier: Apache-2.0
#include "plain.h"

#include <algorithm>

namespace tutti {
namespace {

// Elements before an axis, of one index of it, and its extent.
struct Around {
  int64_t outer = 1, extent, inner = 1;

  Around(const Plain::Shape& shape, size_t axis) : extent(shape[axis]) {
    for (size_t i = 0; i < axis; ++i) outer *= shape[i];
    for (size_t i = axis + 1; i < shape.size(); ++i) inner *= shape[i];
  }
  size_t at(int64_t o, int64_t index, int64_t i) const {
    return static_cast<size_t>((o * extent + index) * inner + i);
  }
};

// Calls f with the position of each element of `part` in it and in x, where it starts at `start`.
template <class F>
void each_of_part(const Plain::Shape& part, const Plain::Shape& x, size_t axis, int64_t start,
                  const F& f) {
  const Around p(part, axis), w(x, axis);
  for (int64_t o = 0; o < p.outer; ++o)
    for (int64_t k = 0; k < p.extent; ++k)
      for (int64_t i = 0; i < p.inner; ++i) f(p.at(o, k, i), w.at(o, start + k, i));
}

}  // namespace

Tensor to_tensor(const Plain& x, DType dtype) {
  Tensor t = Tensor::zeros(DType::f64, Dims(x.shape));
  std::copy(x.data.begin(), x.data.end(), t.as<double>());
  return cast(t, dtype);
}

Plain to_plain(const Tensor& x) {
  const Tensor t = cast(x, DType::f64);
  Plain plain({t.shape.begin(), t.shape.end()}, 0);
  std::copy(t.as<double>(), t.as<double>() + t.elements(), plain.data.begin());
  return plain;
}

Plain part_of(const Plain& x, size_t axis, int64_t start, int64_t count) {
  Plain::Shape shape = x.shape;
  shape[axis] = count;
  Plain y(shape, 0);
  each_of_part(y.shape, x.shape, axis, start,
               [&](size_t part, size_t whole) { y.data[part] = x.data[whole]; });
  return y;
}

Plain with_part(Plain x, size_t axis, int64_t start, const Plain& part) {
  each_of_part(part.shape, x.shape, axis, start,
               [&](size_t from, size_t whole) { x.data[whole] = part.data[from]; });
  return x;
}

Plain joined(const std::vector<Plain>& parts, size_t axis) {
  Plain::Shape shape = parts[0].shape;
  shape[axis] = 0;
  for (const Plain& part : parts) shape[axis] += part.shape[axis];
  Plain y(shape, 0);
  int64_t start = 0;
  for (const Plain& part : parts) {
    y = with_part(std::move(y), axis, start, part);
    start += part.shape[axis];
  }
  return y;
}

Plain permuted(const Plain& x, const std::vector<int64_t>& axes) {
  const size_t rank = x.shape.size();
  Plain::Shape shape;
  for (const int64_t axis : axes) shape.push_back(x.shape[static_cast<size_t>(axis)]);
  Plain y(shape, 0);
  for (int64_t flat = 0; flat < y.size(); ++flat) {
    std::vector<int64_t> from(rank);
    int64_t rest = flat;
    for (size_t k = rank; k-- > 0; rest /= shape[k])
      from[static_cast<size_t>(axes[k])] = rest % shape[k];
    int64_t at = 0;
    for (size_t k = 0; k < rank; ++k) at = at * x.shape[k] + from[k];
    y.data[static_cast<size_t>(flat)] = x.data[static_cast<size_t>(at)];
  }
  return y;
}

Plain summed(const Plain& x, size_t axis) {
  Plain::Shape shape = x.shape;
  shape[axis] = 1;
  Plain y(shape, 0);
  const Around from(x.shape, axis), to(shape, axis);
  for (int64_t o = 0; o < from.outer; ++o)
    for (int64_t k = 0; k < from.extent; ++k)
      for (int64_t i = 0; i < from.inner; ++i) y.data[to.at(o, 0, i)] += x.data[from.at(o, k, i)];
  return y;
}

Plain product(const Plain& x, const Plain& w) {
  const int64_t k = w.shape[0], n = w.shape[1];
  Plain::Shape shape = x.shape;
  shape.back() = n;
  Plain y(shape, 0);
  for (int64_t row = 0; row < y.size() / n; ++row)
    for (int64_t column = 0; column < n; ++column)
      for (int64_t i = 0; i < k; ++i)
        y.data[static_cast<size_t>(row * n + column)] +=
            x.data[static_cast<size_t>(row * k + i)] * w.data[static_cast<size_t>(i * n + column)];
  return y;
}

Plain reduced(const std::vector<Plain>& xs, const std::string& how) {
  Plain y = xs[0];
  for (size_t r = 1; r < xs.size(); ++r)
    y = zip(y, xs[r], [&](double a, double b) {
      return how == "prod"  ? a * b
             : how == "max" ? std::max(a, b)
             : how == "min" ? std::min(a, b)
                            : a + b;
    });
  if (how == "avg") y = map(y, [&](double v) { return v / static_cast<double>(xs.size()); });
  return y;
}

}  // namespace tutti
