// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "tutti/tensor.h"

// Tensors of integers and what ranks do with them, by plain loops.
namespace tutti {

/// One rank's tensor; all its numbers are integers, which every element type holds.
struct Plain {
  using Shape = std::vector<int64_t>;
  Shape shape;
  std::vector<double> data;

  Plain() = default;
  Plain(Shape extents, double value) : shape(std::move(extents)) {
    data.assign(static_cast<size_t>(size()), value);
  }
  int64_t size() const {
    int64_t n = 1;
    for (const int64_t extent : shape) n *= extent;
    return n;
  }
  friend bool operator==(const Plain&, const Plain&) = default;
};

/// The tensors of all ranks.
using OnRanks = std::vector<Plain>;

/// Lists of ranks, each in an order of its own.
using RankLists = std::vector<std::vector<int>>;

Tensor to_tensor(const Plain& x, DType dtype);
Plain to_plain(const Tensor& x);

/// f of each element.
template <class F>
Plain map(Plain x, const F& f) {
  for (double& value : x.data) value = f(value);
  return x;
}

/// f of elements at equal positions.
template <class F>
Plain zip(Plain a, const Plain& b, const F& f) {
  for (size_t i = 0; i < a.data.size(); ++i) a.data[i] = f(a.data[i], b.data[i]);
  return a;
}

/// Indices start to start + count - 1 of an axis; the same in x become those of part.
Plain part_of(const Plain& x, size_t axis, int64_t start, int64_t count);
Plain with_part(Plain x, size_t axis, int64_t start, const Plain& part);
Plain joined(const std::vector<Plain>& parts, size_t axis);
Plain permuted(const Plain& x, const std::vector<int64_t>& axes);
/// Over one axis, which stays with extent 1.
Plain summed(const Plain& x, size_t axis);
/// x [..., k] times w [k, n].
Plain product(const Plain& x, const Plain& w);
/// sum, prod, max, min or avg.
Plain reduced(const std::vector<Plain>& xs, const std::string& how);

}  // namespace tutti
