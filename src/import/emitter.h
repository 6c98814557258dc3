// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "ir/graph.h"
#include "ops/elementwise.h"

namespace tutti {

/// Appends operators to a function, leaving out those that would change nothing.
///
/// Axes are not negative. Operands are of the types that the operators want: nothing is promoted.
class Emitter {
 public:
  explicit Emitter(Function& function) : function_(function) {}
  Emitter(const Emitter&) = delete;
  Emitter& operator=(const Emitter&) = delete;

  Function& function() { return function_; }
  /// Names what is appended from now on: values after `name`, nodes by their place in the network.
  void set_place(std::string_view name, std::string_view scope);

  const TensorType& type(ValueId id) const { return function_.type(id); }
  const Shape& shape(ValueId id) const { return type(id).shape; }
  DType dtype(ValueId id) const { return type(id).dtype; }
  int rank(ValueId id) const { return type(id).rank(); }
  const Dim& extent(ValueId id, int64_t axis) const { return shape(id)[static_cast<size_t>(axis)]; }

  /// An operator of one output.
  ValueId op(Op op, std::vector<ValueId> inputs);
  std::vector<ValueId> ops(Op op, std::vector<ValueId> inputs);

  /// A number without extents; made once.
  ValueId scalar(double value, DType dtype);
  /// An extent as a number without extents.
  ValueId integer(const Dim& value, DType dtype);
  ValueId full(double value, DType dtype, const Shape& shape);
  /// i64 0, 1, ... n - 1
  ValueId iota(const Dim& n);

  ValueId cast(ValueId x, DType dtype);
  ValueId reshape(ValueId x, const Shape& shape);
  /// x with an axis of extent 1 added before `axis`.
  ValueId unsqueeze(ValueId x, int64_t axis);
  /// x without `axis`, whose extent is 1.
  ValueId squeeze(ValueId x, int64_t axis);
  ValueId permute(ValueId x, const std::vector<int64_t>& axes);
  ValueId transpose(ValueId x, int64_t a, int64_t b);
  ValueId expand(ValueId x, const Shape& shape);
  ValueId slice(ValueId x, int64_t axis, const Dim& start, const Dim& size, int64_t step = 1);
  /// The elements at one index of an axis, which goes away.
  ValueId select(ValueId x, int64_t axis, const Dim& index);
  ValueId concat(const std::vector<ValueId>& parts, int64_t axis);
  /// The parts joined along a new axis.
  ValueId stack(const std::vector<ValueId>& parts, int64_t axis);

  ValueId unary(Elementwise fn, ValueId x) { return op(ElementwiseOp{fn}, {x}); }
  template <class T>
  ValueId binary(Elementwise fn, ValueId a, T b) = delete;  // with_number
  ValueId binary(Elementwise fn, ValueId a, ValueId b) { return op(ElementwiseOp{fn}, {a, b}); }
  /// fn(x, number)
  ValueId with_number(Elementwise fn, ValueId x, double number) {
    return binary(fn, x, scalar(number, dtype(x)));
  }
  ValueId choose(ValueId condition, ValueId yes, ValueId no) {
    return op(ElementwiseOp{Elementwise::select}, {condition, yes, no});
  }
  ValueId reduce(std::string_view fn, ValueId x, const std::vector<int64_t>& axes, bool keep);

 private:
  Function& function_;
  std::string name_, scope_;
  std::map<std::pair<DType, uint64_t>, ValueId> scalars_;  // by the bits of the number
};

/// `wanted` with its one -1 replaced by what makes the product that of `from`.
///
/// Throws invalid_argument when there are two, or the rest does not divide.
Shape complete_shape(const Shape& from, Shape wanted);

}  // namespace tutti
