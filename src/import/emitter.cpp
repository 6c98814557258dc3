// SPDX-License-Identifier: Apache-2.0
#include "import/emitter.h"

#include <algorithm>
#include <bit>
#include <numeric>

#include "ops/concat.h"
#include "ops/constant.h"
#include "ops/reduce.h"
#include "ops/views.h"

namespace tutti {

void Emitter::set_place(std::string_view name, std::string_view scope) {
  name_ = name;
  scope_ = scope;
}

ValueId Emitter::op(Op op, std::vector<ValueId> inputs) {
  return function_.add1(std::move(op), std::move(inputs), name_, scope_);
}

std::vector<ValueId> Emitter::ops(Op op, std::vector<ValueId> inputs) {
  return function_.add(std::move(op), std::move(inputs), name_, scope_);
}

ValueId Emitter::scalar(double value, DType dtype) {
  const auto [entry, is_new] = scalars_.try_emplace({dtype, std::bit_cast<uint64_t>(value)}, kNone);
  if (is_new) entry->second = op(Full{value, dtype, {}}, {});
  return entry->second;
}

ValueId Emitter::integer(const Dim& value, DType dtype) {
  constexpr int64_t kExact = int64_t{1} << 53;
  if (value.is_constant() && std::abs(value.value()) <= kExact)
    return scalar(static_cast<double>(value.value()), dtype);
  const ValueId one = op(Arange{value, 1, 0, 1, 1, DType::i64}, {});
  return cast(reshape(one, {}), dtype);
}

ValueId Emitter::full(double value, DType dtype, const Shape& shape) {
  return shape.empty() ? scalar(value, dtype) : op(Full{value, dtype, shape}, {});
}

ValueId Emitter::iota(const Dim& n) { return op(Arange{0, 1, 0, 1, n, DType::i64}, {}); }

ValueId Emitter::cast(ValueId x, DType to) { return dtype(x) == to ? x : op(Cast{to}, {x}); }

ValueId Emitter::reshape(ValueId x, const Shape& to) {
  return shape(x) == to ? x : op(Reshape{to}, {x});
}

ValueId Emitter::unsqueeze(ValueId x, int64_t axis) {
  Shape to = shape(x);
  to.insert(to.begin() + axis, Dim(1));
  return reshape(x, to);
}

ValueId Emitter::squeeze(ValueId x, int64_t axis) {
  Shape to = shape(x);
  to.erase(to.begin() + axis);
  return reshape(x, to);
}

ValueId Emitter::permute(ValueId x, const std::vector<int64_t>& axes) {
  if (std::is_sorted(axes.begin(), axes.end())) return x;
  return op(Permute{axes}, {x});
}

ValueId Emitter::transpose(ValueId x, int64_t a, int64_t b) {
  std::vector<int64_t> axes(static_cast<size_t>(rank(x)));
  std::iota(axes.begin(), axes.end(), 0);
  std::swap(axes[static_cast<size_t>(a)], axes[static_cast<size_t>(b)]);
  return permute(x, axes);
}

ValueId Emitter::expand(ValueId x, const Shape& to) {
  return shape(x) == to ? x : op(Expand{to}, {x});
}

ValueId Emitter::slice(ValueId x, int64_t axis, const Dim& start, const Dim& size, int64_t step) {
  if (step == 1 && start == Dim(0) && size == extent(x, axis)) return x;
  return op(Slice{axis, start, size, step}, {x});
}

ValueId Emitter::select(ValueId x, int64_t axis, const Dim& index) {
  return squeeze(slice(x, axis, index, 1), axis);
}

ValueId Emitter::concat(const std::vector<ValueId>& parts, int64_t axis) {
  return parts.size() == 1 ? parts[0] : op(Concat{axis}, parts);
}

ValueId Emitter::stack(const std::vector<ValueId>& parts, int64_t axis) {
  std::vector<ValueId> rows;
  for (ValueId part : parts) rows.push_back(unsqueeze(part, axis));
  return concat(rows, axis);
}

ValueId Emitter::reduce(std::string_view fn, ValueId x, const std::vector<int64_t>& axes,
                        bool keep) {
  if (axes.empty()) return x;
  return op(Reduce{std::string(fn), axes, keep}, {x});
}

Shape complete_shape(const Shape& from, Shape wanted) {
  const auto missing = std::find(wanted.begin(), wanted.end(), Dim(-1));
  if (missing == wanted.end()) return wanted;
  require_argument(std::count(wanted.begin(), wanted.end(), Dim(-1)) == 1, "shape ", wanted,
                   " leaves more than one extent open");
  // Equal extents go away first, so that symbols need no division.
  Shape left = from;
  Dim known = 1;
  for (const Dim& dim : wanted) {
    if (dim == Dim(-1)) continue;
    const auto same = std::find(left.begin(), left.end(), dim);
    if (same != left.end())
      left.erase(same);
    else
      known = known * dim;
  }
  const Dim total = elements(left);
  require_argument(!(known == Dim(0)), "shape ", wanted, " leaves the open extent undecided");
  require_argument(mod(total, known) == Dim(0) || !mod(total, known).is_constant(), "shape ",
                   wanted, " does not divide the elements of ", from);
  *missing = floor_div(total, known);
  return wanted;
}

}  // namespace tutti
